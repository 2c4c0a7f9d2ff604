//! Load, regime and slice.

use proptest::prelude::*;
use scx_gamer::policy::{
    BOOST_URGENT, REGIME_HYSTERESIS_PCT, load_pct, regime_next, slice_divides, slice_ns,
};

use crate::inputs;

proptest! {
    #[test]
    fn load_is_a_percentage_for_all_inputs(
        ran_ns in inputs::span_ns(), elapsed_ns in inputs::span_ns(), cpu_cnt in any::<u32>(),
    ) {
        prop_assert!(load_pct(ran_ns, elapsed_ns, cpu_cnt) <= 100);
    }

    #[test]
    fn load_equals_the_true_share(
        cpu_cnt in 1..=1024_u32, elapsed_ns in 1_000_000..1_u64 << 40, permille in 0..=1000_u64,
    ) {
        let capacity_ns = elapsed_ns * u64::from(cpu_cnt);
        let ran_ns = capacity_ns / 1000 * permille;
        let exact = u128::from(ran_ns) * 100 / u128::from(capacity_ns);
        prop_assert!(exact.abs_diff(load_pct(ran_ns, elapsed_ns, cpu_cnt).into()) <= 1);
    }

    #[test]
    fn regime_stays_for_loads_inside_the_band(
        busy: bool, enter_pct in REGIME_HYSTERESIS_PCT..=100, within in 1..REGIME_HYSTERESIS_PCT,
    ) {
        prop_assert_eq!(regime_next(busy, enter_pct - within, enter_pct), busy);
    }

    /// A steady load settles at once, whatever the threshold (also 0, and above 100).
    #[test]
    fn steady_load_never_flips_the_regime_twice(busy: bool, load in any::<u32>(), enter in 0..=200_u32) {
        let next = regime_next(busy, load, enter);
        prop_assert_eq!(regime_next(next, load, enter), next);
    }

    #[test]
    fn more_load_never_leaves_busy(busy: bool, load in 0..=100_u32, more in 0..=100_u32, enter in 0..=100_u32) {
        prop_assert!(regime_next(busy, load + more, enter) >= regime_next(busy, load, enter));
    }

    #[test]
    fn slice_between_minimum_and_maximum(
        slice in inputs::span_ns(), min in inputs::span_ns(),
        waiting in any::<u32>(), cpu_cnt in any::<u32>(), busy: bool,
    ) {
        let result = slice_ns(slice, min, waiting, cpu_cnt, busy);
        prop_assert!(min <= result && result <= slice.max(min));
    }

    #[test]
    fn slice_shrinks_with_more_waiting(
        slice in inputs::span_ns(), min in inputs::span_ns(), cpu_cnt in any::<u32>(),
        waiting in any::<u32>(), more in any::<u32>(), busy: bool,
    ) {
        let crowded = slice_ns(slice, min, waiting.saturating_add(more), cpu_cnt, busy);
        prop_assert!(crowded <= slice_ns(slice, min, waiting, cpu_cnt, busy));
    }

    #[test]
    fn turns_of_urgent_and_of_background_tasks_are_not_shortened(boost in inputs::boost(), background: bool) {
        let expected = match boost {
            0 => !background,
            boost => boost < BOOST_URGENT,
        };
        prop_assert_eq!(slice_divides(boost, background), expected);
    }

    #[test]
    fn light_regime_gives_the_whole_slice(slice in inputs::span_ns(), waiting in any::<u32>(), cpu_cnt in any::<u32>()) {
        prop_assert_eq!(slice_ns(slice, 0, waiting, cpu_cnt, false), slice);
    }
}

#[test]
fn regime_table() {
    for (busy, load, enter, next) in [
        (false, 84, 85, false),
        (false, 85, 85, true),
        (true, 71, 85, true),
        (true, 70, 85, false),
        (true, 0, 10, false),
        (false, 0, 0, true),
        (true, 0, 0, true),
        (false, 100, 101, false),
    ] {
        assert_eq!(
            regime_next(busy, load, enter),
            next,
            "{busy} {load} {enter}"
        );
    }
}

#[test]
fn slice_table() {
    let slice = |waiting, cpu_cnt| slice_ns(3_000_000, 500_000, waiting, cpu_cnt, true);
    assert_eq!(slice(0, 2), 3_000_000);
    assert_eq!(slice(2, 2), 1_500_000);
    assert_eq!(slice(4, 2), 1_000_000);
    assert_eq!(slice(200, 2), 500_000);
    assert_eq!(slice(4, 0), 600_000, "no CPU counts as one");
}

#[test]
fn load_of_nothing_is_zero() {
    assert_eq!(load_pct(0, 0, 0), 0);
    assert_eq!(load_pct(5, 0, 4), 0, "no time has passed");
    assert_eq!(load_pct(u64::MAX, 32_000_000, 0), 100);
}
