//! The result of a comparison: cells, medians, ratios of neighbours, and the table of them.

use crate::report::RunReport;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Version of [`CompareReport`]; raised when a field changes its meaning or goes.
pub const COMPARE_SCHEMA: u32 = 1;

/// Which scheduler a cell was played with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A: the kernel's own scheduler.
    Kernel,
    /// B: the scheduler that was attached.
    Other,
}

/// One run of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Round, from 1.
    pub round: u32,
    /// Which scheduler.
    pub side: Side,
    /// What was measured, if it could be.
    pub report: Option<RunReport>,
    /// Why this cell does not count.
    pub error: Option<String>,
}

/// One measure of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name with unit.
    pub measure: String,
    /// Unloaded, with the kernel's own scheduler.
    pub reference: Option<f64>,
    /// Median over rounds, kernel's own scheduler.
    pub kernel: Option<f64>,
    /// Median over rounds, other scheduler.
    pub other: Option<f64>,
    /// Other / kernel of the same round: smallest, median, largest.
    pub ratio: Option<[f64; 3]>,
}

/// The result of `gamesim compare`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareReport {
    /// [`COMPARE_SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Command that attached the other scheduler.
    pub with: String,
    /// Name of the other scheduler as the kernel gave it.
    pub scheduler: String,
    /// Unloaded run, if asked for.
    pub reference: Option<RunReport>,
    /// Cells in the order played.
    pub cells: Vec<Cell>,
    /// Measures.
    pub rows: Vec<Row>,
}

type Measure = (&'static str, fn(&RunReport) -> Option<f64>);

const MEASURES: [Measure; 12] = [
    ("frames per second", |run| Some(run.frames.fps)),
    ("1 % low fps", |run| Some(run.frames.low_1pct_fps)),
    ("frame p50 [ms]", |run| {
        Some(run.frames.interval.p50_us / 1e3)
    }),
    ("frame p99 [ms]", |run| {
        Some(run.frames.interval.p99_us / 1e3)
    }),
    ("late frames [%]", |run| {
        Some(run.frames.late_share() * 100.0)
    }),
    ("input to flip p50 [ms]", |run| {
        Some(run.input.to_flip.p50_us / 1e3)
    }),
    ("input to flip p99 [ms]", |run| {
        Some(run.input.to_flip.p99_us / 1e3)
    }),
    ("audio lateness p99 [ms]", |run| {
        Some(run.audio.as_ref()?.lateness.p99_us / 1e3)
    }),
    ("audio xruns", |run| Some(run.audio.as_ref()?.xruns as f64)),
    ("game work [M loops/s]", |run| {
        Some(run.work.game as f64 / run.setup.seconds / 1e6)
    }),
    ("background [M loops/s]", |run| {
        (!run.background.is_empty()).then(|| run.background_loops_per_s() / 1e6)
    }),
    ("all work [M loops/s]", |run| {
        Some((run.work.game + run.work.background) as f64 / run.setup.seconds / 1e6)
    }),
];

/// The middle value, between the middle two of an even number; `None` of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(upper, values.get(middle - 1).copied()?))
}

fn values(cells: &[Cell], side: Side, get: fn(&RunReport) -> Option<f64>) -> Vec<(u32, f64)> {
    let counted = cells
        .iter()
        .filter(|cell| cell.side == side && cell.error.is_none());
    counted
        .filter_map(|cell| Some((cell.round, get(cell.report.as_ref()?)?)))
        .collect()
}

/// Medians over rounds, and the ratios inside each round. Cells with an error do not count.
#[must_use]
pub fn rows(reference: Option<&RunReport>, cells: &[Cell]) -> Vec<Row> {
    MEASURES
        .iter()
        .map(|(name, get)| {
            let kernel = values(cells, Side::Kernel, *get);
            let other = values(cells, Side::Other, *get);
            let mut ratios: Vec<f64> = Vec::new();
            for (round, value) in &other {
                let neighbour = kernel.iter().find(|(other_round, _)| other_round == round);
                if let Some((_, base)) = neighbour.filter(|(_, base)| *base > 0.0) {
                    ratios.push(value / base);
                }
            }
            ratios.sort_by(f64::total_cmp);
            let ratio = match (ratios.first(), median(ratios.clone()), ratios.last()) {
                (Some(low), Some(middle), Some(high)) => Some([*low, middle, *high]),
                _ => None,
            };
            let of =
                |side: Vec<(u32, f64)>| median(side.into_iter().map(|(_, value)| value).collect());
            Row {
                measure: (*name).to_owned(),
                reference: reference.and_then(get),
                kernel: of(kernel),
                other: of(other),
                ratio,
            }
        })
        .collect()
}

/// The table a person reads.
#[must_use]
pub fn table(report: &CompareReport) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let name = if report.scheduler.is_empty() {
        "other"
    } else {
        report.scheduler.as_str()
    };
    let short: String = name.chars().take(16).collect();
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<24} {:>10} {:>10} {short:>16}   ratio (lowest..highest round)",
        "median over rounds", "unloaded", "kernel"
    );
    for row in &report.rows {
        let ratio = row.ratio.map_or("-".to_owned(), |[low, middle, high]| {
            format!("{middle:.2} ({low:.2}..{high:.2})")
        });
        let _ = writeln!(
            out,
            "{:<24} {:>10} {:>10} {:>16}   {ratio}",
            row.measure,
            number(row.reference),
            number(row.kernel),
            number(row.other)
        );
    }
    let unreal = report.cells.iter().filter_map(|cell| cell.report.as_ref());
    if unreal.clone().any(|run| !run.parts.all_real) {
        out.push_str("note: not the whole real path was used; see the parts in the JSON result\n");
    }
    for cell in &report.cells {
        if let Some(error) = &cell.error {
            let _ = writeln!(
                out,
                "round {} {:?}: does not count: {error}",
                cell.round, cell.side
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Cell, Side, median, rows};

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![5.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn cells_without_a_report_give_rows_without_numbers() {
        let cell = Cell {
            round: 1,
            side: Side::Other,
            report: None,
            error: Some("gone".into()),
        };
        for row in rows(None, &[cell]) {
            assert_eq!((row.kernel, row.other, row.ratio), (None, None, None));
        }
    }
}
