//! A summary as Markdown with the tables of GitHub, for documents.

use crate::grid::{self, Cell, Columns, Grid};
use crate::summary::Summary;
use std::fmt::Write;

/// Head, then values and ratios for each course, under headings of the third and fourth level.
#[must_use]
pub fn text(summary: &Summary) -> String {
    let mut out = String::new();
    let machine = &summary.machine;
    let title = format!(
        "{}, {}, {} time",
        machine.kernel, machine.cpus, machine.clock
    );
    let _ = writeln!(out, "### Kernel {}\n", escape(&title));
    if let Some(partial) = grid::partial(summary) {
        let _ = writeln!(out, "**{partial}**\n");
    }
    for (label, text) in grid::head(summary) {
        let _ = writeln!(out, "- {label}: {}", escape(&text));
    }
    if let Some(features) = grid::features(summary) {
        write_grid(&mut out, &features);
    }
    for course in &summary.courses {
        let _ = writeln!(out, "\n#### {}: {}", course.course, course.sentence());
        for grid in grid::tables(summary, course, Columns::Headline) {
            write_grid(&mut out, &grid);
        }
        let notes = grid::notes(course);
        if !notes.is_empty() {
            out.push('\n');
        }
        for note in notes {
            let _ = writeln!(out, "- {}", escape(&note));
        }
    }
    let _ = writeln!(out, "\n{}", grid::legend());
    out
}

fn write_grid(out: &mut String, grid: &Grid) {
    let _ = writeln!(out, "\n{}:\n", escape(&grid.title));
    line(out, grid.header.iter().map(|name| escape(name)));
    let sides = (0..grid.header.len()).map(|column| if column == 0 { "---" } else { "---:" });
    line(out, sides.map(str::to_owned));
    for row in &grid.rows {
        line(out, row.iter().map(cell_text));
    }
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for cell in cells {
        let _ = write!(out, "| {cell} ");
    }
    out.push_str("|\n");
}

fn cell_text(cell: &Cell) -> String {
    escape(format!("{} {}", cell.text, cell.words()).trim_end())
}

/// Text that means itself. A line end would end the row of a table, other marks would format.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '&' | '#' | '~' => {
                out.extend(['\\', c])
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
