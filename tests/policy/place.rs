//! Placement, and CPUs that are busy with interrupts.

use proptest::prelude::*;
use scx_gamer::policy::{
    BOOST_MAX, CpuKind, NODE_COST_NS, SHARE_ALL, cpus_first, home_wait_ns, irq_busy_next,
    irq_share_next, leaves_node,
};

use crate::inputs;

/// Length of a window, in ns.
const WINDOW_NS: u64 = 32_000_000;

fn share_of(pct: u64) -> u32 {
    u32::try_from(u64::from(SHARE_ALL) * pct / 100).expect("a share is a u32")
}

/// Whether each of these windows leaves the CPU busy, of which `pct` per cent go to interrupts.
fn play(windows: &[u64]) -> Vec<bool> {
    let (mut busy, mut share) = (false, 0);
    let window = |pct: &u64| {
        share = irq_share_next(share, WINDOW_NS / 100 * pct, WINDOW_NS);
        busy = irq_busy_next(busy, share);
        busy
    };
    windows.iter().map(window).collect()
}

proptest! {
    #[test]
    fn whatever_is_boosted_looks_among_the_fast_cpus_first(boost in 1..=BOOST_MAX, back: bool) {
        prop_assert_eq!(cpus_first(boost, back), Some(CpuKind::Fast));
    }

    #[test]
    fn nobody_leaves_its_node_to_save_less_than_that_costs(
        puts_off: bool, others: bool, ran_ns in inputs::span_ns(), slice_ns in inputs::span_ns(),
    ) {
        let wait_ns = home_wait_ns(puts_off, others, ran_ns, slice_ns);
        prop_assert!(wait_ns <= slice_ns);
        prop_assert_eq!(leaves_node(wait_ns), wait_ns > NODE_COST_NS);
        prop_assert!(!(puts_off && leaves_node(wait_ns)), "it has a CPU at once");
        prop_assert!(!others || puts_off || wait_ns == slice_ns, "and others go first");
    }

    #[test]
    fn share_of_interrupts_is_a_share_for_all_inputs(
        share in any::<u32>(), irq_ns in inputs::span_ns(), elapsed_ns in inputs::span_ns(),
    ) {
        prop_assert!(irq_share_next(share, irq_ns, elapsed_ns) <= SHARE_ALL);
    }

    /// To a few parts in 65536: the thresholds are met from both sides.
    #[test]
    fn steady_share_of_interrupts_is_found(start in 0..=SHARE_ALL, pct in 0..=100_u64) {
        let irq_ns = WINDOW_NS / 100 * pct;
        let found = (0..64).fold(start, |share, _| irq_share_next(share, irq_ns, WINDOW_NS));
        prop_assert!(found.abs_diff(share_of(pct)) <= 4, "{} % found as {}", pct, found);
    }

    #[test]
    fn window_that_nobody_closed_in_time_counts_alone(
        share in any::<u32>(), other in any::<u32>(), pct in 0..=100_u64, windows in 2..1_000_u64,
    ) {
        let (irq_ns, elapsed_ns) = (windows * WINDOW_NS / 100 * pct, windows * WINDOW_NS);
        let found = irq_share_next(share, irq_ns, elapsed_ns);
        prop_assert_eq!(found, irq_share_next(other, irq_ns, elapsed_ns));
        prop_assert!(found.abs_diff(share_of(pct)) <= 1);
    }

    #[test]
    fn more_interrupts_are_never_less_of_a_share(
        share in any::<u32>(), irq_ns in inputs::span_ns(), more_ns in inputs::span_ns(),
        elapsed_ns in inputs::span_ns(),
    ) {
        let more = irq_share_next(share, irq_ns.saturating_add(more_ns), elapsed_ns);
        prop_assert!(irq_share_next(share, irq_ns, elapsed_ns) <= more);
    }

    #[test]
    fn share_between_the_thresholds_changes_nothing(busy: bool, share in share_of(10)..share_of(20)) {
        prop_assert_eq!(irq_busy_next(busy, share), busy);
    }

    #[test]
    fn share_beyond_a_threshold_decides_alone(busy: bool, share in any::<u32>()) {
        prop_assert!(share < share_of(20) || irq_busy_next(busy, share));
        prop_assert!(share >= share_of(10) || !irq_busy_next(busy, share));
    }
}

#[test]
fn background_keeps_off_the_fast_cpus_while_others_are_idle() {
    assert_eq!(cpus_first(0, true), Some(CpuKind::Other));
}

#[test]
fn all_others_take_any_cpu() {
    assert_eq!(cpus_first(0, false), None);
}

/// At 250 ticks a second, the only ones at which many kernels look, a tick is an eighth of a window.
#[test]
fn one_tick_in_an_interrupt_makes_nobody_busy() {
    assert_eq!(play(&[0, 13, 0, 0, 25, 0, 0, 0]), [false; 8]);
    assert_eq!(play(&[13; 64]), [false; 64]);
}

#[test]
fn half_of_the_time_in_interrupts_is_noticed_within_a_tenth_of_a_second_and_forgotten_in_a_third() {
    let steps = play(&[[50; 16], [0; 16]].concat());
    let first = steps.iter().position(|busy| *busy);
    let last = steps.iter().rposition(|busy| *busy);
    assert_eq!((first, last), (Some(1), Some(20)));
    let (first, last) = (first.unwrap_or(16), last.unwrap_or(32));
    assert!(steps[first..=last].iter().all(|busy| *busy));
}
