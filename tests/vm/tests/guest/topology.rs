//! Goal: on every shape of machine the work gets done, no CPU stays idle beside waiting tasks, and who
//! wakes runs where it should. Method: the game and two hogs per CPU; the time that each CPU did not
//! idle. Threads that work and sleep in turn; where they were when.

mod nodes;

use std::collections::HashSet;
use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gamesim::work::burn;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::sched_getcpu;
use nix::unistd::gettid;

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
    let plays = ["--warmup=1", "--steam-app-id=42", &load];
    // Ended when it has been looked at: the daemon attaches its hooks when the load is there, which takes it
    // as long as it takes.
    let mut game = Game::start(600, &plays);
    let playing = daemon.wait_for_metrics(Duration::from_secs(60), |now| {
        now.llcs.values().all(|llc| llc.load_pct > 80)
    });
    println!("all caches loaded after {playing:?}");
    assert!(playing.is_some(), "{:?}", daemon.metrics().llcs);
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
    drop(game);
    let report = Game::start(2, &plays).report(Duration::from_secs(300));
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

/// Two threads that work and sleep in turn have a core each; nearly always, as others wake as well.
#[test]
#[ignore = "runs inside the VM"]
fn no_thread_runs_beside_a_busy_sibling_while_a_core_is_idle() {
    require_vm();
    let cores = topology_of_cpus("thread_siblings_list");
    if cores.len() == cores.iter().collect::<HashSet<_>>().len() {
        println!("not here: each core has one CPU");
        return;
    }
    let shared_pct = |flags: &[&str]| {
        let mut daemon = Daemon::start(flags);
        let seen: Vec<Meeting> = side_by_side(2, false)
            .into_iter()
            .flat_map(|thread| thread.meetings)
            .collect();
        daemon.assert_in_charge();
        let shared = seen.iter().filter(|at| cores[at.own] == cores[at.other]);
        let pct = 100 * shared.count() / seen.len().max(1);
        println!("{flags:?}: shared a core {pct} % of {} times", seen.len());
        assert!(seen.len() >= 100, "they hardly ever ran at once");
        pct
    };
    // Printed only: whoever comes first takes the thread, and that may be the right CPU.
    shared_pct(&["--without", "placement,direct-dispatch"]);
    assert!(shared_pct(&[]) <= 10);
}

/// A thread of a machine with little to do wakes where its data is.
#[test]
#[ignore = "runs inside the VM"]
fn a_waking_thread_stays_in_its_cache() {
    require_vm();
    if has_one_cache() {
        return;
    }
    let caches = topology_of_cpus("physical_package_id");
    let mut daemon = Daemon::start(&[]);
    let cpus = &side_by_side(1, false)[0].woke_on;
    daemon.assert_in_charge();
    let pairs = cpus.iter().zip(&cpus[1..]);
    let moves = pairs.filter(|(before, after)| caches[**before] != caches[**after]);
    let moves = moves.count();
    println!(
        "of {} times it woke, {moves} in the other cache",
        cpus.len()
    );
    assert!(cpus.len() >= 100 && moves * 20 <= cpus.len());
}

/// Says that the CPUs of one package have a larger cache, as long as it lives.
struct LargerCache {
    covered: Vec<String>,
}

impl LargerCache {
    fn of(package: &str) -> Self {
        let size = "/run/larger_cache";
        fs::write(size, "98304K\n").unwrap();
        let cpus = topology_of_cpus("physical_package_id");
        let cpus = cpus.iter().enumerate().filter(|(_, of)| *of == package);
        let path = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/cache/index3/size");
        let covered: Vec<_> = cpus.map(|(cpu, _)| path(cpu)).collect();
        for path in &covered {
            mount(
                Some(size),
                path.as_str(),
                NO_TEXT,
                MsFlags::MS_BIND,
                NO_TEXT,
            )
            .unwrap();
        }
        Self { covered }
    }
}

const NO_TEXT: Option<&str> = None;

impl Drop for LargerCache {
    fn drop(&mut self) {
        for path in &self.covered {
            let _ = umount(path.as_str());
        }
    }
}

#[test]
#[ignore = "runs inside the VM"]
fn the_game_wakes_at_the_larger_cache_and_background_elsewhere() {
    require_vm();
    if has_one_cache() {
        return;
    }
    let package = topology_of_cpus("physical_package_id");
    let larger = &package[package.len() - 1];
    let _faked = LargerCache::of(larger);
    let at_larger_pct = |cpus: &[usize]| {
        assert!(cpus.len() >= 100, "it hardly ever woke");
        let there = cpus.iter().filter(|cpu| package[**cpu] == *larger);
        100 * there.count() / cpus.len()
    };
    let background = {
        let mut daemon = Daemon::start(&[]);
        let woke_on = side_by_side(1, true).remove(0).woke_on;
        daemon.assert_in_charge();
        at_larger_pct(&woke_on)
    };
    let mut daemon = Daemon::start(&[&format!("--game-pid={}", std::process::id())]);
    let known = daemon.wait_for_metrics(Duration::from_secs(30), |now| now.game_pid != 0);
    assert!(known.is_some(), "{}", daemon.log());
    let game = at_larger_pct(&side_by_side(1, false).remove(0).woke_on);
    println!("at the larger cache: game {game} %, background {background} % of the times");
    daemon.assert_in_charge();
    assert!(game >= 60 && background <= 20);
}

/// Whether this machine cannot test what needs two caches, and says so.
fn has_one_cache() -> bool {
    let one = env::var(LLCS).unwrap() == "1";
    if one {
        println!("not here: there is one cache");
    }
    one
}

/// What a file of each CPU's `topology` directory says.
fn topology_of_cpus(file: &str) -> Vec<String> {
    let path = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/topology/{file}");
    let texts = (0..).map(|cpu| fs::read_to_string(path(cpu)));
    texts.map_while(Result::ok).collect()
}

/// Two threads were running: where.
struct Meeting {
    own: usize,
    other: usize,
}

/// What a thread that works and sleeps in turn has seen.
struct Seen {
    woke_on: Vec<usize>,
    meetings: Vec<Meeting>,
}

/// So long they play side by side.
const PLAY: Duration = Duration::from_secs(3);
const WORK: Duration = Duration::from_millis(5);
const SLEEP: Duration = Duration::from_millis(3);

/// Has `count` threads work and sleep in turn. The sleeps differ, so that they meet in every way.
fn side_by_side(count: u32, in_background: bool) -> Vec<Seen> {
    const ASLEEP: usize = usize::MAX;
    let places: Vec<_> = (0..count).map(|_| AtomicUsize::new(ASLEEP)).collect();
    let play = |me: usize, sleep: Duration| {
        let mut seen = Seen {
            woke_on: Vec::new(),
            meetings: Vec::new(),
        };
        if in_background {
            let tid = gettid().to_string();
            let mut renice = Command::new("renice");
            let status = renice
                .args(["-n", "19", "-p", &tid])
                .stdout(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        }
        let began = Instant::now();
        while began.elapsed() < PLAY {
            let own = sched_getcpu().unwrap();
            places[me].store(own, Ordering::SeqCst);
            seen.woke_on.push(own);
            let woke = Instant::now();
            while woke.elapsed() < WORK {
                burn(1_000);
            }
            let others = places.iter().enumerate().filter(|(idx, _)| *idx != me);
            let others = others.map(|(_, place)| place.load(Ordering::SeqCst));
            // It may have been moved while it worked.
            let own = sched_getcpu().unwrap();
            let meetings = others.filter(|other| *other != ASLEEP);
            seen.meetings
                .extend(meetings.map(|other| Meeting { own, other }));
            places[me].store(ASLEEP, Ordering::SeqCst);
            std::thread::park_timeout(sleep);
        }
        seen
    };
    let play = &play;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|me| {
                scope.spawn(move || play(me as usize, SLEEP + me * Duration::from_micros(700)))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
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
