//! Logging: to a person at a terminal, to the journal, or to a plain file. Always to standard error;
//! standard output belongs to statistics.
//!
//! No line carries a time: the journal adds its own, and a person sees it happen. That also keeps
//! clear of the local time zone, which cannot be asked for safely once threads run.

use std::io::{IsTerminal, Write, stderr};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::sys::stat::fstat;
use simplelog::{ColorChoice, ConfigBuilder, TermLogger, TerminalMode, WriteLogger};

/// Where `scx_utils` lists kernel features of which this scheduler uses none.
const NOISE: &str = "scx_utils::compat";

/// Starts logging; call first. `verbose` is how often `-v` was given. A second call changes nothing.
pub fn init(verbose: u8) {
    let level = level_of(verbose);
    let journal = stderr_is_journal();
    let outcome = if journal {
        log::set_boxed_logger(Box::new(JournalLogger { level })).map(|()| log::set_max_level(level))
    } else if stderr().is_terminal() {
        TermLogger::init(
            level,
            line_format(level),
            TerminalMode::Stderr,
            ColorChoice::Auto,
        )
    } else {
        WriteLogger::init(level, line_format(level), stderr())
    };
    if outcome.is_err() {
        log::debug!("logging was started before");
    }
}

fn level_of(verbose: u8) -> LevelFilter {
    match verbose {
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

/// `[INFO] message`
fn line_format(level: LevelFilter) -> simplelog::Config {
    let mut builder = ConfigBuilder::new();
    builder
        .set_time_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off);
    if level < LevelFilter::Debug {
        builder.add_filter_ignore_str(NOISE);
    }
    builder.build()
}

/// Whether standard error is the stream that systemd connected to the journal: the variable is
/// inherited by children whose output goes elsewhere, so device and inode have to match.
fn stderr_is_journal() -> bool {
    let (Ok(stream), Ok(stat)) = (std::env::var("JOURNAL_STREAM"), fstat(stderr())) else {
        return false;
    };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// Writes lines with the priority prefixes of sd-daemon(3).
struct JournalLogger {
    level: LevelFilter,
}

impl Log for JournalLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let lines = journal_lines(record.level(), &record.args().to_string());
            // Nobody is left to be told when the journal is gone.
            let _ = stderr().lock().write_all(lines.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// One prefixed line for each line of the message: the journal takes each as an entry of its own.
fn journal_lines(level: Level, message: &str) -> String {
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    message
        .trim_end()
        .split('\n')
        .map(|line| format!("<{priority}>{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_carries_its_priority() {
        assert_eq!(journal_lines(Level::Warn, "a\nb\n"), "<4>a\n<4>b\n");
        assert_eq!(journal_lines(Level::Info, ""), "<6>\n");
    }

    #[test]
    fn more_verbose_never_says_less() {
        let levels: Vec<_> = (0..=u8::MAX).map(level_of).collect();
        assert!(levels.is_sorted());
    }
}
