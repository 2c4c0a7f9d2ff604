//! The arena: schedulers side by side on the same game, in one boot.
//!
//! [`scenario`] says what runs beside the game, [`contestant`] who takes part, [`plan`] who plays
//! when, [`run`] plays the rounds and [`cell`] one part of them, [`results`] is what was measured,
//! [`measure`] what of it is compared, [`verdict`] when a difference is one. [`summary`] brings
//! these together for [`table`] (the terminal), [`markdown`] (documents) and [`html`] (a page with
//! plots), which share their words in [`grid`]. [`tools`] compares by programs that others wrote,
//! also with [`bare`], the least that a scheduler of this kind can cost.

pub mod bare;
pub mod cell;
pub mod cli;
pub mod contestant;
pub mod cost;
pub mod grid;
pub mod html;
pub mod markdown;
pub mod measure;
pub mod plan;
pub mod progress;
pub mod results;
pub mod run;
pub mod scenario;
pub mod session;
pub mod summary;
pub mod table;
pub mod tools;
pub mod verdict;

use cli::{Cli, Command};

/// The same exit codes as the game's.
pub use gamesim::{EXIT_FAILURE, EXIT_INTERRUPTED};

/// Does what the command line asks for; the value is the process's exit code.
///
/// # Errors
/// Whatever kept it from being done, in words for the person who typed it.
pub fn dispatch(cli: &Cli) -> anyhow::Result<u8> {
    match &cli.command {
        None => session::main(&cli.run),
        Some(Command::Report(args)) => session::report(&args.dirs, &args.out),
        Some(Command::Tools(args)) => tools::main(args),
        Some(Command::Bare) => bare::main(),
        Some(Command::Scenarios) => {
            for scenario in &scenario::SCENARIOS {
                println!("{:<8} {}", scenario.name, scenario.sentence);
            }
            Ok(0)
        }
    }
}
