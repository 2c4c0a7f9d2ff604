//! `--explain`: what the running daemon knows about one process, as text.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crossbeam::channel::Receiver;

use super::units::{count, duration_us, printable};
use super::{Connection, is_over};
use crate::real_time::NOT_OURS;
use crate::stats::{
    EXPLAIN, EXPLAIN_PID, EvidenceExplanation, Explanation, Metrics, Place, ThreadExplanation,
};

/// So long the detectors' cost is measured.
const MEASURED: Duration = Duration::from_secs(1);
/// The kernel's names of threads are shorter.
const NAME_LENGTH_MAX: usize = 32;
const SOURCE_LENGTH_MAX: usize = 64;

/// Prints what the daemon at `socket` knows about the process `pid`, and what its detectors cost.
///
/// # Errors
/// If there is no such process, if no daemon of ours answers, or if `out` cannot be written.
pub(super) fn explain(
    socket: &Path,
    pid: u32,
    stop: &Receiver<()>,
    out: &mut impl Write,
) -> Result<()> {
    // The first question makes the daemon measure.
    let (mut daemon, _) = Connection::open(socket)?;
    let args = vec![
        ("target".to_owned(), EXPLAIN.to_owned()),
        (EXPLAIN_PID.to_owned(), pid.to_string()),
    ];
    let answer = daemon.client.request("stats", args);
    let answer: Option<Explanation> =
        answer.context("the scx_gamer that is running explains nothing: is it an older one?")?;
    let Some(explanation) = answer else {
        bail!("there is no process {pid}");
    };
    out.write_all(describe(&explanation).as_bytes())?;
    out.flush()?;
    if !is_over(stop, MEASURED) {
        out.write_all(costs(&daemon.ask()?).as_bytes())?;
    }
    Ok(())
}

/// The process, its threads and their evidence, a line each.
fn describe(explanation: &Explanation) -> String {
    let mut traits = vec![match explanation.place {
        Place::NoGame => "no game is known",
        Place::Game => "the game",
        Place::Family => "of the game's family",
        Place::Stranger => "no part of the game",
    }];
    if explanation.owns_display {
        traits.push("owns a display");
    }
    if explanation.hands_input {
        traits.push("hands input to the game");
    }
    let mut text = format!(
        "{} (pid {}): {}\n",
        printable(&explanation.name, NAME_LENGTH_MAX),
        explanation.pid,
        traits.join(", ")
    );
    for thread in &explanation.threads {
        text += &describe_thread(thread);
    }
    if explanation.left_out_cnt > 0 {
        let _ = writeln!(text, "and {} more threads", explanation.left_out_cnt);
    }
    text
}

fn describe_thread(thread: &ThreadExplanation) -> String {
    let role = match (thread.real_time, thread.roles.is_empty()) {
        (true, _) => NOT_OURS.to_owned(),
        (false, true) => "not met yet".to_owned(),
        (false, false) => format!("boost {} for {}", thread.boost, thread.roles.join(", ")),
    };
    let name = printable(&thread.name, NAME_LENGTH_MAX);
    let mut text = format!("{:>9}  {name:<16}  {role}\n", thread.tid);
    if thread.inherited > 0 {
        let boost = thread.inherited;
        let _ = writeln!(
            text,
            "{:>11}inherits boost {boost} from who waits for its lock",
            ""
        );
    }
    if thread.period_s > 0.0 {
        let period = duration_us(thread.period_s * 1e6);
        let _ = writeln!(text, "{:>11}wakes to a beat: every {period}", "");
    }
    for evidence in &thread.evidence {
        text += &describe_evidence(evidence);
    }
    text
}

fn describe_evidence(evidence: &EvidenceExplanation) -> String {
    let verdict = if evidence.counts {
        ""
    } else {
        "; does not count for this process"
    };
    format!(
        "{:>11}{}: since {}, {} a second, last {} ago ({}){verdict}\n",
        "",
        printable(&evidence.role, NAME_LENGTH_MAX),
        duration_us(evidence.since_s * 1e6),
        count(evidence.per_s),
        duration_us(evidence.last_s * 1e6),
        printable(&evidence.source, SOURCE_LENGTH_MAX),
    )
}

/// What the detectors cost over the interval, in one line.
fn costs(metrics: &Metrics) -> String {
    let seconds = metrics.interval_s.max(f64::MIN_POSITIVE);
    let busy = metrics.detector_costs.iter();
    let busy = busy.filter(|(_, cost)| cost.events > 0);
    let parts: Vec<String> = busy
        .map(|(name, cost)| {
            let skipped = match cost.skipped {
                0 => String::new(),
                skipped => format!(", {}/s let pass", count(skipped as f64 / seconds)),
            };
            format!(
                "{} {}/s of {}{skipped}",
                printable(name, NAME_LENGTH_MAX),
                count(cost.events as f64 / seconds),
                duration_us(cost.mean_ns / 1e3),
            )
        })
        .collect();
    match parts.is_empty() {
        true => "detectors: no event in a second\n".to_owned(),
        false => format!("detectors: {}\n", parts.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::DetectorMetrics;

    fn thread(tid: u32, name: &str) -> ThreadExplanation {
        ThreadExplanation {
            tid,
            name: name.into(),
            ..ThreadExplanation::default()
        }
    }

    #[test]
    fn each_thread_is_explained_and_no_foreign_text_reaches_the_terminal() {
        let evidence = EvidenceExplanation {
            role: "gpu".into(),
            since_s: 12.0,
            last_s: 0.002,
            per_s: 142.0,
            source: "hook xe_exec_ioctl".into(),
            counts: true,
        };
        let render = ThreadExplanation {
            roles: vec!["gpu".into(), "game".into()],
            boost: 6,
            inherited: 7,
            evidence: vec![
                evidence.clone(),
                EvidenceExplanation {
                    role: "storage".into(),
                    counts: false,
                    ..evidence
                },
            ],
            ..thread(11, "render\u{1b}[2J")
        };
        let explanation = Explanation {
            pid: 10,
            name: "game\n".into(),
            place: Place::Family,
            owns_display: true,
            hands_input: true,
            threads: vec![
                render,
                ThreadExplanation {
                    real_time: true,
                    ..thread(12, "data-loop.0")
                },
                ThreadExplanation {
                    period_s: 0.0167,
                    ..thread(13, "sleeper")
                },
            ],
            left_out_cnt: 3,
        };
        let expected = "\
game? (pid 10): of the game's family, owns a display, hands input to the game
       11  render?[2J        boost 6 for gpu, game
           inherits boost 7 from who waits for its lock
           gpu: since 12s, 142 a second, last 2.0ms ago (hook xe_exec_ioctl)
           storage: since 12s, 142 a second, last 2.0ms ago (hook xe_exec_ioctl); does not count for this process
       12  data-loop.0       RT, not ours
       13  sleeper           not met yet
           wakes to a beat: every 17ms
and 3 more threads
";
        assert_eq!(describe(&explanation), expected);
    }

    #[test]
    fn detectors_that_saw_something_are_in_the_line_of_costs() {
        let cost = |events, skipped| DetectorMetrics {
            events,
            skipped,
            mean_ns: 230.0,
        };
        let mut metrics = Metrics {
            interval_s: 2.0,
            ..Metrics::default()
        };
        assert_eq!(costs(&metrics), "detectors: no event in a second\n");
        let all = [
            ("gpu", cost(300, 0)),
            ("audio", cost(0, 0)),
            ("input", cost(4_000, 2_000)),
        ];
        metrics.detector_costs = all.map(|(name, cost)| (name.to_owned(), cost)).into();
        assert_eq!(
            costs(&metrics),
            "detectors: gpu 150/s of 230ns; input 2.0k/s of 230ns, 1.0k/s let pass\n"
        );
    }
}
