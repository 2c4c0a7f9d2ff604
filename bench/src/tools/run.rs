//! Plays the rounds: each tool with both schedulers one right after the other, so that a machine
//! whose speed drifts treats them alike.

use super::catalog::{Numbers, TOOLS, Tool};
use super::process::{Running, rest};
use super::render::number;
use super::results::{Cell, Entry, TOOLS_SCHEMA, ToolResults};
use crate::contestant::without_directories;
use crate::measure::Better;
use crate::results::Status;
use anyhow::{Context, Result, ensure};
use gamesim::attach::{self, Attached};
use gamesim::comparison::Side;
use gamesim::signals::Signals;
use std::path::PathBuf;
use std::time::Duration;

/// A tool may take this much longer than its time: it starts on a loaded, perhaps emulated machine.
const EXTRA: Duration = Duration::from_secs(300);
/// Between attaching and measuring, on both sides: a scheduler's daemon still sets itself up.
const SETTLE: Duration = Duration::from_secs(2);
/// Trial runs to find out how much work fills the time, four times as much in each.
const TRIALS: u32 = 10;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rounds.
    pub rounds: u32,
    /// Length of each tool's run [s].
    pub seconds: u32,
    /// Parts of the names of the tools to run; all if empty.
    pub only: Vec<String>,
    /// Command that attaches the other scheduler, for /bin/sh.
    pub with: String,
    /// Longest time to attach or detach.
    pub attach_timeout: Duration,
    /// Directory of the results.
    pub out: PathBuf,
}

/// A tool that can be run here.
struct Ready {
    tool: &'static Tool,
    numbers: Numbers,
}

/// Plays all rounds, and saves after each cell. When a signal came, the results are partial.
///
/// # Errors
/// When the results cannot be saved. What goes wrong with a tool or the scheduler is in its cell.
pub fn run(
    options: &Options,
    signals: &Signals,
    progress: &mut dyn FnMut(&str),
) -> Result<ToolResults> {
    let mut results = begin(options)?;
    let mut ready = Vec::new();
    let wanted = |tool: &&Tool| {
        options.only.is_empty() || options.only.iter().any(|part| tool.name.contains(part))
    };
    for tool in TOOLS.iter().filter(wanted) {
        let numbers = Numbers {
            cpus: results.cpus,
            seconds: options.seconds,
            loops: tool.probe_loops,
        };
        let (numbers, absent) = match prepare(tool, numbers, signals) {
            Ok(None) => return Ok(results),
            Ok(Some(numbers)) => (numbers, None),
            Err(error) => (numbers, Some(format!("{error:#}"))),
        };
        let entry = Entry {
            name: tool.name.to_owned(),
            command: tool.command(numbers),
            beside: tool.beside(numbers),
            absent,
        };
        match &entry.absent {
            Some(reason) => progress(&format!("{}: {reason}", tool.name)),
            None => ready.push(Ready { tool, numbers }),
        }
        results.tools.push(entry);
    }
    results.save(&options.out)?;
    for round in 1..=options.rounds {
        for ready in &ready {
            for side in order(round) {
                let played = play(options, ready, side, &mut results.scheduler, signals);
                let Some(cell) = cell(round, side, ready.tool, played) else {
                    return Ok(results);
                };
                progress(&announcement(options.rounds, &cell));
                results.cells.push(cell);
                results.save(&options.out)?;
            }
        }
    }
    results.status = Status::Complete;
    results.save(&options.out)?;
    Ok(results)
}

fn begin(options: &Options) -> Result<ToolResults> {
    let kernel = nix::sys::utsname::uname().context("cannot ask for the kernel's release")?;
    let results = ToolResults {
        schema: TOOLS_SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status: Status::Partial,
        kernel: kernel.release().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        date: time::OffsetDateTime::now_utc().date().to_string(),
        with: without_directories(&options.with),
        scheduler: String::new(),
        rounds: options.rounds,
        seconds: options.seconds,
        tools: Vec::new(),
        cells: Vec::new(),
    };
    results.save(&options.out)?;
    Ok(results)
}

/// Odd rounds begin with the kernel's scheduler, even ones end with it (ABBA).
fn order(round: u32) -> [Side; 2] {
    if round.is_multiple_of(2) {
        [Side::Other, Side::Kernel]
    } else {
        [Side::Kernel, Side::Other]
    }
}

/// Fixes a tool's work with the kernel's scheduler; `None` when a signal came.
fn prepare(tool: &Tool, mut numbers: Numbers, signals: &Signals) -> Result<Option<Numbers>> {
    if let Some(missing) = tool.missing(&std::env::var_os("PATH").unwrap_or_default()) {
        anyhow::bail!(missing);
    }
    if !tool.has_fixed_work() {
        return Ok(Some(numbers));
    }
    let wanted = f64::from(numbers.seconds);
    for _ in 0..TRIALS {
        let Some(values) = play_once(tool, numbers, signals)? else {
            return Ok(None);
        };
        let took = working_time(tool, numbers.loops, &values);
        // In a far shorter run, starting up is most of the time.
        if took > wanted / 4.0 {
            numbers.loops = scaled(numbers.loops, wanted / took).max(1);
            break;
        }
        numbers.loops *= 4;
    }
    Ok(Some(numbers))
}

/// How long the work took, by the tool's own account [s]: that leaves out starting the program.
fn working_time(tool: &Tool, loops: u64, values: &[f64]) -> f64 {
    let value = values.first().copied().unwrap_or_default();
    match tool.readings.first().map(|reading| reading.better) {
        Some(Better::Higher) => loops as f64 / value.max(f64::MIN_POSITIVE),
        _ => value,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn scaled(loops: u64, factor: f64) -> u64 {
    // `as` saturates, and a factor is never negative.
    (loops as f64 * factor) as u64
}

type Values = Option<Vec<f64>>;

/// One cell's values; `None` when a signal came.
fn play(
    options: &Options,
    ready: &Ready,
    side: Side,
    name: &mut String,
    signals: &Signals,
) -> Result<Values> {
    attach::check_free()?;
    if side == Side::Kernel {
        if !rest(SETTLE, signals)? {
            return Ok(None);
        }
        return play_once(ready.tool, ready.numbers, signals);
    }
    let Some(mut attached) = Attached::start(&options.with, options.attach_timeout, signals)?
    else {
        return Ok(None);
    };
    name.clone_from(&attached.name);
    if !rest(SETTLE, signals)? {
        return Ok(None);
    }
    let played = play_once(ready.tool, ready.numbers, signals);
    // An ejection first: it explains what happened to the tool.
    attached.check()?;
    attached.detach()?;
    played
}

/// Runs a tool to its end; `None` when a signal came.
fn play_once(tool: &Tool, numbers: Numbers, signals: &Signals) -> Result<Values> {
    let mut beside = match tool.beside(numbers) {
        Some(command) => Some(Running::start(&command)?),
        None => None,
    };
    let limit = Duration::from_secs(numbers.seconds.into()) + EXTRA;
    let running = Running::start(&tool.command(numbers))?;
    let Some(text) = running.finish(limit, signals)? else {
        return Ok(None);
    };
    if let Some(beside) = &mut beside {
        beside.check()?;
    }
    let values = (tool.parse)(&text)?;
    ensure!(
        values.len() == tool.readings.len(),
        "BUG: {} gives {} values",
        tool.name,
        values.len()
    );
    Ok(Some(values))
}

fn cell(round: u32, side: Side, tool: &Tool, played: Result<Values>) -> Option<Cell> {
    let (values, error) = match played {
        Ok(values) => (values?, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let names = tool.readings.iter().map(|reading| reading.name.to_owned());
    Some(Cell {
        round,
        side,
        tool: tool.name.to_owned(),
        values: names.zip(values).collect(),
        error,
    })
}

fn announcement(rounds: u32, cell: &Cell) -> String {
    let values: Vec<String> = cell
        .values
        .iter()
        .map(|(name, value)| format!("{name} {}", number(*value)))
        .collect();
    let result = cell.error.clone().unwrap_or_else(|| values.join(", "));
    format!(
        "round {}/{rounds} {:?} {}: {result}",
        cell.round, cell.side, cell.tool
    )
}

#[cfg(test)]
mod tests {
    use super::{Side, cell, order, scaled, working_time};
    use crate::tools::catalog::Tool;

    #[test]
    fn every_second_round_is_played_backwards() {
        assert_eq!(order(1), [Side::Kernel, Side::Other]);
        assert_eq!(order(2), [Side::Other, Side::Kernel]);
        assert_eq!(order(3), order(1));
    }

    #[test]
    fn work_grows_with_the_time_wanted_and_never_wraps() {
        assert_eq!(scaled(100, 2.5), 250);
        assert_eq!(scaled(u64::MAX, 4.0), u64::MAX);
    }

    #[test]
    fn the_time_of_fixed_work_comes_from_a_time_or_a_rate() {
        let time = Tool::find("hackbench").unwrap();
        assert_eq!(working_time(time, 100, &[2.5]), 2.5);
        let rate = Tool::find("perf pipe").unwrap();
        assert_eq!(working_time(rate, 100, &[50.0]), 2.0);
        assert!(working_time(rate, 100, &[0.0]).is_infinite());
    }

    #[test]
    fn a_failed_tool_is_a_cell_with_its_reason_and_a_signal_is_none() {
        let tool = Tool::find("cyclictest").unwrap();
        let failed = cell(1, Side::Other, tool, Err(anyhow::anyhow!("gone"))).unwrap();
        assert_eq!(failed.error.as_deref(), Some("gone"));
        assert!(failed.values.is_empty());
        assert!(cell(1, Side::Other, tool, Ok(None)).is_none());
        let good = cell(1, Side::Kernel, tool, Ok(Some(vec![1.0, 2.0]))).unwrap();
        assert_eq!(good.values["worst [us]"], 2.0);
    }
}
