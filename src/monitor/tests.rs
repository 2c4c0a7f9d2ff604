//! Goal: a person reads true numbers in columns that hold, and is told plainly when there are none.
//! Method: synthetic metrics; a real server on a socket in a temporary directory.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::time::Instant;

use crossbeam::channel::bounded;
use tempfile::TempDir;

use super::*;
use crate::stats::{InputMetrics, LlcMetrics, RoleMetrics, StatsServer, answer_requests, snapshot};

const SECOND: Duration = Duration::from_secs(1);

fn metrics() -> Metrics {
    let start = Instant::now();
    Metrics::between(
        &snapshot(start, SECOND, 0),
        &snapshot(start, 2 * SECOND, 250),
    )
}

/// Every number as large as it gets.
fn huge_metrics() -> Metrics {
    let mut metrics = metrics();
    let role = RoleMetrics {
        stints: u64::MAX,
        late: u64::MAX,
        late_pct: 100.0,
        cpu_pct: 1e9,
    };
    metrics.roles.values_mut().for_each(|it| *it = role);
    metrics.dispatch_idle = u64::MAX;
    metrics.preempts = u64::MAX;
    metrics.wait_p50_us = 1e18;
    metrics.wait_p99_us = 1e18;
    metrics.wait_max_us = 1e18;
    metrics.decision_ns = 1e18;
    metrics.llcs = (0..64)
        .map(|idx| {
            (
                idx,
                LlcMetrics {
                    busy: idx % 2,
                    load_pct: 100,
                },
            )
        })
        .collect();
    let input = InputMetrics {
        seen: u64::MAX,
        drained: 0,
    };
    metrics.input.values_mut().for_each(|it| *it = input);
    metrics
        .lock_waits
        .values_mut()
        .for_each(|it| *it = u64::MAX);
    metrics
}

fn header_cnt(text: &str) -> usize {
    text.lines()
        .filter(|line| line.trim_start().starts_with("mode"))
        .count()
}

#[test]
fn row_shows_the_interval() {
    let text = LinePrinter::default().interval(&metrics());
    let row: Vec<_> = text
        .lines()
        .last()
        .expect("a row")
        .split_whitespace()
        .collect();
    // 250 ms in each of 10 roles on each of 2 CPUs: more than there is, but easy to add up.
    assert_eq!(row[..4], ["light", "250", "25", "25"]);
    assert_eq!(row[12], "14", "one dispatch of seven was to an idle CPU");
    assert_eq!(row.last(), Some(&"15ns"));
}

#[test]
fn rows_and_headers_fit_the_width() {
    for metrics in [metrics(), huge_metrics(), Metrics::default()] {
        let text = LinePrinter::default().interval(&metrics);
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        let columns: Vec<_> = text
            .lines()
            .rev()
            .take(2)
            .map(|l| l.split_whitespace().count())
            .collect();
        assert_eq!(columns[0], columns[1], "cells run into each other:\n{text}");
        let ends: Vec<_> = text.lines().rev().take(2).map(str::len).collect();
        assert_eq!(
            ends[0], ends[1],
            "columns and heads do not end together:\n{text}"
        );
    }
}

#[test]
fn waits_for_locks_stand_above_the_header_where_there_are_any() {
    let text = LinePrinter::default().interval(&metrics());
    let waits =
        "the game's waits for locks a second: glibc 500, ntsync 1.0k, pi 250, refused 1.5k, ";
    assert!(text.contains(waits), "{text}");
    let mut none = metrics();
    none.lock_waits.values_mut().for_each(|it| *it = 0);
    let text = LinePrinter::default().interval(&none);
    assert!(!text.contains("locks"), "{text}");
}

#[test]
fn late_stints_stand_above_the_header_where_there_are_any() {
    let mut metrics = metrics();
    metrics.roles.values_mut().for_each(|role| role.late = 0);
    let text = LinePrinter::default().interval(&metrics);
    assert!(!text.contains("late"), "{text}");
    for (name, late_pct) in [("gpu irq", 0.26), ("background", 12.5)] {
        let role = metrics.roles.get_mut(name).expect("a role");
        (role.late, role.late_pct) = (1, late_pct);
    }
    let text = LinePrinter::default().interval(&metrics);
    assert!(
        text.contains("stints that began late, %: girq 0.3, back 12\n"),
        "{text}"
    );
}

#[test]
fn header_comes_again() {
    let (mut printer, metrics) = (LinePrinter::default(), metrics());
    let text: String = (0..41).map(|_| printer.interval(&metrics)).collect();
    assert_eq!(header_cnt(&text), 3);
}

#[test]
fn state_is_told_once_and_when_it_changes() {
    let (mut printer, mut metrics) = (LinePrinter::default(), metrics());
    let first = printer.interval(&metrics);
    assert!(
        first.contains("game: Game.exe (pid 42, 90 % sure)\n"),
        "{first}"
    );
    assert!(
        first.contains("detector input: active (fentry/input_event)\n"),
        "{first}"
    );
    let display = "display card0 crtc1: 100 Hz, flipped by pid 43\n";
    assert!(first.contains(display), "{first}");
    assert_eq!(printer.interval(&metrics).lines().count(), 1);
    metrics.displays.get_mut("card0 crtc1").unwrap().missed = 3;
    metrics.game_pid = 0;
    metrics.restarts += 1;
    metrics.input_ring_drops = 7;
    metrics.xruns = 2;
    let changed = printer.interval(&metrics);
    assert!(changed.contains("game: none\n"), "{changed}");
    assert!(changed.contains("restart 1"), "{changed}");
    assert!(changed.contains("lost: 7"), "{changed}");
    let missed = "display card0 crtc1: 50.0 Hz, 250 flips, 3 missed\n";
    assert!(changed.contains(missed), "{changed}");
    assert!(changed.contains("sound: 2 xruns\n"), "{changed}");
    assert!(!changed.contains("detector"), "{changed}");
}

#[test]
fn hostile_name_of_a_game_is_shown_harmlessly() {
    let mut metrics = metrics();
    metrics.game_name = format!("\x1b]0;x\x07\n{}", "A".repeat(1000));
    let text = LinePrinter::default().interval(&metrics);
    assert!(!text.contains(['\x1b', '\x07']));
    let game = text.lines().next().expect("a line");
    assert!(
        game.starts_with("game: ?]0;x??AAA") && game.len() < WIDTH,
        "{game}"
    );
}

#[test]
fn missing_daemon_is_an_error() {
    let dir = TempDir::new().expect("temporary directory");
    let (_sender, stop) = bounded(1);
    let path = dir.path().join("stats");
    let error = run(&path, SECOND, &stop, &mut Vec::new()).expect_err("nobody listens");
    assert!(
        matches!(error.downcast_ref(), Some(Error::NoDaemon { .. })),
        "{error}"
    );
}

#[test]
fn foreign_daemon_is_an_error() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("stats");
    let listener = UnixListener::bind(&path).expect("binds");
    let (_sender, stop) = bounded(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut request = String::new();
            BufReader::new(&stream)
                .read_line(&mut request)
                .expect("reads");
            writeln!(stream, r#"{{"errno":0,"args":{{"resp":{{"nr_doms":1}}}}}}"#).expect("writes");
        });
        let error = run(&path, SECOND, &stop, &mut Vec::new()).expect_err("speaks otherwise");
        assert!(
            matches!(error.downcast_ref(), Some(Error::ForeignDaemon { .. })),
            "{error}"
        );
    });
}

#[test]
fn watches_until_it_is_stopped() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("scx/root/stats");
    let server = StatsServer::launch(&path).expect("launches");
    let start = Instant::now();
    let (sender, stop) = bounded(1);
    let mut out = Vec::new();
    let mut answer_cnt = 0;
    std::thread::scope(|scope| {
        let (path, out) = (&path, &mut out);
        scope.spawn(move || run(path, Duration::from_millis(1), &stop, out).expect("ends well"));
        answer_requests(&server, 4, || {
            answer_cnt += 1;
            if answer_cnt == 4 {
                sender.try_send(()).expect("has room");
            }
            Ok(snapshot(
                start,
                answer_cnt * SECOND,
                100 * u64::from(answer_cnt),
            ))
        });
    });
    let text = String::from_utf8(out).expect("is text");
    assert!(text.starts_with("game: Game.exe"), "{text}");
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("light"))
            .count(),
        3,
        "{text}"
    );
}

#[test]
fn daemon_that_goes_is_waited_for() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("scx/root/stats");
    let start = Instant::now();
    let (sender, stop) = bounded(1);
    let mut out = Vec::new();
    std::thread::scope(|scope| {
        let server = StatsServer::launch(&path).expect("launches");
        let (path, out) = (&path, &mut out);
        scope.spawn(move || run(path, Duration::from_millis(1), &stop, out).expect("ends well"));
        answer_requests(&server, 2, || Ok(snapshot(start, SECOND, 100)));
        drop(server);
        let server = StatsServer::launch(path).expect("launches again");
        answer_requests(&server, 2, || Ok(snapshot(start, SECOND, 100)));
        sender.try_send(()).expect("has room");
    });
    let text = String::from_utf8(out).expect("is text");
    let gone = text
        .find("does not answer any more")
        .unwrap_or_else(|| panic!("does not say that it has gone: {text}"));
    assert!(text[gone..].contains("scx_gamer is back\n"), "{text}");
}
