//! Performance targets and packing.

use proptest::prelude::*;
use scx_gamer::policy::{
    BOOST_MAX, PERF_ALL, PERF_MIN, PERF_STEP, PerfInput, packs, perf_needs_all, perf_target,
};

prop_compose! {
    fn input()(
        target in any::<u32>(), load_pct in any::<u32>(), speed in any::<u32>(),
        pipeline in any::<bool>(), hurried in any::<bool>(), saves_power in any::<bool>(),
    ) -> PerfInput {
        PerfInput { target, load_pct, speed, pipeline, hurried, saves_power }
    }
}

prop_compose! {
    /// As the scheduler asks.
    fn usual()(
        input in input(), steps in PERF_MIN / PERF_STEP..=PERF_ALL / PERF_STEP,
        load_pct in 0..=100_u32, speed in 0..=PERF_ALL,
    ) -> PerfInput {
        PerfInput { target: steps * PERF_STEP, load_pct, speed, ..input }
    }
}

/// The target that a load which stays as it is ends at.
fn settled(mut input: PerfInput) -> u32 {
    for _ in 0..16 {
        input.target = perf_target(&input);
    }
    input.target
}

proptest! {
    #[test]
    fn a_target_is_never_below_the_floor_nor_above_everything(input in input()) {
        let target = perf_target(&input);
        prop_assert!((0..=PERF_ALL).contains(&target));
        prop_assert!(target >= PERF_MIN.min(input.target));
        if input.target % PERF_STEP == 0 {
            prop_assert_eq!(target % PERF_STEP, 0);
        }
    }

    #[test]
    fn more_load_a_faster_cpu_or_the_pipeline_never_lower_it(
        input in usual(), more_load in 0..=100_u32, more_speed in 0..=PERF_ALL,
    ) {
        let target = perf_target(&input);
        let more = PerfInput { load_pct: input.load_pct + more_load, ..input };
        prop_assert!(perf_target(&more) >= target);
        let more = PerfInput { speed: input.speed + more_speed, ..input };
        prop_assert!(perf_target(&more) >= target);
        let more = PerfInput { pipeline: true, ..input };
        prop_assert!(perf_target(&more) >= target);
        let more = PerfInput { hurried: true, ..input };
        prop_assert!(perf_target(&more) >= target);
        let all = PerfInput { pipeline: input.pipeline || input.hurried, saves_power: false, ..input };
        let saving = PerfInput { saves_power: true, ..all };
        prop_assert!(perf_target(&saving) <= perf_target(&all));
    }

    #[test]
    fn the_pipeline_has_everything_unless_power_is_to_be_saved(input in usual()) {
        let input = PerfInput { pipeline: true, saves_power: false, ..input };
        prop_assert!(perf_needs_all(&input));
        prop_assert_eq!(perf_target(&input), PERF_ALL);
    }

    #[test]
    fn who_saves_power_has_everything_in_a_hurry_and_when_the_cpu_is_full(input in usual()) {
        let saving = PerfInput { saves_power: true, ..input };
        prop_assert_eq!(perf_needs_all(&saving), input.hurried);
        prop_assert_eq!(perf_target(&PerfInput { hurried: true, ..saving }), PERF_ALL);
        prop_assert_eq!(perf_target(&PerfInput { load_pct: 95, ..saving }), PERF_ALL);
    }

    #[test]
    fn it_rises_at_once_and_falls_by_half_of_the_difference_at_most(input in usual()) {
        let from_below = perf_target(&PerfInput { target: PERF_MIN, ..input });
        let target = perf_target(&input);
        if from_below >= input.target {
            prop_assert_eq!(target, from_below);
        } else {
            prop_assert!(target <= input.target);
            prop_assert!(input.target - target <= (input.target - from_below) / 2);
        }
    }

    #[test]
    fn a_steady_load_settles_with_what_it_uses_and_a_step_or_two_to_spare(input in usual()) {
        let wanted = perf_target(&PerfInput { target: PERF_MIN, ..input });
        let target = settled(input);
        prop_assert!((wanted..=wanted + PERF_STEP).contains(&target), "{} {}", wanted, target);
        let used = input.load_pct * input.speed / 100;
        prop_assert!(wanted >= used);
        if !input.pipeline && !perf_needs_all(&input) && input.load_pct < 95 {
            prop_assert!(wanted < used.max(PERF_MIN) + PERF_STEP);
        }
    }

    /// Otherwise the governor would be called in each window.
    #[test]
    fn a_load_that_wavers_by_a_step_does_not_change_the_target(
        input in usual(), load_pct in 30..=89_u32,
    ) {
        let low = PerfInput { load_pct, speed: PERF_ALL, pipeline: false, hurried: false, ..input };
        let high = PerfInput { load_pct: load_pct + 5, ..low };
        let target = settled(PerfInput { target: settled(high), ..low });
        prop_assert_eq!(perf_target(&PerfInput { target, ..high }), target);
        prop_assert_eq!(perf_target(&PerfInput { target, ..low }), target);
    }

    #[test]
    fn nobody_waits_to_save_power_for_one_who_has_boost_or_on_a_loaded_cpu(
        running in 0..=BOOST_MAX, load_pct in 0..=100_u32,
    ) {
        prop_assert_eq!(packs(running, load_pct), running == 0 && load_pct < 50);
    }
}

#[test]
fn a_cpu_that_the_game_left_is_slow_after_a_fifth_of_a_second() {
    let mut input = PerfInput {
        target: PERF_ALL,
        load_pct: 5,
        speed: PERF_ALL,
        ..PerfInput::default()
    };
    let targets: Vec<u32> = (0..6)
        .map(|_| {
            input.target = perf_target(&input);
            input.target
        })
        .collect();
    assert_eq!(targets, [640, 448, 384, 320, 320, 320]);
}
