//! Saving power, and what becomes of the frames meanwhile.

use super::{SEEDS, assert_waits_are_bounded};
use crate::load::WINDOW_NS;
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{Frames, MS, Pattern, SEC, Spec, Task, US};
use crate::seeds::{for_each_seed, seeds_of_runs};

const FRAME_NS: u64 = 16_667 * US;
const RUN_NS: u64 = 10 * SEC;
/// Targets follow the load of windows; by then they have settled.
const WARM_UP_NS: u64 = SEC;

/// A frame takes half of its time on a CPU at full speed, on these threads in turn.
fn game(threads: &[Spec]) -> Vec<Spec> {
    let run_ns = FRAME_NS / 2 / threads.len() as u64;
    let thread = |(idx, &thread): (usize, &Spec)| {
        let is_last = idx + 1 == threads.len();
        Spec {
            pattern: Pattern::Stage { run_ns },
            wakes: (!is_last).then_some(idx + 1),
            frames: if is_last { Frames::Shows } else { Frames::None },
            ..thread.boost(5)
        }
    };
    threads.iter().enumerate().map(thread).collect()
}

/// What a game of these threads did on 8 CPUs beside 100 threads that have little to do.
#[derive(Debug)]
struct Played {
    /// Refreshes after the warm-up at which there was nothing new to be shown.
    missed_cnt: u64,
    /// Frames since then that took longer than the time between two refreshes.
    late_cnt: u64,
    mean_speed_pct: u64,
    /// CPUs that ran something in a window, in the mean of all windows, in hundredths.
    cpus_pct: u64,
    cpu_wakeup_cnt: u64,
}

fn play(seed: u64, threads: &[Spec], saves_power: bool) -> Played {
    let background = Pattern::Burst {
        run_ns: 300 * US,
        sleep_ns: 100 * MS,
    };
    let specs = [game(threads), vec![Spec::new(background); 100]].concat();
    let parts = Parts {
        saves_power,
        ..Parts::by_default()
    };
    let frames = |machine: &Machine| {
        let display = machine.display.as_ref().expect("it has one");
        (display.missed_cnt, display.late_cnt)
    };
    let machine = Machine::new(8, seed, &specs)
        .with_parts(parts)
        .with_governor()
        .with_one_birthplace()
        .with_display(FRAME_NS, vec![0])
        .run(WARM_UP_NS);
    let (missed_cnt, late_cnt) = frames(&machine);
    let machine = machine.run(RUN_NS);
    assert_waits_are_bounded(&machine);
    let sum = |of: fn(&Task) -> u64| machine.tasks.iter().map(of).sum::<u64>();
    Played {
        missed_cnt: frames(&machine).0 - missed_cnt,
        late_cnt: frames(&machine).1 - late_cnt,
        mean_speed_pct: sum(|task| task.work_ns) * 100 / sum(|task| task.ran_ns),
        cpus_pct: machine.used_cnt * 100 / (RUN_NS / WINDOW_NS),
        cpu_wakeup_cnt: machine.wakeup_cnt,
    }
}

#[test]
fn a_game_that_stays_on_its_cpu_has_its_frames_in_time_while_power_is_saved() {
    let thread = Spec::new(Pattern::Hog).pinned(0);
    for_each_seed(SEEDS, |seed| {
        let (mut saving_cpus, mut usual_cpus) = (0, 0);
        for run in seeds_of_runs(seed, 4) {
            let saving = play(run, &[thread], true);
            let usual = play(run, &[thread], false);
            println!("{saving:?}, without {usual:?}");
            for played in [&saving, &usual] {
                assert_eq!((played.missed_cnt, played.late_cnt), (0, 0));
            }
            assert!(saving.mean_speed_pct < usual.mean_speed_pct);
            assert!(saving.cpu_wakeup_cnt < usual.cpu_wakeup_cnt);
            saving_cpus += saving.cpus_pct;
            usual_cpus += usual.cpus_pct;
        }
        assert!(saving_cpus < usual_cpus);
    });
}

/// The limits of the law above: each CPU has a target of its own, by the load that it had. Of threads that work in
/// turn on several CPUs each has much time to spare, but not all of them together; a thread that moves to
/// another CPU finds the speed which that one needed before, until the window ends.
#[test]
fn a_game_that_moves_or_works_in_turn_on_several_cpus_has_late_frames_while_power_is_saved() {
    let free = Spec::new(Pattern::Hog);
    let in_turn = [0, 1, 2].map(|cpu| free.pinned(cpu));
    for (what, threads) in [("one that moves", &[free][..]), ("three in turn", &in_turn)] {
        for_each_seed(SEEDS, |seed| {
            let saving = play(seed, threads, true);
            let usual = play(seed, threads, false);
            println!("{what}: {saving:?}, without {usual:?}");
            assert_eq!((usual.missed_cnt, usual.late_cnt), (0, 0));
            assert!(saving.mean_speed_pct < usual.mean_speed_pct);
        });
    }
}
