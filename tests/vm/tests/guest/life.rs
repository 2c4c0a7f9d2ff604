//! Goal: however the daemon ends, the kernel's own scheduler is back at once, every task runs on,
//! and a new start works. Method: the daemon over two endless tasks per CPU, ended in every way.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::require_vm;
use crate::support::daemon::{Daemon, enabled, sched_ext};
use crate::support::{Running, built, start, wait_for};

/// Within this time of the daemon's end the kernel's scheduler is back.
const BACK: Duration = Duration::from_secs(2);
/// Within this time every runnable task must have run.
const RUN: Duration = Duration::from_secs(2);

#[test]
#[ignore = "runs inside the VM"]
fn sigint_gives_the_kernel_its_scheduler_back() {
    gives_back_on(Signal::SIGINT);
}

#[test]
#[ignore = "runs inside the VM"]
fn sigterm_gives_the_kernel_its_scheduler_back() {
    gives_back_on(Signal::SIGTERM);
}

#[test]
#[ignore = "runs inside the VM"]
fn sigkill_gives_the_kernel_its_scheduler_back() {
    gives_back_on(Signal::SIGKILL);
}

#[test]
#[ignore = "runs inside the VM"]
fn second_instance_refuses_and_disturbs_nothing() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let second = Command::new(built("scx_gamer")).output().unwrap();
    let message = String::from_utf8_lossy(&second.stderr);
    println!("{:?}: {message}", second.status);
    assert_eq!(second.status.code(), Some(5));
    assert_eq!(message.lines().count(), 1);
    assert!(message.contains("another sched_ext scheduler is attached (scx_gamer"));
    assert!(daemon.metrics().cpus > 0, "statistics are still served");
    daemon.assert_in_charge();
}

fn gives_back_on(signal: Signal) {
    require_vm();
    let tasks: Vec<Running> = ["0", "0", "19", "19"].into_iter().map(endless).collect();
    let mut daemon = Daemon::start(&[]);
    let ops = sched_ext("root/ops");
    println!("attached: {ops}");
    assert!(ops.starts_with("scx_gamer"));
    assert_all_run(&tasks);
    daemon.assert_in_charge();
    // Its start is over, which takes its time beside such a load: from here on it listens.
    assert!(daemon.metrics().cpus > 0, "statistics are served");

    let before = Instant::now();
    daemon.process().signal(signal);
    let back = wait_for(BACK, || sched_ext("state") == "disabled");
    println!(
        "{signal}: disabled after {} ms",
        before.elapsed().as_millis()
    );
    assert!(back, "state is {}", sched_ext("state"));
    let status = daemon.process().wait(Duration::from_secs(60)).unwrap();
    let code = (signal != Signal::SIGKILL).then_some(0);
    assert_eq!(status.code(), code, "{}", daemon.log());
    assert_all_run(&tasks);

    let again = Daemon::start(&[]);
    assert!(again.metrics().cpus > 0, "statistics are served again");
    assert!(again.end().success());
    assert!(!enabled());
}

fn endless(nice: &str) -> Running {
    start(Command::new("nice").args(["-n", nice, "sh", "-c", "while :; do :; done"]))
}

/// Every task gets CPU time, and new ones start.
fn assert_all_run(tasks: &[Running]) {
    let before: Vec<u64> = tasks.iter().map(Running::run_ns).collect();
    let ran = wait_for(RUN, || {
        let now = tasks.iter().map(Running::run_ns);
        now.zip(&before).all(|(now, before)| now > *before)
    });
    assert!(ran, "a runnable task got no CPU time for {RUN:?}");
    assert!(Command::new("true").status().unwrap().success());
}
