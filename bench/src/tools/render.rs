//! The comparison as a person reads it: in the terminal, and as Markdown.

use super::results::ToolResults;
use super::summary::{Outcome, Row, THROUGHPUT_FLOOR, Throughput, rows};
use crate::results::Status;
use comfy_table::{Cell, CellAlignment, Table, TableStyle, presets};
use std::fmt::Write;

/// For the terminal.
#[must_use]
pub fn text(results: &ToolResults) -> String {
    page(results, presets::UTF8_FULL_CONDENSED, "")
}

/// For a page on GitHub.
#[must_use]
pub fn markdown(results: &ToolResults) -> String {
    page(results, presets::ASCII_MARKDOWN, "- ")
}

fn page(results: &ToolResults, style: TableStyle, bullet: &str) -> String {
    let mut out = String::new();
    if results.status == Status::Partial {
        out.push_str("PARTIAL: it was stopped before the last round.\n\n");
    }
    let _ = writeln!(
        out,
        "Standard tools, kernel {}, {} CPUs, {} rounds of {} s, order ABBA, {}, arena {}. Medians; \
         ratio of the same round (lowest..highest).\n",
        results.kernel,
        results.cpus,
        results.rounds,
        results.seconds,
        results.date,
        results.version
    );
    let _ = writeln!(out, "{}\n", table(results, style));
    for entry in results.tools.iter().filter(|tool| tool.absent.is_none()) {
        let beside = entry.beside.as_ref();
        let beside = beside.map_or_else(String::new, |beside| format!(" beside `{beside}`"));
        let _ = writeln!(out, "{bullet}{}: `{}`{beside}", entry.name, entry.command);
    }
    let _ = writeln!(
        out,
        "{bullet}the other scheduler: {} by `{}`",
        results.scheduler, results.with
    );
    for cell in &results.cells {
        if let Some(error) = &cell.error {
            let _ = writeln!(
                out,
                "{bullet}round {} {:?} {}: does not count: {error}",
                cell.round, cell.side, cell.tool
            );
        }
    }
    out
}

fn table(results: &ToolResults, style: TableStyle) -> Table {
    let other = short_name(&results.scheduler);
    let floor = format!("{:.0} %", THROUGHPUT_FLOOR * 100.0);
    let mut table = Table::new();
    table
        .load_style(style)
        .set_header(["tool", "measure", "kernel", other, "ratio", "throughput"]);
    for row in rows(results) {
        table.add_row(cells(&row, &floor));
    }
    for column in 2..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(row: &Row, floor: &str) -> Vec<Cell> {
    let mut cells = vec![row.tool.clone(), row.measure.clone()];
    match &row.outcome {
        Outcome::NotMeasured(reason) => {
            cells.extend(["-".into(), "-".into(), "-".into(), reason.clone()]);
        }
        Outcome::Compared {
            kernel,
            other,
            ratio: [low, middle, high],
            throughput,
        } => cells.extend([
            number(*kernel),
            number(*other),
            format!("{middle:.2} ({low:.2}..{high:.2})"),
            match throughput {
                None => "-".into(),
                Some(Throughput::Kept) => format!("{floor} or more"),
                Some(Throughput::SometimesBelow) => format!("below {floor} in some rounds"),
                Some(Throughput::Below) => format!("below {floor}"),
            },
        ]),
    }
    // A bar in a reason would begin another column of a Markdown table.
    let plain = cells.into_iter().map(|cell| cell.replace(['|', '\n'], " "));
    plain.map(Cell::new).collect()
}

/// A scheduler's name without the version and what follows it ("scx_gamer_0.1.0_x86_64").
fn short_name(name: &str) -> &str {
    if name.is_empty() {
        return "other";
    }
    let version = name
        .match_indices('_')
        .find(|(at, _)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    version.map_or(name, |(at, _)| &name[..at])
}

/// With about four digits.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        1000.0.. => 0,
        10.0.. => 1,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::{markdown, short_name, text};
    use crate::results::Status;
    use crate::tools::summary::tests::results;

    #[test]
    fn a_schedulers_name_ends_before_its_version() {
        assert_eq!(short_name("scx_gamer_0.1.0_x86_64_debug"), "scx_gamer");
        assert_eq!(short_name("bpfland"), "bpfland");
        assert_eq!(short_name("simple_"), "simple_");
        assert_eq!(short_name(""), "other");
    }

    #[test]
    fn a_loss_is_said_in_both_tables() {
        let results = results(&[("hackbench", &[(1.0, 2.0), (1.0, 2.5), (1.0, 3.0)])]);
        for page in [text(&results), markdown(&results)] {
            assert!(page.contains("2.50 (2.00..3.00)"), "{page}");
            assert!(page.contains("below 95 %"), "{page}");
        }
        let row = "| hackbench | time [s], less is better |  1.000 | 2.500 | 2.50 (2.00..3.00) | below 95 % |";
        let page = markdown(&results);
        assert!(page.contains(row), "{page}");
    }

    #[test]
    fn what_does_not_count_is_listed_and_breaks_no_table() {
        let mut results = results(&[("hackbench", &[(1.0, 1.0)])]);
        results.status = Status::Partial;
        results.cells[1].error = Some("ejected".into());
        results.tools[0].absent = Some("a | b".into());
        let page = markdown(&results);
        assert!(page.starts_with("PARTIAL"));
        assert!(page.contains("- round 1 Other hackbench: does not count: ejected"));
        let bars = page.lines().filter(|line| line.starts_with('|'));
        assert!(
            bars.clone().all(|line| line.matches('|').count() == 7),
            "{page}"
        );
        assert_eq!(bars.count(), 3);
    }
}
