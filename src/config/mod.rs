//! The configuration: typed, validated, and the one place where user units become BPF units.
//!
//! [`Config::from_cli`] is pure but for one look at the files which the libbpf options name.

mod feature;
mod units;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use scx_utils::libbpf_clap_opts::LibbpfOpts;

pub use feature::Feature;
pub use units::{Boost, Nanoseconds, Percent};

use crate::cli::Cli;
use crate::{intf, policy};

const DEVICE_CLASS_CNT: usize = intf::DEVICE_CLASS_CNT as usize;
const ROLE_CNT: usize = intf::ROLE_CNT as usize;

/// Everything the daemon and the scheduler are told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest time on a CPU before the queue is looked at.
    pub slice: Nanoseconds,
    /// Shortest such time; at most `slice`.
    pub slice_min: Nanoseconds,
    /// Urgency by `ROLE_*`.
    pub boosts: [Boost; ROLE_CNT],
    /// Length of the input window by `DEVICE_*`; 0 is none.
    pub input_windows: [Nanoseconds; DEVICE_CLASS_CNT],
    /// Load at which the busy regime begins, 1..=100.
    pub busy_threshold: Percent,
    /// The part of the CPUs' time that boosted threads may take; 100 is no bound.
    pub boosted_max: Percent,
    /// Whether the cpufreq governor is told how fast each CPU has to be.
    pub perf_targets: PerfTargets,
    /// Fewer and slower CPUs.
    pub saves_power: bool,
    /// No deadline lies further ahead; at least `slice`.
    pub wait_bound: Nanoseconds,
    /// A waking thread goes straight to an idle CPU.
    pub dispatch_direct: bool,
    /// Among idle CPUs cache, core and kind of CPU count.
    pub placement_counts: bool,
    /// A woken kernel thread of one CPU goes straight there.
    pub kthreads_direct: bool,
    /// An arrival may put off a running thread.
    pub arrivals_preempt: bool,
    /// A thread takes the CPU of the one that it puts off at once, where it is woken.
    pub takes_home: bool,
    /// Who calls `sched_yield` gives way to who it may be waiting for.
    pub yields_count: bool,
    /// A CPU with nothing to do takes from the queues of other caches.
    pub steals: bool,
    /// A busy machine does not divide the slices of urgent and of background threads.
    pub role_slices: bool,
    /// Who is alone on a CPU whose tick the kernel may stop runs without one.
    pub tickless: bool,
    /// Who is put off by a brief real-time task waits for that CPU.
    pub rt_waits_count: bool,
    /// Recent run makes a deadline later.
    pub recent_run_counts: bool,
    /// Deadlines shrink as the next flip nears.
    pub frame_clock_counts: bool,
    /// A steady beat of wake-ups earns boost.
    pub rates_count: bool,
    /// Who wakes another lends it boost.
    pub loans_count: bool,
    /// Who holds a lock inherits the boost of who waits for it, with `detect_sync`.
    pub inheritance_counts: bool,
    /// Late turns raise who has a boost.
    pub misses_count: bool,
    /// How far behind the virtual now a waking thread may stay.
    pub sleep_credit: Nanoseconds,
    /// By how much boosted threads and those that serve others come before the rest.
    pub head_start: Nanoseconds,
    /// By how much background threads come later than others without a boost.
    pub background_late: Nanoseconds,
    /// Who has no boost comes later by what a round of its queue takes.
    pub crowd_counts: bool,
    /// How much later a thread may be due that is taken as it last ran on the CPU.
    pub locality: Nanoseconds,
    /// What of the policy the user has switched off; the fields above say so already.
    pub without: BTreeSet<Feature>,
    /// The game's process, if the user named it.
    pub game_pid: Option<NonZeroU32>,
    /// Whether waits for locks are watched.
    pub detect_sync: bool,
    /// How often the daemon prints a line of statistics, if at all.
    pub stats_interval: Option<Duration>,
    /// Size of the kernel's exit dump in bytes; 0 is the kernel's default.
    pub exit_dump_len: u32,
    /// Options for opening the BPF objects.
    pub libbpf: LibbpfOpts,
}

/// When the cpufreq governor is told how fast each CPU has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerfTargets {
    /// Never.
    Never,
    /// Where it listens.
    IfHeard,
    /// Always: costs what it costs and changes nothing where nobody listens. For tests.
    Always,
}

/// Options which are each in range, but not together.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The shortest slice is above the longest.
    #[error(
        "--slice-min-us {min_us} is above --slice-us {max_us}: give --slice-min-us a value of at most {max_us}"
    )]
    SliceMinAboveSlice {
        /// `--slice-min-us`
        min_us: u64,
        /// `--slice-us`
        max_us: u64,
    },
    /// One slice is longer than any wait may be.
    #[error(
        "--slice-us {slice_us} is longer than --wait-bound-ms {bound_ms}: give --slice-us a value of at most {}",
        .bound_ms * 1000
    )]
    SliceAboveWaitBound {
        /// `--slice-us`
        slice_us: u64,
        /// `--wait-bound-ms`
        bound_ms: u64,
    },
    /// A feature is to take part and not to.
    #[error("--with {feature} and --without {feature} contradict each other: leave one out")]
    WithAndWithout {
        /// The feature.
        feature: Feature,
    },
    /// A value no clap range covers.
    #[error("{option} {value} is out of range: give it a value in {range}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// What was given.
        value: u32,
        /// What is allowed.
        range: &'static str,
    },
    /// libbpf would ignore this option without a word.
    #[error("{option} {path}: cannot read this file: {source}; name a readable file")]
    File {
        /// The option.
        option: &'static str,
        /// Its value.
        path: String,
        /// Why it cannot be read.
        source: std::io::Error,
    },
}

impl Config {
    /// Checks the options against each other and converts their units.
    ///
    /// # Errors
    /// [`ConfigError`] if they contradict each other, or if a file they name cannot be read.
    pub fn from_cli(cli: &Cli) -> Result<Self, ConfigError> {
        let slice = Nanoseconds::from_us(cli.slice_us);
        let slice_min = Nanoseconds::from_us(cli.slice_min_us);
        let wait_bound = Nanoseconds::from_ms(cli.wait_bound_ms);
        if slice_min > slice {
            return Err(ConfigError::SliceMinAboveSlice {
                min_us: cli.slice_min_us,
                max_us: cli.slice_us,
            });
        }
        if slice > wait_bound {
            return Err(ConfigError::SliceAboveWaitBound {
                slice_us: cli.slice_us,
                bound_ms: cli.wait_bound_ms,
            });
        }
        check_readable("--kconfig", cli.libbpf.kconfig.as_deref())?;
        check_readable("--btf-custom-path", cli.libbpf.btf_custom_path.as_deref())?;

        let mut boosts = [Boost::NONE; ROLE_CNT];
        boosts[intf::ROLE_INPUT as usize] = boost("--boost-input", cli.boost_input)?;
        boosts[intf::ROLE_GPU as usize] = boost("--boost-gpu", cli.boost_gpu)?;
        boosts[intf::ROLE_COMPOSITOR as usize] = boost("--boost-compositor", cli.boost_compositor)?;
        boosts[intf::ROLE_GPU_IRQ as usize] = boost("--boost-gpu-irq", cli.boost_gpu_irq)?;
        boosts[intf::ROLE_AUDIO as usize] = boost("--boost-audio", cli.boost_audio)?;
        boosts[intf::ROLE_NETWORK as usize] = boost("--boost-network", cli.boost_network)?;
        boosts[intf::ROLE_STORAGE as usize] = boost("--boost-storage", cli.boost_storage)?;
        boosts[intf::ROLE_GAME as usize] = boost("--boost-game", cli.boost_game)?;
        let mut config = Self {
            slice,
            slice_min,
            boosts,
            input_windows: input_windows(cli),
            busy_threshold: Percent::new(cli.busy_threshold).ok_or(ConfigError::OutOfRange {
                option: "--busy-threshold",
                value: cli.busy_threshold,
                range: "1..=100",
            })?,
            boosted_max: Percent::new(cli.boosted_max_pct).ok_or(ConfigError::OutOfRange {
                option: "--boosted-max-pct",
                value: cli.boosted_max_pct,
                range: "1..=100",
            })?,
            perf_targets: if cli.with.contains(&Feature::Cpuperf) {
                PerfTargets::Always
            } else {
                PerfTargets::IfHeard
            },
            saves_power: cli.power_save,
            wait_bound,
            dispatch_direct: true,
            placement_counts: true,
            kthreads_direct: true,
            arrivals_preempt: true,
            takes_home: true,
            yields_count: true,
            steals: true,
            role_slices: true,
            tickless: true,
            rt_waits_count: true,
            recent_run_counts: true,
            frame_clock_counts: true,
            inheritance_counts: true,
            rates_count: true,
            loans_count: true,
            misses_count: true,
            sleep_credit: Nanoseconds::from_ns(policy::CREDIT_NS),
            head_start: Nanoseconds::from_ns(policy::HEAD_START_NS),
            background_late: Nanoseconds::from_ns(policy::BACKGROUND_NS),
            crowd_counts: true,
            locality: Nanoseconds::from_ns(policy::LOCALITY_NS),
            without: cli.without.iter().copied().collect(),
            game_pid: cli.game_pid.and_then(NonZeroU32::new),
            detect_sync: cli.detect_sync,
            stats_interval: cli.stats,
            exit_dump_len: cli.exit_dump_len,
            libbpf: cli.libbpf.clone(),
        };
        for feature in switched_off(cli)? {
            feature.switch_off(&mut config);
        }
        Ok(config)
    }

    /// The boosts as the BPF side takes them, by `ROLE_*`.
    pub fn boost_of_role(&self) -> [u8; ROLE_CNT] {
        self.boosts.map(Boost::get)
    }
}

/// The features that take no part.
fn switched_off(cli: &Cli) -> Result<Vec<Feature>, ConfigError> {
    let both = |feature: &&Feature| cli.without.contains(feature);
    if let Some(&feature) = cli.with.iter().find(both) {
        return Err(ConfigError::WithAndWithout { feature });
    }
    let takes_part = |feature: &Feature| {
        (feature.is_default() || cli.with.contains(feature)) && !cli.without.contains(feature)
    };
    let features = Feature::value_variants().iter().copied();
    Ok(features.filter(|feature| !takes_part(feature)).collect())
}

/// The window of each class of device: its own, or the common one.
fn input_windows(cli: &Cli) -> [Nanoseconds; DEVICE_CLASS_CNT] {
    let common = cli.input_window_us;
    let mut windows = [common; DEVICE_CLASS_CNT];
    windows[intf::DEVICE_KEYBOARD as usize] = cli.input_window_keyboard_us.unwrap_or(common);
    windows[intf::DEVICE_MOUSE as usize] = cli.input_window_mouse_us;
    windows[intf::DEVICE_GAMEPAD as usize] = cli.input_window_gamepad_us.unwrap_or(common);
    windows.map(Nanoseconds::from_us)
}

fn boost(option: &'static str, value: u8) -> Result<Boost, ConfigError> {
    let out_of_range = ConfigError::OutOfRange {
        option,
        value: value.into(),
        range: "0..=7",
    };
    Boost::new(value).ok_or(out_of_range)
}

fn check_readable(option: &'static str, path: Option<&str>) -> Result<(), ConfigError> {
    let Some(path) = path else { return Ok(()) };
    match std::fs::File::open(Path::new(path)) {
        Ok(_) => Ok(()),
        Err(source) => Err(ConfigError::File {
            option,
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(args: &[&str]) -> Result<Config, ConfigError> {
        let cli = Cli::try_parse_from([&["scx_gamer"], args].concat()).expect("parses");
        Config::from_cli(&cli)
    }

    #[test]
    fn defaults_are_valid_and_in_bpf_units() {
        let config = config(&[]).expect("defaults are valid");
        assert_eq!(config.slice.get(), 3_000_000);
        assert_eq!(config.slice_min.get(), 500_000);
        let windows = config.input_windows.map(Nanoseconds::get);
        assert_eq!(windows, [10_000_000, 10_000_000, 0, 10_000_000]);
        assert!(!config.loans_count && config.kthreads_direct);
        assert_eq!(config.wait_bound.get(), 300_000_000);
        assert_eq!(config.busy_threshold.get(), 85);
        assert_eq!(config.boosted_max.get(), 90);
        assert_eq!(config.perf_targets, PerfTargets::IfHeard);
        assert!(!config.saves_power);
        assert_eq!(config.boost_of_role(), [7, 6, 5, 4, 4, 3, 1, 3, 0, 0]);
        assert_eq!(config.sleep_credit.get(), policy::CREDIT_NS);
        assert_eq!(config.head_start.get(), policy::HEAD_START_NS);
        assert_eq!(config.game_pid, None);
        assert!(config.without.is_empty());
    }

    #[test]
    fn features_are_switched_off_in_lists_and_one_by_one() {
        let config = config(&[
            "--without",
            "preempt,boost,preempt",
            "--without=busy-slices",
        ]);
        let config = config.expect("features");
        let expected = [Feature::Boost, Feature::Preempt, Feature::BusySlices];
        assert_eq!(config.without, expected.into());
        assert_eq!(config.boost_of_role(), [0; ROLE_CNT]);
        assert_eq!(config.slice_min, config.slice);
        assert!(!config.arrivals_preempt && config.recent_run_counts);
    }

    #[test]
    fn a_feature_is_switched_on_or_off_and_not_both() {
        let with = config(&["--with", "loans,boost"]).expect("features");
        assert!(with.loans_count && with.without.is_empty());
        assert_eq!(
            with.boost_of_role(),
            config(&[]).expect("defaults").boost_of_role()
        );
        let error = config(&["--with", "boost", "--without", "preempt,boost"]).expect_err("both");
        assert!(error.to_string().contains("--with boost"), "{error}");
    }

    #[test]
    fn performance_targets_can_be_forced_and_forbidden() {
        let targets = |args| config(args).expect("features").perf_targets;
        assert_eq!(targets(&["--with=cpuperf"]), PerfTargets::Always);
        assert_eq!(targets(&["--without=cpuperf"]), PerfTargets::Never);
        assert_eq!(targets(&["--power-save"]), PerfTargets::IfHeard);
    }

    #[test]
    fn each_class_of_device_has_a_window_of_its_own_or_the_common_one_and_mice_none() {
        let common = config(&["--input-window-us=5000"]).expect("windows");
        let common = common.input_windows.map(Nanoseconds::get);
        assert_eq!(common, [5_000_000, 5_000_000, 0, 5_000_000]);
        let args = [
            "--input-window-us=5000",
            "--input-window-mouse-us=2000",
            "--input-window-gamepad-us=0",
        ];
        let windows = config(&args).expect("windows").input_windows;
        let windows = windows.map(Nanoseconds::get);
        assert_eq!(windows, [5_000_000, 5_000_000, 2_000_000, 0]);
        let off = config(&["--without=input-window", "--input-window-mouse-us=1"]);
        let off = off.expect("windows").input_windows.map(Nanoseconds::get);
        assert_eq!(off, [0; DEVICE_CLASS_CNT]);
    }

    #[test]
    fn slice_min_never_exceeds_slice() {
        assert!(config(&["--slice-us", "500", "--slice-min-us", "500"]).is_ok());
        let error = config(&["--slice-us", "400"])
            .expect_err("500 > 400")
            .to_string();
        assert!(
            error.contains("--slice-min-us") && error.contains("at most 400"),
            "{error}"
        );
    }

    #[test]
    fn slice_never_exceeds_wait_bound() {
        assert!(config(&["--slice-us", "20000", "--wait-bound-ms", "20"]).is_ok());
        let error = config(&["--slice-us", "20001", "--wait-bound-ms", "20"]);
        assert!(
            error
                .expect_err("longer")
                .to_string()
                .contains("at most 20000")
        );
    }

    #[test]
    fn unreadable_libbpf_file_is_named() {
        let error = config(&["--kconfig", "/nonexistent/config"]).expect_err("missing file");
        assert!(
            error.to_string().contains("--kconfig /nonexistent/config"),
            "{error}"
        );
    }
}
