//! Yields: whether a task that gives up its turn lets others go first.

use proptest::prelude::*;
use scx_gamer::policy::{YIELD_SPIN_CNT, yield_gives_way};

use crate::inputs;

proptest! {
    #[test]
    fn one_more_yield_less_boost_or_a_waiting_pipeline_never_keeps_the_turn(
        boost in inputs::boost(), yield_cnt in 0..u32::MAX, pipeline_waits: bool,
    ) {
        if yield_gives_way(boost, yield_cnt, pipeline_waits) {
            prop_assert!(yield_gives_way(boost, yield_cnt + 1, pipeline_waits));
            prop_assert!(yield_gives_way(boost.saturating_sub(1), yield_cnt, pipeline_waits));
            prop_assert!(yield_gives_way(boost, yield_cnt, true));
        }
    }
}

#[test]
fn boosted_tasks_give_way_to_the_pipeline_at_once_and_to_hogs_when_they_spin() {
    assert!(yield_gives_way(6, 1, true));
    assert!(!yield_gives_way(6, 1, false));
    assert!(!yield_gives_way(1, YIELD_SPIN_CNT - 1, false));
    assert!(yield_gives_way(6, YIELD_SPIN_CNT, false));
    assert!(yield_gives_way(0, 1, false));
}
