//! scx_gamer: the rooms of the daemon, so that tests and tools can use them.

use std::io::stdout;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::{Cli, Command};
use crate::config::Config;

pub mod bench;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod detect;
pub mod error;
pub mod events;
pub mod intf;
pub mod logging;
pub mod monitor;
pub mod policy;
pub mod privileges;
pub mod scheduler;
pub mod skel;
pub mod stats;
pub mod topology;

/// Does what the command line asks for: the benchmark, the monitor, the list of statistics, or the
/// daemon.
///
/// # Errors
/// Those of what was asked for; [`error::ExitCode::of`] tells the exit code.
pub fn run(cli: &Cli) -> Result<()> {
    if let Some(Command::Bench { args }) = &cli.command {
        return bench::become_it(args);
    }
    if cli.help_stats {
        return stats::write_help(&mut stdout().lock());
    }
    if let Some(interval) = cli.monitor {
        return monitor::run(
            Path::new(stats::SOCKET_PATH),
            interval,
            &stop_channel()?,
            &mut stdout().lock(),
        );
    }
    daemon::run(&Config::from_cli(cli)?)
}

/// Gets a message when a signal asks the monitor to stop.
fn stop_channel() -> Result<crossbeam::channel::Receiver<()>> {
    let (sender, stop) = crossbeam::channel::bounded(1);
    ctrlc::set_handler(move || {
        let _ = sender.try_send(());
    })
    .context("cannot catch signals")?;
    Ok(stop)
}
