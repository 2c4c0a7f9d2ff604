//! Results as a person reads them.

use crate::report::{Quantiles, RunReport};
use std::fmt::Write;

fn quantiles(out: &mut String, name: &str, values: &Quantiles) {
    let _ = writeln!(
        out,
        "{name:<18} p50 {:>9.0} us   p99 {:>9.0} us   p99.9 {:>9.0} us   max {:>9.0} us",
        values.p50_us, values.p99_us, values.p999_us, values.max_us
    );
}

fn heading(out: &mut String, report: &RunReport) {
    let (setup, parts) = (&report.setup, &report.parts);
    let scheduler = if setup.scheduler.is_empty() {
        "the kernel's own"
    } else {
        setup.scheduler.as_str()
    };
    let loads = if setup.loads.is_empty() {
        "none".to_owned()
    } else {
        setup.loads.join(", ")
    };
    let _ = writeln!(
        out,
        "kernel {}, {} CPUs, scheduler: {scheduler}",
        setup.kernel, setup.cpus
    );
    let _ = writeln!(
        out,
        "{} s after {} s of warm-up, {:?}{}, load: {loads}",
        setup.seconds,
        setup.warmup,
        setup.mode,
        if setup.oracle { ", SCHED_FIFO" } else { "" }
    );
    let _ = writeln!(
        out,
        "display {}, input {}, gpu {}, audio {}{}",
        parts.display,
        parts.input,
        parts.gpu,
        parts.audio,
        if parts.all_real {
            ""
        } else {
            "  [not the whole real path]"
        }
    );
    for note in &report.notes {
        let _ = writeln!(out, "  note: {note}");
    }
}

/// The table of one run.
#[must_use]
pub fn run(report: &RunReport) -> String {
    let mut out = String::new();
    heading(&mut out, report);
    let frames = &report.frames;
    let _ = writeln!(
        out,
        "{:<18} {} frames, {:.1} fps, 1 % low {:.1}, 0.1 % low {:.1}, late {:.2} %, severe {}",
        "frames",
        frames.count,
        frames.fps,
        frames.low_1pct_fps,
        frames.low_01pct_fps,
        frames.late_share() * 100.0,
        frames.severe
    );
    quantiles(&mut out, "frame interval", &frames.interval);
    let input = &report.input;
    let _ = writeln!(
        out,
        "{:<18} {} sent, {} read, {} overflows; injector: {} reports skipped, longest gap {:.0} us",
        "input events",
        input.sent,
        input.read,
        input.overflows,
        input.skipped,
        input.longest_gap_us
    );
    quantiles(&mut out, "input to flip", &input.to_flip);
    if let Some(audio) = &report.audio {
        let _ = writeln!(
            out,
            "{:<18} {} periods, {} xruns",
            "audio", audio.periods, audio.xruns
        );
        quantiles(&mut out, "audio lateness", &audio.lateness);
    }
    for load in &report.background {
        let jobs = if load.jobs > 0 {
            format!(", {:.1} jobs/s", load.jobs_per_s)
        } else {
            String::new()
        };
        let missed = if load.deadlines > 0 {
            format!(", {} of {} deadlines missed", load.missed, load.deadlines)
        } else {
            String::new()
        };
        let rate = load.loops_per_s / 1e6;
        let _ = writeln!(
            out,
            "{:<18} {rate:.1} million loops/s{jobs}{missed}",
            load.spec
        );
    }
    let work = &report.work;
    let _ = writeln!(
        out,
        "{:<18} game {:.1}, background {:.1} million loops",
        "useful work",
        work.game as f64 / 1e6,
        work.background as f64 / 1e6
    );
    out
}
