//! Measures how long runnable tasks wait for a CPU while a command runs, or for some seconds.

mod cli;
mod measure;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match measure::run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("waittrace: {error:#}");
            ExitCode::from(measure::exit_code(&error))
        }
    }
}
