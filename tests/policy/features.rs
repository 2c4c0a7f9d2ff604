//! What can be switched off changes a decision, and only its own.

use clap::{Parser, ValueEnum};
use scx_gamer::cli::Cli;
use scx_gamer::config::{Config, Feature};
use scx_gamer::intf::{DEVICE_KEYBOARD, ROLE_GAME};
use scx_gamer::policy::{
    DeadlineInput, boost_of_roles, in_window, share_bound, slice_divides, slice_ns, span_ns,
    vruntime_clamp, warm_first, window_extend,
};

fn config(flags: &[&str]) -> Config {
    let cli = Cli::try_parse_from([&["scx_gamer"], flags].concat()).expect("flags are right");
    Config::from_cli(&cli).expect("flags agree")
}

fn span_of(recent_run_ns: u64, config: &Config) -> u64 {
    span_ns(&DeadlineInput {
        recent_run_ns,
        wait_bound_ns: config.wait_bound.get(),
        ..DeadlineInput::default()
    })
}

/// A decision to which `feature` matters, as the scheduler takes it with this configuration.
fn decision(feature: Feature, config: &Config) -> u64 {
    match feature {
        Feature::Boost => boost_of_roles(1 << ROLE_GAME, &config.boost_of_role()).into(),
        Feature::InputWindow => {
            let window_ns = config.input_windows[DEVICE_KEYBOARD as usize].get();
            in_window(2_000, window_extend(0, 1_000, window_ns), 3).into()
        }
        Feature::Admission => share_bound(config.boosted_max.get()).into(),
        Feature::RecentRun => span_of(10_000_000 * u64::from(config.recent_run_counts), config),
        Feature::SleepCredit => {
            vruntime_clamp(1 << 40, 1 << 41, config.sleep_credit.get(), 300_000_000)
        }
        Feature::HeadStart => span_ns(&DeadlineInput {
            wait_bound_ns: config.wait_bound.get(),
            head_start_ns: config.head_start.get(),
            ..DeadlineInput::default()
        }),
        Feature::Background => span_ns(&DeadlineInput {
            wait_bound_ns: config.wait_bound.get(),
            background_ns: config.background_late.get(),
            ..DeadlineInput::default()
        }),
        Feature::Locality => {
            let due_ns = 1_000_000;
            warm_first((0, 0), due_ns, config.locality.get()).into()
        }
        Feature::RoleSlices => (config.role_slices && !slice_divides(6, false)).into(),
        Feature::BusySlices => slice_ns(config.slice.get(), config.slice_min.get(), 8, 2, true),
        Feature::Cpuperf => config.perf_targets as u64,
        // Decided where the kernel's answers are at hand: the guest tests count them.
        Feature::FrameClock => config.frame_clock_counts.into(),
        Feature::Rates => config.rates_count.into(),
        Feature::Inheritance => config.inheritance_counts.into(),
        Feature::Loans => config.loans_count.into(),
        Feature::Misses => config.misses_count.into(),
        Feature::RtWaits => config.rt_waits_count.into(),
        Feature::Preempt => config.arrivals_preempt.into(),
        Feature::AtOnce => config.takes_home.into(),
        Feature::Yields => config.yields_count.into(),
        Feature::Stealing => config.steals.into(),
        Feature::Tickless => config.tickless.into(),
        Feature::DirectDispatch => config.dispatch_direct.into(),
        Feature::Placement => config.placement_counts.into(),
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
