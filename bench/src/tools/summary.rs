//! The comparison: medians over rounds, and ratios of the two sides of the same round.

use super::catalog::{Reading, Tool};
use super::results::{Entry, ToolResults};
use crate::measure::Better;
use gamesim::comparison::{Side, median};

/// Less throughput than this share of the kernel's is a loss we promised not to have.
pub const THROUGHPUT_FLOOR: f64 = 0.95;

/// What a row says.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Both sides of a round at least were measured.
    Compared {
        /// Median of the kernel's scheduler.
        kernel: f64,
        /// Median of the other one.
        other: f64,
        /// Other / kernel of the same round: lowest, median, highest.
        ratio: [f64; 3],
        /// What that means for the throughput; `None` for a latency.
        throughput: Option<Throughput>,
    },
    /// Nothing to compare, and why.
    NotMeasured(String),
}

/// Throughput of the other scheduler against [`THROUGHPUT_FLOOR`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throughput {
    /// At least that in every round.
    Kept,
    /// Less than that in some rounds, but not in the median.
    SometimesBelow,
    /// Less than that in the median.
    Below,
}

/// One measure of one tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the tool.
    pub tool: String,
    /// Name of the measure, with its unit and which way is better.
    pub measure: String,
    /// What came out.
    pub outcome: Outcome,
}

/// All rows, in the order of the tools.
#[must_use]
pub fn rows(results: &ToolResults) -> Vec<Row> {
    results
        .tools
        .iter()
        .filter_map(|entry| Some((entry, Tool::find(&entry.name)?)))
        .flat_map(|(entry, tool)| {
            let row = move |reading| row(results, entry, reading);
            tool.readings.iter().map(row)
        })
        .collect()
}

fn row(results: &ToolResults, entry: &Entry, reading: &Reading) -> Row {
    let way = match reading.better {
        Better::Higher => ", more is better",
        Better::Lower => ", less is better",
        Better::Neither => "",
    };
    let outcome = match &entry.absent {
        Some(reason) => Outcome::NotMeasured(reason.clone()),
        None => compare(results, &entry.name, reading)
            .unwrap_or_else(|| Outcome::NotMeasured("no round with both schedulers".to_owned())),
    };
    Row {
        tool: entry.name.clone(),
        measure: format!("{}{way}", reading.name),
        outcome,
    }
}

fn compare(results: &ToolResults, tool: &str, reading: &Reading) -> Option<Outcome> {
    let kernel = results.values(tool, Side::Kernel, reading.name);
    let other = results.values(tool, Side::Other, reading.name);
    let mut ratios: Vec<f64> = other
        .iter()
        .filter_map(|(round, value)| Some(value / kernel.get(round).filter(|base| **base > 0.0)?))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = [*ratios.first()?, median(ratios.clone())?, *ratios.last()?];
    Some(Outcome::Compared {
        kernel: median(kernel.into_values().collect())?,
        other: median(other.into_values().collect())?,
        ratio,
        throughput: reading
            .throughput
            .then(|| throughput(reading.better, ratio)),
    })
}

fn throughput(better: Better, [lowest, middle, highest]: [f64; 3]) -> Throughput {
    // Of a time that fixed work takes, throughput is the inverse.
    let (worst, middle) = match better {
        Better::Lower => (1.0 / highest, 1.0 / middle),
        Better::Higher | Better::Neither => (lowest, middle),
    };
    if middle < THROUGHPUT_FLOOR {
        Throughput::Below
    } else if worst < THROUGHPUT_FLOOR {
        Throughput::SometimesBelow
    } else {
        Throughput::Kept
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::results::Status;
    use crate::tools::results::{Cell, TOOLS_SCHEMA};

    /// Results of these tools: values of the first measure of each, kernel and other, by round.
    pub(in crate::tools) fn results(tools: &[(&str, &[(f64, f64)])]) -> ToolResults {
        let mut results = ToolResults {
            schema: TOOLS_SCHEMA,
            version: "1".into(),
            status: Status::Complete,
            kernel: "6.18.15".into(),
            cpus: 2,
            date: "2026-11-21".into(),
            with: "exec scx_gamer".into(),
            scheduler: "gamer".into(),
            rounds: 3,
            seconds: 5,
            tools: Vec::new(),
            cells: Vec::new(),
        };
        for (name, values) in tools {
            results.tools.push(Entry {
                name: (*name).to_owned(),
                command: "command".into(),
                beside: None,
                absent: None,
            });
            let measure = Tool::find(name).unwrap().readings[0].name;
            for (round, (kernel, other)) in (1..).zip(*values) {
                for (side, value) in [(Side::Kernel, *kernel), (Side::Other, *other)] {
                    results.cells.push(Cell {
                        round,
                        side,
                        tool: (*name).to_owned(),
                        values: [(measure.to_owned(), value)].into(),
                        error: None,
                    });
                }
            }
        }
        results
    }

    fn verdict(tool: &str, values: &[(f64, f64)]) -> Option<Throughput> {
        match &rows(&results(&[(tool, values)]))[0].outcome {
            Outcome::Compared { throughput, .. } => *throughput,
            Outcome::NotMeasured(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn throughput_is_judged_in_the_direction_that_is_better() {
        let slower = [(1.0, 1.1), (1.0, 1.2), (1.0, 1.3)];
        assert_eq!(verdict("hackbench", &slower), Some(Throughput::Below));
        assert_eq!(verdict("perf pipe", &slower), Some(Throughput::Kept));
        let once = [(1.0, 0.9), (1.0, 1.0), (1.0, 1.0)];
        assert_eq!(verdict("hackbench", &once), Some(Throughput::Kept));
        assert_eq!(
            verdict("perf pipe", &once),
            Some(Throughput::SometimesBelow)
        );
        assert_eq!(verdict("cyclictest", &slower), None);
    }

    #[test]
    fn ratios_are_those_of_the_same_round_and_errors_do_not_count() {
        let mut results = results(&[("perf pipe", &[(10.0, 20.0), (40.0, 40.0), (10.0, 90.0)])]);
        let last = results.cells.last_mut().unwrap();
        last.error = Some("ejected".into());
        let Outcome::Compared { ratio, other, .. } = rows(&results)[0].outcome else {
            panic!("not compared");
        };
        assert_eq!((ratio, other), ([1.0, 1.5, 2.0], 30.0));
    }

    #[test]
    fn a_tool_without_results_says_why() {
        let mut absent = results(&[("perf pipe", &[]), ("hackbench", &[])]);
        absent.tools[1].absent = Some("no hackbench here".into());
        let outcomes: Vec<Outcome> = rows(&absent).into_iter().map(|row| row.outcome).collect();
        assert_eq!(
            outcomes,
            [
                Outcome::NotMeasured("no round with both schedulers".into()),
                Outcome::NotMeasured("no hackbench here".into()),
            ]
        );
    }
}
