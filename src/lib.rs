//! scx_gamer: the rooms of the daemon, so that tests and tools can use them.

use std::io::stdout;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::error::ExitCode;

pub mod bench;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod detect;
pub mod doctor;
pub mod error;
pub mod events;
pub mod intf;
pub mod logging;
pub mod monitor;
pub mod policy;
pub mod privileges;
pub mod real_time;
pub mod scheduler;
pub mod skel;
pub mod stats;
pub mod topology;

/// Does what the command line asks for: the benchmark, the doctor, the monitor, the list of
/// statistics, or the daemon.
///
/// # Errors
/// Those of what was asked for; [`error::ExitCode::of`] tells the exit code.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    let socket = Path::new(stats::SOCKET_PATH);
    match &cli.command {
        Some(Command::Bench { args }) => bench::become_it(args)?,
        Some(Command::Doctor { json }) => {
            daemon::quieten_libbpf();
            return doctor::run(*json, &mut stdout().lock());
        }
        None if cli.help_stats => stats::write_help(&mut stdout().lock())?,
        None => match (cli.monitor, cli.explain) {
            (Some(interval), _) => {
                monitor::run(socket, interval, &stop_channel()?, &mut stdout().lock())?;
            }
            (None, Some(pid)) => {
                monitor::explain(socket, pid, &stop_channel()?, &mut stdout().lock())?;
            }
            (None, None) => daemon::run(&Config::from_cli(cli)?)?,
        },
    }
    Ok(ExitCode::Success)
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
