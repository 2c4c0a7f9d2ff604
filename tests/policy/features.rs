//! What can be switched off changes a decision, and only its own.

use clap::{Parser, ValueEnum};
use scx_gamer::cli::Cli;
use scx_gamer::config::{Config, Feature, PerfTargets};
use scx_gamer::intf::{DEVICE_KEYBOARD, ROLE_GAME};
use scx_gamer::policy::{
    BoostedLoad, CpuKind, DeadlineInput, FrameClock, PERF_ALL, PerfInput, Preempt, PreemptInput,
    RAN_UNIT_NS, RateState, WAITERS_MAX, Waiter, boost_floor, boost_loan, boost_of_roles,
    boost_with_loan, cpus_first, crowd_ns, frame_flip, frame_near_16ths, in_window, inherited,
    load_roll, miss_next, miss_raise, perf_target, preempt, rate_boost, rate_wake, rt_is_brief,
    rt_mean_next, share_bound, slice_divides, slice_ns, span_ns, vruntime_clamp, warm_first,
    window_extend,
};

const MS: u64 = 1_000_000;

fn config(flags: &[&str]) -> Config {
    let cli = Cli::try_parse_from([&["scx_gamer"], flags].concat()).expect("flags are right");
    Config::from_cli(&cli).expect("flags agree")
}

fn span_of(input: DeadlineInput, config: &Config) -> u64 {
    span_ns(&DeadlineInput {
        wait_bound_ns: config.wait_bound.get(),
        ..input
    })
}

/// How much of its span a compositor's thread has left when a flip of its display is due.
fn span_before_a_flip(config: &Config) -> u64 {
    let mut clock = FrameClock::default();
    let flip_cnt = 20;
    for flip in 1..=flip_cnt {
        frame_flip(&mut clock, flip * 16 * MS);
    }
    let due_ns = (flip_cnt + 1) * 16 * MS;
    let near_flip_16ths = if config.frame_clock_counts {
        frame_near_16ths(&clock, due_ns, 8)
    } else {
        0
    };
    let input = DeadlineInput {
        boost: 5,
        near_flip_16ths,
        ..DeadlineInput::default()
    };
    span_of(input, config)
}

/// The boost of a task that is nothing but woken 125 times a second.
fn boost_of_a_beat(config: &Config) -> u32 {
    let mut rate = RateState::default();
    for beat in 1..20 {
        rate_wake(&mut rate, beat * 8 * MS, MS);
    }
    if config.rates_count {
        rate_boost(&rate)
    } else {
        0
    }
}

/// From which boost on boosts count when tasks of boost 3 take 95 % of the CPUs' time.
fn floor_under_load(config: &Config) -> u32 {
    let window_ns = 32 * MS;
    let mut load = BoostedLoad::default();
    let mut ran = [0; 8];
    for _ in 0..50 {
        ran[3] += u32::try_from(window_ns * 95 / 100 / RAN_UNIT_NS).expect("a window is short");
        load_roll(&mut load, &ran, window_ns);
    }
    match share_bound(config.boosted_max.get()) {
        0 => 0,
        bound => boost_floor(&load, bound, 1),
    }
}

/// The boost of a task at boost 3, four of whose turns were late.
fn boost_after_misses(config: &Config) -> u32 {
    let late_turns = if config.misses_count { 4 } else { 0 };
    let score = (0..late_turns).fold(0, |score, _| miss_next(score, true));
    miss_raise(3, score)
}

/// The boost of a task without one that is woken by the most urgent.
fn boost_when_woken(config: &Config) -> u32 {
    let loan = if config.loans_count { boost_loan(7) } else { 0 };
    boost_with_loan(0, loan, 0)
}

/// The boost that the holder of a lock has from the most urgent, who waits for it.
fn boost_of_a_holder(config: &Config) -> u32 {
    let mut waiters = [Waiter::default(); WAITERS_MAX];
    waiters[0] = Waiter {
        pid: 1,
        boost: 7,
        lock: 1,
    };
    if config.inheritance_counts {
        inherited(&waiters)
    } else {
        0
    }
}

/// Whether a boosted arrival puts off a hog.
fn puts_off(config: &Config) -> bool {
    let input = PreemptInput {
        arrival_boost: 3,
        running_span_ns: 100 * MS,
        running_for_ns: MS,
        ..PreemptInput::default()
    };
    config.arrivals_preempt && preempt(&input) == Preempt::Yes
}

/// How fast a CPU has to be that has little to do: at its fastest, if nobody says so.
fn target_of_a_calm_cpu(config: &Config) -> u32 {
    let input = PerfInput {
        target: PERF_ALL,
        load_pct: 10,
        speed: PERF_ALL,
        ..PerfInput::default()
    };
    match config.perf_targets {
        PerfTargets::Never => PERF_ALL,
        _ => perf_target(&input),
    }
}

/// A decision to which `feature` matters, as the scheduler takes it with this configuration.
fn decision(feature: Feature, config: &Config) -> u64 {
    match feature {
        Feature::Boost => boost_of_roles(1 << ROLE_GAME, &config.boost_of_role()).into(),
        Feature::InputWindow => {
            let window_ns = config.input_windows[DEVICE_KEYBOARD as usize].get();
            in_window(2_000, window_extend(0, 1_000, window_ns), 3).into()
        }
        Feature::FrameClock => span_before_a_flip(config),
        Feature::Rates => boost_of_a_beat(config).into(),
        Feature::Loans => boost_when_woken(config).into(),
        Feature::Inheritance => boost_of_a_holder(config).into(),
        Feature::Misses => boost_after_misses(config).into(),
        Feature::Admission => floor_under_load(config).into(),
        Feature::Cpuperf => target_of_a_calm_cpu(config).into(),
        Feature::RecentRun => {
            let recent_run_ns = if config.recent_run_counts { 10 * MS } else { 0 };
            let input = DeadlineInput {
                recent_run_ns,
                ..DeadlineInput::default()
            };
            span_of(input, config)
        }
        Feature::SleepCredit => {
            vruntime_clamp(1 << 40, 1 << 41, config.sleep_credit.get(), 300 * MS)
        }
        Feature::HeadStart => {
            let head_start_ns = config.head_start.get();
            let input = DeadlineInput {
                head_start_ns,
                ..DeadlineInput::default()
            };
            span_of(input, config)
        }
        Feature::Preempt => puts_off(config).into(),
        Feature::RtWaits => (config.rt_waits_count && rt_is_brief(rt_mean_next(0, 50_000))).into(),
        Feature::Background => {
            let background_ns = config.background_late.get();
            let input = DeadlineInput {
                background_ns,
                ..DeadlineInput::default()
            };
            span_of(input, config)
        }
        Feature::Crowd => {
            let crowd_ns = if config.crowd_counts {
                crowd_ns(8, 2, 3 * MS)
            } else {
                0
            };
            let input = DeadlineInput {
                crowd_ns,
                ..DeadlineInput::default()
            };
            span_of(input, config)
        }
        Feature::Locality => warm_first((0, 0), MS, config.locality.get()).into(),
        Feature::RoleSlices => (config.role_slices && !slice_divides(6, false)).into(),
        Feature::BusySlices => slice_ns(config.slice.get(), config.slice_min.get(), 8, 2, true),
        Feature::Placement => {
            let first = config.placement_counts.then(|| cpus_first(3, false));
            (first.flatten() == Some(CpuKind::Fast)).into()
        }
        // Decided by the kernel's answer alone, whether a CPU is idle, a thread its own or a queue empty: the
        // guest tests count them.
        Feature::AtOnce => config.takes_home.into(),
        Feature::Yields => config.yields_count.into(),
        Feature::Stealing => config.steals.into(),
        Feature::Tickless => config.tickless.into(),
        Feature::DirectDispatch => config.dispatch_direct.into(),
        Feature::KernelThreads => config.kthreads_direct.into(),
    }
}

#[test]
fn each_feature_changes_its_own_decision_and_no_other() {
    let as_is = config(&[]);
    for switched in Feature::value_variants() {
        let flag = if switched.is_default() {
            "--without"
        } else {
            "--with"
        };
        let other = config(&[flag, &switched.to_string()]);
        for feature in Feature::value_variants() {
            let changed = decision(*feature, &other) != decision(*feature, &as_is);
            assert_eq!(changed, feature == switched, "{feature} {flag} {switched}");
        }
    }
}

#[test]
fn nothing_shrinks_a_slice_that_may_not_shrink() {
    let without = config(&["--without", "busy-slices", "--slice-us", "1000"]);
    for waiting_cnt in [0, 1, 8, 1_000] {
        let slice = slice_ns(1_000_000, without.slice_min.get(), waiting_cnt, 2, true);
        assert_eq!(slice, 1_000_000);
    }
}
