//! Virtual time: charge, virtual now, vruntime window.

use proptest::prelude::*;
use scx_gamer::policy::{
    CHARGE_NS_MAX, CREDIT_NS, WEIGHT_DEFAULT, WEIGHT_MAX, WEIGHT_MIN, charge_ns, delta_ns,
    inv_weight, vruntime_clamp, vtime_advance,
};

use crate::inputs;

proptest! {
    #[test]
    fn inv_weight_never_zero_nor_divides_by_zero(weight in any::<u32>()) {
        let inverse = inv_weight(weight);
        prop_assert!(inverse >= inv_weight(WEIGHT_MAX) && inverse <= inv_weight(WEIGHT_MIN));
        prop_assert!(inverse > 0);
    }

    #[test]
    fn charge_monotonic_in_run_time(a in inputs::span_ns(), b in inputs::span_ns(), weight in inputs::weight()) {
        let inverse = inv_weight(weight);
        prop_assert!(charge_ns(a.min(b), inverse) <= charge_ns(a.max(b), inverse));
    }

    #[test]
    fn charge_inverse_in_weight(ran_ns in inputs::span_ns(), a in inputs::weight(), b in inputs::weight()) {
        prop_assert!(
            charge_ns(ran_ns, inv_weight(a.max(b))) <= charge_ns(ran_ns, inv_weight(a.min(b)))
        );
    }

    /// Against 128 bits: neither wraps nor is off by more than the inverse weight's rounding.
    #[test]
    fn charge_is_exact_and_never_overflows(ran_ns in inputs::span_ns(), weight in 1..=10_000_u32) {
        let charge = u128::from(charge_ns(ran_ns, inv_weight(weight)));
        let exact =
            u128::from(ran_ns.min(CHARGE_NS_MAX)) * u128::from(WEIGHT_DEFAULT) / u128::from(weight);
        prop_assert!(charge <= exact);
        prop_assert!(exact - charge <= 1 + exact / 10_000, "{charge} for {exact}");
    }

    #[test]
    fn virtual_now_never_backwards_nor_faster_than_real_time(
        vtime_ns in inputs::time_ns(), vruntime_ns in inputs::time_ns(), ran_ns in inputs::span_ns(),
    ) {
        let advanced = delta_ns(vtime_advance(vtime_ns, vruntime_ns, ran_ns), vtime_ns);
        prop_assert!(advanced >= 0);
        prop_assert!(advanced.unsigned_abs() <= ran_ns);
    }

    #[test]
    fn vruntime_stays_inside_its_window_and_clamp_is_idempotent(
        vruntime_ns in inputs::time_ns(), vtime_ns in inputs::time_ns(),
        credit_ns in 0..1_u64 << 40, debt_ns in 0..1_u64 << 40,
    ) {
        let once = vruntime_clamp(vruntime_ns, vtime_ns, credit_ns, debt_ns);
        let lag = i128::from(delta_ns(once, vtime_ns));
        prop_assert!(-i128::from(credit_ns) <= lag && lag <= i128::from(debt_ns));
        prop_assert_eq!(vruntime_clamp(once, vtime_ns, credit_ns, debt_ns), once);
    }

    #[test]
    fn vruntime_inside_its_window_is_left_alone(
        vtime_ns in inputs::time_ns(), lag_ns in -40_000_000..=300_000_000_i64,
    ) {
        let vruntime_ns = vtime_ns.wrapping_add_signed(lag_ns);
        prop_assert_eq!(
            vruntime_clamp(vruntime_ns, vtime_ns, CREDIT_NS, inputs::WAIT_BOUND_NS), vruntime_ns
        );
    }

    #[test]
    fn endless_windows_leave_vruntime_alone_up_to_half_the_clock(
        vtime_ns in inputs::time_ns(), lag_ns in -(1_i64 << 62)..1_i64 << 62,
    ) {
        let vruntime_ns = vtime_ns.wrapping_add_signed(lag_ns);
        prop_assert_eq!(vruntime_clamp(vruntime_ns, vtime_ns, u64::MAX, u64::MAX), vruntime_ns);
    }
}

#[test]
fn default_weight_is_charged_as_really_run() {
    for ran_ns in [0, 1, 999, 3_000_000, CHARGE_NS_MAX] {
        assert_eq!(charge_ns(ran_ns, inv_weight(WEIGHT_DEFAULT)), ran_ns);
    }
    assert_eq!(charge_ns(3_000_000, inv_weight(200)), 1_500_000);
    assert_eq!(charge_ns(3_000_000, inv_weight(1)), 300_000_000);
    assert_eq!(charge_ns(u64::MAX, inv_weight(0)), 100 * CHARGE_NS_MAX);
}
