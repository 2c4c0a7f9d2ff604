//! Goal: nothing that the detectors remember grows without bound, and a clock that is set changes
//! nothing. Method: 100,000 short tasks, all seen doing something; a game that ends; the
//! wall clock an hour on and back.

use std::fs::{self, File};
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::query::MapInfoIter;
use libbpf_rs::{MapCore as _, MapHandle};
use nix::sys::signal::Signal;

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::Game;
use crate::support::{start, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
/// Short tasks: processes of their own, and threads, which are quicker to make.
const PROCESSES: u32 = 1_000;
const THREADS: u32 = 99_000;
const THREADS_AT_ONCE: u32 = 20;
/// Tasks that are not forgotten leave 500 bytes each: 50 MB.
const GROWTH_MAX_KIB: u64 = 16 * 1024;
const DAEMON_GROWTH_MAX_KIB: u64 = 8 * 1024;
/// Memory is given back after some grace periods.
const FREED: Duration = Duration::from_secs(10);
const WAIT_MAX_US: f64 = 2e6;
const ROLES: [&str; 5] = ["input", "gpu", "compositor", "audio", "game"];
/// A role ends 2 s after the last evidence.
const ROLE_ENDS: Duration = Duration::from_millis(2500);
/// A small shell that reads without asking first whether there is something.
const SHELL: &str = "/bin/dash";
/// A read of less than an event fails at once, and is seen.
const DEVICE: &str = "/dev/input/event0";

/// The newest map of this name; the kernel keeps 15 bytes of it.
fn map(name: &str) -> MapHandle {
    let named = MapInfoIter::default()
        .filter(|map| map.name.to_string_lossy() == name[..name.len().min(15)]);
    let newest = named.map(|map| map.id).max();
    MapHandle::from_map_id(newest.expect("the daemon has it")).unwrap()
}

/// A number of KiB in a file of `/proc`.
fn kib(path: &str, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

fn await_roles(daemon: &Daemon, roles: &[&str]) {
    let begun = daemon.wait_for_metrics(PATIENCE, |now| {
        roles.iter().all(|role| now.roles[*role].stints > 0)
    });
    assert!(begun.is_some(), "{}", daemon.log());
}

fn storm() {
    let begin = Instant::now();
    let script = format!(
        "exec 3<{DEVICE}; i=0; while [ $i -lt {PROCESSES} ]; do (read x <&3); i=$((i + 1)); done"
    );
    let status = start(
        Command::new(SHELL)
            .args(["-c", &script])
            .stderr(Stdio::null()),
    )
    .wait(PATIENCE);
    assert!(status.is_some(), "the storm does not end");
    println!("{PROCESSES} processes in {:?}", begin.elapsed());
    let begin = Instant::now();
    let device = File::open(DEVICE).unwrap();
    for _ in 0..THREADS / THREADS_AT_ONCE {
        thread::scope(|scope| {
            for _ in 0..THREADS_AT_ONCE {
                scope.spawn(|| (&device).read(&mut [0]).unwrap_err());
            }
        });
    }
    println!("{THREADS} threads in {:?}", begin.elapsed());
}

#[test]
#[ignore = "runs inside the VM"]
fn a_storm_of_100_000_short_tasks_leaves_nothing_behind() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let [processes, family] = ["process_evidence", "family"].map(map);
    let status = format!("/proc/{}/status", daemon.process().pid());
    let sizes = || {
        let slab = kib("/proc/meminfo", "SUnreclaim:");
        let daemon = kib(&status, "VmRSS:");
        (
            processes.keys().count(),
            family.keys().count(),
            slab,
            daemon,
        )
    };
    let before = sizes();
    let seen = daemon.metrics().detector_costs["input reader"].events;
    storm();
    let after_storm = sizes();
    let is_small = || {
        let now = sizes();
        now.0 <= before.0 && now.1 <= before.1 && now.2 < before.2 + GROWTH_MAX_KIB
    };
    let small = wait_for(FREED, is_small);
    for (when, (processes, family, slab, daemon)) in [
        ("before", before),
        ("after", after_storm),
        ("a little later", sizes()),
    ] {
        println!(
            "{when}: {processes} processes remembered, {family} in the family, \
             {slab} KiB of the kernel's memory, {daemon} KiB of the daemon's"
        );
    }
    assert!(small, "something is not forgotten");
    assert!(sizes().3 < before.3 + DAEMON_GROWTH_MAX_KIB);
    let metrics = daemon.metrics();
    let cost = metrics.detector_costs["input reader"];
    println!(
        "input reader: {cost:?}; longest wait {} us",
        metrics.wait_max_ever_us
    );
    // The kernel leaves out a hook while another task, preempted in the same, holds the CPU.
    let tasks = u64::from(PROCESSES + THREADS);
    assert!(cost.events - seen >= tasks - tasks / 100, "{cost:?}");
    assert!(metrics.wait_max_ever_us < WAIT_MAX_US);
    daemon.assert_in_charge();
}

#[test]
#[ignore = "runs inside the VM"]
fn a_clock_that_is_set_changes_no_role_and_a_game_that_ends_is_forgotten() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let [processes, family] = ["process_evidence", "family"].map(map);
    let sizes = || (processes.keys().count(), family.keys().count());
    let before = sizes();
    let flags = ["--steam-app-id=42", "--warmup=1", "--load=hogs=2"];
    let mut playing = Game::start(600, &flags);
    await_roles(&daemon, &ROLES);
    let game = daemon.metrics().game_pid;
    for jump in ["1 hour", "-1 hour"] {
        let set = Command::new("date").args(["-s", jump]).output().unwrap();
        assert!(set.status.success(), "{set:?}");
        // By now a role without evidence has ended.
        thread::park_timeout(ROLE_ENDS);
        let then = daemon.metrics();
        let goes_on = daemon.wait_for_metrics(Duration::from_secs(1), |now| {
            let grows = |role: &&str| now.roles[*role].stints > then.roles[*role].stints;
            now.game_pid == game && ROLES.iter().all(grows)
        });
        assert!(
            goes_on.is_some(),
            "after {jump}: {:?}",
            daemon.metrics().roles
        );
    }
    let metrics = daemon.metrics();
    println!("longest wait {} us", metrics.wait_max_ever_us);
    assert!(metrics.wait_max_ever_us < WAIT_MAX_US);

    let during = sizes();
    println!("{during:?} processes remembered and of the family, {before:?} before");
    assert!(during.0 > before.0 && during.1 > before.1);
    let ended = playing.process().stop(Signal::SIGINT, PATIENCE);
    assert!(ended.is_some(), "the game goes on");
    let forgotten = wait_for(FREED, || sizes() == before);
    assert!(forgotten, "{:?}, {before:?} before", sizes());
    daemon.assert_in_charge();
}
