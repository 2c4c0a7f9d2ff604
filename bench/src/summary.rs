//! What the tables and pages show of results: per course and contestant the pooled values, the
//! rounds that count, and the verdict of each measure against each baseline.

use crate::measure::{Facts, MEASURES, Measure};
use crate::plan::Plan;
use crate::results::{Entrant, KERNEL, Machine, Played, Results, Samples, Status};
use crate::scenario::{Course, QUIET, Scenario};
use crate::verdict::{Outcome, Verdict};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// With fewer frames than this in all rounds together, tails are chance.
pub const ENOUGH_FRAMES: u64 = 600;

/// All of one [`Results`].
#[derive(Debug, Clone)]
pub struct Summary {
    /// Whether rounds are missing.
    pub status: Status,
    /// Day it was begun, as YYYY-MM-DD in UTC.
    pub date: String,
    /// Command that made it.
    pub command: String,
    /// What was to be played.
    pub plan: Plan,
    /// On what.
    pub machine: Machine,
    /// Who took part.
    pub entrants: Vec<Entrant>,
    /// Cells played so far, those with an error included.
    pub cells: usize,
    /// Names of the contestants the others are compared with.
    pub baselines: Vec<String>,
    /// One for each course of the plan.
    pub courses: Vec<CourseSummary>,
}

/// One course.
#[derive(Debug, Clone)]
pub struct CourseSummary {
    /// Which.
    pub course: Course,
    /// One for each contestant of the plan, in its order.
    pub rows: Vec<Row>,
}

/// One contestant on one course.
#[derive(Debug, Clone)]
pub struct Row {
    /// Name of the contestant.
    pub contestant: String,
    /// Rounds that do not count, and why.
    pub errors: Vec<(u32, String)>,
    /// Rounds that count; `None` if there is none.
    pub pooled: Option<Pooled>,
    /// Against each of the baselines, in their order; `None` against itself.
    pub against: Vec<Option<Verdicts>>,
}

/// All rounds of a contestant on a course together.
#[derive(Debug, Clone)]
pub struct Pooled {
    /// Values.
    pub facts: Facts,
    /// Samples, round after round.
    pub samples: Samples,
    /// Frame intervals of each round: where one round ends in the samples.
    pub round_frames: Vec<u64>,
    /// What took the place of real devices, if anything did.
    pub stand_ins: Option<String>,
}

/// One verdict for each of [`MEASURES`].
pub type Verdicts = [Verdict; MEASURES.len()];

impl Summary {
    /// Of results and the samples in their directory, against those of `baselines` that took part.
    ///
    /// # Errors
    /// When samples cannot be read.
    pub fn read(results: &Results, dir: &Path, baselines: &[&str]) -> Result<Self> {
        let baselines: Vec<String> = baselines
            .iter()
            .map(|name| (*name).to_owned())
            .filter(|name| results.plan.contestants.contains(name))
            .collect();
        let courses = results
            .plan
            .courses
            .iter()
            .map(|course| CourseSummary::read(results, dir, &baselines, course))
            .collect::<Result<_>>()?;
        Ok(Self {
            status: results.status,
            date: results.date.clone(),
            command: results.command.clone(),
            plan: results.plan.clone(),
            machine: results.machine.clone(),
            entrants: results.entrants.clone(),
            cells: results.cells.len(),
            baselines,
            courses,
        })
    }
}

impl CourseSummary {
    fn read(results: &Results, dir: &Path, baselines: &[String], course: &Course) -> Result<Self> {
        let row = |contestant: &String| {
            let played: Vec<(u32, &Played)> = results.played(contestant, course).collect();
            let unloaded = unloaded_work(results, course);
            let errors = results.errors(contestant, course);
            let against = |baseline: &String| {
                (baseline != contestant).then(|| {
                    let base: Vec<_> = results.played(baseline, course).collect();
                    verdicts(&played, &base, &unloaded)
                })
            };
            Ok(Row {
                contestant: contestant.clone(),
                errors: errors.map(|(round, why)| (round, one_line(why))).collect(),
                pooled: Pooled::read(&played, dir, &unloaded)?,
                against: baselines.iter().map(against).collect(),
            })
        };
        Ok(Self {
            course: course.clone(),
            rows: results
                .plan
                .contestants
                .iter()
                .map(row)
                .collect::<Result<_>>()?,
        })
    }

    /// What a person does there.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        Scenario::find(&self.course.scenario).map_or("", |scenario| scenario.sentence)
    }

    /// Contestants with at least one round that counts.
    pub fn pooled(&self) -> impl Iterator<Item = (&str, &Pooled)> {
        self.rows
            .iter()
            .filter_map(|row| Some((row.contestant.as_str(), row.pooled.as_ref()?)))
    }
}

impl Row {
    /// Why no round of it counts.
    #[must_use]
    pub fn why_empty(&self) -> String {
        match self.errors.first() {
            Some((_, why)) => why.clone(),
            None => "not played yet".to_owned(),
        }
    }

    /// Headline measures with this outcome against the baseline of this index.
    pub fn headlines(
        &self,
        baseline: usize,
        outcome: Outcome,
    ) -> impl Iterator<Item = (&'static Measure, &Verdict)> {
        let verdicts = self.against.get(baseline).and_then(Option::as_ref);
        MEASURES
            .iter()
            .zip(verdicts.into_iter().flatten())
            .filter(move |(measure, verdict)| measure.headline && verdict.outcome == outcome)
    }
}

impl Pooled {
    fn read(
        played: &[(u32, &Played)],
        dir: &Path,
        unloaded: &BTreeMap<u32, f64>,
    ) -> Result<Option<Self>> {
        if played.is_empty() {
            return Ok(None);
        }
        let mut samples = Samples::default();
        for (_, cell) in played {
            samples.add(&dir.join(&cell.raw))?;
        }
        let cells: Vec<&Played> = played.iter().map(|(_, cell)| *cell).collect();
        let per_round = played.iter().filter_map(|(round, _)| unloaded.get(round));
        let per_round: Vec<f64> = per_round.copied().collect();
        let all_rounds = per_round.len() == played.len();
        Ok(Some(Self {
            facts: Facts {
                unloaded_work_per_s: all_rounds
                    .then(|| per_round.iter().sum::<f64>() / per_round.len() as f64),
                ..Facts::pooled(&cells, &samples)
            },
            stand_ins: cells.iter().find_map(|cell| stand_ins(cell)),
            samples,
            round_frames: cells
                .iter()
                .map(|cell| cell.run.frames.interval.samples)
                .collect(),
        }))
    }

    /// Rounds that count.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.round_frames.len()
    }

    /// Whether there are too few frames to say much of tails.
    #[must_use]
    pub fn has_few_frames(&self) -> bool {
        self.facts.frames.count < ENOUGH_FRAMES
    }
}

/// Work per second of the kernel's own scheduler with nothing beside the game, by round.
fn unloaded_work(results: &Results, course: &Course) -> BTreeMap<u32, f64> {
    let quiet = Course {
        scenario: QUIET.to_owned(),
        mode: course.mode,
    };
    let played = results.played(KERNEL, &quiet);
    played
        .map(|(round, cell)| (round, Facts::of(cell).work_per_s()))
        .collect()
}

fn stand_ins(cell: &Played) -> Option<String> {
    let parts = &cell.run.parts;
    (!parts.all_real).then(|| {
        format!(
            "display {}, input {}, gpu {}, audio {}",
            parts.display, parts.input, parts.gpu, parts.audio
        )
    })
}

fn verdicts(
    played: &[(u32, &Played)],
    base: &[(u32, &Played)],
    unloaded: &BTreeMap<u32, f64>,
) -> Verdicts {
    let facts = |cells: &[(u32, &Played)]| -> Vec<(u32, Facts)> {
        let of = |(round, cell): &(u32, &Played)| {
            let unloaded_work_per_s = unloaded.get(round).copied();
            let facts = Facts {
                unloaded_work_per_s,
                ..Facts::of(cell)
            };
            (*round, facts)
        };
        cells.iter().map(of).collect()
    };
    let (played, base) = (facts(played), facts(base));
    MEASURES.map(|measure| {
        let values = |facts: &[(u32, Facts)]| -> Vec<(u32, f64)> {
            let value = |(round, facts): &(u32, Facts)| Some((*round, (measure.get)(facts)?));
            facts.iter().filter_map(value).collect()
        };
        Verdict::of(measure.better, &values(&played), &values(&base))
    })
}

/// Words of other programs may hold line ends and control characters.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
