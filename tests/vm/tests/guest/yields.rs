//! Goal: a thread that spins on sched_yield lets others go first, so that what it waits for is done. Method: on one
//! CPU a thread yields until a hog of another process has moved on there, and counts; once without a boost, once with that
//! of a thread that reads input, whose deadline comes long before the hog's.

use std::fs::File;
use std::io::Read as _;
use std::process::Command;
use std::thread::{park_timeout, yield_now};
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use scx_gamer::policy::YIELD_SPIN_CNT;

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::{SELF, allow, start};

const CPU: usize = 0;
const TRIALS: usize = 40;
/// After it the thread has its boost again, if it ever had one.
const NAP: Duration = Duration::from_millis(10);
/// A thread of the kernel may come between; who gives way to it counts from nothing again.
const TURNS_MAX: u32 = 8;
/// A read of less than an event fails at once, and is seen.
const DEVICE: &str = "/dev/input/event0";

/// The most yields until a hog on the same CPU had gone on, of some trials.
fn most_yields(its_time: ClockId, reads: Option<&File>) -> u32 {
    let ran = || its_time.now().unwrap();
    let yields = || {
        park_timeout(NAP);
        if let Some(mut device) = reads {
            device.read(&mut [0]).unwrap_err();
        }
        let before = ran();
        let mut yields = 0;
        while ran() == before {
            yield_now();
            yields += 1;
        }
        yields
    };
    (0..TRIALS).map(|_| yields()).max().unwrap()
}

#[test]
#[ignore = "runs inside the VM"]
fn who_spins_on_yields_lets_others_go_first() {
    require_vm();
    let device = File::open(DEVICE).unwrap();
    let mut daemon = Daemon::start(&[]);
    let hog = start(Command::new("/bin/sh").args(["-c", "while :; do :; done"]));
    for pid in [SELF, hog.pid()] {
        allow(pid, &[CPU]);
    }
    let its_time = clock_getcpuclockid(hog.pid()).unwrap();
    let plain = most_yields(its_time, None);
    let reader = most_yields(its_time, Some(&device));
    println!("at most {plain} yields without a boost, {reader} with that of input");
    assert!(
        daemon.metrics().roles["input"].stints > 0,
        "it never had the boost"
    );
    daemon.assert_in_charge();
    assert!(plain <= TURNS_MAX);
    assert!(reader <= TURNS_MAX * YIELD_SPIN_CNT);
}
