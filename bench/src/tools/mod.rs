//! Standard tools as a second opinion: the kernel's own scheduler against another one, in the words
//! of programs that others wrote.
//!
//! [`catalog`] says which tools and how they are started, [`parse`] reads what they print, [`run`]
//! plays the rounds, [`results`] is `tools.json`, [`summary`] the comparison, [`render`] its tables.

pub mod catalog;
pub mod parse;
pub mod process;
pub mod render;
pub mod results;
pub mod run;
pub mod summary;

use anyhow::{Context, Result};
use clap::Args;
use gamesim::signals::Signals;
use gamesim::{EXIT_FAILURE, EXIT_INTERRUPTED, attach};
use results::ToolResults;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::contestant::{OURS, beside};
use crate::results::Status;

/// Compares the kernel's own scheduler with another one by standard tools (hackbench, perf bench,
/// stress-ng, cyclictest).
#[derive(Debug, Clone, Args)]
pub struct ToolsArgs {
    /// Rounds; the order of the two schedulers changes from round to round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// Length of each tool's run [s].
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub seconds: u32,
    /// Only these tools, by commas; "futex" means all whose names contain it.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = tool)]
    pub only: Vec<String>,
    /// Command that attaches the other scheduler [default: scx_gamer beside this program].
    #[arg(long, value_name = "CMD")]
    pub with: Option<String>,
    /// Longest time that attaching and detaching may take [s].
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub attach_timeout: u32,
    /// Directory for tools.json, tools.txt and tools.md; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "scx_gamer-tools")]
    pub out: PathBuf,
}

fn tool(name: &str) -> Result<String, String> {
    let names: Vec<&str> = catalog::TOOLS.iter().map(|tool| tool.name).collect();
    if names.iter().any(|known| known.contains(name)) {
        return Ok(name.to_owned());
    }
    Err(format!("no such tool; there are {}", names.join(", ")))
}

/// Runs the comparison, prints its table, and leaves the results in the directory.
///
/// # Errors
/// When nothing can be compared here, or the directory cannot be written.
pub fn main(args: &ToolsArgs) -> Result<u8> {
    attach::check_free()?;
    let options = run::Options {
        rounds: args.rounds,
        seconds: args.seconds,
        only: args.only.clone(),
        with: match &args.with {
            Some(command) => command.clone(),
            None => beside_us()?,
        },
        attach_timeout: Duration::from_secs(args.attach_timeout.into()),
        out: args.out.clone(),
    };
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the directory {}", args.out.display()))?;
    crate::run::check_owner(&args.out)?;
    let signals = Signals::block(&[])?;
    let results = run::run(&options, &signals, &mut |line| eprintln!("{line}"))?;
    let text = render::text(&results);
    print!("{text}");
    for (file, content) in [
        ("tools.txt", text),
        ("tools.md", render::markdown(&results)),
    ] {
        let path = args.out.join(file);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(exit_code(&results))
}

fn exit_code(results: &ToolResults) -> u8 {
    if results.status == Status::Partial {
        EXIT_INTERRUPTED
    } else if results.cells.iter().any(|cell| cell.error.is_some()) {
        EXIT_FAILURE
    } else {
        0
    }
}

/// The command for scx_gamer in the directory of this program.
fn beside_us() -> Result<String> {
    let path = beside(OURS)?;
    let path = path.to_str().context("a path is not UTF-8: give --with")?;
    Ok(format!("exec {}", shlex::try_quote(path)?))
}
