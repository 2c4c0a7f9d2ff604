//! The laws. Tolerances are what was observed, rounded up; every run repeats exactly by its seed (see `seeds`).

mod boosts;
mod chains;
mod frames;
mod misses;
mod placement;
mod power;
mod regime;
mod shares;

use clap::ValueEnum;
use scx_gamer::config::Feature;
use scx_gamer::policy::{TURN_NS_MIN, WEIGHT_DEFAULT};

use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{MS, Pattern, Rng, SEC, Spec, US};
use crate::seeds::for_each_seed;

const SEEDS: std::ops::Range<u64> = 0..4;
/// Hands on to itself, so to speak: runs long, sleeps for a moment, and never counts as a spinner.
const ABUSER: Pattern = Pattern::Burst {
    run_ns: 30 * MS,
    sleep_ns: 10 * US,
};

/// Short runs and short sleeps, as of the many threads of a chat.
const CHAT: Pattern = Pattern::Burst {
    run_ns: MS,
    sleep_ns: 12 * MS,
};

/// `groups` of equal tasks, in order.
fn tasks(groups: &[(usize, Spec)]) -> Vec<Spec> {
    groups
        .iter()
        .flat_map(|&(count, spec)| vec![spec; count])
        .collect()
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
        let takes_lock = rng.range(0, 8) == 0;
        Spec {
            pinned_cpu: pinned.then_some(cpu),
            background: boost == 0 && weight < WEIGHT_DEFAULT,
            reads_input: boost == 7,
            locks: [takes_lock.then_some(cpu), None],
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

/// As many tasks as CPUs, so that LLCs run out of work, and two and four nodes. All work goes through the
/// queues, and any idle CPU is called: were it given to one of its own cache, little would be left to steal.
#[test]
fn steals_from_the_own_node_first_and_from_the_oldest_first() {
    for (cpu_cnt, node_cnt) in [(32, 2), (64, 4), (256, 4)] {
        for tasks_per_cpu in [1, 2, 4] {
            for_each_seed(SEEDS, |seed| {
                let llc_cnt = cpu_cnt / LLC_CPUS;
                let specs = mixed_specs(&mut Rng(seed), cpu_cnt, (tasks_per_cpu * cpu_cnt) as u64);
                // The order is asserted at each steal.
                let parts = Parts::ALL.without(Feature::DirectDispatch);
                let machine = Machine::new(cpu_cnt, seed, &specs)
                    .with_parts(parts.without(Feature::Placement))
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
    let without = |parts: Parts, &feature: &Feature| parts.without(feature);
    let mut variants: Vec<Parts> = features.iter().map(|it| without(Parts::ALL, it)).collect();
    variants.push(features.iter().fold(Parts::ALL, without));
    variants.push(Parts {
        saves_power: true,
        ..Parts::ALL
    });
    for parts in variants {
        for_each_seed(0..12, |seed| {
            let machine = any_mix(seed).with_parts(parts).run(3 * SEC);
            assert_waits_are_bounded(&machine);
            assert!(parts.has(Feature::Preempt) || machine.preempt_cnt == 0);
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
