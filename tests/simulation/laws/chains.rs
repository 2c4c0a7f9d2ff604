//! Those who hand work to each other, or wait for each other.

use scx_gamer::config::Feature;

use super::{CHAT, SEEDS, assert_waits_are_bounded, tasks};
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{MS, Pattern, SEC, Spec, US, quantile};
use crate::seeds::for_each_seed;

const CHAIN_CNT: usize = 8;
const STAGE_CNT: usize = 4;

/// A boosted thread wakes one without boost, which wakes another, and that a third.
fn chains() -> Vec<Spec> {
    let beat = Pattern::Periodic {
        period_ns: 16_667 * US,
        run_ns: 500 * US,
    };
    let helper = Spec::new(Pattern::Stage { run_ns: 3_500 * US });
    let chain = |idx: usize| {
        let first = STAGE_CNT * idx;
        [
            Spec::new(beat).boost(7).wakes(first + 1),
            helper.wakes(first + 2),
            helper.wakes(first + 3),
            helper,
        ]
    };
    let others = tasks(&[(120, Spec::new(CHAT)), (32, Spec::hog())]);
    (0..CHAIN_CNT).flat_map(chain).chain(others).collect()
}

/// The mean wait of each stage of all chains.
fn stage_waits_us(machine: &Machine) -> [u64; STAGE_CNT] {
    std::array::from_fn(|stage| {
        let stages = machine.tasks[stage..STAGE_CNT * CHAIN_CNT].iter();
        let waits = stages
            .step_by(STAGE_CNT)
            .flat_map(|task| &task.wakeup_waits_ns);
        let (cnt, sum_ns) =
            waits.fold((0, 0), |(cnt, sum_ns), wait_ns| (cnt + 1, sum_ns + wait_ns));
        sum_ns / cnt / US
    })
}

#[test]
fn a_boosted_thread_lends_to_those_it_wakes_less_at_each_step() {
    for_each_seed(SEEDS, |seed| {
        let played = |parts| {
            let machine = Machine::new(16, seed, &chains()).with_parts(parts);
            let machine = machine.run(10 * SEC);
            assert_waits_are_bounded(&machine);
            machine
        };
        let machine = played(Parts::by_default().with(Feature::Loans));
        let with = stage_waits_us(&machine);
        let without = stage_waits_us(&played(Parts::by_default()));
        println!(
            "mean waits along a chain of wake-ups in us: {with:?}, in all {}; without loans {without:?}, in all {}",
            with.iter().sum::<u64>(),
            without.iter().sum::<u64>(),
        );
        for chain in machine.tasks[..STAGE_CNT * CHAIN_CNT].chunks(STAGE_CNT) {
            let lent_in_turn = [0, 2, 1, 0];
            for (task, lent) in chain.iter().zip(lent_in_turn) {
                let others = (1..task.loan_cnts.len()).filter(|&loan| loan != lent);
                assert_eq!(others.map(|loan| task.loan_cnts[loan]).sum::<u64>(), 0);
                assert!(lent == 0 || task.loan_cnts[lent] > 0);
            }
        }
        assert!(10 * with[1] < without[1]);
    });
}

/// Who wants the lock has a boost; its holder has none, and waits for a lock that another one holds.
fn lock_users() -> Vec<Spec> {
    let urgent = Spec::new(Pattern::Periodic {
        period_ns: 16_667 * US,
        run_ns: MS,
    });
    let holder = Spec::new(Pattern::Burst {
        run_ns: 8 * MS,
        sleep_ns: 16 * MS,
    });
    let group = |idx: usize| {
        let [first, second] = [2 * idx, 2 * idx + 1].map(Some);
        let with_locks = |spec: Spec, locks| Spec { locks, ..spec };
        [
            with_locks(urgent.boost(6), [first, None]),
            with_locks(holder, [first, second]),
            with_locks(holder, [second, None]),
        ]
    };
    let others = tasks(&[(100, Spec::new(CHAT)), (32, Spec::hog())]);
    (0..8).flat_map(group).chain(others).collect()
}

#[test]
fn holders_of_locks_inherit_along_a_chain_until_they_let_go() {
    for_each_seed(SEEDS, |seed| {
        let waits_us = |parts| {
            let machine = Machine::new(16, seed, &lock_users()).with_parts(parts);
            // That nobody inherits who holds nothing is asserted whenever one is let go.
            let machine = machine.run(10 * SEC);
            assert_waits_are_bounded(&machine);
            let urgent = machine.tasks[..24].iter().step_by(3);
            let waits: Vec<_> = urgent.flat_map(|task| task.lock_waits_ns.clone()).collect();
            [50, 90, 100].map(|pct| quantile(waits.clone(), pct) / US)
        };
        let with = waits_us(Parts::by_default());
        let without = waits_us(Parts::by_default().without(Feature::Inheritance));
        println!(
            "urgent threads waited for locks p50, p90, max {with:?} us, without inheritance {without:?}"
        );
        for (with, without) in with.into_iter().zip(without) {
            assert!(2 * with < without);
        }
    });
}

const PAIR_CNT: usize = 16;

/// Each pair has one CPU: one thread needs what the other has begun, and spins by `sched_yield` until that is
/// done. Both begin at each refresh of the display for which they are done with the last one.
fn spinning_pairs(seed: u64, parts: Parts) -> Machine {
    let stage = |run_ns| Spec::new(Pattern::Stage { run_ns }).boost(3);
    let pair = |cpu: usize| {
        let spinner = Spec {
            spins_for: Some(2 * cpu + 1),
            ..stage(MS)
        };
        [spinner.pinned(cpu), stage(8 * MS).pinned(cpu)]
    };
    let others = tasks(&[(100, Spec::new(CHAT)), (32, Spec::hog())]);
    let specs: Vec<_> = (0..PAIR_CNT).flat_map(pair).chain(others).collect();
    Machine::new(PAIR_CNT, seed, &specs)
        .with_parts(parts)
        .with_display(16_667 * US, (0..2 * PAIR_CNT).collect())
}

#[test]
fn who_yields_gives_way_to_the_thread_that_it_waits_for() {
    for_each_seed(SEEDS, |seed| {
        let played = |parts| {
            let machine = spinning_pairs(seed, parts).run(2 * SEC);
            assert_waits_are_bounded(&machine);
            let spinners = machine.tasks[..2 * PAIR_CNT].iter().step_by(2);
            let (done_cnt, ran_ns) = spinners.fold((0, 0), |(done_cnt, ran_ns), task| {
                (done_cnt + task.done_cnt, ran_ns + task.ran_ns)
            });
            (done_cnt, ran_ns / done_cnt / US)
        };
        let all = Parts::by_default();
        let (with, without) = (played(all), played(all.without(Feature::Yields)));
        println!(
            "runs done and the time each took of its CPU in us: {with:?}, without giving way {without:?}"
        );
        // A run is 1 ms long.
        assert!(with.1 < 1_100);
        assert!(without.1 > 5_000 && with.0 > without.0);
    });
}
