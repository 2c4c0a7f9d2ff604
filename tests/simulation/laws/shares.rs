//! Who gets how much CPU time.

use scx_gamer::config::Feature;

use super::{SEEDS, assert_waits_are_bounded, tasks};
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{MS, Pattern, SEC, Spec, Task, US};
use crate::seeds::for_each_seed;

/// Per cent by which the CPU time of any task deviates from its share by `parts`.
fn share_error_pct(machine: &Machine, parts: impl Fn(&Spec) -> f64) -> f64 {
    let per_part = |task: &Task| task.ran_ns as f64 / parts(&task.spec);
    let rates: Vec<f64> = machine.tasks.iter().map(per_part).collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    rates
        .iter()
        .map(|rate| (rate / mean - 1.0).abs() * 100.0)
        .fold(0.0, f64::max)
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

/// Of the same weight, so that only the rule can tell them apart.
#[test]
fn background_waits_longer_than_others_do() {
    let sleeper = Spec::new(Pattern::Burst {
        run_ns: 500 * US,
        sleep_ns: 9_500 * US,
    });
    let background = Spec {
        background: true,
        ..sleeper
    };
    let specs = tasks(&[(30, sleeper), (30, background), (8, Spec::hog())]);
    for_each_seed(SEEDS, |seed| {
        let mean_wait_us = |parts: Parts| {
            let machine = Machine::new(4, seed, &specs)
                .with_parts(parts)
                .run(10 * SEC);
            assert_waits_are_bounded(&machine);
            [0..30, 30..60].map(|range| {
                let waits = machine.tasks[range].iter();
                let waits = waits.flat_map(|task| &task.wakeup_waits_ns);
                let (sum_ns, cnt) = waits.fold((0, 0), |(sum, cnt), wait| (sum + wait, cnt + 1));
                sum_ns / cnt / US
            })
        };
        let all = Parts::by_default();
        let [others, background] = mean_wait_us(all);
        let without = mean_wait_us(all.without(Feature::Background));
        println!(
            "mean wait in us: {others}, background {background}; without the rule {without:?}"
        );
        assert!(background > 2 * others);
        assert!(without[1] < 2 * without[0]);
    });
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
