//! Values that make trouble: anywhere in the type, around a wrap, and as they occur in life.

use proptest::prelude::*;
use scx_gamer::policy::{DeadlineInput, PickInput};

/// Default bound of a wait, in ns.
pub(crate) const WAIT_BOUND_NS: u64 = 300_000_000;

/// A point in time: anywhere, or within a few seconds of the wrap.
pub(crate) fn time_ns() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (-4_000_000_000_i64..4_000_000_000)
            .prop_map(|distance| 0_u64.wrapping_add_signed(distance)),
    ]
}

/// A duration: anywhere in the type, or up to a second.
pub(crate) fn span_ns() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..1_000_000_000_u64, Just(0), Just(u64::MAX)]
}

/// A signed distance: anywhere in the type, or up to a second.
pub(crate) fn lag_ns() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -1_000_000_000..1_000_000_000_i64,
        Just(i64::MIN),
        Just(i64::MAX)
    ]
}

/// A boost, mostly a valid one.
pub(crate) fn boost() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..=7_u32, 1 => any::<u32>()]
}

/// A weight, mostly a valid one.
pub(crate) fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 1..=10_000_u32, 1 => any::<u32>(), 1 => Just(0)]
}

prop_compose! {
    pub(crate) fn deadline_input()(
        now_ns in time_ns(),
        lag_ns in lag_ns(),
        recent_run_ns in span_ns(),
        wait_bound_ns in prop_oneof![Just(WAIT_BOUND_NS), span_ns()],
        boost in boost(),
        near_flip_16ths in prop_oneof![4 => 0..=16_u32, 1 => any::<u32>()],
        head_start_ns in span_ns(),
        background_ns in span_ns(),
        crowd_ns in span_ns(),
        serves_others: bool,
        in_window: bool,
    ) -> DeadlineInput {
        DeadlineInput {
            now_ns, lag_ns, recent_run_ns, wait_bound_ns, head_start_ns, background_ns, crowd_ns, boost,
            near_flip_16ths, serves_others, in_window,
        }
    }
}

prop_compose! {
    /// Deadlines lie around one moment, so that ties and the wrap occur.
    pub(crate) fn pick_input()(
        base_ns in time_ns(),
        distances_ns in [-3..3_i64, -3..3_i64, -3..3_i64],
        scale in prop_oneof![Just(1_i64), Just(400_000_000)],
        prev_runnable: bool,
        own_waiting: bool,
        llc_waiting: bool,
    ) -> PickInput {
        let at = |idx: usize| base_ns.wrapping_add_signed(distances_ns[idx] * scale);
        PickInput {
            prev_deadline_ns: at(0),
            own_deadline_ns: at(1),
            llc_deadline_ns: at(2),
            prev_runnable,
            own_waiting,
            llc_waiting,
        }
    }
}
