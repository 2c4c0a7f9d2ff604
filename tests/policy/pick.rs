//! Pick and steal.

use proptest::prelude::*;
use scx_gamer::policy::{Pick, PickInput, pick, steal_before, steal_first, warm_first};

use crate::inputs;

/// The candidates in the order in which they win a tie, with their deadlines.
fn candidates(input: &PickInput) -> Vec<(Pick, u64)> {
    let all = [
        (input.prev_runnable, Pick::Prev, input.prev_deadline_ns),
        (input.own_waiting, Pick::Own, input.own_deadline_ns),
        (input.llc_waiting, Pick::Llc, input.llc_deadline_ns),
    ];
    all.into_iter()
        .filter(|entry| entry.0)
        .map(|(_, pick, deadline)| (pick, deadline))
        .collect()
}

/// Sorts by distance to a moment before all of the deadlines; a stable sort keeps the tie order.
fn reference_pick(input: &PickInput) -> Pick {
    let mut all = candidates(input);
    let Some(&(_, origin)) = all.first() else {
        return Pick::None;
    };
    let origin = origin.wrapping_sub(1 << 62);
    all.sort_by_key(|&(_, deadline)| deadline.wrapping_sub(origin));
    all[0].0
}

proptest! {
    #[test]
    fn pick_equals_reference_model(input in inputs::pick_input()) {
        prop_assert_eq!(pick(&input), reference_pick(&input));
    }

    #[test]
    fn picks_something_exactly_when_something_waits(
        deadlines in any::<[u64; 3]>(), waiting in any::<[bool; 3]>(),
    ) {
        let input = PickInput {
            prev_deadline_ns: deadlines[0],
            own_deadline_ns: deadlines[1],
            llc_deadline_ns: deadlines[2],
            prev_runnable: waiting[0],
            own_waiting: waiting[1],
            llc_waiting: waiting[2],
        };
        let picked = pick(&input);
        prop_assert_eq!(picked != Pick::None, waiting.contains(&true));
        prop_assert!(
            picked == Pick::None || candidates(&input).iter().any(|entry| entry.0 == picked),
            "{:?} does not wait", picked
        );
    }

    #[test]
    fn a_warm_task_passes_over_no_boost_and_by_its_margin_at_most(
        head_ns in inputs::time_ns(), later_ns in 0..1_u64 << 40, boost in inputs::boost(),
        margin_ns in 0..1_u64 << 40,
    ) {
        let first = warm_first((boost, head_ns), head_ns.wrapping_add(later_ns), margin_ns);
        prop_assert_eq!(first, boost == 0 && later_ns <= margin_ns);
    }

    #[test]
    fn overdue_foreign_queue_comes_first_across_wrap(now_ns in inputs::time_ns(), age_ns in 0..1_u64 << 40) {
        let idle = PickInput::default();
        prop_assert_eq!(steal_first(&idle, now_ns, now_ns.wrapping_sub(age_ns)), age_ns > 20_000_000);
        prop_assert!(!steal_first(&idle, now_ns, now_ns.wrapping_add(age_ns)));
    }

    /// Otherwise two late queues would each be served by the other's CPUs alone, and a queue of one
    /// CPU by none.
    #[test]
    fn what_waits_longer_at_home_is_never_passed_over(
        now_ns in inputs::time_ns(), late_ns in 0..1_u64 << 40, later_ns in 0..1_u64 << 40, own in any::<bool>(),
    ) {
        let foreign_ns = now_ns.wrapping_sub(late_ns);
        let home_ns = foreign_ns.wrapping_sub(later_ns);
        let home = PickInput {
            own_deadline_ns: home_ns,
            llc_deadline_ns: home_ns,
            own_waiting: own,
            llc_waiting: !own,
            ..PickInput::default()
        };
        prop_assert!(!steal_first(&home, now_ns, foreign_ns));
    }

    /// Queues are looked at in turn, and the one so far is kept unless the next goes before it.
    #[test]
    fn steals_the_oldest_of_the_own_node_then_the_oldest_anywhere(
        base_ns in inputs::time_ns(),
        queues in prop::collection::vec((any::<bool>(), 0..1_u64 << 40), 1..32),
    ) {
        let queues: Vec<_> = queues
            .into_iter()
            .map(|(is_near, later_ns)| (is_near, base_ns.wrapping_add(later_ns)))
            .collect();
        let first = queues
            .iter()
            .copied()
            .reduce(|best, next| if steal_before(next, best) { next } else { best })
            .expect("there are some");
        // Without the clock's wrap, and false sorts before true.
        let key = |&(is_near, deadline_ns): &(bool, u64)| (!is_near, deadline_ns.wrapping_sub(base_ns));
        prop_assert_eq!(Some(key(&first)), queues.iter().map(key).min());
    }

    #[test]
    fn of_two_queues_at_most_one_is_stolen_from_first(
        base_ns in inputs::time_ns(), distance_ns in -3..3_i64, near in any::<[bool; 2]>(),
    ) {
        let (one, other) = ((near[0], base_ns), (near[1], base_ns.wrapping_add_signed(distance_ns)));
        let tie = near[0] == near[1] && distance_ns == 0;
        prop_assert_eq!(steal_before(one, other) != steal_before(other, one), !tie);
        prop_assert!(!steal_before(one, one));
    }
}

#[test]
fn tie_goes_to_prev_then_own_then_llc() {
    let all = PickInput {
        prev_runnable: true,
        own_waiting: true,
        llc_waiting: true,
        ..PickInput::default()
    };
    assert_eq!(pick(&all), Pick::Prev);
    let stopped = PickInput {
        prev_runnable: false,
        ..all
    };
    assert_eq!(pick(&stopped), Pick::Own);
    assert_eq!(
        pick(&PickInput {
            own_waiting: false,
            ..stopped
        }),
        Pick::Llc
    );
}

#[test]
fn earliest_deadline_wins_across_wrap() {
    let input = PickInput {
        prev_deadline_ns: 5,
        own_deadline_ns: u64::MAX - 5,
        llc_deadline_ns: u64::MAX - 6,
        prev_runnable: true,
        own_waiting: true,
        llc_waiting: true,
    };
    assert_eq!(pick(&input), Pick::Llc);
    assert_eq!(
        pick(&PickInput {
            llc_waiting: false,
            ..input
        }),
        Pick::Own
    );
}
