//! What the facts mean. Pure.

use serde::{Serialize, Serializer};

use super::facts::Facts;
use crate::detect::DetectorState;
use crate::error::{Error, ExitCode};

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Fine,
    /// scx_gamer runs, but something does less or is somebody else's.
    Note,
    /// scx_gamer cannot run; it would end with this code.
    Missing(ExitCode),
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Missing(_) => "missing",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub name: String,
    /// How it is.
    pub state: State,
    /// The same in words.
    pub detail: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Finding {
    fn fine(name: &str, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Fine,
            detail: detail.into(),
            advice: None,
        }
    }

    fn note(name: &str, detail: impl Into<String>, advice: &str) -> Self {
        Self {
            state: State::Note,
            advice: Some(advice.to_owned()),
            ..Self::fine(name, detail)
        }
    }

    /// The error that scx_gamer would end with says what to do after its first colon.
    fn missing(name: &str, error: &Error) -> Self {
        let text = error.to_string();
        let (detail, advice) = text.split_once(": ").unwrap_or((&text, ""));
        Self {
            name: name.to_owned(),
            state: State::Missing(error.exit_code()),
            detail: detail.to_owned(),
            advice: Some(advice.to_owned()).filter(|advice| !advice.is_empty()),
        }
    }
}

/// All findings; what has to be mended first comes first.
#[must_use]
pub fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![sched_ext(facts), btf(facts), rights(facts), vacancy(facts)];
    findings.extend(detectors(facts));
    findings.push(governors(facts));
    findings.extend(surroundings(facts));
    findings
}

/// The code of the first thing that is missing.
#[must_use]
pub fn exit_code(findings: &[Finding]) -> ExitCode {
    let missing = findings.iter().find_map(|finding| match finding.state {
        State::Missing(code) => Some(code),
        State::Fine | State::Note => None,
    });
    missing.unwrap_or(ExitCode::Success)
}

fn sched_ext(facts: &Facts) -> Finding {
    match &facts.sched_ext {
        Some(state) => Finding::fine("sched_ext", state),
        None => Finding::missing("sched_ext", &Error::NoSchedExt),
    }
}

fn btf(facts: &Facts) -> Finding {
    if !facts.btf {
        let advice = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y";
        return Finding {
            state: State::Missing(ExitCode::Unsupported),
            ..Finding::note(
                "kernel types (BTF)",
                "/sys/kernel/btf/vmlinux is missing",
                advice,
            )
        };
    }
    if facts.malformed_kfuncs.is_empty() {
        return Finding::fine("kernel types (BTF)", "there");
    }
    let detail = format!(
        "{} functions have an argument that programs must not pass, as this kernel was built with pahole older than 1.26",
        facts.malformed_kfuncs.len()
    );
    Finding::missing("kernel types (BTF)", &Error::MalformedBtf { detail })
}

fn rights(facts: &Facts) -> Finding {
    if facts.missing_capabilities.is_empty() {
        return Finding::fine("rights", "all that are needed");
    }
    let mut finding = Finding::missing("rights", &Error::NotPermitted);
    finding.detail += &format!(" (not there: {})", facts.missing_capabilities.join(", "));
    finding
}

fn vacancy(facts: &Facts) -> Finding {
    let name = "other schedulers";
    match facts.attached.as_str() {
        "" => Finding::fine(name, "none attached"),
        ours if ours.starts_with("scx_gamer") => {
            Finding::fine(name, format!("{ours} is attached: it is running"))
        }
        other => Finding::missing(
            name,
            &Error::Occupied {
                name: other.to_owned(),
            },
        ),
    }
}

fn detectors(facts: &Facts) -> Vec<Finding> {
    let Some(detectors) = &facts.detectors else {
        let detail = "not tried, for lack of rights or types";
        return vec![Finding::note("detectors", detail, "run this with sudo")];
    };
    let judge = |(name, state): &(&str, DetectorState)| {
        let name = format!("detector {name}");
        match state {
            DetectorState::Active { hook } => Finding::fine(&name, hook),
            DetectorState::Unavailable { reason } => Finding {
                state: State::Note,
                ..Finding::fine(&name, reason)
            },
        }
    };
    detectors.iter().map(judge).collect()
}

fn governors(facts: &Facts) -> Finding {
    let (name, governors) = ("clock rates", &facts.governors);
    if governors.is_empty() {
        return Finding::fine(name, "no cpufreq here: not the kernel's to set");
    }
    if governors.listen() {
        let detail = format!("{governors}: performance targets have an effect");
        return Finding::fine(name, detail);
    }
    Finding::note(
        name,
        format!("{governors}: performance targets are ignored"),
        "nothing, if the CPUs are fast enough; for targets, and for --power-save, choose schedutil (`cpupower frequency-set -g schedutil`; intel_pstate and amd_pstate have it in their passive mode)",
    )
}

fn surroundings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !facts.rivals.is_empty() {
        findings.push(Finding::note(
            "renicers and loaders",
            facts.rivals.join(", "),
            "they change priorities, CPUs or the scheduler beside scx_gamer: stop them to see what it does alone",
        ));
    }
    if !facts.real_time.is_empty() {
        findings.push(Finding::note(
            "real-time threads",
            format!("in {}", facts.real_time.join(", ")),
            "nothing: they come before every sched_ext scheduler, and are not ours to schedule",
        ));
    }
    match facts.ext_server {
        Some(true) => findings.push(Finding::fine("ext_server", "there")),
        Some(false) => findings.push(Finding::note(
            "ext_server",
            "not in this kernel: a thread that may only use a CPU which a real-time thread never leaves waits for ever",
            "nothing, unless a real-time thread runs wild; 7.x kernels have it",
        )),
        None => {}
    }
    if !facts.limited_cgroups.is_empty() {
        findings.push(Finding::note(
            "CPU limits of control groups",
            facts.limited_cgroups.join(", "),
            "cpu.max and cpu.weight have no effect under scx_gamer: stop it where they must hold",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Governors;

    fn healthy() -> Facts {
        Facts {
            kernel: "7.3".to_owned(),
            sched_ext: Some("disabled".to_owned()),
            btf: true,
            ext_server: Some(true),
            detectors: Some(Vec::new()),
            governors: Governors::from(["schedutil"]),
            ..Facts::default()
        }
    }

    fn finding(facts: &Facts, name: &str) -> Finding {
        let found = all(facts).into_iter().find(|finding| finding.name == name);
        found.expect("is among the findings")
    }

    #[test]
    fn a_healthy_machine_needs_nothing() {
        let findings = all(&healthy());
        assert!(findings.iter().all(|finding| finding.state == State::Fine));
        assert_eq!(exit_code(&findings), ExitCode::Success);
    }

    #[test]
    fn each_thing_missing_has_its_code_and_says_what_to_do() {
        let mut facts = healthy();
        facts.attached = "lavd_1.1".to_owned();
        assert_eq!(exit_code(&all(&facts)), ExitCode::Occupied);
        facts.missing_capabilities = vec!["CAP_BPF".to_owned()];
        assert_eq!(exit_code(&all(&facts)), ExitCode::NotPermitted);
        assert!(finding(&facts, "rights").detail.contains("CAP_BPF"));
        facts.malformed_kfuncs = vec!["scx_bpf_kick_cpu".to_owned()];
        assert_eq!(exit_code(&all(&facts)), ExitCode::Unsupported);
        let btf = finding(&facts, "kernel types (BTF)");
        assert!(btf.detail.contains("pahole"), "{btf:?}");
        facts.btf = false;
        assert_eq!(exit_code(&all(&facts)), ExitCode::Unsupported);
        facts.sched_ext = None;
        for finding in &all(&facts)[..4] {
            assert!(finding.advice.is_some(), "{finding:?}");
        }
    }

    #[test]
    fn what_only_does_less_is_a_note() {
        let mut facts = healthy();
        facts.attached = "scx_gamer_0.1.0".to_owned();
        facts.rivals = vec!["gamemoded".to_owned()];
        facts.real_time = vec!["pipewire".to_owned()];
        facts.ext_server = Some(false);
        facts.governors = Governors::from(["performance"]);
        facts.limited_cgroups = vec!["/a".to_owned()];
        let reason = "no module".to_owned();
        facts.detectors = Some(vec![("gpu", DetectorState::Unavailable { reason })]);
        let findings = all(&facts);
        assert_eq!(exit_code(&findings), ExitCode::Success);
        let notes = findings.iter().filter(|one| one.state == State::Note);
        assert_eq!(notes.count(), 6);
        assert!(finding(&facts, "clock rates").detail.contains("ignored"));
        facts.detectors = None;
        assert_eq!(finding(&facts, "detectors").state, State::Note);
    }
}
