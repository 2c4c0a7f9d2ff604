//! Deadline misses.

use proptest::prelude::*;
use scx_gamer::policy::{
    BOOST_MAX, DeadlineInput, MISS_GRACE_NS, MISS_SCORE_MAX, MISS_STEPS_MAX, deadline_ns,
    miss_due_ns, miss_is_late, miss_next, miss_raise, miss_steps,
};

proptest! {
    #[test]
    fn late_is_who_begins_later_than_deadline_and_grace(
        due_ns in any::<u64>(), by_ns in 0..1_u64 << 40,
    ) {
        let late = miss_is_late(due_ns.wrapping_add(by_ns), due_ns);
        prop_assert_eq!(late, by_ns > MISS_GRACE_NS);
        prop_assert!(!miss_is_late(due_ns.wrapping_sub(by_ns), due_ns));
    }

    /// Up to what halving loses, and unless the span was at its bound.
    #[test]
    fn who_was_raised_is_judged_as_if_it_were_not(
        now_ns in any::<u64>(), lag_ns in -100_000_000..100_000_000_i64,
        boost in 1..=BOOST_MAX, score in 0..=MISS_SCORE_MAX,
    ) {
        let under = |boost| {
            deadline_ns(&DeadlineInput {
                now_ns, lag_ns, boost, wait_bound_ns: 300_000_000, ..DeadlineInput::default()
            })
        };
        let raised = miss_raise(boost, score);
        let due_ns = miss_due_ns(now_ns, under(raised), raised - boost);
        prop_assert!(under(boost).wrapping_sub(due_ns) < 1 << MISS_STEPS_MAX);
    }

    #[test]
    fn nobody_is_judged_by_less_than_its_deadline(
        since_ns in any::<u64>(), deadline_ns in any::<u64>(), raised in any::<u32>(),
    ) {
        let later_ns = miss_due_ns(since_ns, deadline_ns, raised).wrapping_sub(deadline_ns);
        prop_assert!(later_ns < 1 << 42);
        prop_assert_eq!(miss_due_ns(since_ns, deadline_ns, 0), deadline_ns);
    }

    #[test]
    fn a_score_is_bounded_and_moves_in_its_direction(score in any::<u32>()) {
        let (late, in_time) = (miss_next(score, true), miss_next(score, false));
        prop_assert!(late <= MISS_SCORE_MAX && in_time <= MISS_SCORE_MAX);
        let score = score.min(MISS_SCORE_MAX);
        prop_assert!(late > score || score == MISS_SCORE_MAX);
        prop_assert!(in_time < score || score == 0);
    }

    #[test]
    fn a_score_that_was_higher_stays_so(
        low in 0..=MISS_SCORE_MAX, high in 0..=MISS_SCORE_MAX, late in any::<bool>(),
    ) {
        let (low, high) = (low.min(high), low.max(high));
        prop_assert!(miss_next(low, late) <= miss_next(high, late));
        prop_assert!(miss_steps(low) <= miss_steps(high));
    }

    #[test]
    fn calm_brings_any_score_back_to_0(score in any::<u8>()) {
        let calm = (0..=MISS_SCORE_MAX).fold(score.into(), |score, _| miss_next(score, false));
        prop_assert_eq!(calm, 0);
    }

    #[test]
    fn no_boost_is_lowered_and_more_misses_never_give_less(
        earned in 1..=BOOST_MAX, low in any::<u8>(), high in any::<u8>(),
    ) {
        let (low, high) = (low.min(high).into(), low.max(high).into());
        let (less, more) = (miss_raise(earned, low), miss_raise(earned, high));
        prop_assert!(earned <= less && less <= more && more <= BOOST_MAX);
        prop_assert!(more <= earned + MISS_STEPS_MAX);
        prop_assert!(miss_raise(earned - 1, high) <= more, "more earned is never less");
    }

    #[test]
    fn who_has_no_boost_gets_none(score in any::<u32>()) {
        prop_assert_eq!(miss_raise(0, score), 0);
    }

    #[test]
    fn any_numbers_give_a_boost(earned in any::<u32>(), score in any::<u32>()) {
        prop_assert!(miss_raise(earned, score) <= BOOST_MAX);
    }
}

/// The steps after `turns` turns of which one in `one_in` is late.
fn steps_after(turns: u32, one_in: u32) -> u32 {
    let score = (0..turns).fold(0, |score, turn| miss_next(score, turn % one_in == 0));
    miss_steps(score)
}

#[test]
fn one_late_turn_raises_nobody_and_a_few_in_a_row_do() {
    assert_eq!(steps_after(1, 1), 0);
    assert_eq!(steps_after(4, 1), 1);
    assert_eq!(steps_after(8, 1), MISS_STEPS_MAX);
}

#[test]
fn what_is_late_now_and_then_is_not_raised() {
    assert_eq!(steps_after(1_000, 10), 0);
    assert_eq!(steps_after(1_000, 5), MISS_STEPS_MAX);
}
