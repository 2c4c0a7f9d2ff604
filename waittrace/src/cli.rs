//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

/// Measures how long runnable tasks wait for a CPU, the same way under every scheduler.
///
/// Runs COMMAND and reports when it has ended, or reports after some seconds. SIGINT or SIGTERM
/// ends the measurement early; the report is still written, and COMMAND is told to end.
///
/// Exit code: COMMAND's own (128 + N if signal N ended it), 127 if it was not found, 126 if it
/// cannot be run, 125 if waittrace itself failed, 2 for a wrong command line.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Write the report as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Measure for N seconds (1..=86400) without a command
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400),
          conflicts_with = "command", required_unless_present = "command")]
    pub(crate) seconds: Option<u32>,

    /// Command to run, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn kind_of(args: &[&str]) -> Option<ErrorKind> {
        let args = ["waittrace"].iter().chain(args);
        Cli::try_parse_from(args).err().map(|error| error.kind())
    }

    #[test]
    fn a_command_or_a_time_is_needed_but_not_both() {
        assert_eq!(kind_of(&["--seconds", "3"]), None);
        assert_eq!(kind_of(&["--json", "--", "ls", "--seconds", "3"]), None);
        assert_eq!(
            kind_of(&["--json"]),
            Some(ErrorKind::MissingRequiredArgument)
        );
        let both = kind_of(&["--seconds", "3", "--", "ls"]);
        assert_eq!(both, Some(ErrorKind::ArgumentConflict));
    }

    #[test]
    fn a_time_out_of_range_is_refused() {
        assert_eq!(
            kind_of(&["--seconds", "0"]),
            Some(ErrorKind::ValueValidation)
        );
        assert_eq!(
            kind_of(&["--seconds", "86401"]),
            Some(ErrorKind::ValueValidation)
        );
        assert_eq!(
            kind_of(&["--seconds", "-1"]),
            Some(ErrorKind::UnknownArgument)
        );
    }
}
