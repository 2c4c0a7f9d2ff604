//! Preemption.

use proptest::prelude::*;
use scx_gamer::policy::{
    PREEMPT_CLEAR_NS, PREEMPT_MARGIN_NS, Preempt, PreemptInput, TURN_NS_MIN, is_urgent, preempt,
};

use crate::inputs;

prop_compose! {
    fn preempt_input()(
        arrival_span_ns in inputs::span_ns(),
        running_span_ns in inputs::span_ns(),
        running_for_ns in prop_oneof![inputs::span_ns(), 0..2 * TURN_NS_MIN],
        arrival_boost in inputs::boost(),
        running_boost in inputs::boost(),
    ) -> PreemptInput {
        PreemptInput {
            arrival_span_ns,
            running_span_ns,
            running_for_ns,
            arrival_boost,
            running_boost,
            running_holds_lock: false,
        }
    }
}

proptest! {
    #[test]
    fn who_holds_a_lock_of_the_pipeline_is_never_put_off(input in preempt_input()) {
        let holder = PreemptInput { running_holds_lock: true, ..input };
        prop_assert_eq!(preempt(&holder), Preempt::NoLock);
    }

    #[test]
    fn higher_boost_is_never_put_off(input in preempt_input()) {
        if input.running_boost > input.arrival_boost {
            prop_assert_eq!(preempt(&input), Preempt::NoBoost);
        }
    }

    #[test]
    fn equal_urgent_boost_is_never_put_off(input in preempt_input()) {
        let input = PreemptInput { arrival_boost: input.running_boost, ..input };
        if is_urgent(input.running_boost) {
            prop_assert_eq!(preempt(&input), Preempt::NoBoost);
        }
    }

    #[test]
    fn only_the_far_more_urgent_puts_off_its_like_before_the_minimum_turn(
        input in preempt_input(), for_ns in 0..TURN_NS_MIN,
    ) {
        let early =
            PreemptInput { running_for_ns: for_ns, arrival_boost: input.running_boost, ..input };
        if preempt(&early) == Preempt::Yes {
            prop_assert!(input.running_span_ns - input.arrival_span_ns >= PREEMPT_CLEAR_NS);
        }
    }

    #[test]
    fn a_hog_gives_way_at_once(input in preempt_input(), for_ns in 0..TURN_NS_MIN) {
        let hog = PreemptInput { running_for_ns: for_ns, arrival_boost: input.running_boost, ..input };
        let clear = input.running_span_ns.saturating_sub(input.arrival_span_ns) >= PREEMPT_CLEAR_NS;
        if clear && !is_urgent(input.running_boost) {
            prop_assert_eq!(preempt(&hog), Preempt::Yes);
        }
    }

    #[test]
    fn more_arrival_boost_never_undoes_a_preemption(input in preempt_input(), more in inputs::boost()) {
        let boosted =
            PreemptInput { arrival_boost: input.arrival_boost.saturating_add(more), ..input };
        if preempt(&input) == Preempt::Yes {
            prop_assert_eq!(preempt(&boosted), Preempt::Yes);
        }
    }

    #[test]
    fn shorter_arrival_span_never_undoes_a_preemption(input in preempt_input(), span_ns in inputs::span_ns()) {
        let nearer =
            PreemptInput { arrival_span_ns: input.arrival_span_ns.min(span_ns), ..input };
        if preempt(&input) == Preempt::Yes {
            prop_assert_eq!(preempt(&nearer), Preempt::Yes);
        }
    }

    #[test]
    fn more_boost_and_a_shorter_span_take_a_cpu_at_once(input in preempt_input()) {
        if input.arrival_boost > input.running_boost {
            let shorter = input.arrival_span_ns < input.running_span_ns;
            let expected = if shorter { Preempt::Yes } else { Preempt::NoSpan };
            prop_assert_eq!(preempt(&input), expected);
        }
    }

    #[test]
    fn no_turn_means_yes_after_the_minimum_turn(input in preempt_input()) {
        let later = PreemptInput { running_for_ns: TURN_NS_MIN, ..input };
        if preempt(&input) == Preempt::NoTurn {
            prop_assert_eq!(preempt(&later), Preempt::Yes);
        }
    }

    /// Otherwise two tasks could put each other off in turns.
    #[test]
    fn without_more_boost_the_margin_must_be_exceeded(input in preempt_input()) {
        let input = PreemptInput { arrival_boost: input.running_boost, ..input };
        if preempt(&input) == Preempt::Yes {
            prop_assert!(input.running_span_ns - input.arrival_span_ns > PREEMPT_MARGIN_NS);
        }
    }
}

#[test]
fn endless_spans_do_not_wrap_into_a_preemption() {
    let input = PreemptInput {
        arrival_span_ns: u64::MAX,
        running_span_ns: 1_000_000,
        running_for_ns: u64::MAX,
        ..PreemptInput::default()
    };
    assert_eq!(preempt(&input), Preempt::NoSpan);
}
