//! scx_gamer: parses, runs, and maps the result to an exit code.

use std::process;

use clap::Parser;
use scx_gamer::cli::Cli;
use scx_gamer::error::ExitCode;
use scx_gamer::{logging, run};

fn main() -> process::ExitCode {
    let cli = Cli::parse();
    logging::init(cli.verbose);
    match run(&cli) {
        Ok(code) => code.into(),
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::of(&error).into()
        }
    }
}
