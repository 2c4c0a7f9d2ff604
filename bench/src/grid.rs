//! The words of all reports: head, tables and notes of a summary, before they become text, Markdown
//! or HTML.

use crate::contestant::{OURS, WITH, WITHOUT};
use crate::measure::{MEASURES, Measure};
use crate::results::{Entrant, KERNEL, ORACLE, Status};
use crate::summary::{CourseSummary, Row, Summary};
use crate::verdict::{MIN_ROUNDS, Outcome, Ratios, Verdict};

/// What stands in a cell without a value.
pub const NOTHING: &str = "-";

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// What it shows.
    pub title: String,
    /// Names of the columns; the first is that of the contestants.
    pub header: Vec<String>,
    /// Rows as long as the header.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Figure, name or sentence.
    pub text: String,
    /// The verdict that stands behind the text.
    pub outcome: Option<Outcome>,
}

impl Cell {
    /// A cell without a verdict.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            outcome: None,
        }
    }

    /// The word of the verdict. That there are too few rounds for one is said once, not in every
    /// cell.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self.outcome {
            Some(Outcome::TooFewRounds) | None => "",
            Some(outcome) => outcome.words(),
        }
    }
}

/// Which measures become columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Those worth a line of their own.
    Headline,
    /// Every one.
    All,
}

impl Columns {
    /// The measures, with their index, that a contestant of the course has a value of.
    fn of(self, course: &CourseSummary) -> Vec<(usize, &'static Measure)> {
        let has_value = |measure: &Measure| {
            course
                .pooled()
                .any(|(_, pooled)| (measure.get)(&pooled.facts).is_some())
        };
        MEASURES
            .iter()
            .enumerate()
            .filter(|(_, measure)| self == Self::All || measure.headline)
            .filter(|(_, measure)| has_value(measure))
            .collect()
    }
}

/// What was measured on what: pairs of label and text.
#[must_use]
pub fn head(summary: &Summary) -> Vec<(&'static str, String)> {
    let (plan, machine) = (&summary.plan, &summary.machine);
    let clock = match machine.clock.as_str() {
        "counted" => "counted (in the VM, time passes by instructions executed)",
        "parallel" => "parallel (in the VM, CPUs run at the same time; speed drifts)",
        other => other,
    };
    let mut lines = vec![
        ("kernel", machine.kernel.clone()),
        ("CPUs", machine.cpus.clone()),
        ("clock", clock.to_owned()),
        ("date", summary.date.clone()),
        (
            "played",
            format!(
                "{} rounds x {} s, each after {} s of warm-up, every second round backwards",
                plan.rounds, plan.seconds, plan.warmup
            ),
        ),
        ("command", summary.command.clone()),
    ];
    lines.extend(summary.entrants.iter().map(|e| ("contestant", entrant(e))));
    lines
}

fn entrant(entrant: &Entrant) -> String {
    let Entrant {
        name,
        version,
        command,
        ..
    } = entrant;
    match name.as_str() {
        KERNEL => format!("{name}: the kernel's own scheduler"),
        ORACLE => format!("{name}: the same, with the game's threads at SCHED_FIFO"),
        _ => format!("{name}: {version}, attached by: {command}"),
    }
}

/// What has to stand above everything else when rounds are missing.
#[must_use]
pub fn partial(summary: &Summary) -> Option<String> {
    (summary.status == Status::Partial).then(|| {
        format!(
            "PARTIAL: {} of {} cells played; what follows is preliminary.",
            summary.cells,
            summary.plan.cells()
        )
    })
}

/// How to read the tables.
#[must_use]
pub fn legend() -> String {
    format!(
        "Values are of all rounds together. A ratio is the contestant's value divided by the \
         baseline's in the same round: median (lowest..highest round). \"better\" and \"worse\" \
         stand where the values of all rounds are apart and the ratios further from 1 than half \
         their spread and than 2 %; \"no difference shown\" does not mean that there is none. \
         Fewer than {MIN_ROUNDS} rounds give no verdict. With {MIN_ROUNDS} rounds, about 4 in \
         100 comparisons of equal schedulers show a difference by chance."
    )
}

/// The tables of a course: values, then ratios to each baseline that anybody can be compared with.
#[must_use]
pub fn tables(summary: &Summary, course: &CourseSummary, columns: Columns) -> Vec<Grid> {
    let baselines = 0..summary.baselines.len();
    let ratios = baselines.map(|baseline| ratios(summary, course, baseline, columns));
    let mut tables = vec![values(course, columns)];
    tables.extend(ratios.filter(|grid| !grid.rows.is_empty()));
    tables
}

/// What each feature buys and costs, where scx_gamer is compared with itself without one (or with
/// one that takes no part by default): headline verdicts on all courses, ratios to scx_gamer.
#[must_use]
pub fn features(summary: &Summary) -> Option<Grid> {
    let whole = summary.baselines.iter().position(|name| name == OURS)?;
    let row = |name: &String| {
        let is_extra = name.starts_with(WITH);
        let feature = name
            .strip_prefix(WITH)
            .or_else(|| name.strip_prefix(WITHOUT))?;
        let verdicts = |outcome| {
            let courses = summary.courses.iter();
            let rows = courses.flat_map(|course| {
                let rows = course.rows.iter().filter(|row| row.contestant == *name);
                rows.map(move |row| (&course.course, row))
            });
            let shown = rows.flat_map(|(course, row)| {
                let shown = row.headlines(whole, outcome);
                shown.map(move |(measure, verdict)| {
                    format!("{course}: {} {}", unitless(measure), ratio_text(verdict))
                })
            });
            let shown: Vec<String> = shown.collect();
            Cell::plain(if shown.is_empty() {
                "nothing shown".to_owned()
            } else {
                shown.join("; ")
            })
        };
        let (worse, better) = (verdicts(Outcome::Worse), verdicts(Outcome::Better));
        let (default, buys, costs) = if is_extra {
            ("off", better, worse)
        } else {
            ("on", worse, better)
        };
        Some(vec![
            Cell::plain(feature),
            Cell::plain(default),
            buys,
            costs,
        ])
    };
    let rows: Vec<_> = summary.plan.contestants.iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| Grid {
        title: "What each feature buys and costs".to_owned(),
        header: [
            "feature",
            "default",
            "buys: worse without it (better with it)",
            "costs: better without it (worse with it)",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows,
    })
}

/// Values of all rounds together; a contestant without any says why.
fn values(course: &CourseSummary, columns: Columns) -> Grid {
    let measures = columns.of(course);
    let mut header = ["contestant", "rounds", "frames"]
        .map(str::to_owned)
        .to_vec();
    header.extend(measures.iter().map(|(_, measure)| measure.name.to_owned()));
    let row = |row: &Row| {
        let mut cells = vec![Cell::plain(&row.contestant)];
        match &row.pooled {
            Some(pooled) => {
                let frames = pooled.facts.frames.count;
                cells.push(Cell::plain(pooled.rounds().to_string()));
                cells.push(Cell::plain(if pooled.has_few_frames() {
                    format!("only {frames} frames")
                } else {
                    frames.to_string()
                }));
                cells.extend(measures.iter().map(|(_, measure)| {
                    let value = (measure.get)(&pooled.facts).filter(|value| value.is_finite());
                    let text = value.map(|value| format!("{value:.*}", measure.digits));
                    Cell::plain(text.unwrap_or_else(|| NOTHING.to_owned()))
                }));
            }
            None => cells.push(Cell::plain(format!("none: {}", row.why_empty()))),
        }
        cells.resize(header.len(), Cell::plain(NOTHING));
        cells
    };
    Grid {
        title: "Values".to_owned(),
        rows: course.rows.iter().map(row).collect(),
        header,
    }
}

/// Ratios to the baseline of this index, with verdicts.
fn ratios(summary: &Summary, course: &CourseSummary, baseline: usize, columns: Columns) -> Grid {
    let verdicts = |row: &Row| row.against.get(baseline).cloned().flatten();
    let mut measures = columns.of(course);
    measures.retain(|(index, _)| {
        let compared = |row: &Row| verdicts(row).is_some_and(|all| all[*index].rounds > 0);
        course.rows.iter().any(compared)
    });
    let mut header = vec!["contestant".to_owned()];
    header.extend(
        measures
            .iter()
            .map(|(_, measure)| unitless(measure).to_owned()),
    );
    let row = |row: &Row| {
        row.pooled.as_ref()?;
        let verdicts = verdicts(row)?;
        let mut cells = vec![Cell::plain(&row.contestant)];
        cells.extend(
            measures
                .iter()
                .map(|(index, _)| ratio_cell(&verdicts[*index])),
        );
        Some(cells)
    };
    let name = summary.baselines.get(baseline).map_or("", String::as_str);
    Grid {
        title: format!("Ratios to {name}"),
        rows: course.rows.iter().filter_map(row).collect(),
        header,
    }
}

/// Name of a measure's ratio, which has no unit.
#[must_use]
pub fn unitless(measure: &Measure) -> &'static str {
    measure.name.split(" [").next().unwrap_or(measure.name)
}

fn ratio_cell(verdict: &Verdict) -> Cell {
    Cell {
        text: ratio_text(verdict),
        outcome: Some(verdict.outcome),
    }
}

/// `1.77 (1.38..2.15)`, or why there is no ratio.
#[must_use]
pub fn ratio_text(verdict: &Verdict) -> String {
    match (&verdict.ratios, verdict.rounds) {
        (Some(ratios), 1) => number(ratios.median),
        (Some(ratios), _) => ratios_text(ratios),
        (None, 0) => NOTHING.to_owned(),
        (None, _) => "baseline 0".to_owned(),
    }
}

fn number(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 100.0 => format!("{ratio:.0}"),
        ratio if ratio > 0.0 && ratio < 0.1 => format!("{ratio:.3}"),
        ratio => format!("{ratio:.2}"),
    }
}

fn ratios_text(ratios: &Ratios) -> String {
    format!(
        "{} ({}..{})",
        number(ratios.median),
        number(ratios.lowest),
        number(ratios.highest)
    )
}

/// What took the place of real devices. Rounds that do not count, and why; those of one contestant with the same reason together.
#[must_use]
pub fn notes(course: &CourseSummary) -> Vec<String> {
    let stand_ins = course.pooled().find_map(|(_, one)| one.stand_ins.as_ref());
    let stand_ins = stand_ins.map(|parts| format!("not the whole real path was used: {parts}"));
    let mut notes: Vec<String> = stand_ins.into_iter().collect();
    for row in &course.rows {
        for same in row.errors.chunk_by(|(_, why), (_, next)| why == next) {
            let rounds: Vec<String> = same.iter().map(|(round, _)| round.to_string()).collect();
            let rounds = rounds.join(", ");
            let why = same.first().map_or("", |(_, why)| why);
            notes.push(format!(
                "{}, not counted: round {rounds}: {why}",
                row.contestant
            ));
        }
    }
    notes
}
