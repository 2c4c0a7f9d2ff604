//! What a boost is worth, and where it ends.

use scx_gamer::config::Feature;
use scx_gamer::policy::TURN_NS_MIN;

use super::{SEEDS, assert_waits_are_bounded, tasks};
use crate::machine::{Machine, TURN_NS_MAX};
use crate::parts::Parts;
use crate::script::{MS, Pattern, SEC, Spec, Task, US};
use crate::seeds::{for_each_seed, seeds_of_runs};

/// Sleeps too often to count as a spinner, and a few of it want more than there is.
const WORKER: Pattern = Pattern::Burst {
    run_ns: 9 * MS,
    sleep_ns: 3 * MS,
};

/// Per cent of all CPU time that these tasks had.
fn share_pct(machine: &Machine, tasks: std::ops::Range<usize>) -> u64 {
    let ran_ns = |tasks: &[Task]| tasks.iter().map(|task| task.ran_ns).sum::<u64>();
    ran_ns(&machine.tasks[tasks]) * 100 / ran_ns(&machine.tasks)
}

/// Workers that want twice the machine, the few that are more urgent, and hogs.
#[test]
fn boosted_load_beyond_its_bound_leaves_the_rest_their_part_and_the_most_urgent_their_boost() {
    let urgent = Pattern::Periodic {
        period_ns: 10 * MS,
        run_ns: 500 * US,
    };
    let specs = tasks(&[
        (6, Spec::new(WORKER).boost(6)),
        (2, Spec::new(urgent).boost(7)),
        (4, Spec::hog()),
    ]);
    for_each_seed(SEEDS, |seed| {
        let played = |parts| {
            let machine = Machine::new(2, seed, &specs).with_parts(parts);
            machine.run(20 * SEC)
        };
        let bounded = played(Parts::ALL);
        let unbounded = played(Parts::ALL.without(Feature::Admission));
        let (with, without) = (share_pct(&bounded, 8..12), share_pct(&unbounded, 8..12));
        let mean_wait_ns = |machine: &Machine| {
            let waits_ns = &machine.tasks[6].wakeup_waits_ns;
            waits_ns.iter().sum::<u64>() / waits_ns.len() as u64
        };
        let waits_ns = [&bounded, &unbounded].map(mean_wait_ns);
        println!(
            "hogs: {with} % of the time, {without} % without a bound; \
             urgent waits of {waits_ns:?} ns"
        );
        assert!(with > without && with >= 10);
        assert!(waits_ns[0] <= waits_ns[1], "{waits_ns:?}");
    });
}

/// The same on one CPU of two, for those who may use no other.
#[test]
fn who_has_one_cpu_only_gets_a_part_of_it_beside_boosted_load_that_is_bound_to_it() {
    let on_first = |spec: Spec| Spec {
        pinned_cpu: Some(0),
        ..spec
    };
    let specs = tasks(&[
        (3, on_first(Spec::new(WORKER).boost(6))),
        (1, on_first(Spec::hog())),
    ]);
    for_each_seed(SEEDS, |seed| {
        let played = |parts| {
            Machine::new(2, seed, &specs)
                .with_parts(parts)
                .run(20 * SEC)
        };
        let with = share_pct(&played(Parts::ALL), 3..4);
        let without = share_pct(&played(Parts::ALL.without(Feature::Admission)), 3..4);
        println!("hog: {with} % of the CPU, {without} % without a bound");
        assert!(with > without && with >= 10);
    });
}

/// A beat at boost 2, beside workers at boost 3 that want more than there is; in eight runs, as it depends on how
/// these follow each other.
#[test]
fn who_misses_deadlines_is_raised_and_misses_fewer() {
    let beat = Pattern::Periodic {
        period_ns: 16 * MS,
        run_ns: 2 * MS,
    };
    let specs = tasks(&[
        (4, Spec::new(WORKER).boost(3)),
        (1, Spec::new(beat).boost(2)),
        (4, Spec::hog()),
    ]);
    for_each_seed(SEEDS, |seed| {
        let late_pct = |parts| {
            let (mut late_cnt, mut turn_cnt) = (0, 0);
            for run in seeds_of_runs(seed, 8) {
                let machine = Machine::new(2, run, &specs).with_parts(parts);
                let machine = machine.run(10 * SEC);
                assert_waits_are_bounded(&machine);
                late_cnt += machine.tasks[4].late_cnt;
                turn_cnt += machine.tasks[4].wakeup_waits_ns.len() as u64;
            }
            late_cnt * 100 / turn_cnt
        };
        let with = late_pct(Parts::ALL);
        let without = late_pct(Parts::ALL.without(Feature::Misses));
        println!("{with} % of its turns are late, {without} % without being raised");
        assert!(with < without);
    });
}

/// A 60 Hz pipeline (input, game, gpu, compositor) beside hogs, and the same without boosts.
#[test]
fn boosted_pipeline_waits_far_less_than_a_slice() {
    let first = Pattern::Periodic {
        period_ns: 16_667 * US,
        run_ns: 200 * US,
    };
    let stages = [
        Spec::new(first).boost(7).wakes(1),
        Spec::new(Pattern::Stage { run_ns: 5 * MS })
            .boost(4)
            .wakes(2),
        Spec::new(Pattern::Stage { run_ns: 3 * MS })
            .boost(6)
            .wakes(3),
        Spec::new(Pattern::Stage { run_ns: MS }).boost(5),
    ];
    let hogs = vec![Spec::hog(); 8];
    for_each_seed(SEEDS, |seed| {
        let machine = Machine::new(2, seed, &[&stages[..], &hogs[..]].concat()).run(20 * SEC);
        for (idx, task) in machine.tasks.iter().enumerate().take(stages.len()) {
            let [p50, p90, p99, max] = [50, 90, 99, 100].map(|pct| task.wakeup_wait_ns(pct) / US);
            println!("stage {idx} waited p50 {p50} p90 {p90} p99 {p99} max {max} us");
            assert!(task.wakeup_wait_ns(90) <= TURN_NS_MIN, "stage {idx}");
            assert!(task.wakeup_wait_ns(100) <= TURN_NS_MAX, "stage {idx}");
        }
    });
}
