//! The command line, definitions only.

use crate::scenario::Course;
use crate::tools::ToolsArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.5..=3600.0).contains(&value) => Ok(value),
        _ => Err("expected seconds between 0.5 and 3600".to_owned()),
    }
}

/// Shows on this machine what a scheduler does to a game: the kernel's own, scx_gamer and others
/// play the same scenarios in turn. Needs root and a kernel with sched_ext; Ctrl-C ends it, with
/// the kernel's scheduler back and what was measured kept.
#[derive(Debug, Parser)]
#[command(
    name = "scx_gamer-bench",
    bin_name = "scx_gamer bench",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do instead of measuring.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to measure.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the table of results that were measured earlier, and write their report anew
    Report(ReportArgs),
    /// Compare by standard tools: cyclictest, hackbench, stress-ng, perf bench
    Tools(ToolsArgs),
    /// List the scenarios
    Scenarios,
    /// Attach a sched_ext scheduler without a single program, until Ctrl-C: what the kernel's
    /// framework costs by itself
    Bare,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// A bar, or lines where there is no terminal
    Bar,
    /// A line of JSON per event, and no report
    Json,
}

/// What to measure.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Another installed scheduler to compare with, for example scx_lavd (a name or a path)
    #[arg(long, value_name = "PROGRAM")]
    pub against: Vec<PathBuf>,
    /// Every scx_* program in this directory takes part
    #[arg(long, value_name = "DIR")]
    pub peers: Option<PathBuf>,
    /// The oracle takes part: the kernel's scheduler with the game's threads at SCHED_FIFO
    #[arg(long)]
    pub oracle: bool,
    /// Only these take part, of those that would
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Instead of others, scx_gamer without each feature of its policy takes part
    #[arg(long, conflicts_with_all = ["against", "peers", "oracle"])]
    pub ablation: bool,
    /// What is played: names from `scenarios`, with -paced for frames as the display shows them
    #[arg(
        long,
        value_name = "SCENARIO",
        value_delimiter = ',',
        default_value = "quiet,hogs,compile,chat"
    )]
    pub scenario: Vec<Course>,
    /// Rounds; every second one is played backwards
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Measured seconds of each scenario with each scheduler
    #[arg(long, default_value = "8", value_parser = seconds)]
    pub seconds: f64,
    /// Directory of the results; a run that was cut short there is gone on with
    #[arg(long, value_name = "DIR", default_value = "scx_gamer-bench")]
    pub out: PathBuf,
    /// Measure anew what is in that directory
    #[arg(long)]
    pub fresh: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "bar", hide = true)]
    pub progress: ProgressKind,
    /// How this machine's time passes
    #[arg(long, default_value = "real", hide = true)]
    pub clock: String,
    /// What its CPUs are, for a person
    #[arg(long, hide = true)]
    pub machine: Option<String>,
    /// The command to name in the results
    #[arg(long, hide = true)]
    pub made_by: Option<String>,
}

/// Results that were measured earlier.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Directories of results
    #[arg(required = true)]
    pub dirs: Vec<PathBuf>,
    /// Directory for report.md and report.html
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_measure_the_four_scenarios_three_times() {
        let run = Cli::parse_from(["scx_gamer-bench"]).run;
        assert_eq!((run.scenario.len(), run.rounds), (4, 3));
    }
}
