//! scx_gamer.

use std::io::stdout;
use std::path::Path;
use std::process;

use anyhow::{Context, Result, bail};
use clap::Parser;

use scx_gamer::cli::Cli;
use scx_gamer::config::Config;
use scx_gamer::error::ExitCode;
use scx_gamer::{logging, monitor, stats};

fn main() -> process::ExitCode {
    let cli = Cli::parse();
    logging::init(cli.verbose);
    match run(&cli) {
        Ok(()) => ExitCode::Success.into(),
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::of(&error).into()
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if cli.help_stats {
        return stats::write_help(&mut stdout().lock());
    }
    let (sender, stop) = crossbeam::channel::bounded(1);
    ctrlc::set_handler(move || {
        let _ = sender.try_send(());
    })
    .context("cannot catch signals")?;
    if let Some(interval) = cli.monitor {
        return monitor::run(
            Path::new(stats::SOCKET_PATH),
            interval,
            &stop,
            &mut stdout().lock(),
        );
    }
    Config::from_cli(cli)?;
    bail!("the scheduler is not built in yet");
}
