//! Deadline and boost.

use proptest::prelude::*;
use scx_gamer::policy::{
    BOOST_MAX, CREDIT_NS, DeadlineInput, LAG_NS_MAX, LOAN_MAX, LOAN_NS, RECENT_RUN_NS_MAX, SPIN_NS,
    boost_clamp, boost_earned, boost_loan, boost_of_roles, boost_with_loan, charge_ns, deadline_ns,
    delta_ns, inv_weight, is_urgent, span_ns,
};

use crate::inputs;

/// The header's formula, written anew in 128 bits, where nothing can wrap.
fn reference_span_ns(input: &DeadlineInput) -> u64 {
    let bound = i128::from(input.wait_bound_ns);
    let debt_max = 2 * bound.min(1 << 40);
    let lag = i128::from(input.lag_ns)
        .max(-i128::from(LAG_NS_MAX))
        .min(debt_max);
    let recent = i128::from(input.recent_run_ns.min(RECENT_RUN_NS_MAX));
    let halvings = input.boost.min(BOOST_MAX) + u32::from(input.in_window);
    let span = (lag + i128::from(CREDIT_NS) + recent).max(0) / (1 << halvings);
    let span = span - span * i128::from(input.near_flip_16ths.min(16)) / 16;
    let behind = input.boost == 0 && !input.serves_others;
    let behind_ns = i128::from(input.head_start_ns)
        + i128::from(input.background_ns)
        + i128::from(input.crowd_ns);
    let span = span + i128::from(behind) * behind_ns;
    u64::try_from(span.min(bound)).expect("a span is never negative")
}

proptest! {
    #[test]
    fn deadline_equals_reference_model(input in inputs::deadline_input()) {
        prop_assert_eq!(span_ns(&input), reference_span_ns(&input));
        prop_assert_eq!(
            deadline_ns(&input),
            input.now_ns.wrapping_add(reference_span_ns(&input))
        );
    }

    #[test]
    fn span_never_above_wait_bound(input in inputs::deadline_input()) {
        prop_assert!(span_ns(&input) <= input.wait_bound_ns);
    }

    #[test]
    fn deadline_right_across_clock_wrap(input in inputs::deadline_input(), before in 0..1_u64 << 30) {
        let input = DeadlineInput { now_ns: u64::MAX - before, wait_bound_ns: 1 << 31, ..input };
        let distance_ns = delta_ns(deadline_ns(&input), input.now_ns);
        prop_assert!((0..=1 << 31).contains(&distance_ns));
    }

    #[test]
    fn more_boost_never_a_later_deadline(input in inputs::deadline_input(), more in inputs::boost()) {
        let boosted = DeadlineInput { boost: input.boost.saturating_add(more), ..input };
        prop_assert!(span_ns(&boosted) <= span_ns(&input));
    }

    #[test]
    fn who_serves_others_never_has_a_later_deadline(input in inputs::deadline_input()) {
        let own = DeadlineInput { serves_others: true, ..input };
        let other = DeadlineInput { serves_others: false, ..input };
        prop_assert!(span_ns(&own) <= span_ns(&other));
    }

    #[test]
    fn background_or_a_crowd_is_never_earlier_and_never_costs_a_boost(
        input in inputs::deadline_input(), later_ns in inputs::span_ns(),
    ) {
        let foreground = DeadlineInput { background_ns: 0, crowd_ns: 0, ..input };
        let background = DeadlineInput { background_ns: later_ns, ..foreground };
        let crowded = DeadlineInput { crowd_ns: later_ns, ..foreground };
        prop_assert_eq!(span_ns(&background), span_ns(&crowded));
        if input.boost > 0 || input.serves_others {
            prop_assert_eq!(span_ns(&background), span_ns(&foreground));
        } else {
            let room_ns = input.wait_bound_ns - span_ns(&foreground);
            prop_assert_eq!(span_ns(&background), span_ns(&foreground) + later_ns.min(room_ns));
        }
    }

    #[test]
    fn a_longer_head_start_never_makes_who_has_it_later_nor_the_others_earlier(
        input in inputs::deadline_input(), longer_ns in inputs::span_ns(),
    ) {
        let head_start_ns = input.head_start_ns.saturating_add(longer_ns);
        let longer = DeadlineInput { head_start_ns, ..input };
        if input.boost > 0 || input.serves_others {
            prop_assert_eq!(span_ns(&longer), span_ns(&input));
        } else {
            prop_assert!(span_ns(&longer) >= span_ns(&input));
        }
    }

    #[test]
    fn open_window_never_a_later_deadline(input in inputs::deadline_input()) {
        let open = DeadlineInput { in_window: true, ..input };
        let shut = DeadlineInput { in_window: false, ..input };
        prop_assert!(span_ns(&open) <= span_ns(&shut));
    }

    #[test]
    fn nearer_flip_never_a_later_deadline(input in inputs::deadline_input(), nearer in any::<u32>()) {
        let near_flip_16ths = input.near_flip_16ths.saturating_add(nearer);
        let near = DeadlineInput { near_flip_16ths, ..input };
        prop_assert!(span_ns(&near) <= span_ns(&input));
    }

    #[test]
    fn more_lag_or_recent_run_never_an_earlier_deadline(
        input in inputs::deadline_input(), lag_ns in inputs::lag_ns(), recent_run_ns in inputs::span_ns(),
    ) {
        let lagged = DeadlineInput { lag_ns: input.lag_ns.max(lag_ns), ..input };
        let hog = DeadlineInput { recent_run_ns: input.recent_run_ns.max(recent_run_ns), ..input };
        prop_assert!(span_ns(&lagged) >= span_ns(&input));
        prop_assert!(span_ns(&hog) >= span_ns(&input));
    }

    /// Same history, same run: the heavier task is charged less on both terms.
    #[test]
    fn more_weight_never_a_later_deadline(
        input in inputs::deadline_input(),
        lag_ns in -1_000_000_000..1_000_000_000_i64,
        recent_run_ns in 0..1_000_000_000_u64,
        ran_ns in inputs::span_ns(),
        weights in (inputs::weight(), inputs::weight()),
    ) {
        let after_run = |weight: u32| {
            let charge = charge_ns(ran_ns, inv_weight(weight));
            let charge_signed = i64::try_from(charge).expect("a charge is below 2^60");
            span_ns(&DeadlineInput {
                lag_ns: lag_ns + charge_signed,
                recent_run_ns: recent_run_ns + charge,
                ..input
            })
        };
        let (light, heavy) = (weights.0.min(weights.1), weights.0.max(weights.1));
        prop_assert!(after_run(heavy) <= after_run(light));
    }

    #[test]
    fn boost_never_above_maximum(
        boost in any::<u32>(), roles in any::<u32>(),
        boosts in prop::collection::vec(any::<u8>(), 0..40), awake_ns in inputs::span_ns(),
    ) {
        prop_assert!(boost_clamp(boost) <= BOOST_MAX);
        prop_assert!(boost_earned(boost, awake_ns) <= BOOST_MAX);
        prop_assert!(boost_of_roles(roles, &boosts) <= BOOST_MAX);
    }

    #[test]
    fn one_role_more_never_less_boost(
        roles in any::<u32>(), role in 0..32_u32, boosts in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        prop_assert!(
            boost_of_roles(roles | 1 << role, &boosts) >= boost_of_roles(roles, &boosts)
        );
    }

    #[test]
    fn a_loan_is_less_than_what_the_lender_has_and_ends(
        lender in inputs::boost(), earned in 0..=7_u32, awake_ns in inputs::span_ns(),
    ) {
        let loan = boost_loan(lender);
        prop_assert!(loan <= LOAN_MAX && loan < lender.max(1));
        let boost = boost_with_loan(earned, loan, awake_ns);
        prop_assert!(boost >= earned && boost <= earned.max(loan));
        prop_assert!(awake_ns <= LOAN_NS || boost == earned);
    }
}

#[test]
fn spinner_loses_its_boost_until_it_sleeps() {
    assert_eq!(boost_earned(7, SPIN_NS), 7);
    assert_eq!(boost_earned(7, SPIN_NS + 1), 0);
    assert_eq!(boost_earned(7, u64::MAX), 0);
    assert_eq!(boost_earned(7, 0), 7);
}

#[test]
fn urgent_from_five_up() {
    assert_eq!(
        (0..=8)
            .filter(|&boost| is_urgent(boost))
            .collect::<Vec<_>>(),
        [5, 6, 7, 8]
    );
}

#[test]
fn a_chain_of_wake_ups_ends_without_a_loan() {
    let chain: Vec<u32> = (0..4)
        .scan(7, |boost, _| {
            *boost = boost_loan(*boost);
            Some(*boost)
        })
        .collect();
    assert_eq!(chain, [2, 1, 0, 0]);
}

#[test]
fn highest_role_counts() {
    let boosts = [7, 4, 0, 1];
    assert_eq!(boost_of_roles(0b0000, &boosts), 0);
    assert_eq!(boost_of_roles(0b1000, &boosts), 1);
    assert_eq!(boost_of_roles(0b1010, &boosts), 4);
    assert_eq!(boost_of_roles(0b1111, &boosts), 7);
    assert_eq!(
        boost_of_roles(0b1_0000, &boosts),
        0,
        "a role that nobody defined"
    );
}
