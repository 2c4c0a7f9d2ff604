//! Goal: who is alone on a CPU whose tick the kernel may stop is not interrupted by one; who comes to wait
//! there has its share all the same. Method: busy threads bound to that CPU, and the kernel's count of its
//! timer interrupts.

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle, park_timeout, scope};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::{SELF, allow};

/// The CPU that the kernel may run without a tick.
pub(crate) const CPU: usize = 1;
/// In which the kernel finds that it may stop a tick.
const WARM_UP: Duration = Duration::from_millis(500);
const PLAY: Duration = Duration::from_secs(2);

#[test]
#[ignore = "runs inside the VM"]
fn a_lone_thread_runs_without_a_tick() {
    require_vm();
    let ticks = |flags: &[&str]| {
        let mut daemon = Daemon::start(flags);
        let ends = AtomicBool::new(false);
        let ticks = scope(|threads| {
            busy(threads, &ends);
            park_timeout(WARM_UP);
            let before = timer_interrupts();
            park_timeout(PLAY);
            let ticks = timer_interrupts() - before;
            ends.store(true, Ordering::SeqCst);
            ticks
        });
        daemon.assert_in_charge();
        let turns = daemon.metrics().tickless;
        println!("{flags:?}: {ticks} timer interrupts in {PLAY:?}, {turns} turns without an end");
        (ticks, turns)
    };
    let (ticks_before, turns) = ticks(&["--without", "tickless"]);
    assert_eq!(turns, 0);
    let (ticks, turns) = ticks(&[]);
    assert!(turns > 0 && ticks * 4 < ticks_before);
}

/// Also after a pause, from which some kernels do not start the tick again.
#[test]
#[ignore = "runs inside the VM"]
fn who_comes_to_wait_where_the_tick_has_stopped_has_its_share() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    for others in [1, 2] {
        let ends = AtomicBool::new(false);
        let ran: Vec<Duration> = scope(|threads| {
            let first = busy(threads, &ends);
            park_timeout(WARM_UP);
            let others: Vec<_> = (0..others).map(|_| busy(threads, &ends)).collect();
            park_timeout(PLAY);
            ends.store(true, Ordering::SeqCst);
            let all = others.into_iter().chain([first]);
            all.map(|thread| thread.join().unwrap()).collect()
        });
        let longest_us = daemon.metrics().wait_max_ever_us;
        println!("ran for {ran:?}; longest wait {longest_us:.0} us");
        let fair = PLAY / (others + 1);
        assert!(ran.iter().all(|ran| *ran > fair / 2), "{ran:?}");
        assert!(longest_us < 300_000.0);
        // The CPU idles in between.
        park_timeout(WARM_UP);
    }
    daemon.assert_in_charge();
}

/// A thread of [`CPU`] that runs until the end; the time that it ran.
fn busy<'scope>(
    threads: &'scope Scope<'scope, '_>,
    ends: &'scope AtomicBool,
) -> ScopedJoinHandle<'scope, Duration> {
    threads.spawn(|| {
        allow(SELF, &[CPU]);
        while !ends.load(Ordering::Relaxed) {
            // Not a hint that it spins, at which the emulator would go on with the other CPU.
            black_box(0);
        }
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
            .unwrap()
            .into()
    })
}

/// How often the CPU's own timer has interrupted it.
fn timer_interrupts() -> u64 {
    let counts = fs::read_to_string("/proc/interrupts").unwrap();
    let line = counts.lines().find(|line| line.trim().starts_with("LOC:"));
    let count = line.and_then(|line| line.split_whitespace().nth(1 + CPU));
    count.and_then(|count| count.parse().ok()).unwrap()
}
