//! The laws. Tolerances are what was observed, rounded up; every run repeats exactly by its seed (see `seeds`).

use clap::ValueEnum;
use scx_gamer::config::Feature;
use scx_gamer::policy::TURN_NS_MIN;

use crate::machine::{Machine, TURN_NS_MAX};
use crate::parts::Parts;
use crate::script::{MS, Pattern, Rng, SEC, Spec, US};
use crate::seeds::for_each_seed;

const SEEDS: std::ops::Range<u64> = 0..4;
/// Hands on to itself, so to speak: runs long, sleeps for a moment, and never counts as a spinner.
const ABUSER: Pattern = Pattern::Burst {
    run_ns: 30 * MS,
    sleep_ns: 10 * US,
};

/// Sleeps too often to count as a spinner, and a few of it want more than there is.
const WORKER: Pattern = Pattern::Burst {
    run_ns: 9 * MS,
    sleep_ns: 3 * MS,
};

/// `groups` of equal tasks, in order.
fn tasks(groups: &[(usize, Spec)]) -> Vec<Spec> {
    groups
        .iter()
        .flat_map(|&(count, spec)| vec![spec; count])
        .collect()
}

/// Per cent by which the CPU time of any task deviates from its share by `parts`.
fn share_error_pct(machine: &Machine, parts: impl Fn(&Spec) -> f64) -> f64 {
    let per_part = |task: &crate::script::Task| task.ran_ns as f64 / parts(&task.spec);
    let rates: Vec<f64> = machine.tasks.iter().map(per_part).collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    rates
        .iter()
        .map(|rate| (rate / mean - 1.0).abs() * 100.0)
        .fold(0.0, f64::max)
}

fn assert_waits_are_bounded(machine: &Machine) {
    for (idx, task) in machine.tasks.iter().enumerate() {
        let (wait_ns, limit_ns) = (task.wait_max_ns, machine.wait_limit_ns(idx));
        assert!(
            wait_ns <= limit_ns,
            "waited {wait_ns} of {limit_ns} ns: {task:?}"
        );
    }
}

/// Any mix of up to 200 tasks on up to 16 CPUs.
pub(crate) fn any_mix(seed: u64) -> Machine {
    let mut rng = Rng(seed);
    let cpu_cnt = 1 + rng.index(16);
    let task_cnt = rng.range(1, 201);
    let specs = mixed_specs(&mut rng, cpu_cnt, task_cnt);
    Machine::new(cpu_cnt, seed, &specs)
}

/// Any mix of so many tasks.
fn mixed_specs(rng: &mut Rng, cpu_cnt: usize, task_cnt: u64) -> Vec<Spec> {
    let spec = |_| {
        let pattern = match rng.range(0, 4) {
            0 => Pattern::Hog,
            1 => ABUSER,
            2 => Pattern::Periodic {
                period_ns: rng.range(4, 40) * MS,
                run_ns: 300 * US,
            },
            _ => Pattern::Burst {
                run_ns: rng.range(20, 9_000) * US,
                sleep_ns: rng.range(20, 60_000) * US,
            },
        };
        let weight = [1, 3, 15, 100, 100, 100, 1_024, 10_000][rng.index(8)];
        let boost = [0, 0, 0, 0, 2, 4, 6, 7][rng.index(8)];
        let pinned = rng.range(0, 5) == 0;
        let cpu = rng.index(cpu_cnt);
        Spec {
            pinned_cpu: pinned.then_some(cpu),
            ..Spec::new(pattern).weight(weight).boost(boost)
        }
    };
    (0..task_cnt).map(spec).collect()
}

#[test]
fn any_mix_waits_within_its_bound_and_no_cpu_idles_beside_work() {
    let mut longest_ns = 0;
    for_each_seed(0..60, |seed| {
        let machine = any_mix(seed).run(3 * SEC);
        assert_waits_are_bounded(&machine);
        longest_ns = machine
            .tasks
            .iter()
            .map(|task| task.wait_max_ns)
            .fold(longest_ns, u64::max);
    });
    println!("longest wait: {} ms", longest_ns / MS);
}

/// CPUs of each LLC of a large machine.
const LLC_CPUS: usize = 8;

/// What a large machine's decisions took: each by its kind.
fn assert_effort_is_bounded(machine: &Machine, llc_cnt: usize) {
    let (effort, stolen) = (&machine.effort, &machine.stolen);
    let part = |count: u64, of: u64| count as f64 / of.max(1) as f64;
    let looks = part(effort.steal_look_cnt, effort.steal_cnt);
    let steals = part(effort.steal_cnt, effort.dispatch_cnt);
    let queues = part(
        effort.overdue_look_cnt + effort.steal_look_cnt,
        effort.dispatch_cnt,
    );
    let victims = part(effort.victim_cnt, effort.arrival_cnt);
    println!(
        "{llc_cnt} LLCs: {} dispatches, {queues:.2} foreign queues for each; nothing at home in \
         {:.1} % of them, then {looks:.1} queues; {stolen:?}; {victims:.2} CPUs for each arrival that \
         found none idle",
        effort.dispatch_cnt,
        100.0 * steals,
    );
    assert!(
        effort.overdue_look_cnt <= effort.dispatch_cnt,
        "more than one queue in turn"
    );
    assert!(
        effort.steal_look_cnt <= effort.steal_cnt * (llc_cnt as u64 - 1),
        "a queue was looked at twice"
    );
    assert!(queues <= 2.0, "{queues:.2}");
    assert!(victims <= LLC_CPUS as f64, "{victims:.2}");
    assert!(
        llc_cnt == 1 || stolen.overdue_cnt + stolen.near_cnt + stolen.far_cnt > 0,
        "nothing was stolen"
    );
}

/// Eight CPUs to an LLC, four tasks to a CPU. What deciding takes is counted in queues and CPUs looked at.
#[test]
fn large_machines_keep_the_bounds_and_their_size_does_not_make_decisions_dearer() {
    for cpu_cnt in [8, 16, 64, 128, 256] {
        for_each_seed(SEEDS, |seed| {
            let specs = mixed_specs(&mut Rng(seed), cpu_cnt, 4 * cpu_cnt as u64);
            let machine = Machine::new(cpu_cnt, seed, &specs)
                .with_llcs_of(LLC_CPUS)
                .run(SEC);
            assert_waits_are_bounded(&machine);
            assert_effort_is_bounded(&machine, cpu_cnt / LLC_CPUS);
        });
    }
}

/// As many tasks as CPUs, so that LLCs run out of work, and two and four nodes.
#[test]
fn steals_from_the_own_node_first_and_from_the_oldest_first() {
    for (cpu_cnt, node_cnt) in [(32, 2), (64, 4), (256, 4)] {
        for tasks_per_cpu in [1, 2, 4] {
            for_each_seed(SEEDS, |seed| {
                let llc_cnt = cpu_cnt / LLC_CPUS;
                let specs = mixed_specs(&mut Rng(seed), cpu_cnt, (tasks_per_cpu * cpu_cnt) as u64);
                // The order is asserted at each steal.
                let machine = Machine::new(cpu_cnt, seed, &specs)
                    .with_llcs_of(LLC_CPUS)
                    .with_nodes_of(llc_cnt / node_cnt)
                    .run(SEC);
                println!("{node_cnt} nodes, {tasks_per_cpu} tasks to a CPU:");
                assert_waits_are_bounded(&machine);
                assert_effort_is_bounded(&machine, llc_cnt);
                assert!(
                    machine.stolen.near_cnt > 0,
                    "nothing was stolen within a node"
                );
            })
        }
    }
}

/// Half of the tasks may use the CPUs of one node only, and most of them the same: what waits longest is
/// often nothing for a CPU of another node.
#[test]
fn who_is_bound_to_a_node_leaves_no_other_cpu_without_work() {
    for_each_seed(0..8, |seed| {
        let mut rng = Rng(seed);
        let (cpu_cnt, node_cnt) = (32, 4);
        let mut specs = mixed_specs(&mut rng, cpu_cnt, 2 * cpu_cnt as u64);
        for spec in &mut specs {
            if spec.pinned_cpu.is_none() && rng.range(0, 2) == 0 {
                spec.node = Some(rng.index(node_cnt).saturating_sub(2));
            }
        }
        // That no CPU idles beside work is asserted at each event.
        let machine = Machine::new(cpu_cnt, seed, &specs)
            .with_llcs_of(4)
            .with_nodes_of(2)
            .run(2 * SEC);
        assert_waits_are_bounded(&machine);
        println!("{:?}, {:?}", machine.stolen, machine.effort);
        assert!(
            machine.stolen.fallback_cnt > 0,
            "the first choice was always taken"
        );
    });
}

/// What is switched off to see what it buys must not be what keeps the promise.
#[test]
fn waits_keep_their_bound_without_any_part_and_without_all() {
    let features = Feature::value_variants();
    let mut sets: Vec<&[Feature]> = features.iter().map(std::slice::from_ref).collect();
    sets.push(features);
    for without in sets {
        println!("without {without:?}");
        for_each_seed(0..12, |seed| {
            let machine = any_mix(seed).with_parts(Parts::without(without));
            let machine = machine.run(3 * SEC);
            assert_waits_are_bounded(&machine);
            assert!(!without.contains(&Feature::Preempt) || machine.preempt_cnt == 0);
        });
    }
}

#[test]
fn idle_class_gets_its_turns_beside_boosted_hogs() {
    let specs = tasks(&[
        (4, Spec::new(ABUSER).boost(7).weight(10_000)),
        (4, Spec::hog().boost(7).weight(10_000)),
        (4, Spec::hog().weight(1)),
        (
            4,
            Spec::new(Pattern::Burst {
                run_ns: MS,
                sleep_ns: 5 * MS,
            })
            .weight(1),
        ),
    ]);
    for_each_seed(SEEDS, |seed| {
        let machine = Machine::new(2, seed, &specs).run(20 * SEC);
        assert_waits_are_bounded(&machine);
        for (idx, task) in machine.tasks.iter().enumerate() {
            let turn_cnt = 20 * SEC / machine.wait_limit_ns(idx);
            assert!(task.ran_ns >= turn_cnt * TURN_NS_MIN, "{task:?}");
        }
    });
}

#[test]
fn equal_weights_get_equal_shares() {
    for (cpu_cnt, hog_cnt) in [(1, 3), (2, 8), (4, 50), (16, 24)] {
        for_each_seed(SEEDS, |seed| {
            let specs = tasks(&[(hog_cnt, Spec::hog())]);
            let machine = Machine::new(cpu_cnt, seed, &specs).run(20 * SEC);
            let error_pct = share_error_pct(&machine, |_| 1.0);
            assert!(error_pct < 2.0, "{hog_cnt} on {cpu_cnt}: {error_pct:.2} %");
        });
    }
}

#[test]
fn shares_follow_weights() {
    for (light, heavy, tolerance_pct) in [
        (100, 200, 2.0),
        (50, 100, 2.0),
        (100, 800, 3.0),
        (15, 100, 5.0),
    ] {
        let specs = tasks(&[
            (4, Spec::hog().weight(light)),
            (4, Spec::hog().weight(heavy)),
        ]);
        for_each_seed(SEEDS, |seed| {
            let machine = Machine::new(2, seed, &specs).run(20 * SEC);
            let error_pct = share_error_pct(&machine, |spec| f64::from(spec.weight));
            assert!(
                error_pct < tolerance_pct,
                "{light} beside {heavy}: {error_pct:.2} % off"
            );
        });
    }
}

/// 25 tasks to a CPU: what one has to wait less for twice the share must fit into the credit.
#[test]
fn shares_follow_weights_in_a_crowd_though_less_exactly() {
    let specs = tasks(&[(50, Spec::hog()), (50, Spec::hog().weight(200))]);
    for_each_seed(SEEDS, |seed| {
        let machine = Machine::new(4, seed, &specs).run(20 * SEC);
        let ratio = machine.tasks[99].ran_ns as f64 / machine.tasks[0].ran_ns as f64;
        assert!(
            (1.6..2.1).contains(&ratio),
            "weight 200 got {ratio:.2} times what weight 100 got"
        );
    });
}

/// A short sleep resets the recent run; that alone must not win CPU time for ever.
#[test]
fn sleeping_for_a_moment_wins_no_share() {
    for run_ns in [2 * MS, 5 * MS, 30 * MS] {
        let napper = Spec::new(Pattern::Burst {
            run_ns,
            sleep_ns: 20 * US,
        });
        let specs = tasks(&[(4, napper), (4, Spec::hog())]);
        for_each_seed(SEEDS, |seed| {
            let machine = Machine::new(2, seed, &specs).run(20 * SEC);
            let error_pct = share_error_pct(&machine, |_| 1.0);
            assert!(error_pct < 4.0, "runs of {run_ns} ns: {error_pct:.2} % off");
        });
    }
}

#[test]
fn boosted_spinner_loses_its_boost_and_gets_its_share_only() {
    let specs = tasks(&[(2, Spec::hog().boost(7)), (4, Spec::hog())]);
    for_each_seed(SEEDS, |seed| {
        let machine = Machine::new(2, seed, &specs).run(20 * SEC);
        let error_pct = share_error_pct(&machine, |_| 1.0);
        assert!(error_pct < 2.0, "{error_pct:.2} % off");
    });
}

/// Per cent of all CPU time that these tasks had.
fn share_pct(machine: &Machine, tasks: std::ops::Range<usize>) -> u64 {
    let ran_ns = |tasks: &[crate::script::Task]| tasks.iter().map(|task| task.ran_ns).sum::<u64>();
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
        let unbounded = played(Parts::without(&[Feature::Admission]));
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
        let without = share_pct(&played(Parts::without(&[Feature::Admission])), 3..4);
        println!("hog: {with} % of the CPU, {without} % without a bound");
        assert!(with > without && with >= 10);
    });
}

/// A beat at boost 2, beside workers at boost 3 that want more than there is.
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
            let machine = Machine::new(2, seed, &specs).with_parts(parts);
            let machine = machine.run(20 * SEC);
            assert_waits_are_bounded(&machine);
            let beat = &machine.tasks[4];
            beat.late_cnt * 100 / beat.wakeup_waits_ns.len() as u64
        };
        let with = late_pct(Parts::ALL);
        let without = late_pct(Parts::without(&[Feature::Misses]));
        println!("{with} % of its turns are late, {without} % without being raised");
        assert!(2 * with < without);
    });
}

#[test]
fn pinned_tasks_and_shared_queue_do_not_starve_each_other() {
    for (cpu_cnt, pinned_cnt, shared_cnt) in [(2, 3, 5), (4, 1, 8), (4, 4, 12)] {
        let specs = tasks(&[
            (pinned_cnt, Spec::hog().pinned(0)),
            (shared_cnt, Spec::hog()),
        ]);
        for_each_seed(SEEDS, |seed| {
            let machine = Machine::new(cpu_cnt, seed, &specs).run(20 * SEC);
            assert_waits_are_bounded(&machine);
            let error_pct = share_error_pct(&machine, |_| 1.0);
            assert!(error_pct < 3.0, "{pinned_cnt} pinned: {error_pct:.2} % off");
        });
    }
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
