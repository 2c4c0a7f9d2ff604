//! Goal: what is in the way of the daemon is said in one clear line with its exit code, and leaves
//! nothing behind. Method: put it there.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sched::{sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal;

use super::require_vm;
use crate::support::daemon::{Daemon, sched_ext};
use crate::support::game::{inject, mouse};
use crate::support::{SELF, allow, built};

/// More events than a ring of 64 KiB has room for.
const FLOOD: i32 = 5000;

#[test]
#[ignore = "runs inside the VM"]
fn user_without_rights_is_told_so() {
    require_vm();
    // Somewhere that any user may look into.
    let program = "/run/scx_gamer_copy";
    fs::copy(built("scx_gamer"), program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
    assert_refused(&command.output().unwrap(), 4, &["needs root", "sudo"]);
    fs::remove_file(program).unwrap();
}

#[test]
#[ignore = "runs inside the VM"]
fn game_that_does_not_exist_is_named() {
    require_vm();
    let mut command = Command::new(built("scx_gamer"));
    let output = command.args(["--game-pid", "999999"]).output().unwrap();
    assert_refused(&output, 2, &["--game-pid 999999", "no such process"]);
}

#[test]
#[ignore = "runs inside the VM"]
fn missing_hook_costs_its_signal_only() {
    require_vm();
    modprobe(&["-r", "evdev"]);
    let mut daemon = Daemon::start(&[]);
    let state = daemon.metrics().detectors["input reader"].clone();
    println!("input reader: {state}");
    modprobe(&["evdev"]);
    assert!(!state.contains("evdev_read"), "{state}");
    let before = daemon.metrics().input["mouse"].seen;
    inject(&mut mouse(), 10, None);
    let seen = daemon.metrics().input["mouse"].seen - before;
    assert_eq!(seen, 10, "the other detectors work");
    daemon.assert_in_charge();
}

#[test]
#[ignore = "runs inside the VM"]
fn full_ring_drops_are_counted_and_nothing_else_breaks() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let mut device = mouse();
    let before = daemon.metrics();
    daemon.process().signal(Signal::SIGSTOP);
    let all = sched_getaffinity(SELF).unwrap();
    allow(SELF, &[0]);
    inject(&mut device, FLOOD, None);
    sched_setaffinity(SELF, &all).unwrap();
    daemon.process().signal(Signal::SIGCONT);
    let sent = u64::from(FLOOD.unsigned_abs());
    let complete = daemon.wait_for_metrics(Duration::from_secs(5), |now| {
        let input = now.input["mouse"];
        input.drained + now.input_ring_drops + now.input_queue_drops
            == before.input["mouse"].drained + sent
    });
    let after = daemon.metrics();
    println!(
        "sent {sent} while the daemon stood: {:?}, dropped {} + {}",
        after.input["mouse"], after.input_ring_drops, after.input_queue_drops
    );
    assert!(
        complete.is_some(),
        "an event is neither drained nor dropped"
    );
    assert_eq!(after.input["mouse"].seen, before.input["mouse"].seen + sent);
    assert!(after.input_ring_drops > 0);
    inject(&mut device, 10, None);
    let goes_on = daemon.wait_for_metrics(Duration::from_secs(5), |now| {
        now.input["mouse"].drained == after.input["mouse"].drained + 10
    });
    assert!(goes_on.is_some(), "new events do not arrive");
    daemon.assert_in_charge();
}

/// One clear line with these parts, this code, nothing attached.
pub(crate) fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    println!("{}: {message}", output.status);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    assert_eq!(sched_ext("state"), "disabled");
}

fn modprobe(args: &[&str]) {
    let status = Command::new("modprobe").args(args).status().unwrap();
    assert!(status.success(), "modprobe {args:?}: {status}");
}
