//! Goal: on every shape of machine the work gets done: no CPU stays idle beside waiting tasks.
//! Method: the game and two hogs per CPU; the time that each CPU did not idle.

use std::env;
use std::fs;
use std::time::Duration;

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::Game;

/// Says how many last-level caches the host has given this machine.
pub(crate) const LLCS: &str = "VM_LLCS";

/// What each CPU is busy at least, in per cent of the time.
const BUSY_MIN_PCT: u64 = 90;

#[test]
#[ignore = "runs inside the VM"]
fn no_cpu_idles_beside_waiting_tasks() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let metrics = daemon.metrics();
    println!("{} CPUs, caches: {:?}", metrics.cpus, metrics.llcs);
    let llcs: usize = env::var(LLCS).unwrap().parse().unwrap();
    assert_eq!(metrics.llcs.len(), llcs);

    let load = format!("--load=hogs={}", 2 * metrics.cpus);
    // Long enough for a daemon that is busy attaching its hooks when the load is there.
    let mut game = Game::start(12, &["--warmup=1", "--steam-app-id=42", &load]);
    let playing = daemon.wait_for_metrics(Duration::from_secs(30), |now| {
        now.llcs.values().all(|llc| llc.load_pct > 80)
    });
    println!("all caches loaded after {playing:?}");
    let before = times();
    std::thread::park_timeout(Duration::from_secs(4));
    let busy_pct: Vec<u64> = times()
        .iter()
        .zip(&before)
        .map(|(now, before)| {
            let (idle, all) = (now.0 - before.0, now.1 - before.1);
            100 - 100 * idle / all.max(1)
        })
        .collect();
    assert!(
        game.process().wait(Duration::ZERO).is_none(),
        "the game ended before the measurement"
    );
    let report = game.report(Duration::from_secs(300));
    let metrics = daemon.metrics();
    println!("busy [%] by CPU: {busy_pct:?}");
    println!(
        "{:.1} fps; background {} loops; caches {:?}; stolen {}",
        report.frames.fps, report.work.background, metrics.llcs, metrics.dispatch_steal
    );
    daemon.assert_in_charge();
    assert!(report.frames.count > 0 && report.work.background > 0);
    assert!(
        busy_pct.iter().all(|pct| *pct >= BUSY_MIN_PCT),
        "a CPU idled: {busy_pct:?}"
    );
}

/// Of each CPU its idle time and all of its time, in ticks.
fn times() -> Vec<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").unwrap();
    let cpus = text
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    cpus.map(|line| {
        let fields = line.split_whitespace().skip(1);
        // The last two are parts of the first two.
        let ticks: Vec<u64> = fields.take(8).map(|field| field.parse().unwrap()).collect();
        (ticks[3] + ticks[4], ticks.iter().sum())
    })
    .collect()
}
