//! Goal: a module that comes later is hooked at once, one can be loaded anew between two runs of the
//! daemon, and devices that come and go cost nothing. Method: evdev and the statistics and log of a
//! real daemon; virtual devices.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::{inject, mouse};
use crate::support::wait_for;

const ACTIVE_WITHIN: Duration = Duration::from_secs(1);
const HOOK: &str = "evdev_read";
const DEVICES: usize = 50;

fn run(program: &str, module: &str) -> bool {
    let output = Command::new(program).arg(module).output().unwrap();
    print!(
        "{program} {module}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{}", output.status);
    output.status.success()
}

/// evdev is taken out, and comes back when the test ends, however it ends.
struct WithoutEvdev;

impl WithoutEvdev {
    fn begin() -> Self {
        assert!(run("rmmod", "evdev"), "somebody uses it");
        Self
    }
}

impl Drop for WithoutEvdev {
    fn drop(&mut self) {
        run("modprobe", "evdev");
    }
}

fn state(daemon: &Daemon) -> String {
    daemon.metrics().detectors["input reader"].clone()
}

#[test]
#[ignore = "runs inside the VM"]
fn a_module_that_comes_later_is_hooked_within_a_second_and_can_be_loaded_anew() {
    require_vm();
    let without = WithoutEvdev::begin();
    let mut daemon = Daemon::start(&[]);
    assert!(!state(&daemon).contains(HOOK), "{}", state(&daemon));
    drop(without);
    // From where the module is there: reading it from the host's disk may take seconds of the guest's clock.
    let begin = Instant::now();
    daemon.wait_for_log(HOOK);
    let took = begin.elapsed();
    println!("hooked {took:?} after modprobe ended");
    assert!(took < ACTIVE_WITHIN);
    assert!(state(&daemon).contains(HOOK), "{}", state(&daemon));
    assert!(!run("rmmod", "evdev"), "a hook in use holds its module");
    daemon.assert_in_charge();
    assert!(daemon.end().success());

    drop(WithoutEvdev::begin());
    let daemon = Daemon::start(&[]);
    assert!(state(&daemon).contains(HOOK), "{}", state(&daemon));
    assert!(daemon.end().success());
}

#[test]
#[ignore = "runs inside the VM"]
fn devices_that_come_and_go_leak_nothing() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let path = format!("/proc/{}/fd", daemon.process().pid());
    let open = || fs::read_dir(&path).map_or(0, Iterator::count);
    let events = |daemon: &Daemon| daemon.metrics().input["mouse"].seen;
    let seen = events(&daemon);
    let before = open();
    for _ in 0..DEVICES {
        inject(&mut mouse(), 2, None);
    }
    let after = wait_for(Duration::from_secs(5), || open() <= before);
    assert!(after, "{before} descriptors, then {}", open());
    // Each event with the report that ends it.
    let seen = events(&daemon) - seen;
    assert!(seen >= 2 * DEVICES as u64, "{seen} events");
    assert_eq!(state(&daemon).matches(HOOK).count(), 1);
    daemon.assert_in_charge();
}
