//! Real-time turns: whether the next one is expected to be brief.

use proptest::prelude::*;
use scx_gamer::policy::{rt_is_brief, rt_mean_next};

use crate::inputs;

/// The mean after these turns.
fn mean_of(turns_ns: impl IntoIterator<Item = u64>) -> u32 {
    turns_ns.into_iter().fold(0, rt_mean_next)
}

proptest! {
    #[test]
    fn mean_lies_between_the_shortest_and_the_longest_turn(
        turns_ns in prop::collection::vec(1u64..1 << 30, 1..40),
    ) {
        let mean_ns = u64::from(mean_of(turns_ns.clone()));
        let bounds = (turns_ns.iter().min().unwrap(), turns_ns.iter().max().unwrap());
        prop_assert!((*bounds.0..=*bounds.1).contains(&mean_ns), "{mean_ns} of {turns_ns:?}");
    }

    #[test]
    fn any_turn_leaves_a_mean(mean_ns: u32, turn_ns in inputs::span_ns()) {
        prop_assert!(rt_mean_next(mean_ns, turn_ns) > 0);
    }
}

#[test]
fn nothing_is_expected_before_the_first_turn() {
    assert!(!rt_is_brief(0));
    assert!(rt_is_brief(mean_of([20_000])));
    assert!(!rt_is_brief(mean_of([6_000_000])));
}

#[test]
fn sound_is_brief_with_an_outlier_and_a_hog_is_noticed_at_its_first_turn() {
    let sound = std::iter::repeat_n(60_000, 100);
    let outlier = sound.clone().chain([300_000]);
    assert!(rt_is_brief(mean_of(outlier)));
    assert!(!rt_is_brief(mean_of(sound.chain([6_000_000]))));
}

#[test]
fn what_was_long_is_brief_again_after_some_brief_turns() {
    let turns =
        |brief_cnt| std::iter::once(6_000_000).chain(std::iter::repeat_n(20_000, brief_cnt));
    assert!(!rt_is_brief(mean_of(turns(25))));
    assert!(rt_is_brief(mean_of(turns(40))));
}
