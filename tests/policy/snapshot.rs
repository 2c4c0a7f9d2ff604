//! The decision table on a fixed grid of inputs, so that a change of policy shows as a diff.

use std::fmt::Write as _;
use std::path::Path;

use scx_gamer::policy::{
    DeadlineInput, HEAD_START_NS, Preempt, PreemptInput, charge_ns, inv_weight, preempt, slice_ns,
    span_ns,
};

use crate::inputs::WAIT_BOUND_NS;

const ACCEPT_VAR: &str = "UPDATE_SNAPSHOT";
const LAGS_MS: [i64; 6] = [-120, -80, -40, 0, 20, 600];
const RECENT_RUNS_MS: [u64; 4] = [0, 1, 10, 200];

fn us(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000, ns % 1_000)
}

fn spans(out: &mut String) {
    for in_window in [false, true] {
        let window = if in_window { "open" } else { "shut" };
        _ = writeln!(
            out,
            "# span in us, window {window}: lag/recent run in ms down, boost across"
        );
        for (lag, recent) in LAGS_MS
            .iter()
            .flat_map(|lag| RECENT_RUNS_MS.map(|run| (lag, run)))
        {
            _ = write!(out, "{:<8}", format!("{lag}/{recent}"));
            for boost in 0..=7_u32 {
                let span = span_ns(&DeadlineInput {
                    lag_ns: lag * 1_000_000,
                    recent_run_ns: recent * 1_000_000,
                    wait_bound_ns: WAIT_BOUND_NS,
                    head_start_ns: HEAD_START_NS,
                    boost,
                    in_window,
                    ..DeadlineInput::default()
                });
                _ = write!(out, " {:>10}", us(span));
            }
            out.push('\n');
        }
        out.push('\n');
    }
}

fn verdict(arrival: (u32, u64), running: (u32, u64), running_for_us: u64) -> &'static str {
    match preempt(&PreemptInput {
        arrival_boost: arrival.0,
        arrival_span_ns: arrival.1 * 1_000_000,
        running_boost: running.0,
        running_holds_lock: false,
        running_span_ns: running.1 * 1_000_000,
        running_for_ns: running_for_us * 1_000,
    }) {
        Preempt::Yes => "YES",
        Preempt::NoTurn => "turn",
        Preempt::NoBoost => "boost",
        Preempt::NoSpan => "span",
        Preempt::NoLock => "lock",
    }
}

fn preemptions(out: &mut String) {
    const RUNNING: [(u32, u64); 8] = [
        (0, 30),
        (0, 140),
        (1, 70),
        (2, 10),
        (4, 9),
        (5, 1),
        (6, 2),
        (7, 1),
    ];
    const ARRIVAL: [(u32, u64); 8] = [
        (0, 20),
        (0, 40),
        (0, 137),
        (1, 20),
        (3, 5),
        (5, 4),
        (6, 1),
        (7, 1),
    ];
    for running_for_us in [199, 200] {
        _ = writeln!(
            out,
            "# preemption after {running_for_us} us: arrival down, running across, as boost/span in ms"
        );
        _ = write!(out, "{:<7}", "");
        for running in RUNNING {
            _ = write!(out, " {:>7}", format!("{}/{}", running.0, running.1));
        }
        for arrival in ARRIVAL {
            _ = write!(out, "\n{:<7}", format!("{}/{}", arrival.0, arrival.1));
            for running in RUNNING {
                _ = write!(out, " {:>7}", verdict(arrival, running, running_for_us));
            }
        }
        out.push_str("\n\n");
    }
}

fn charges_and_slices(out: &mut String) {
    _ = writeln!(out, "# charge in us for 1 ms of run time, by weight");
    for weight in [0, 1, 3, 15, 50, 100, 200, 1024, 8876, 10_000] {
        _ = writeln!(
            out,
            "{weight:<6} {:>11}",
            us(charge_ns(1_000_000, inv_weight(weight)))
        );
    }
    _ = writeln!(
        out,
        "\n# busy slice in us of 3 ms, at least 0.5 ms: CPUs down, waiting across"
    );
    let waiting = [0, 1, 2, 4, 8, 16, 64];
    _ = write!(out, "{:<4}", "");
    for count in waiting {
        _ = write!(out, " {count:>8}");
    }
    for cpu_cnt in [1, 2, 4, 8, 16] {
        _ = write!(out, "\n{cpu_cnt:<4}");
        for count in waiting {
            _ = write!(
                out,
                " {:>8}",
                us(slice_ns(3_000_000, 500_000, count, cpu_cnt, true))
            );
        }
    }
    out.push('\n');
}

#[test]
fn decisions_are_those_of_the_checked_in_table() {
    let mut now = String::new();
    spans(&mut now);
    preemptions(&mut now);
    charges_and_slices(&mut now);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy/decisions.txt");
    if std::env::var_os(ACCEPT_VAR).is_some() {
        std::fs::write(&path, &now).expect("cannot write the snapshot");
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<String> = diff(&before, &now);
    assert!(
        changed.is_empty(),
        "the policy decides differently from tests/policy/decisions.txt:\n{}\nIf that is meant, run\n    \
         {ACCEPT_VAR}=1 cargo test --test policy decisions\nand commit the file with the change.",
        changed.join("\n")
    );
}

/// Lines that differ at the same place, as `-` and `+`.
fn diff(before: &str, now: &str) -> Vec<String> {
    let line_cnt = before.lines().count().max(now.lines().count());
    let mut lines = (before.lines(), now.lines());
    let mut changed = Vec::new();
    for _ in 0..line_cnt {
        let (old, new) = (lines.0.next(), lines.1.next());
        if old != new {
            changed.extend(old.map(|line| format!("- {line}")));
            changed.extend(new.map(|line| format!("+ {line}")));
        }
    }
    changed
}
