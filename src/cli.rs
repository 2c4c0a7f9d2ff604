//! The command line: definitions only. What the values mean together is decided in
//! [`crate::config`].

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser, Subcommand, value_parser};
use scx_utils::libbpf_clap_opts::LibbpfOpts;

use crate::config::Feature;

/// Bounds of the options that end in `-us` and set a slice.
const SLICE_US_RANGE: std::ops::RangeInclusive<u64> = 100..=100_000;
/// Highest process id that Linux gives out (`PID_MAX_LIMIT`).
const PID_MAX: i64 = 4_194_304;
/// Bounds of the intervals, in seconds.
const INTERVAL_S_RANGE: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// A CPU scheduler for people who play games on Linux.
///
/// Loads a sched_ext scheduler into the running kernel and keeps it there until this program ends,
/// however it ends; then the kernel's own scheduler is back. Needs root.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "scx_gamer",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do instead of scheduling.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Longest time a thread runs before the queue is looked at again, in microseconds
    /// (100..=100000)
    #[arg(
        long,
        value_name = "US",
        default_value_t = 3000,
        value_parser = value_parser!(u64).range(SLICE_US_RANGE),
        help_heading = "Scheduling"
    )]
    pub slice_us: u64,

    /// Shortest such time when many threads wait, in microseconds (100..=100000, not above
    /// --slice-us)
    #[arg(
        long,
        value_name = "US",
        default_value_t = 500,
        value_parser = value_parser!(u64).range(SLICE_US_RANGE),
        help_heading = "Scheduling"
    )]
    pub slice_min_us: u64,

    /// Urgency of threads that read input devices, 0 (none) to 7 (most); from 5 up always urgent
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 7,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_input: u8,

    /// Urgency of threads that submit work to a GPU, 0 (none) to 7 (most)
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 6,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_gpu: u8,

    /// Urgency of threads that flip the pages of a display, 0 (none) to 7 (most)
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 5,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_compositor: u8,

    /// Urgency of the threads that serve a GPU's or a display's interrupts, 0 (none) to 7 (most)
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 4,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_gpu_irq: u8,

    /// Urgency of threads that feed a sound device, 0 (none) to 7 (most)
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 4,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_audio: u8,

    /// Urgency of the game's threads that send or receive small messages, often, 0 (none) to 7 (most)
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 3,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_network: u8,

    /// Urgency of the game's threads that wait for reads of a disk, 0 (none) to 7 (most)
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 1,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_storage: u8,

    /// Urgency of the game's threads, 0 (none) to 7 (most); from 5 up always urgent
    #[arg(
        long,
        value_name = "BOOST",
        default_value_t = 3,
        value_parser = value_parser!(u8).range(0..=7),
        help_heading = "Scheduling"
    )]
    pub boost_game: u8,

    /// How long after an input event of any device but a mouse boosted threads are preferred once
    /// more, in microseconds (0..=100000; 0 switches it off)
    #[arg(
        long,
        value_name = "US",
        default_value_t = 10_000,
        value_parser = value_parser!(u64).range(0..=100_000),
        help_heading = "Scheduling"
    )]
    pub input_window_us: u64,

    /// The same for keyboards alone
    #[arg(
        long,
        value_name = "US",
        value_parser = value_parser!(u64).range(0..=100_000),
        help_heading = "Scheduling"
    )]
    pub input_window_keyboard_us: Option<u64>,

    /// The same for mice: one as long as their reports are apart stays open while the mouse moves
    #[arg(
        long,
        value_name = "US",
        default_value_t = 0,
        value_parser = value_parser!(u64).range(0..=100_000),
        help_heading = "Scheduling"
    )]
    pub input_window_mouse_us: u64,

    /// The same for gamepads alone
    #[arg(
        long,
        value_name = "US",
        value_parser = value_parser!(u64).range(0..=100_000),
        help_heading = "Scheduling"
    )]
    pub input_window_gamepad_us: Option<u64>,

    /// CPU load in per cent (1..=100) from which on slices shrink as more threads wait
    #[arg(
        long,
        value_name = "PCT",
        default_value_t = 85,
        value_parser = value_parser!(u32).range(1..=100),
        help_heading = "Scheduling"
    )]
    pub busy_threshold: u32,

    /// Part of the CPUs' time, in per cent (1..=100), that boosted threads may take before the least
    /// urgent of them lose their boost; 100 is no bound
    #[arg(
        long,
        value_name = "PCT",
        default_value_t = 90,
        value_parser = value_parser!(u32).range(1..=100),
        help_heading = "Scheduling"
    )]
    pub boosted_max_pct: u32,

    /// Play with fewer and slower CPUs: boosted threads too get only the speed that they use and half
    /// as much again, except after input and on full CPUs, and a thread without boost goes to the CPU
    /// that it last ran on rather than wake another
    #[arg(long, help_heading = "Scheduling")]
    pub power_save: bool,

    /// How far ahead a deadline may lie at most, in milliseconds (20..=2000): bounds the wait of
    /// the least urgent thread
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 300,
        value_parser = value_parser!(u64).range(20..=2000),
        help_heading = "Scheduling"
    )]
    pub wait_bound_ms: u64,

    /// Treat this process as the game instead of looking for one
    #[arg(
        long,
        value_name = "PID",
        value_parser = value_parser!(u32).range(1..=PID_MAX),
        help_heading = "Scheduling"
    )]
    pub game_pid: Option<u32>,

    /// Watch for which locks the game's threads wait and who holds them (on, off): a holder
    /// inherits the boost of who waits
    #[arg(
        long,
        value_name = "WHETHER",
        default_value = "off",
        action = ArgAction::Set,
        value_parser = BoolishValueParser::new(),
        help_heading = "Scheduling"
    )]
    pub detect_sync: bool,

    /// Print a line of statistics every SEC seconds (0.1..=3600) while scheduling
    #[arg(long, value_name = "SEC", value_parser = parse_interval, help_heading = "Statistics")]
    pub stats: Option<Duration>,

    /// Only watch: print the statistics of the scx_gamer that is already running, every SEC
    /// seconds (0.1..=3600); loads nothing
    #[arg(
        long,
        value_name = "SEC",
        value_parser = parse_interval,
        exclusive = true,
        help_heading = "Statistics"
    )]
    pub monitor: Option<Duration>,

    /// Tell what the scx_gamer that is already running knows about this process: each thread's
    /// roles, and on what evidence; loads nothing
    #[arg(
        long,
        value_name = "PID",
        value_parser = value_parser!(u32).range(1..=PID_MAX),
        exclusive = true,
        help_heading = "Statistics"
    )]
    pub explain: Option<u32>,

    /// Describe every statistic and exit
    #[arg(long, exclusive = true, help_heading = "Statistics")]
    pub help_stats: bool,

    /// Say more; twice: everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Size of the dump that the kernel makes when it ends the scheduler, in bytes
    /// (0..=1048576; 0 is the kernel's default, 32768)
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 0,
        value_parser = value_parser!(u32).range(0..=1_048_576),
        help_heading = "Debugging"
    )]
    pub exit_dump_len: u32,

    /// Switch on parts of the policy that take no part by default, as nothing was shown that they
    /// buy
    #[arg(
        long,
        value_name = "FEATURE",
        value_enum,
        value_delimiter = ',',
        help_heading = "Debugging"
    )]
    pub with: Vec<Feature>,

    /// Switch off parts of the policy, to measure what each buys
    #[arg(
        long,
        value_name = "FEATURE",
        value_enum,
        value_delimiter = ',',
        help_heading = "Debugging"
    )]
    pub without: Vec<Feature>,

    /// Options of libbpf, the same in all sched_ext schedulers.
    #[command(flatten, next_help_heading = "libbpf")]
    pub libbpf: LibbpfOpts,
}

/// What else there is.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure on this machine what schedulers do to a game: `scx_gamer bench --help`
    #[command(disable_help_flag = true)]
    Bench {
        /// Options of the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Tell what of this machine scx_gamer needs, can use, and has in its way; for a bug report
    Doctor {
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let (lo, hi) = (INTERVAL_S_RANGE.start(), INTERVAL_S_RANGE.end());
    text.parse::<f64>()
        .ok()
        .filter(|seconds| INTERVAL_S_RANGE.contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text} is not a number of seconds in {lo}..={hi}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_the_benchmark_are_left_to_it() {
        let cli = Cli::try_parse_from(["scx_gamer", "bench", "--help", "--rounds=1", "-x"]);
        let Ok(Some(Command::Bench { args })) = cli.map(|cli| cli.command) else {
            panic!("not understood");
        };
        assert_eq!(args, ["--help", "--rounds=1", "-x"]);
        assert!(Cli::try_parse_from(["scx_gamer", "--slice-us", "500", "bench"]).is_err());
    }

    #[test]
    fn interval_is_a_finite_number_in_range() {
        assert_eq!(parse_interval("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "NaN", "inf", "3601", "", "1s"] {
            assert!(parse_interval(bad).is_err(), "{bad:?} was taken");
        }
    }
}
