//! Summaries as one HTML page that needs nothing else: no script, no font, no picture from outside.

mod figures;
mod palette;
mod plots;

use crate::grid::{self, Cell, Columns, Grid};
use crate::summary::{CourseSummary, Row, Summary};
use crate::verdict::Outcome;
use figures::Colors;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
/// The contestant that the page begins with.
const SUBJECT: &str = crate::contestant::OURS;

/// A page of all summaries, one after the other.
#[must_use]
pub fn page(summaries: &[Summary]) -> String {
    let colors = Colors::of(summaries);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "scx_gamer: schedulers side by side" }
                style { (PreEscaped(STYLE)) (PreEscaped(palette::css())) }
            }
            body {
                h1 { "Schedulers side by side" }
                p { (grid::legend()) }
                (contents(summaries))
                @for (index, summary) in summaries.iter().enumerate() {
                    (in_short(index, summary))
                }
                @for (index, summary) in summaries.iter().enumerate() {
                    (section(index, summary, &colors))
                }
            }
        }
    };
    page.into_string()
}

fn title(summary: &Summary) -> String {
    let machine = &summary.machine;
    format!(
        "{}, {}, {} time",
        machine.kernel, machine.cpus, machine.clock
    )
}

fn contents(summaries: &[Summary]) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                @for (index, summary) in summaries.iter().enumerate() {
                    li {
                        a href={ "#short" (index) } { "In short" } ", "
                        a href={ "#s" (index) } { (title(summary)) }
                        ": "
                        @for (at, course) in summary.courses.iter().enumerate() {
                            @if at > 0 { ", " }
                            a href={ "#s" (index) "c" (at) } { (course.course) }
                        }
                    }
                }
            }
        }
    }
}

/// Verdicts of the headline measures, counted for everybody and listed for the subject.
fn in_short(index: usize, summary: &Summary) -> Markup {
    html! {
        section id={ "short" (index) } {
            h2 { "In short: " (title(summary)) }
            (partial(summary))
            @for (baseline, name) in opponents(summary) {
                h3 { (SUBJECT) " against " (name) }
                div.sides {
                    (verdicts(summary, baseline, Outcome::Better))
                    (verdicts(summary, baseline, Outcome::Worse))
                }
            }
            div.sides {
                @for baseline in 0..summary.baselines.len() {
                    (table(&counts(summary, baseline)))
                }
            }
        }
    }
}

/// Baselines that the subject can be compared with.
fn opponents(summary: &Summary) -> impl Iterator<Item = (usize, &String)> {
    let takes_part = summary.plan.contestants.iter().any(|name| name == SUBJECT);
    let baselines = summary.baselines.iter().enumerate();
    baselines.filter(move |(_, name)| takes_part && *name != SUBJECT)
}

fn counts(summary: &Summary, baseline: usize) -> Grid {
    let outcomes = [
        Outcome::Better,
        Outcome::Worse,
        Outcome::NoDifference,
        Outcome::TooFewRounds,
    ];
    let name = &summary.baselines[baseline];
    let mut names: Vec<&String> = summary.plan.contestants.iter().collect();
    names.retain(|contestant| *contestant != name);
    names.sort_by_key(|contestant| *contestant != SUBJECT);
    let row = |contestant: &String| {
        let count = |outcome| {
            rows(summary, contestant)
                .map(|(_, row)| row.headlines(baseline, outcome).count())
                .sum::<usize>()
                .to_string()
        };
        let counts = rows(summary, contestant).any(|(_, row)| row.pooled.is_some());
        let none = if counts { "" } else { " (no round counts)" };
        let mut cells = vec![Cell::plain(format!("{contestant}{none}"))];
        cells.extend(outcomes.map(|outcome| Cell::plain(count(outcome))));
        cells
    };
    let words = outcomes.map(|outcome| outcome.words().to_owned());
    Grid {
        title: format!("Verdicts against {name}, over all courses"),
        rows: names.into_iter().map(row).collect(),
        header: [vec!["contestant".to_owned()], words.to_vec()].concat(),
    }
}

fn rows<'a>(
    summary: &'a Summary,
    contestant: &'a str,
) -> impl Iterator<Item = (&'a CourseSummary, &'a Row)> {
    summary.courses.iter().flat_map(move |course| {
        let rows = course.rows.iter();
        rows.filter(move |row| row.contestant == contestant)
            .map(move |row| (course, row))
    })
}

fn verdicts(summary: &Summary, baseline: usize, outcome: Outcome) -> Markup {
    let items: Vec<String> = rows(summary, SUBJECT)
        .flat_map(|(course, row)| {
            row.headlines(baseline, outcome)
                .map(move |(measure, verdict)| {
                    format!(
                        "{}: {} {}",
                        course.course,
                        grid::unitless(measure),
                        grid::ratio_text(verdict)
                    )
                })
        })
        .collect();
    html! {
        div {
            h4 class=(class(outcome)) { (outcome.words()) ": " (items.len()) }
            @if !items.is_empty() {
                ul { @for item in items { li { (item) } } }
            }
        }
    }
}

fn section(index: usize, summary: &Summary, colors: &Colors) -> Markup {
    html! {
        section id={ "s" (index) } {
            h2 { (title(summary)) }
            (partial(summary))
            dl {
                @for (label, text) in grid::head(summary) {
                    div { dt { (label) } dd { (text) } }
                }
            }
            @if let Some(features) = grid::features(summary) { (table(&features)) }
            @for (at, course) in summary.courses.iter().enumerate() {
                section id={ "s" (index) "c" (at) } { (course_section(summary, course, colors)) }
            }
        }
    }
}

fn course_section(summary: &Summary, course: &CourseSummary, colors: &Colors) -> Markup {
    let tables = |columns| {
        html! {
            @for grid in grid::tables(summary, course, columns) { (table(&grid)) }
        }
    };
    let notes = grid::notes(course);
    html! {
        h3 { (course.course) }
        p { (course.sentence()) "." }
        (tables(Columns::Headline))
        @if !notes.is_empty() {
            ul.notes { @for note in notes { li { (note) } } }
        }
        (figures::of(course, colors))
        details {
            summary { "All measures of " (course.course) }
            (tables(Columns::All))
        }
    }
}

fn partial(summary: &Summary) -> Markup {
    html! { @if let Some(text) = grid::partial(summary) { p.partial { (text) } } }
}

/// A table in a box of its own that scrolls, so that the page does not.
fn table(grid: &Grid) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(grid.title) {
            table {
                caption { (grid.title) }
                thead { tr { @for name in &grid.header { th scope="col" { (name) } } } }
                tbody {
                    @for row in &grid.rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell.text) } }
                                @else { (data_cell(cell)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn data_cell(cell: &Cell) -> Markup {
    match cell.outcome {
        None => html! { td { (cell.text) } },
        Some(outcome) => html! {
            td class=(class(outcome)) {
                span { (cell.text) }
                @if !cell.words().is_empty() { " " b { (cell.words()) } }
            }
        },
    }
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Better => "better",
        Outcome::Worse => "worse",
        _ => "unclear",
    }
}
