//! Goal: reports say what was measured, also where it is a loss or nothing at all, and nothing that
//! comes from a file can become markup. Method: results that nobody measured, and their reports
//! beside them; `UPDATE_SNAPSHOT=1` writes these anew.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod fixture;
mod resume;

use arena::results::{KERNEL, ORACLE, Results, Status};
use arena::summary::Summary;
use arena::{grid, html, markdown, table};
use fixture::{EJECTED, EJECTION, SHORT};
use std::path::Path;
use std::{env, fs};

const BASELINES: [&str; 2] = [KERNEL, ORACLE];

fn with_results<T>(status: Status, look: impl FnOnce(&Results, &Path) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let results = fixture::results(dir.path(), "6.18.15", status);
    look(&results, dir.path())
}

fn summary(status: Status, baselines: &[&str]) -> Summary {
    with_results(status, |results, dir| {
        Summary::read(results, dir, baselines).unwrap()
    })
}

fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/report")
        .join(name);
    if env::var_os("UPDATE_SNAPSHOT").is_some() {
        fs::write(&path, text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == wanted,
        "{name} reads differently now; if it is meant so, run the test with UPDATE_SNAPSHOT=1 and \
         commit the file. Now:\n{text}"
    );
}

#[test]
fn the_terminal_table_reads_like_this() {
    let text = table::text(&summary(Status::Complete, &BASELINES), 100);
    assert_snapshot("table.txt", &text);
    assert!(!text.contains('\u{1b}'));
    let tables = text.lines().skip_while(|line| !line.starts_with("Values"));
    let cut = tables.take_while(|line| !line.starts_with("Values are"));
    for line in cut.filter(|line| !line.contains("not counted")) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn the_markdown_reads_like_this() {
    let text = markdown::text(&summary(Status::Complete, &BASELINES));
    assert_snapshot("report.md", &text);
    assert!(!text.replace("\\<", "").contains('<'));
    let mut columns = 0;
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let bars = line.replace("\\|", "").matches('|').count();
        if line.starts_with("| contestant") {
            columns = bars;
        }
        assert_eq!(bars, columns, "{line}");
    }
}

#[test]
fn partial_results_say_so_first() {
    let summary = summary(Status::Partial, &BASELINES);
    for text in [table::text(&summary, 100), markdown::text(&summary)] {
        let head: String = text.lines().take(4).collect();
        assert!(head.contains("PARTIAL: 20 of 48 cells"), "{head}");
        assert!(
            !text.contains(" better\n") && text.contains("give no verdict"),
            "{text}"
        );
    }
    assert!(html::page(&[summary]).contains("PARTIAL: 20 of 48 cells"));
}

#[test]
fn a_contestant_without_a_round_is_a_row_that_says_why() {
    let summary = summary(Status::Complete, &BASELINES);
    for course in &summary.courses {
        let grid = &grid::tables(&summary, course, grid::Columns::Headline)[0];
        let row = grid.rows.iter().find(|row| row[0].text == EJECTED).unwrap();
        assert!(
            row[1].text.starts_with("none: ejected: <script>"),
            "{row:?}"
        );
        assert_eq!(row.len(), grid.header.len());
    }
}

#[test]
fn few_frames_and_a_missing_round_are_said() {
    let summary = summary(Status::Complete, &BASELINES);
    let hogs = &summary.courses[1];
    let grid = &grid::tables(&summary, hogs, grid::Columns::Headline)[0];
    let row = grid.rows.iter().find(|row| row[0].text == SHORT).unwrap();
    assert_eq!(row[1].text, "2");
    assert!(row[2].text.starts_with("only "), "{row:?}");
    assert!(grid::notes(hogs).contains(&format!("{SHORT}, not counted: round 2: the game failed")));
}

#[test]
fn a_course_that_nobody_has_played_yet_is_no_failure() {
    let mut results = with_results(Status::Partial, |results, _| results.clone());
    results.cells.clear();
    let summary = Summary::read(&results, Path::new("/nonexistent"), &BASELINES).unwrap();
    let text = markdown::text(&summary);
    assert!(
        text.contains("| kernel | none: not played yet | - |"),
        "{text}"
    );
    assert!(!text.contains("Ratios") && !table::text(&summary, 80).contains("Ratios"));
    assert!(!html::page(&[summary]).contains("<figure"));
}

#[test]
fn baselines_that_did_not_take_part_are_left_out() {
    let summary = summary(Status::Complete, &["scx_gamer", "nobody"]);
    assert_eq!(summary.baselines, ["scx_gamer"]);
    let text = markdown::text(&summary);
    assert!(text.contains("Ratios to scx_gamer") && !text.contains("nobody"));
}

/// The table of features where the oracle of the fixture, which is better on hogs, plays `name`.
fn features_with_oracle_as(name: &str) -> Summary {
    with_results(Status::Complete, |results, dir| {
        let mut results = results.clone();
        let plan = results.plan.contestants.iter_mut();
        let cells = results.cells.iter_mut().map(|cell| &mut cell.contestant);
        for other in plan.chain(cells).filter(|other| *other == ORACLE) {
            name.clone_into(other);
        }
        Summary::read(&results, dir, &["scx_gamer"]).unwrap()
    })
}

#[test]
fn what_a_feature_buys_and_costs_is_listed() {
    // What is better without a feature is its cost; what is better with one is what it buys.
    for (name, default, nothing, better) in [
        ("without boost", "on", 2, 3),
        ("with input-window", "off", 3, 2),
    ] {
        let summary = features_with_oracle_as(name);
        let grid = grid::features(&summary).expect("features");
        let row: Vec<&str> = grid.rows[0].iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(grid.rows.len(), 1);
        assert!(name.ends_with(row[0]), "{row:?}");
        assert_eq!((row[1], row[nothing]), (default, "nothing shown"));
        let frames = "hogs-uncapped: frames per second 1.";
        assert!(row[better].contains(frames), "{row:?}");
        for text in [table::text(&summary, 200), markdown::text(&summary)] {
            assert!(text.contains("costs: better without it"), "{text}");
        }
    }
}

#[test]
fn what_took_the_place_of_a_real_device_is_said() {
    let summary = with_results(Status::Complete, |results, dir| {
        let mut results = results.clone();
        let played = results.cells[0].played.as_mut().unwrap();
        played.run.parts.all_real = false;
        played.run.parts.display = "timer".into();
        Summary::read(&results, dir, &BASELINES).unwrap()
    });
    let text = markdown::text(&summary);
    assert!(
        text.contains("not the whole real path was used: display timer"),
        "{text}"
    );
}

#[test]
fn every_course_has_all_its_figures() {
    let page = html::page(&[summary(Status::Complete, &BASELINES)]);
    for caption in [
        "Distribution of frame interval",
        "Distribution of input to flip",
        "BPF time per switch",
    ] {
        let count = page.matches(&format!("<figcaption>{caption}")).count();
        assert_eq!(count, 2, "{caption}");
    }
    assert!(page.contains("<figcaption>background"));
}

#[test]
fn missing_samples_are_an_error_that_names_the_file() {
    let error = with_results(Status::Complete, |results, dir| {
        fs::remove_dir_all(dir.join("raw")).unwrap();
        Summary::read(results, dir, &BASELINES).unwrap_err()
    });
    assert!(
        format!("{error:#}").contains("quiet-paced.kernel.1.csv"),
        "{error:#}"
    );
}

/// The page stays in the build directory, to be looked at.
#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let summaries = ["6.18.15", "7.3.4"].map(|kernel| {
        let dir = tempfile::tempdir().unwrap();
        let results = fixture::results(dir.path(), kernel, Status::Complete);
        Summary::read(&results, dir.path(), &BASELINES).unwrap()
    });
    let page = html::page(&summaries);
    fs::write(
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html"),
        &page,
    )
    .unwrap();
    for outside in [
        "<script", "http:", "https:", "url(", "@import", "src=", "<link",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains('\u{1b}'));
    // HTML that is closed like XML, apart from the type and the empty elements of its head.
    let body = page.split_once("<body>").unwrap().1;
    let body = format!("<body>{}", body.trim_end_matches("</html>"));
    let tree = roxmltree::Document::parse(&body).unwrap();
    let titled = tree.descendants().filter(|node| node.has_tag_name("title"));
    let plots = tree
        .descendants()
        .filter(|node| node.attribute("role") == Some("img"));
    assert_eq!(titled.count(), plots.count());
    let ids: Vec<&str> = tree
        .descendants()
        .filter_map(|node| node.attribute("id"))
        .collect();
    for link in tree.descendants().filter_map(|node| node.attribute("href")) {
        assert!(ids.contains(&link.trim_start_matches('#')), "{link}");
    }
    let text: String = tree.descendants().filter_map(|node| node.text()).collect();
    assert!(
        text.contains(
            EJECTION
                .split_once(' ')
                .unwrap()
                .1
                .split_once(" |")
                .unwrap()
                .0
        )
    );
}

#[test]
fn names_from_files_cannot_become_markup() {
    let mut summary = summary(Status::Complete, &BASELINES);
    let evil = "</title></svg><script>alert(1)</script>\"onload=\"x";
    summary.machine.kernel = evil.to_owned();
    summary.command = evil.to_owned();
    summary.plan.contestants[2] = evil.to_owned();
    for course in &mut summary.courses {
        course.rows[2].contestant = evil.to_owned();
    }
    let page = html::page(&[summary]);
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
    assert!(!page.contains("\"onload"));
}
