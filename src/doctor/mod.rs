//! `scx_gamer doctor`: what of this machine scx_gamer needs, what it can use, and what stands in its
//! way. A bug report is its output.
//!
//! [`facts`] reads the machine, [`judge`] is pure and says what each fact means and what to do.

pub mod facts;
pub mod judge;

use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use self::facts::Facts;
use self::judge::{Finding, State};
use crate::error::ExitCode;
use crate::monitor::units::printable;

/// Longest detail that a person is shown: anyone can choose the name of a process.
const DETAIL_LENGTH_MAX: usize = 2000;

/// Everything, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    version: &'static str,
    kernel: &'a str,
    findings: &'a [Finding],
}

/// Examines this machine and writes the findings, for a person or as JSON. The exit code is
/// [`ExitCode::Success`] only if everything that is needed is there.
///
/// # Errors
/// If `out` cannot be written.
pub fn run(json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let facts = Facts::read();
    let findings = judge::all(&facts);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: &facts.kernel,
        findings: &findings,
    };
    if json {
        serde_json::to_writer_pretty(&mut *out, &report).context("cannot write the findings")?;
        writeln!(out).context("cannot write the findings")?;
    } else {
        out.write_all(text(&report).as_bytes())
            .context("cannot write the findings")?;
    }
    Ok(judge::exit_code(&findings))
}

fn text(report: &Report<'_>) -> String {
    let mut text = format!("scx_gamer {} on {}\n", report.version, report.kernel);
    for finding in report.findings {
        let state = match finding.state {
            State::Fine => "ok",
            State::Note => "note",
            State::Missing(_) => "MISSING",
        };
        let detail = printable(&finding.detail, DETAIL_LENGTH_MAX);
        text += &format!("{state:>8}  {}: {detail}\n", finding.name);
        if let Some(advice) = &finding.advice {
            text += &format!("{:>8}  do: {advice}\n", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_what_to_do_below_what_is_missing() {
        let findings = [Finding {
            name: "sched_ext".to_owned(),
            state: State::Missing(ExitCode::Unsupported),
            detail: "not in this \x1bkernel".to_owned(),
            advice: Some("boot another".to_owned()),
        }];
        let report = Report {
            version: "1",
            kernel: "6.1",
            findings: &findings,
        };
        assert_eq!(
            text(&report),
            "scx_gamer 1 on 6.1\n MISSING  sched_ext: not in this ?kernel\n          do: boot another\n"
        );
        let json = serde_json::to_value(&report).expect("is JSON");
        assert_eq!(json["findings"][0]["state"], "missing");
    }
}
