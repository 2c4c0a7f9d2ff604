//! scx_gamer-bench: parse, run, map the result to an exit code.

use arena::cli::Cli;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match arena::dispatch(&Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("scx_gamer bench: {error:#}");
            ExitCode::from(arena::EXIT_FAILURE)
        }
    }
}
