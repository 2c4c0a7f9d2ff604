//! `results.json`: all that one boot (or one machine) measured, cell by cell, and the samples beside it.

use crate::plan::Plan;
use crate::scenario::Course;
use anyhow::{Context, Result, ensure};
use gamesim::report::RunReport;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use waittrace::report::WaitReport;

/// Version of [`Results`]; raised when a field changes its meaning or goes.
pub const RESULTS_SCHEMA: u32 = 2;

const FILE: &str = "results.json";
/// Directory of the samples, beside [`FILE`].
pub(crate) const RAW_DIR: &str = "raw";

/// Name of a contestant that is always there: the kernel's own scheduler.
pub const KERNEL: &str = "kernel";
/// Name of the yardstick: the kernel's own scheduler with the game's threads at SCHED_FIFO.
pub const ORACLE: &str = "oracle";

/// Whether all that was planned has been played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Rounds are missing.
    Partial,
    /// Every round was played to its end.
    Complete,
}

/// On what it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: String,
    /// The CPUs, for a person: "2 CPUs", "4 CPUs in 2 cores of 2 threads".
    pub cpus: String,
    /// How its time passes: "counted", "parallel" (both in the VM) or "real".
    pub clock: String,
    /// Which build of the game.
    pub game: String,
    /// Speed that all loop counts come from.
    pub loops_per_us: u64,
}

/// Who took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrant {
    /// Name in cells and tables.
    pub name: String,
    /// What `--version` printed, empty for the kernel's own scheduler.
    pub version: String,
    /// Which build of its program: a resumed run must not mix two.
    pub build: String,
    /// Program and options that attached it, empty for the kernel's own scheduler.
    pub command: String,
}

/// Run time of one BPF program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCost {
    /// Name as the kernel keeps it (15 characters).
    pub name: String,
    /// Runs.
    pub runs: u64,
    /// Time [ns].
    pub run_ns: u64,
}

/// What a contestant's BPF programs cost in the last part of the warm-up: the kernel counts it with two
/// readings of the clock for each run, so the measured part goes without.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Length of that part.
    pub seconds: f64,
    /// Context switches in it, those to the idle task included; absent without the tracer.
    pub switches: Option<u64>,
    /// The programs, most expensive first.
    pub programs: Vec<ProgramCost>,
}

/// What was measured in one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// What the game saw.
    pub run: RunReport,
    /// What the neutral tracer saw in the measured part; absent if it could not be loaded.
    pub waits: Option<WaitReport>,
    /// The contestant's BPF programs, before the measured part.
    pub cost: Cost,
    /// File of the samples, relative to the directory of the results.
    pub raw: PathBuf,
}

/// One contestant on one course in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Round, from 1.
    pub round: u32,
    /// Name of the contestant.
    pub contestant: String,
    /// Where.
    pub course: Course,
    /// What was measured, if it counts.
    pub played: Option<Played>,
    /// Why it does not count: did not attach, was ejected, the game failed.
    pub error: Option<String>,
}

/// The results of one boot, or of one person's machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`RESULTS_SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Whether rounds are missing.
    pub status: Status,
    /// Day it was begun, as YYYY-MM-DD in UTC.
    pub date: String,
    /// Command that made it, for whoever wants to see it again.
    pub command: String,
    /// What was to be played.
    pub plan: Plan,
    /// On what.
    pub machine: Machine,
    /// Who took part, in the order of odd rounds.
    pub entrants: Vec<Entrant>,
    /// Cells in the order played.
    pub cells: Vec<Cell>,
}

impl Results {
    /// Reads the results in `dir`; `None` if there are none.
    ///
    /// # Errors
    /// An unreadable file, or one of another version.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Self::from_json(&text)
            .with_context(|| format!("cannot use {}", path.display()))
            .map(Some)
    }

    /// Reads results from their JSON.
    ///
    /// # Errors
    /// No results, or of another version.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_str(text).context("these are no results")?;
        ensure!(
            version.schema == RESULTS_SCHEMA,
            "results of version {}, this program reads version {RESULTS_SCHEMA}: measure again",
            version.schema
        );
        serde_json::from_str(text).context("the results are damaged: measure again")
    }

    /// Writes them to `dir`: the file there is either the old or the new one, never half of it.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        save_json(self, &dir.join(FILE))
    }

    /// Cells of a contestant on a course that count, by round.
    pub fn played<'a>(
        &'a self,
        contestant: &'a str,
        course: &'a Course,
    ) -> impl Iterator<Item = (u32, &'a Played)> {
        self.cells
            .iter()
            .filter(move |cell| cell.contestant == contestant && cell.course == *course)
            .filter(|cell| cell.error.is_none())
            .filter_map(|cell| Some((cell.round, cell.played.as_ref()?)))
    }

    /// Reasons why cells of a contestant on a course do not count, by round.
    pub fn errors<'a>(
        &'a self,
        contestant: &'a str,
        course: &'a Course,
    ) -> impl Iterator<Item = (u32, &'a str)> {
        self.cells
            .iter()
            .filter(move |cell| cell.contestant == contestant && cell.course == *course)
            .filter_map(|cell| Some((cell.round, cell.error.as_deref()?)))
    }
}

/// Writes a file that is at any time either the old or the new one.
pub(crate) fn save_json(value: &impl Serialize, path: &Path) -> Result<()> {
    let temporary = path.with_extension("json.tmp");
    fs::write(&temporary, serde_json::to_string_pretty(value)?)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Where the samples of a cell go, relative to the directory of the results.
#[must_use]
pub fn raw_file(round: u32, contestant: &str, course: &Course) -> PathBuf {
    let contestant = file_name(contestant);
    Path::new(RAW_DIR).join(format!("{course}.{contestant}.{round}.csv"))
}

/// A contestant's name as a part of a file's.
pub(crate) fn file_name(contestant: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    contestant.chars().map(plain).collect()
}

/// Samples of one cell, or of several together, in ns by series.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Samples(BTreeMap<String, Vec<u64>>);

impl Samples {
    /// Adds those of a file that `gamesim --raw` wrote.
    ///
    /// # Errors
    /// When it cannot be read, or a line is not understood.
    pub fn add(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the samples {}", path.display()))?;
        self.add_csv(&text)
            .with_context(|| format!("the samples {} are damaged", path.display()))
    }

    fn add_csv(&mut self, text: &str) -> Result<()> {
        for line in text.lines().skip(1) {
            let (series, value) = line
                .split_once(',')
                .with_context(|| format!("line {line:?}"))?;
            let value = value.parse().with_context(|| format!("line {line:?}"))?;
            match self.0.get_mut(series) {
                Some(values) => values.push(value),
                None => {
                    self.0.insert(series.to_owned(), vec![value]);
                }
            }
        }
        Ok(())
    }

    /// Times between flips [ns].
    #[must_use]
    pub fn frame_intervals(&self) -> &[u64] {
        self.series("frame_interval")
    }

    /// From input event to flip [ns].
    #[must_use]
    pub fn input_to_flip(&self) -> &[u64] {
        self.series("input_to_flip")
    }

    /// Lateness of sound periods [ns].
    #[must_use]
    pub fn audio_lateness(&self) -> &[u64] {
        self.series("audio_lateness")
    }

    fn series(&self, name: &str) -> &[u64] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}
