//! Goal: the doctor says the truth about this machine, and its exit code is the one that the
//! scheduler would end with. Method: the program itself, with and without a scheduler attached.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use super::require_vm;
use crate::support::built;
use crate::support::daemon::Daemon;

fn doctor(flags: &[&str]) -> Output {
    let mut command = Command::new(built("scx_gamer"));
    command.arg("doctor").args(flags).output().unwrap()
}

/// State and details by name.
fn findings(output: &Output) -> Vec<(String, String, String)> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|one| (text(one, "name"), text(one, "state"), text(one, "detail")))
        .collect()
}

#[test]
#[ignore = "runs inside the VM"]
fn doctor_finds_all_detectors_and_nothing_missing() {
    require_vm();
    let output = doctor(&["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let found = findings(&output);
    let text = String::from_utf8_lossy(&doctor(&[]).stdout).into_owned();
    println!("{text}");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(text.contains(release.trim()));
    for name in [
        "process",
        "input",
        "input reader",
        "gpu",
        "compositor",
        "audio",
        "network",
        "storage",
    ] {
        let name = format!("detector {name}");
        let is_ok = |(one, state, _): &(String, String, String)| *one == name && state == "ok";
        assert!(found.iter().any(is_ok), "{name}: {found:?}");
    }
    let missing = found.iter().filter(|(_, state, _)| state == "missing");
    assert_eq!(missing.count(), 0);
}

#[test]
#[ignore = "runs inside the VM"]
fn doctor_knows_that_scx_gamer_is_running() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let output = doctor(&["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let running = |(name, _, detail): &(String, String, String)| {
        name == "other schedulers" && detail.contains("it is running")
    };
    assert!(findings(&output).iter().any(running));
    daemon.assert_in_charge();
}

#[test]
#[ignore = "runs inside the VM"]
fn doctor_without_rights_says_so() {
    require_vm();
    let program = built("scx_gamer");
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
    let output = command.arg(program).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(
        text.contains("CAP_BPF") && text.contains("with sudo"),
        "{text}"
    );
}
