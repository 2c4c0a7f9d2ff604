//! gamesim: parse, run, map the result to an exit code.

use clap::Parser;
use gamesim::args::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match gamesim::dispatch(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("gamesim: {error:#}");
            ExitCode::from(gamesim::EXIT_FAILURE)
        }
    }
}
