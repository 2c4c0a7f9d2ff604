//! From a command line to a run of the arena, and from its results to the reports.

use crate::cell::Instruments;
use crate::cli::{ProgressKind, RunArgs};
use crate::contestant::{self, Contestant, OURS, WITH, WITHOUT};
use crate::cost::Meter;
use crate::plan::Plan;
use crate::progress::{Bar, JsonLines, Progress};
use crate::results::{KERNEL, Machine, ORACLE, RESULTS_SCHEMA, Results, Status};
use crate::run::{self, Arena, Ending};
use crate::summary::Summary;
use crate::{EXIT_FAILURE, EXIT_INTERRUPTED, html, markdown, table};
use anyhow::{Context, Result, bail, ensure};
use gamesim::signals::Signals;
use gamesim::{attach, calibrate, sys};
use indicatif::MultiProgress;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use waittrace::Tracer;

/// Seconds before the measured part: schedulers learn the threads, the game is found, and in the last of
/// them programs are counted.
const WARMUP_S: f64 = 2.0;
/// Above everything that plays, so that counters are read when the measured part begins and ends.
const PRIORITY: i32 = 95;

/// Columns of a table that goes into a file or another program.
const WIDTH_WITHOUT_TERMINAL: u16 = 160;

/// Measures, and reports what was measured.
///
/// # Errors
/// When nothing can be measured here, or results cannot be kept.
pub fn main(args: &RunArgs) -> Result<u8> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "attaching schedulers needs root: sudo scx_gamer bench ..."
    );
    attach::check_free()?;
    let signals = Signals::block(&[])?;
    let contestants = contestants(args)?;
    let fresh = fresh(args, &contestants)?;
    if args.fresh {
        discard(&args.out)?;
    }
    let results = run::resume(&args.out, fresh)?;
    let dir = args
        .out
        .canonicalize()
        .with_context(|| format!("cannot use the directory {}", args.out.display()))?;
    let mut progress: Box<dyn Progress + Send> = match args.progress {
        ProgressKind::Bar => Box::new(Bar::new(&MultiProgress::new(), "")),
        ProgressKind::Json => Box::new(JsonLines),
    };
    // First the tracer: its programs are then no contestant's.
    let tracer = Tracer::start()
        .inspect_err(|error| eprintln!("no longest waits, switches and migrations: {error}"))
        .ok();
    let meter = Meter::start();
    let mut arena = Arena {
        dir: dir.clone(),
        results,
        contestants,
        instruments: Instruments {
            gamesim: contestant::beside("gamesim")?,
            tracer,
            meter,
        },
        signals: &signals,
        progress: progress.as_mut(),
    };
    let ending = run_in_time(&mut arena)?;
    let failed = own_failures(&arena.results);
    drop(progress);
    if args.progress == ProgressKind::Bar {
        report(std::slice::from_ref(&dir), &dir)?;
    }
    for failure in &failed {
        eprintln!("scx_gamer bench: {failure}");
    }
    Ok(match (ending, failed.is_empty()) {
        (Ending::Interrupted, _) => EXIT_INTERRUPTED,
        (Ending::Complete, true) => 0,
        (Ending::Complete, false) => EXIT_FAILURE,
    })
}

/// Runs it on a thread above everything that plays, which has nothing else to do than to look at
/// the clock and at counters.
fn run_in_time(arena: &mut Arena<'_>) -> Result<Ending> {
    let run = || {
        sys::set_fifo_alone(PRIORITY).context("cannot become real-time")?;
        arena.run()
    };
    let ended = thread::scope(|scope| scope.spawn(run).join());
    ended.unwrap_or_else(|_| bail!("BUG: the arena's thread panicked"))
}

/// Prints the tables of results, and writes them as Markdown and as a page with plots to `out`.
///
/// # Errors
/// When there are no results, or a report cannot be written.
pub fn report(dirs: &[PathBuf], out: &Path) -> Result<u8> {
    let width = console::Term::stdout().size_checked();
    let width = width.map_or(WIDTH_WITHOUT_TERMINAL, |(_, columns)| columns);
    let mut summaries = Vec::new();
    for dir in dirs {
        let results = Results::load(dir)?
            .with_context(|| format!("there are no results in {}", dir.display()))?;
        let baselines: &[&str] = match results.plan.contestants.first() {
            Some(first) if first == OURS => &[OURS],
            _ => &[KERNEL, ORACLE],
        };
        summaries.push(Summary::read(&results, dir, baselines)?);
    }
    for summary in &summaries {
        println!("{}", table::text(summary, width));
    }
    let markdown: Vec<String> = summaries.iter().map(markdown::text).collect();
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
        Ok::<(), anyhow::Error>(())
    };
    write("report.md", &markdown.join("\n"))?;
    write("report.html", &html::page(&summaries))?;
    Ok(0)
}

fn contestants(args: &RunArgs) -> Result<Vec<Contestant>> {
    if args.ablation {
        return contestant::select(contestant::ablation()?, &args.only);
    }
    let mut field = contestant::field(args.peers.as_deref(), &args.against)?;
    if !args.oracle {
        field.retain(|one| one.name != ORACLE);
    }
    contestant::select(field, &args.only)
}

/// Results with nothing in them yet.
fn fresh(args: &RunArgs, contestants: &[Contestant]) -> Result<Results> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let uname = nix::sys::utsname::uname().context("cannot read the kernel's release")?;
    let command = || {
        let words: Vec<String> = std::env::args().skip(1).collect();
        contestant::without_directories(&format!("scx_gamer bench {}", words.join(" ")))
    };
    Ok(Results {
        schema: RESULTS_SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status: Status::Partial,
        date: time::OffsetDateTime::now_utc().date().to_string(),
        command: args.made_by.clone().unwrap_or_else(command),
        plan: Plan {
            contestants: contestants.iter().map(|one| one.name.clone()).collect(),
            courses: args.scenario.clone(),
            rounds: args.rounds,
            seconds: args.seconds,
            warmup: WARMUP_S,
        },
        machine: Machine {
            kernel: uname.release().to_string_lossy().into_owned(),
            cpus: args
                .machine
                .clone()
                .unwrap_or_else(|| format!("{cpus} CPUs")),
            clock: args.clock.clone(),
            game: contestant::build(&contestant::beside("gamesim")?)?,
            loops_per_us: calibrate::obtain(None).0,
        },
        entrants: contestants.iter().map(Contestant::entrant).collect(),
        cells: Vec::new(),
    })
}

/// Removes what an earlier run left; nothing else that is there.
fn discard(dir: &Path) -> Result<()> {
    if Results::load(dir).is_ok_and(|found| found.is_none()) {
        return Ok(());
    }
    fs::remove_file(dir.join("results.json"))
        .with_context(|| format!("cannot remove the results in {}", dir.display()))
}

/// What must not fail: a peer that fails is a row of the report, we ourselves are a broken run.
fn own_failures(results: &Results) -> Vec<String> {
    let own = |name: &str| {
        [KERNEL, ORACLE, OURS].contains(&name)
            || [WITH, WITHOUT]
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    results
        .cells
        .iter()
        .filter(|cell| own(&cell.contestant))
        .filter_map(|cell| {
            let (round, name) = (cell.round, &cell.contestant);
            let error = cell.error.as_ref()?;
            Some(format!("round {round} {} {name}: {error}", cell.course))
        })
        .collect()
}
