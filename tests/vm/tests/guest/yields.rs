//! Goal: a thread that spins on sched_yield lets others go first, so that what it waits for is done. Method: on one
//! CPU a thread yields until a hog there has moved on, and counts; once without a boost, once with that
//! of a thread that reads input, whose deadline comes long before the hog's.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{park_timeout, scope, yield_now};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use scx_gamer::policy::YIELD_SPIN_CNT;

use super::require_vm;
use crate::support::daemon::Daemon;

const CPU: usize = 0;
const TRIALS: usize = 40;
/// After it the thread has its boost again, if it ever had one.
const NAP: Duration = Duration::from_millis(10);
/// Something else may come between as well.
const TO_SPARE: u32 = 20;
/// A read of less than an event fails at once, and is seen.
const DEVICE: &str = "/dev/input/event0";

/// The most yields until a hog on the same CPU had gone on, of some trials.
fn most_yields(reads: Option<&File>) -> u32 {
    let (steps, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut cpu = CpuSet::new();
    cpu.set(CPU).unwrap();
    scope(|scope| {
        scope.spawn(|| {
            sched_setaffinity(Pid::from_raw(0), &cpu).unwrap();
            while !ends.load(Ordering::Relaxed) {
                steps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let spinner = scope.spawn(|| {
            sched_setaffinity(Pid::from_raw(0), &cpu).unwrap();
            let yields = || {
                park_timeout(NAP);
                if let Some(mut device) = reads {
                    device.read(&mut [0]).unwrap_err();
                }
                let before = steps.load(Ordering::Relaxed);
                let mut yields = 0;
                while steps.load(Ordering::Relaxed) == before {
                    yield_now();
                    yields += 1;
                }
                yields
            };
            let most = (0..TRIALS).map(|_| yields()).max().unwrap();
            ends.store(true, Ordering::Relaxed);
            most
        });
        spinner.join().unwrap()
    })
}

#[test]
#[ignore = "runs inside the VM"]
fn who_spins_on_yields_lets_others_go_first() {
    require_vm();
    let device = File::open(DEVICE).unwrap();
    let mut daemon = Daemon::start(&[]);
    let plain = most_yields(None);
    let reader = most_yields(Some(&device));
    println!("at most {plain} yields without a boost, {reader} with that of input");
    assert!(
        daemon.metrics().roles["input"].stints > 0,
        "it never had the boost"
    );
    daemon.assert_in_charge();
    assert!(plain <= TO_SPARE);
    assert!(reader <= YIELD_SPIN_CNT + TO_SPARE);
}
