//! Which idle CPU a task gets.

use scx_gamer::config::Feature;

use super::{SEEDS, assert_waits_are_bounded, tasks};
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{MS, Pattern, SEC, Spec, Task};
use crate::seeds::for_each_seed;

/// A third of the CPUs' time is used: there is always something to choose among.
fn busy_desktop() -> Vec<Spec> {
    let beat = |period_ns| Pattern::Periodic {
        period_ns,
        run_ns: 2 * MS,
    };
    let burst = Pattern::Burst {
        run_ns: 2 * MS,
        sleep_ns: 20 * MS,
    };
    let background = Spec {
        background: true,
        ..Spec::new(burst)
    };
    tasks(&[
        (12, Spec::new(beat(8 * MS)).boost(6)),
        (12, Spec::new(beat(17 * MS)).boost(4)),
        (100, Spec::new(burst)),
        (76, background.weight(15)),
    ])
}

/// How much longer runs took than on a fast core of their own, in per cent.
fn slowed_pct(tasks: &[Task]) -> u64 {
    let ran_ns: u64 = tasks.iter().map(|task| task.ran_ns).sum();
    let work_ns: u64 = tasks.iter().map(|task| task.work_ns).sum();
    ran_ns * 100 / work_ns - 100
}

/// 64 threads of 32 cores in four caches, the first half of which are fast.
#[test]
fn boosted_tasks_get_the_fast_cores_and_nobody_a_half_while_a_whole_one_is_idle() {
    for_each_seed(SEEDS, |seed| {
        let played = |parts| {
            let machine = Machine::new(64, seed, &busy_desktop())
                .with_parts(parts)
                .with_llcs_of(16)
                .with_smt()
                .with_fast_cpus(32)
                .run(5 * SEC);
            assert_waits_are_bounded(&machine);
            let placed = &machine.placed;
            [
                placed.beside_cnt * 1_000 / placed.idle_cnt,
                placed.boosted_slow_cnt * 1_000 / placed.boosted_cnt,
                slowed_pct(&machine.tasks[..24]),
            ]
        };
        let with = played(Parts::by_default());
        let without = played(Parts::by_default().without(Feature::Placement));
        println!(
            "beside a busy sibling, boosted on a slow core (per mille of the wake-ups), boosted runs slowed \
             by (per cent): {with:?}, without placement {without:?}"
        );
        assert_eq!(with[..2], [0, 0]);
        assert!(without[0] > 100 && without[1] > 100 && 2 * with[2] < without[2]);
    });
}
