//! One cell: the game plays in a process of its own; the tracer is read exactly where its measured part
//! begins and ends, and what programs cost is counted before it.

use crate::cost::Meter;
use crate::results::{Cost, Played};
use anyhow::{Context, Result, bail, ensure};
use gamesim::args::PlayArgs;
use gamesim::clock::{SECOND_NS, now_ns};
use gamesim::helper::{self, Window};
use gamesim::signals::{Signals, Wake};
use gamesim::sys;
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use waittrace::{Tracer, WaitReport};

/// Starting and ending the parts of a game may take this long on a loaded, emulated machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// So much of the warm-up's end counts what programs cost.
const COUNTED: Duration = Duration::from_secs(1);

/// What a cell is measured with.
pub struct Instruments {
    /// The game's program.
    pub gamesim: PathBuf,
    /// Waits, switches and migrations; `None` where the tracer cannot be loaded.
    pub tracer: Option<Tracer>,
    /// Costs of BPF programs.
    pub meter: Meter,
}

impl Instruments {
    fn trace_anew(&mut self) -> Result<()> {
        self.tracer.as_mut().map_or(Ok(()), Tracer::reset)
    }

    /// Since [`Self::trace_anew`].
    fn waits(&self) -> Result<Option<WaitReport>> {
        self.tracer.as_ref().map(Tracer::report).transpose()
    }
}

/// A running game.
struct Game {
    child: Child,
    pidfd: OwnedFd,
}

impl Game {
    fn start(
        instruments: &Instruments,
        play: &PlayArgs,
        oracle: bool,
        json: &Path,
        raw: &Path,
    ) -> Result<(Self, ChildStdout)> {
        let mut command = Command::new(&instruments.gamesim);
        command
            .arg("run")
            .args(play.to_args())
            .args(oracle.then_some("--oracle"))
            .arg("--announce")
            .arg("--json")
            .arg(json)
            .arg("--raw")
            .arg(raw);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = sys::spawn_tied(&mut command, Signal::SIGTERM)
            .with_context(|| format!("cannot start {}", instruments.gamesim.display()))?;
        let stdout = child.stdout.take().context("BUG: the game has no output")?;
        let pidfd = sys::pidfd_open(child.id())?;
        Ok((Self { child, pidfd }, stdout))
    }

    /// Waits for its end; `None` when a signal came first.
    fn finish(mut self, limit: Duration, signals: &Signals) -> Result<Option<()>> {
        match signals.wait(self.pidfd.as_fd(), Some(limit))? {
            Wake::Signal(_) => return Ok(None),
            Wake::Timeout => bail!("the game did not end"),
            Wake::Other => {}
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "the game failed ({status})");
        Ok(Some(()))
    }
}

impl Drop for Game {
    /// Ends it and all its parts, if it has not ended.
    fn drop(&mut self) {
        helper::end(&mut self.child);
    }
}

/// Waits until `at_ns`; false when a signal came first.
///
/// # Errors
/// When `ended` says that the game has ended before.
fn wait_until(at_ns: u64, ended: BorrowedFd<'_>, signals: &Signals) -> Result<bool> {
    loop {
        let left = Duration::from_nanos(at_ns.saturating_sub(now_ns()));
        if left.is_zero() {
            return Ok(true);
        }
        // One ms is added because poll's clock is coarser than ours, and we must not spin.
        match signals.wait(ended, Some(left + Duration::from_millis(1)))? {
            Wake::Signal(_) => return Ok(false),
            Wake::Other => bail!("the game ended early"),
            Wake::Timeout => {}
        }
    }
}

/// What programs cost in the time before `until_ns`; `None` when a signal came.
fn count_cost(
    instruments: &mut Instruments,
    until_ns: u64,
    ended: BorrowedFd<'_>,
    signals: &Signals,
) -> Result<Option<Cost>> {
    let from_ns = until_ns.saturating_sub(u64::try_from(COUNTED.as_nanos())?);
    if !wait_until(from_ns, ended, signals)? {
        return Ok(None);
    }
    let begun_ns = now_ns();
    instruments.trace_anew()?;
    let counting = instruments.meter.count()?;
    if !wait_until(until_ns, ended, signals)? {
        return Ok(None);
    }
    let programs = counting.so_far();
    let seconds = now_ns().saturating_sub(begun_ns) as f64 / SECOND_NS as f64;
    Ok(Some(Cost {
        seconds,
        switches: instruments.waits()?.map(|waits| waits.switches),
        programs,
    }))
}

/// Plays once; `None` when a signal came. Samples go to `dir`/`raw`.
///
/// # Errors
/// When the game fails, or what it wrote is not understood.
pub fn play(
    instruments: &mut Instruments,
    play: &PlayArgs,
    oracle: bool,
    dir: &Path,
    raw: PathBuf,
    signals: &Signals,
) -> Result<Option<Played>> {
    let json = dir.join("run.json");
    let (game, stdout) = Game::start(instruments, play, oracle, &json, &dir.join(&raw))?;
    match signals.wait(stdout.as_fd(), Some(PATIENCE))? {
        Wake::Signal(_) => return Ok(None),
        Wake::Timeout => bail!("the game did not begin"),
        Wake::Other => {}
    }
    let mut line = String::new();
    let mut stdout = BufReader::new(stdout);
    stdout.read_line(&mut line)?;
    let window: Window = serde_json::from_str(&line)
        .with_context(|| format!("the game did not say when it begins, but {line:?}"))?;
    let Some(cost) = count_cost(instruments, window.from_ns, game.pidfd.as_fd(), signals)? else {
        return Ok(None);
    };
    instruments.trace_anew()?;
    if !wait_until(window.until_ns, game.pidfd.as_fd(), signals)? {
        return Ok(None);
    }
    let waits = instruments.waits()?;
    if game.finish(PATIENCE, signals)?.is_none() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&json).context("the game left no result")?;
    let _ = std::fs::remove_file(&json);
    Ok(Some(Played {
        run: serde_json::from_str(&text).context("the game's result is not understood")?,
        waits,
        cost,
        raw,
    }))
}
