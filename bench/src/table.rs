//! A summary for the terminal.

use crate::grid::{self, Cell, Columns, Grid};
use crate::summary::Summary;
use crate::verdict::Outcome;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use std::fmt::Write;

/// Longest text of a cell [columns]; a longer one, the reason of an ejection, is wrapped.
const WIDEST: u16 = 26;
/// Between two columns.
const GAP: u16 = 2;

/// Head, then values and ratios for each course. Tables wider than `width` columns go on below.
#[must_use]
pub fn text(summary: &Summary, width: u16) -> String {
    let mut out = String::new();
    if let Some(partial) = grid::partial(summary) {
        let _ = writeln!(out, "{partial}\n");
    }
    for (label, text) in grid::head(summary) {
        let _ = writeln!(out, "{label:<10}  {}", printable(&text));
    }
    if let Some(features) = grid::features(summary) {
        let _ = writeln!(out, "\n{}", features.title);
        for row in &features.rows {
            let _ = writeln!(out, "\n{}", printable(&row[0].text));
            for (name, cell) in features.header.iter().zip(row).skip(1) {
                let _ = writeln!(out, "  {name}: {}", printable(&cell.text));
            }
        }
    }
    for course in &summary.courses {
        let _ = writeln!(out, "\n=== {}: {}", course.course, course.sentence());
        for grid in grid::tables(summary, course, Columns::Headline) {
            write_grid(&mut out, &grid, width);
        }
        for note in grid::notes(course) {
            let _ = writeln!(out, "  {}", printable(&note));
        }
    }
    let _ = writeln!(out, "\n{}", grid::legend());
    let _ = writeln!(out, "(no diff.: no difference shown)");
    out
}

fn write_grid(out: &mut String, grid: &Grid, width: u16) {
    let widths = widths(grid);
    let _ = writeln!(out, "\n{}", grid.title);
    for columns in pages(&widths, width) {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(columns.iter().map(|column| &grid.header[*column]));
        for row in &grid.rows {
            table.add_row(columns.iter().map(|column| cell_text(&row[*column])));
        }
        for (column, index) in table.column_iter_mut().zip(&columns) {
            column.set_padding((if *index > 0 { GAP } else { 0 }, 0));
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(widths[*index])));
            column.set_delimiter(' ');
            if *index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let _ = writeln!(out, "\n{}", table.trim_fmt());
    }
}

/// Width of each column with the gap before it: its longest cell, or word of its header.
fn widths(grid: &Grid) -> Vec<u16> {
    let width = |(column, name): (usize, &String)| {
        let cells = grid.rows.iter().map(|row| cell_text(&row[column]));
        let words = name.split(' ').map(str::to_owned);
        let longest = cells.chain(words).map(|text| text.chars().count()).max();
        let longest = longest.and_then(|width| u16::try_from(width).ok());
        longest.unwrap_or(WIDEST).min(WIDEST) + if column > 0 { GAP } else { 0 }
    };
    grid.header.iter().enumerate().map(width).collect()
}

/// Columns for each table of at most `width`: the first column in all of them.
fn pages(widths: &[u16], width: u16) -> Vec<Vec<usize>> {
    let mut pages = vec![vec![0]];
    let mut used = widths[0];
    for (column, needed) in widths.iter().enumerate().skip(1) {
        if used + needed > width && pages.last().is_some_and(|page| page.len() > 1) {
            pages.push(vec![0]);
            used = widths[0];
        }
        used += needed;
        pages.last_mut().expect("BUG: there is a page").push(column);
    }
    pages
}

fn cell_text(cell: &Cell) -> String {
    let words = match cell.outcome {
        Some(Outcome::NoDifference) => "no diff.",
        _ => cell.words(),
    };
    printable(format!("{} {words}", cell.text).trim_end())
}

/// Names and errors come from other programs: nothing of them may control the terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn no_column_is_lost_and_the_first_is_on_every_page() {
        assert_eq!(pages(&[5, 5, 5, 5], 15), [vec![0, 1, 2], vec![0, 3]]);
        assert_eq!(pages(&[5, 50, 5], 15), [vec![0, 1], vec![0, 2]]);
        assert_eq!(pages(&[5], 1), [[0]]);
    }
}
