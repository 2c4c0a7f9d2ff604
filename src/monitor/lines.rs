//! Metrics as plain lines of at most [`WIDTH`] columns.

use std::collections::BTreeMap;

use super::units::{count, duration_us, printable};
use crate::stats::{DisplayMetrics, Metrics, ROLE_CNT, RoleMetrics};

/// No row is wider.
pub const WIDTH: usize = 120;
/// The header comes again after this many rows.
const ROWS_PER_HEADER: u32 = 20;
/// Longest name of a game that is shown in full.
const NAME_LENGTH_MAX: usize = 40;
/// Longest text of a detector's state.
const STATE_LENGTH_MAX: usize = 200;
/// The roles' order in a row.
const ROLES: [&str; ROLE_CNT] = [
    "input",
    "gpu",
    "compositor",
    "gpu irq",
    "audio",
    "network",
    "storage",
    "game",
    "normal",
    "background",
];

/// Head, group and width of each column.
const COLUMNS: [(&str, &str, usize); 24] = [
    ("mode", "", 5),
    ("load", "", 5),
    ("in", "cpu % by role", 4),
    ("gpu", "cpu % by role", 4),
    ("comp", "cpu % by role", 5),
    ("girq", "cpu % by role", 5),
    ("snd", "cpu % by role", 4),
    ("net", "cpu % by role", 4),
    ("disk", "cpu % by role", 5),
    ("game", "cpu % by role", 5),
    ("norm", "cpu % by role", 5),
    ("back", "cpu % by role", 5),
    ("idle", "dispatched from, %", 5),
    ("own", "dispatched from, %", 4),
    ("llc", "dispatched from, %", 4),
    ("far", "dispatched from, %", 4),
    ("keep", "dispatched from, %", 5),
    ("kthr", "dispatched from, %", 5),
    ("prmpt", "", 6),
    ("p50", "wait", 6),
    ("p99", "wait", 6),
    ("max", "wait", 6),
    ("input", "", 6),
    ("bpf", "", 6),
];

/// Turns metrics into lines; remembers what was said before.
#[derive(Debug, Default)]
pub struct LinePrinter {
    rows_since_header: Option<u32>,
    state: Option<State>,
}

/// What is only worth a line when it changes.
#[derive(Clone, Debug, PartialEq)]
struct State {
    game: (u32, String, u32),
    detectors: BTreeMap<String, String>,
    displays: BTreeMap<String, String>,
    restarts: u32,
}

impl LinePrinter {
    /// The lines (each with its end) for one interval: what changed, a header when it is due, the
    /// row.
    pub fn interval(&mut self, metrics: &Metrics) -> String {
        let mut text = self.changes(metrics);
        text += &drops(metrics);
        text += &missed(metrics);
        if metrics.xruns > 0 {
            text += &format!("sound: {} xruns\n", metrics.xruns);
        }
        if self
            .rows_since_header
            .is_none_or(|rows| rows >= ROWS_PER_HEADER)
        {
            text += &lock_waits(metrics);
            text += &late(metrics);
            text += &header();
            self.rows_since_header = Some(0);
        }
        self.rows_since_header = self.rows_since_header.map(|rows| rows + 1);
        text += &line(row(metrics));
        text
    }

    /// The lines for game, detectors, displays and restarts, where they are not what they were.
    pub fn changes(&mut self, metrics: &Metrics) -> String {
        let new = State {
            game: (
                metrics.game_pid,
                metrics.game_name.clone(),
                metrics.game_confidence_pct,
            ),
            detectors: metrics.detectors.clone(),
            displays: displays(metrics),
            restarts: metrics.restarts,
        };
        let old = self.state.replace(new.clone());
        let mut text = String::new();
        if old.as_ref().is_none_or(|old| old.game != new.game) {
            text += &game_line(metrics);
        }
        for (name, state) in &new.detectors {
            if old.as_ref().and_then(|old| old.detectors.get(name)) != Some(state) {
                text += &format!("detector {name}: {}\n", printable(state, STATE_LENGTH_MAX));
            }
        }
        for (name, state) in &new.displays {
            if old.as_ref().and_then(|old| old.displays.get(name)) != Some(state) {
                text += &format!("display {name}: {state}\n");
            }
        }
        if old.is_some_and(|old| old.restarts != new.restarts) {
            text += &format!("scheduler attached again (restart {})\n", new.restarts);
        }
        text
    }
}

fn game_line(metrics: &Metrics) -> String {
    if metrics.game_pid == 0 {
        return "game: none\n".to_owned();
    }
    format!(
        "game: {} (pid {}, {} % sure)\n",
        printable(&metrics.game_name, NAME_LENGTH_MAX),
        metrics.game_pid,
        metrics.game_confidence_pct
    )
}

/// What changes seldom about each display; the rate of its flips does not.
fn displays(metrics: &Metrics) -> BTreeMap<String, String> {
    let state = |display: &DisplayMetrics| {
        let owner = match display.owner_pid {
            0 => "nobody known".to_owned(),
            pid => format!("pid {pid}"),
        };
        if display.mode_hz > 0.0 {
            format!("{:.0} Hz, flipped by {owner}", display.mode_hz)
        } else {
            format!("flipped by {owner}")
        }
    };
    let displays = metrics.displays.iter();
    displays
        .map(|(name, display)| (printable(name, NAME_LENGTH_MAX), state(display)))
        .collect()
}

fn missed(metrics: &Metrics) -> String {
    let displays = metrics.displays.iter();
    let some = displays.filter(|(_, display)| display.missed > 0);
    some.map(|(name, display)| {
        format!(
            "display {}: {:.1} Hz, {} flips, {} missed\n",
            printable(name, NAME_LENGTH_MAX),
            display.hz,
            display.flips,
            display.missed
        )
    })
    .collect()
}

fn drops(metrics: &Metrics) -> String {
    match (metrics.input_ring_drops, metrics.input_queue_drops) {
        (0, 0) => String::new(),
        (ring, queue) => {
            format!("input events lost: {ring} (ring buffer full), {queue} (daemon's queue full)\n")
        }
    }
}

/// Waits for locks per second, by what is known of them; nothing where nobody looks.
fn lock_waits(metrics: &Metrics) -> String {
    let waits = &metrics.lock_waits;
    if metrics.interval_s <= 0.0 || waits.values().all(|cnt| *cnt == 0) {
        return String::new();
    }
    let waits = waits.iter();
    let waits =
        waits.map(|(kind, cnt)| format!("{kind} {}", count(*cnt as f64 / metrics.interval_s)));
    let waits: Vec<_> = waits.collect();
    format!(
        "the game's waits for locks a second: {}\n",
        waits.join(", ")
    )
}

/// The part of their stints that began late, of the roles that had any; named as their columns.
fn late(metrics: &Metrics) -> String {
    let heads = COLUMNS[2..].iter().map(|(head, ..)| head);
    let roles = ROLES.iter().zip(heads).filter_map(|(name, head)| {
        let role = metrics.roles.get(*name).filter(|role| role.late > 0)?;
        let digits = usize::from(role.late_pct < 9.95);
        Some(format!("{head} {:.digits$}", role.late_pct))
    });
    let roles: Vec<_> = roles.collect();
    if roles.is_empty() {
        return String::new();
    }
    format!("stints that began late, %: {}\n", roles.join(", "))
}

/// Two lines: the groups, and the columns with their units (runs and counts are per second).
fn header() -> String {
    let mut groups = String::new();
    let mut start = 0;
    while start < COLUMNS.len() {
        let group = COLUMNS[start].1;
        let length = COLUMNS[start..]
            .iter()
            .take_while(|column| column.1 == group)
            .count();
        let width: usize = COLUMNS[start..start + length]
            .iter()
            .map(|column| column.2)
            .sum();
        groups += &if group.is_empty() {
            " ".repeat(width)
        } else {
            // A blank at the left keeps neighbouring groups apart.
            format!(" {:-^w$}", format!(" {group} "), w = width - 1)
        };
        start += length;
    }
    line(groups)
        + &line(
            COLUMNS
                .iter()
                .map(|(name, _, width)| format!("{name:>width$}"))
                .collect(),
        )
}

fn row(metrics: &Metrics) -> String {
    let per_second = |events: u64| {
        let seconds = metrics.interval_s;
        count(if seconds > 0.0 {
            events as f64 / seconds
        } else {
            0.0
        })
    };
    let percent = |value: f64| format!("{:.0}", value.clamp(0.0, 999.0));
    let dispatches = [
        metrics.dispatch_idle,
        metrics.dispatch_own,
        metrics.dispatch_llc.saturating_add(metrics.dispatch_warm),
        metrics.dispatch_steal,
        metrics.dispatch_keep,
        metrics.dispatch_kthread,
    ];
    let dispatched = dispatches
        .iter()
        .fold(0u64, |sum, count| sum.saturating_add(*count))
        .max(1);
    let role = |name| metrics.roles.get(name).copied().unwrap_or_default();
    let load: f64 = metrics
        .roles
        .values()
        .map(|role: &RoleMetrics| role.cpu_pct)
        .sum();
    let seen = metrics
        .input
        .values()
        .fold(0u64, |sum, input| sum.saturating_add(input.seen));

    let mut cells = vec![mode(metrics), percent(load)];
    for name in ROLES {
        cells.push(percent(role(name).cpu_pct));
    }
    cells.extend(dispatches.map(|count| percent(100.0 * count as f64 / dispatched as f64)));
    cells.push(per_second(metrics.preempts));
    let waits = [
        metrics.wait_p50_us,
        metrics.wait_p99_us,
        metrics.wait_max_us,
    ];
    cells.extend(waits.map(duration_us));
    cells.push(per_second(seen));
    cells.push(match metrics.decision_ns {
        ns if ns > 0.0 => duration_us(ns / 1e3),
        _ => "-".to_owned(),
    });
    cells
        .iter()
        .zip(COLUMNS)
        .map(|(cell, (_, _, width))| format!("{cell:>width$}"))
        .collect()
}

/// `light`, `busy`, or how many of the caches' CPUs are busy.
fn mode(metrics: &Metrics) -> String {
    let busy_cnt = metrics.llcs.values().filter(|llc| llc.busy != 0).count();
    match (busy_cnt, metrics.llcs.len()) {
        (0, _) => "light".to_owned(),
        (busy, all) if busy == all => "busy".to_owned(),
        (busy, all) => format!("{busy}/{all}"),
    }
}

fn line(text: String) -> String {
    text.trim_end().to_owned() + "\n"
}
