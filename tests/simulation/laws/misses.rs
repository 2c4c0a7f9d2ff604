//! How late a turn may begin.

use scx_gamer::config::Feature;

use super::{LLC_CPUS, SEEDS, assert_waits_are_bounded};
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{MS, Pattern, Rng, SEC, Spec, US};
use crate::seeds::for_each_seed;

/// No run of a boosted task is longer.
const RUN_NS_MAX: u64 = 2 * MS;
/// What the boosted tasks want of the CPUs' time, in per cent.
const BOOSTED_PCT: u64 = 60;

/// Boosted tasks that fit easily, ten or so to a CPU, and so many hogs to a CPU.
fn feasible_set(seed: u64, cpu_cnt: usize, hogs_per_cpu: usize) -> Vec<Spec> {
    let mut rng = Rng(seed);
    let mut specs = vec![Spec::hog(); hogs_per_cpu * cpu_cnt];
    let mut share_left = cpu_cnt as f64 * BOOSTED_PCT as f64 / 100.0;
    while share_left > 0.0 {
        let period_ns = rng.range(4 * MS, 40 * MS);
        let run_ns = rng.range(100 * US, RUN_NS_MAX);
        let boost = [2, 3, 4, 5, 6, 7][rng.index(6)];
        share_left -= run_ns as f64 / period_ns as f64;
        specs.push(Spec::new(Pattern::Periodic { period_ns, run_ns }).boost(boost));
    }
    specs
}

/// The longest that a turn of a boosted task began after its deadline.
fn late_max_us(seed: u64, cpu_cnt: usize, hogs_per_cpu: usize, parts: Parts) -> u64 {
    let machine = Machine::new(cpu_cnt, seed, &feasible_set(seed, cpu_cnt, hogs_per_cpu))
        .with_parts(parts)
        .with_llcs_of(LLC_CPUS)
        .run(SEC);
    assert_waits_are_bounded(&machine);
    let boosted = machine.tasks.iter().filter(|task| task.spec.boost > 0);
    boosted.map(|task| task.late_max_ns).max().unwrap_or(0) / US
}

/// A boosted task puts off a hog at once, so it waits only while all CPUs of its cache run boosted ones, the first
/// of which is done after `RUN_NS_MAX`. What goes before it then had the earlier deadline; where each hog has
/// its turn within its span, that is another boosted task which has waited for longer.
#[test]
fn no_turn_of_a_feasible_set_begins_later_than_one_run_after_its_deadline() {
    for cpu_cnt in [8, 16, 64, 128, 256] {
        for_each_seed(SEEDS, |seed| {
            let late_us = |parts| late_max_us(seed, cpu_cnt, 4, parts);
            let with = late_us(Parts::by_default());
            let without = late_us(Parts::by_default().without(Feature::Preempt));
            println!(
                "{cpu_cnt} CPUs: turns begin up to {with} us after their deadline, \
                 {without} us without preemption"
            );
            assert!(with <= RUN_NS_MAX / US && 2 * with < without);
        });
    }
}

/// With more hogs than have their turn within the 56 ms of their shortest span, some would always wait beyond their
/// deadlines, and those go before every boosted task that has to queue: unless a deadline grows with the crowd.
#[test]
fn a_crowd_of_hogs_makes_no_boosted_turn_later() {
    for hogs_per_cpu in [8, 16, 32] {
        for_each_seed(SEEDS, |seed| {
            let late_us = |parts| late_max_us(seed, LLC_CPUS, hogs_per_cpu, parts);
            let late = late_us(Parts::ALL);
            let without = late_us(Parts::ALL.without(Feature::Crowd));
            println!(
                "{hogs_per_cpu} hogs to a CPU: up to {late} us after their deadline, without the rule {without}"
            );
            assert!(late <= 2 * MS / US);
            assert!(hogs_per_cpu < 16 || without > 10 * MS / US);
        });
    }
}
