//! Whether the machine is busy.

use super::{SEEDS, tasks};
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{MS, Pattern, SEC, Spec};
use crate::seeds::for_each_seed;

/// How often the regime of 16 CPUs changes in 20 s, with and without a memory of what was.
fn switch_cnts(seed: u64, specs: &[Spec]) -> [u64; 2] {
    [true, false].map(|regime_lasts| {
        let parts = Parts {
            regime_lasts,
            ..Parts::by_default()
        };
        let machine = Machine::new(16, seed, specs).with_parts(parts);
        machine.run(20 * SEC).llcs[0].regime.switch_cnt
    })
}

/// Wants 14 of 16 CPUs, now a little more, now a little less.
#[test]
fn a_load_at_the_threshold_does_not_switch_the_regime_to_and_fro() {
    let burst = Pattern::Burst {
        run_ns: 3 * MS,
        sleep_ns: 31 * MS,
    };
    for_each_seed(SEEDS, |seed| {
        let [with, without] = switch_cnts(seed, &tasks(&[(160, Spec::new(burst))]));
        println!("{with} switches of the regime, without hysteresis {without}");
        assert!(with <= 4 && without > 100);
    });
}

/// Half of each second everybody has something to do.
#[test]
fn the_regime_follows_a_load_that_really_comes_and_goes() {
    let burst = Pattern::Burst {
        run_ns: 3 * MS,
        sleep_ns: 60 * MS,
    };
    let tide = Pattern::Periodic {
        period_ns: SEC,
        run_ns: 500 * MS,
    };
    for_each_seed(SEEDS, |seed| {
        let specs = tasks(&[(160, Spec::new(burst)), (10, Spec::new(tide))]);
        let [with, without] = switch_cnts(seed, &specs);
        println!("{with} switches of the regime in 20 tides, without hysteresis {without}");
        assert!((38..=40).contains(&with) && without >= with);
    });
}
