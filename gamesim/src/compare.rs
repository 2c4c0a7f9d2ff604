//! `gamesim compare`: the same play with the kernel's own scheduler and with another one.

use crate::args::{CompareArgs, PlayArgs};
use crate::attach::{self, Attached};
use crate::comparison::{self, COMPARE_SCHEMA, Cell, CompareReport, Side};
use crate::report::RunReport;
use crate::signals::{Signals, Wake};
use crate::{EXIT_FAILURE, EXIT_INTERRUPTED, calibrate, helper, sys};
use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A run may take this much longer than it plays: starting the parts on a loaded, emulated machine.
const EXTRA: Duration = Duration::from_secs(300);

/// Runs the comparison and prints its table.
///
/// # Errors
/// When nothing can be compared here.
pub fn main(args: &CompareArgs) -> Result<u8> {
    attach::check_free()?;
    let signals = Signals::block(&[])?;
    let (loops_per_us, _) = calibrate::obtain(args.play.loops_per_us);
    let play = PlayArgs {
        loops_per_us: Some(loops_per_us),
        ..args.play.clone()
    };
    let mut report = CompareReport {
        schema: COMPARE_SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        with: args.with.clone(),
        scheduler: String::new(),
        reference: None,
        cells: Vec::new(),
        rows: Vec::new(),
    };
    if args.reference {
        let unloaded = PlayArgs {
            load: Vec::new(),
            ..play.clone()
        };
        let Some(run) = play_once(&unloaded, &signals)? else {
            return Ok(EXIT_INTERRUPTED);
        };
        eprintln!("unloaded: {:.1} fps", run.frames.fps);
        report.reference = Some(run);
    }
    for round in 1..=args.rounds {
        let order = match round % 2 {
            1 => [Side::Kernel, Side::Other],
            _ => [Side::Other, Side::Kernel],
        };
        for side in order {
            let Some(cell) = play_cell(args, &play, round, side, &mut report.scheduler, &signals)
            else {
                return Ok(EXIT_INTERRUPTED);
            };
            announce(args.rounds, &cell);
            report.cells.push(cell);
        }
    }
    report.rows = comparison::rows(report.reference.as_ref(), &report.cells);
    print!("{}", comparison::table(&report));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let failed = report.cells.iter().any(|cell| cell.error.is_some());
    Ok(if failed { EXIT_FAILURE } else { 0 })
}

fn announce(rounds: u32, cell: &Cell) {
    let result = match (&cell.error, &cell.report) {
        (Some(error), _) => error.clone(),
        (None, Some(run)) => format!(
            "{:.1} fps, frame p99 {:.1} ms, input to flip p99 {:.1} ms",
            run.frames.fps,
            run.frames.interval.p99_us / 1e3,
            run.input.to_flip.p99_us / 1e3
        ),
        (None, None) => "nothing".to_owned(),
    };
    eprintln!("round {}/{rounds} {:?}: {result}", cell.round, cell.side);
}

/// One cell; `None` when a signal came. What goes wrong is in the cell.
fn play_cell(
    args: &CompareArgs,
    play: &PlayArgs,
    round: u32,
    side: Side,
    name: &mut String,
    signals: &Signals,
) -> Option<Cell> {
    let played = match side {
        Side::Kernel => attach::check_free()
            .and_then(|()| play_once(play, signals))
            .map(|run| run.map(|run| (run, None))),
        Side::Other => play_attached(args, play, name, signals),
    };
    match played {
        Ok(None) => None,
        Ok(Some((run, error))) => Some(Cell {
            round,
            side,
            report: Some(run),
            error,
        }),
        Err(error) => Some(Cell {
            round,
            side,
            report: None,
            error: Some(format!("{error:#}")),
        }),
    }
}

type Played = Option<(RunReport, Option<String>)>;

fn play_attached(
    args: &CompareArgs,
    play: &PlayArgs,
    name: &mut String,
    signals: &Signals,
) -> Result<Played> {
    let limit = Duration::from_secs_f64(args.attach_timeout);
    let Some(mut attached) = Attached::start(&args.with, limit, signals)? else {
        return Ok(None);
    };
    name.clone_from(&attached.name);
    let Some(run) = play_once(play, signals)? else {
        return Ok(None);
    };
    let checked = attached.check();
    let error = checked
        .and(attached.detach())
        .err()
        .map(|error| format!("{error:#}"));
    Ok(Some((run, error)))
}

/// One run in a process of its own; `None` when a signal came.
fn play_once(play: &PlayArgs, signals: &Signals) -> Result<Option<RunReport>> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("run").args(play.to_args()).arg("--json=-");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = sys::spawn_tied(&mut command, Signal::SIGTERM).context("cannot start a run")?;
    let pidfd = sys::pidfd_open(child.id())?;
    let limit = Duration::from_secs_f64(play.seconds + play.warmup) + EXTRA;
    let wake = signals.wait(pidfd.as_fd(), Some(limit))?;
    if wake != Wake::Other {
        helper::end(&mut child);
    }
    let status = child.wait()?;
    match wake {
        Wake::Signal(_) => return Ok(None),
        Wake::Timeout => bail!("the run did not end"),
        Wake::Other => {}
    }
    anyhow::ensure!(status.success(), "the run failed ({status})");
    let mut text = String::new();
    child
        .stdout
        .take()
        .context("no output")?
        .read_to_string(&mut text)?;
    serde_json::from_str(&text)
        .map(Some)
        .context("the run's result is not understood")
}
