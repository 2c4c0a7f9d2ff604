//! What is due at a time: frames, sound, and what follows an input event.

use std::ops::Range;

use scx_gamer::config::Feature;

use super::{CHAT, SEEDS, assert_waits_are_bounded, tasks};
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{Frames, MS, Pattern, SEC, Spec, US, quantile};
use crate::seeds::{for_each_seed, seeds_of_runs};

/// The waits of these tasks after their wake-ups: p50, p90 and p99.
fn waits_us(machine: &Machine, tasks: Range<usize>) -> [u64; 3] {
    let tasks = machine.tasks[tasks].iter();
    let waits: Vec<_> = tasks
        .flat_map(|task| task.wakeup_waits_ns.clone())
        .collect();
    [50, 90, 99].map(|pct| quantile(waits.clone(), pct) / US)
}

#[test]
fn a_game_that_nobody_detected_is_served_by_its_beat() {
    let beat = |period_ns, run_ns| Spec::new(Pattern::Periodic { period_ns, run_ns });
    let specs = tasks(&[
        (4, beat(3 * MS, 200 * US)),
        (8, beat(8_333 * US, 2 * MS)),
        (8, beat(16_667 * US, 4 * MS)),
        (70, Spec::new(CHAT)),
        (32, Spec::hog()),
    ]);
    for_each_seed(SEEDS, |seed| {
        let played = |parts| {
            let machine = Machine::new(16, seed, &specs).with_parts(parts);
            let machine = machine.run(10 * SEC);
            assert_waits_are_bounded(&machine);
            [0..4, 4..12, 12..20].map(|group| waits_us(&machine, group))
        };
        let with = played(Parts::by_default().with(Feature::Rates));
        let without = played(Parts::by_default());
        println!(
            "beats of 3, 8 and 17 ms waited p50, p90, p99 {with:?} us, without rates {without:?}"
        );
        for (with, without) in with.into_iter().zip(without) {
            assert!(with[1] < without[1]);
        }
    });
}

/// Four games whose threads use so much that their deadlines are late at boost 1; with more of it they come
/// first anyway.
#[test]
fn an_input_event_brings_the_games_threads_forward() {
    let keys = Pattern::Burst {
        run_ns: 100 * US,
        sleep_ns: 40 * MS,
    };
    let game = |idx: usize| {
        let input = Spec {
            reads_input: true,
            ..Spec::new(keys).boost(7).wakes(4 + idx)
        };
        let game = Spec::new(Pattern::Stage { run_ns: 9 * MS }).boost(1);
        (input, game)
    };
    let (inputs, games): (Vec<_>, Vec<_>) = (0..4).map(game).unzip();
    let others = tasks(&[(240, Spec::new(CHAT)), (16, Spec::hog())]);
    let specs = [inputs, games, others].concat();
    for_each_seed(SEEDS, |seed| {
        let played = |parts| {
            let machine = Machine::new(16, seed, &specs).with_parts(parts);
            let machine = machine.run(10 * SEC);
            assert_waits_are_bounded(&machine);
            waits_us(&machine, 4..8)
        };
        let with = played(Parts::by_default());
        let without = played(Parts::by_default().without(Feature::InputWindow));
        println!("games waited p50, p90, p99 {with:?} us, without windows {without:?}");
        assert!(with[2] == 0 && without[2] > MS / US);
    });
}

const RUN_CNT: usize = 16;

/// With a boost of 1 for who draws and shows; with more of it their spans are too short for it to matter.
#[test]
fn fewer_refreshes_are_missed_with_a_frame_clock() {
    let stage = |run_ns| Spec::new(Pattern::Stage { run_ns });
    let frame = [
        stage(4 * MS).boost(3).wakes(1),
        Spec {
            frames: Frames::Draws,
            ..stage(3 * MS).boost(1).wakes(2)
        },
        Spec {
            frames: Frames::Shows,
            ..stage(3 * MS).boost(1)
        },
    ];
    let others = tasks(&[(130, Spec::new(CHAT)), (16, Spec::hog())]);
    let specs = [&frame[..], &others[..]].concat();
    for_each_seed(SEEDS, |seed| {
        let missed_cnt = |parts| -> u64 {
            let run = |seed| {
                let machine = Machine::new(8, seed, &specs)
                    .with_parts(parts)
                    .with_display(16_667 * US, vec![0])
                    .run(5 * SEC);
                assert_waits_are_bounded(&machine);
                machine.display.expect("it has one").missed_cnt
            };
            seeds_of_runs(seed, RUN_CNT).map(run).sum()
        };
        let with = missed_cnt(Parts::by_default().with(Feature::FrameClock));
        let without = missed_cnt(Parts::by_default());
        println!(
            "{with} of 299 refreshes of {RUN_CNT} runs had nothing new, without a frame clock {without}"
        );
        assert!(4 * with < 3 * without);
    });
}
