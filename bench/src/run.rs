//! The rounds: every contestant attaches once and meets all courses; what is done is kept.

use crate::cell::{self, Instruments};
use crate::contestant::{Contestant, Kind};
use crate::progress::{Event, Progress};
use crate::results::{Cell, Machine, Played, RAW_DIR, Results, Status, file_name, raw_file};
use crate::scenario::{Course, Scenario};
use crate::tools::process::rest;
use anyhow::{Context, Result, anyhow, bail, ensure};
use gamesim::args::PlayArgs;
use gamesim::attach::Attached;
use gamesim::signals::Signals;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// On an emulated machine some schedulers need a minute to attach.
const ATTACH_LIMIT: Duration = Duration::from_secs(120);
/// Before the first course of a visit: what attached still sets itself up.
const SETTLE: Duration = Duration::from_secs(1);
/// Makes the synthetic game look like one that is played through Steam.
const STEAM_APP_ID: u32 = 42;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every round has been played.
    Complete,
    /// A signal came; what was played is kept.
    Interrupted,
}

/// A run of the arena on this machine.
pub struct Arena<'a> {
    /// Directory of the results.
    pub dir: PathBuf,
    /// What has been played, and what is to be.
    pub results: Results,
    /// Who takes part, in the order of odd rounds.
    pub contestants: Vec<Contestant>,
    /// What is measured with.
    pub instruments: Instruments,
    /// Ends the run.
    pub signals: &'a Signals,
    /// Hears how it goes.
    pub progress: &'a mut (dyn Progress + Send),
}

/// Results in `dir` to go on with, or `fresh`. An unfinished round is played anew: only neighbours
/// of one boot can be compared.
///
/// # Errors
/// When the directory holds results of something else.
pub fn resume(dir: &Path, fresh: Results) -> Result<Results> {
    fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))?;
    check_owner(dir)?;
    fs::create_dir_all(dir.join(RAW_DIR)).context("cannot make a directory for samples")?;
    let Some(mut old) = Results::load(dir)? else {
        return Ok(fresh);
    };
    let machine = Machine {
        // Measured anew at each start; what was begun goes on with its own.
        loops_per_us: old.machine.loops_per_us,
        ..fresh.machine
    };
    if old.plan != fresh.plan || old.entrants != fresh.entrants || old.machine != machine {
        bail!(
            "{} holds results of other contestants, courses, lengths, of another build or machine: give another directory with --out, or --fresh to measure anew",
            dir.display()
        );
    }
    let cells = old.plan.cells_per_round();
    let whole = |round: u32| old.cells.iter().filter(|cell| cell.round == round).count() == cells;
    let rounds: Vec<u32> = (1..=old.plan.rounds)
        .filter(|round| whole(*round))
        .collect();
    old.cells.retain(|cell| rounds.contains(&cell.round));
    Ok(old)
}

/// We write there as root: nobody else may have prepared links in it.
///
/// # Errors
/// When the directory belongs to somebody else than us or the one who called sudo, or anybody may
/// write there.
pub fn check_owner(dir: &Path) -> Result<()> {
    let file = fs::symlink_metadata(dir)
        .with_context(|| format!("cannot look at the directory {}", dir.display()))?;
    let caller = std::env::var("SUDO_UID")
        .ok()
        .and_then(|uid| uid.parse().ok());
    let ours = file.uid() == nix::unistd::geteuid().as_raw() || Some(file.uid()) == caller;
    ensure!(
        file.is_dir() && ours && file.mode() & 0o002 == 0,
        "{} is not a directory of yours that only you may write: give another one with --out",
        dir.display()
    );
    Ok(())
}

impl Arena<'_> {
    /// Plays all rounds that are missing.
    ///
    /// # Errors
    /// When results cannot be kept; what goes wrong with a contestant is in its cells.
    pub fn run(&mut self) -> Result<Ending> {
        // From now on there are results, however few.
        self.results.save(&self.dir)?;
        self.progress.hear(&Event::Begin {
            cells: self.results.plan.cells(),
            done: self.results.cells.len(),
        });
        for round in 1..=self.results.plan.rounds {
            if self.results.cells.iter().any(|cell| cell.round == round) {
                continue;
            }
            let order = self.results.plan.order(round);
            let order: Vec<Contestant> = order
                .into_iter()
                .filter_map(|name| self.contestants.iter().find(|one| one.name == name))
                .cloned()
                .collect();
            for contestant in &order {
                if !self.visit(round, contestant)? {
                    return Ok(Ending::Interrupted);
                }
            }
        }
        self.results.status = Status::Complete;
        self.results.save(&self.dir)?;
        Ok(Ending::Complete)
    }

    /// One contestant's part of a round; false when a signal came.
    fn visit(&mut self, round: u32, contestant: &Contestant) -> Result<bool> {
        let mut attached = None;
        let mut settled = false;
        let mut failed_to_attach: Option<String> = None;
        for course in self.results.plan.courses.clone() {
            if let (Kind::Scheduler(command), None, None) =
                (&contestant.kind, &attached, &failed_to_attach)
            {
                self.announce(round, contestant, None);
                settled = false;
                match self.attach(contestant, command) {
                    Ok(None) => return Ok(false),
                    Ok(new) => attached = new,
                    Err(error) => failed_to_attach = Some(format!("{error:#}")),
                }
            }
            if !settled && !self.settle()? {
                return Ok(false);
            }
            settled = true;
            let played = match &failed_to_attach {
                Some(error) => Err(anyhow!("{error}")),
                None => self.play(round, contestant, &course, &mut attached),
            };
            let (played, error) = match played {
                Ok(None) => return Ok(false),
                Ok(Some((played, error))) => (Some(played), error),
                Err(error) => (None, Some(error)),
            };
            if error.is_some() {
                // What was ejected or lost its game starts from nothing on the next course.
                attached = None;
            }
            self.keep(Cell {
                round,
                contestant: contestant.name.clone(),
                course,
                played,
                error: error.map(|error| format!("{error:#}")),
            })?;
        }
        if let Some(attached) = attached {
            attached
                .detach()
                .with_context(|| format!("{} stays", contestant.name))?;
        }
        Ok(true)
    }

    /// Lets what has just begun come to rest; false when a signal came.
    fn settle(&self) -> Result<bool> {
        rest(SETTLE, self.signals)
    }

    fn announce(&mut self, round: u32, contestant: &Contestant, course: Option<&Course>) {
        self.progress.hear(&Event::Playing {
            round,
            contestant: contestant.name.clone(),
            course: course.cloned(),
        });
    }

    /// Attaches a scheduler whose own output goes to a file beside the results.
    fn attach(&self, contestant: &Contestant, command: &str) -> Result<Option<Attached>> {
        let log = self.log(contestant);
        let path = log
            .to_str()
            .context("the path of the results is not UTF-8")?;
        let command = format!("exec {command} >{} 2>&1", shlex::try_quote(path)?);
        Attached::start(&command, ATTACH_LIMIT, self.signals)
            .map_err(|error| anyhow!("{error:#}{}", last_words(&log)))
    }

    fn log(&self, contestant: &Contestant) -> PathBuf {
        self.dir
            .join(format!("{}.log", file_name(&contestant.name)))
    }

    /// One cell; `None` when a signal came. An error beside the result says why it does not count.
    fn play(
        &mut self,
        round: u32,
        contestant: &Contestant,
        course: &Course,
        attached: &mut Option<Attached>,
    ) -> Result<Option<(Played, Option<anyhow::Error>)>> {
        self.announce(round, contestant, Some(course));
        if attached.is_none() {
            gamesim::attach::check_free()?;
        }
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let scenario = Scenario::find(&course.scenario).context("BUG: an unknown scenario")?;
        let play = PlayArgs {
            mode: course.mode,
            load: scenario.loads(cpus),
            seconds: self.results.plan.seconds,
            warmup: self.results.plan.warmup,
            loops_per_us: Some(self.results.machine.loops_per_us),
            steam_app_id: Some(STEAM_APP_ID),
            ..PlayArgs::default()
        };
        let played = cell::play(
            &mut self.instruments,
            &play,
            contestant.kind == Kind::Oracle,
            &self.dir,
            raw_file(round, &contestant.name, course),
            self.signals,
        );
        let log = self.log(contestant);
        let checked = attached.as_mut().map_or(Ok(()), |attached| {
            let check = attached.check();
            check.map_err(|error| anyhow!("{error:#}{}", last_words(&log)))
        });
        match (played, checked) {
            // An ejection explains a game that failed, not the other way round.
            (Err(_), Err(ejected)) => Err(ejected),
            (played, checked) => Ok(played?.map(|played| {
                let nothing = || anyhow!("the game showed no frame in all the time");
                let stood_still = (played.run.frames.count == 0).then(nothing);
                (played, checked.err().or(stood_still))
            })),
        }
    }

    fn keep(&mut self, cell: Cell) -> Result<()> {
        self.progress.hear(&Event::Played {
            round: cell.round,
            contestant: cell.contestant.clone(),
            course: cell.course.clone(),
            result: describe(&cell),
        });
        self.results.cells.push(cell);
        self.results.save(&self.dir)
    }
}

fn describe(cell: &Cell) -> String {
    match (&cell.error, &cell.played) {
        (Some(error), _) => error.lines().next().unwrap_or_default().to_owned(),
        (None, Some(played)) => format!(
            "{:.1} fps, frame p99 {:.1} ms, input to flip p99 {:.1} ms",
            played.run.frames.fps,
            played.run.frames.interval.p99_us / 1e3,
            played.run.input.to_flip.p99_us / 1e3
        ),
        (None, None) => String::new(),
    }
}

/// `; it said: ...` with the last line of a log, if it has one.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.map_or(String::new(), |line| format!("; it said: {}", line.trim()))
}
