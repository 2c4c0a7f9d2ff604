//! Goal: the game is found and released through real process events, and a storm loses nothing.
//! Method: real processes under the live reader and the BPF detector, in the VM as root. Times are
//! the guest's.

mod family;
mod rig;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rig::{ALL_LOOKS, BOUND, Daemon, Running, await_end_of_leader, copy, kernel, start};
use tempfile::TempDir;

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_game_is_found_within_a_second_of_exec_and_released_within_a_second_of_exit() {
    let dir = TempDir::new().expect("a directory");
    let program = copy(&dir, "/bin/sleep", "game");
    let mut daemon = Daemon::start(None);
    assert_eq!(daemon.game(), 0);
    let (mut found_max, mut released_max) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..5 {
        let game = start(&program, &["100"], &[("SteamAppId", "480")]);
        found_max = found_max.max(daemon.await_game(game.pid(), BOUND));
        drop(game);
        released_max = released_max.max(daemon.await_game(0, BOUND));
    }
    println!(
        "{}: found within {found_max:?}, released within {released_max:?}",
        kernel()
    );
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_game_whose_main_thread_has_left_is_released_only_when_its_last_thread_ends() {
    let script = "import ctypes, threading, sys\n\
                  threading.Thread(target=sys.stdin.read).start()\n\
                  ctypes.CDLL(None).pthread_exit(None)";
    let dir = TempDir::new().expect("a directory");
    let program = copy(&dir, "/usr/bin/python3", "game");
    let game = start(&program, &["-c", script], &[("SteamAppId", "480")]);
    let pid = game.pid();
    await_end_of_leader(pid);
    let mut daemon = Daemon::start(None);
    daemon.await_game(pid, BOUND);
    daemon.run_for(ALL_LOOKS);
    assert_eq!(daemon.game(), pid, "a thread still runs");
    drop(game);
    daemon.await_game(0, BOUND);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn services_exe_is_never_chosen() {
    let dir = TempDir::new().expect("a directory");
    let environ = [("SteamAppId", "480"), ("STEAM_COMPAT_DATA_PATH", "/c")];
    let mut daemon = Daemon::start(None);
    let _services = start(
        &copy(&dir, "/bin/sleep", "services.exe"),
        &["100"],
        &environ,
    );
    daemon.run_for(ALL_LOOKS);
    assert_eq!(daemon.game(), 0);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn of_a_proton_shaped_tree_the_game_is_chosen_and_nothing_before_it() {
    let dir = TempDir::new().expect("a directory");
    let loader = copy(&dir, "/bin/bash", "wine64-preloader");
    let environ = [("SteamAppId", "480"), ("STEAM_COMPAT_DATA_PATH", "/c")];
    let mut daemon = Daemon::start(None);
    // `read` waits inside the shell itself, so each stays one process under its program's name.
    let wine = |program: &str| start(&loader, &["-c", "read line", program], &environ);
    let sleep = |name: &str| start(&copy(&dir, "/bin/sleep", name), &["100"], &environ);
    let mut tree = vec![sleep("reaper"), sleep("pv-adverb"), sleep("wineserver")];
    for program in [
        "steam.exe",
        "services.exe",
        "winedevice.exe",
        "explorer.exe",
        "rpcss.exe",
    ] {
        tree.push(wine(&format!(r"C:\windows\system32\{program}")));
    }
    daemon.run_for(ALL_LOOKS);
    assert_eq!(daemon.game(), 0, "{:?}", daemon.finder.current());
    let game = wine(r"Z:\games\Cyberpunk2077.exe");
    let took = daemon.await_game(game.pid(), BOUND);
    println!(
        "{}: found within {took:?}: {:?}",
        kernel(),
        daemon.finder.current()
    );
    daemon.run_for(ALL_LOOKS);
    assert_eq!(daemon.game(), game.pid());
    drop(game);
    daemon.await_game(0, BOUND);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn the_named_process_wins_and_the_next_best_follows_it() {
    let dir = TempDir::new().expect("a directory");
    let named = start(Path::new("/bin/sleep"), &["100"], &[]);
    let game = start(
        &copy(&dir, "/bin/sleep", "game"),
        &["100"],
        &[("SteamAppId", "480")],
    );
    let mut daemon = Daemon::start(Some(named.pid()));
    daemon.run_for(ALL_LOOKS);
    assert_eq!(daemon.game(), named.pid());
    drop(named);
    daemon.await_game(game.pid(), BOUND);
}

/// Emulated, an exec takes 25 to 80 ms.
const STORM_EXECS: u64 = 2_000;
const STORM_BOUND: Duration = Duration::from_secs(180);

/// A shell that runs so many short programs.
fn storm() -> Running {
    let program = if Path::new("/bin/busybox").exists() {
        "/bin/busybox true"
    } else {
        "/bin/true"
    };
    let script = format!("for i in $(seq {STORM_EXECS}); do {program}; done");
    start(Path::new("/bin/bash"), &["-c", &script], &[])
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_storm_of_short_processes_is_heard_completely_and_held_in_little_memory() {
    let dir = TempDir::new().expect("a directory");
    let mut daemon = Daemon::start(None);
    (daemon.exec_cnt, daemon.exit_cnt, daemon.busy) = (0, 0, Duration::ZERO);
    let looks_before = daemon.finder.counters().look_cnt;
    let (begin, mut tracked_max) = (Instant::now(), 0);
    let mut shell = storm();
    while shell.0.try_wait().expect("it is our child").is_none() {
        daemon.run_for(Duration::from_millis(20));
        tracked_max = tracked_max.max(daemon.finder.tracked_cnt());
        assert!(begin.elapsed() < STORM_BOUND, "the storm does not end");
    }
    daemon.run_for(Duration::from_millis(300));
    let events = daemon.exec_cnt + daemon.exit_cnt + daemon.events.lost_cnt();
    println!(
        "{}: {} execs and {} exits in {:?}, {} lost, {} looks, at most {tracked_max} held, \
         {:?} of the daemon's time for each exec",
        kernel(),
        daemon.exec_cnt,
        daemon.exit_cnt,
        begin.elapsed(),
        daemon.events.lost_cnt(),
        daemon.finder.counters().look_cnt - looks_before,
        daemon.busy / u32::try_from(daemon.exec_cnt.max(1)).expect("few"),
    );
    assert!(
        events >= 2 * STORM_EXECS,
        "{events} events for {STORM_EXECS} programs"
    );
    assert!(tracked_max < 1_000);
    let game = start(
        &copy(&dir, "/bin/sleep", "game"),
        &["100"],
        &[("SteamAppId", "480")],
    );
    daemon.await_game(game.pid(), BOUND);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn events_lost_in_a_full_ring_are_counted_and_made_up_for() {
    let dir = TempDir::new().expect("a directory");
    let program = copy(&dir, "/bin/sleep", "game");
    let mut daemon = Daemon::start_with(4096, None);
    let old = start(&program, &["100"], &[("SteamAppId", "480")]);
    daemon.await_game(old.pid(), BOUND);
    // Nobody reads while the ring (128 events) fills up; then a game ends and one begins.
    let fill = "for i in $(seq 300); do ( : ); done";
    let status = Command::new("/bin/bash").args(["-c", fill]).status();
    assert!(status.expect("bash starts").success());
    drop(old);
    let new = start(&program, &["100"], &[("SteamAppId", "480")]);
    let took = daemon.await_game(new.pid(), BOUND);
    println!(
        "{}: {} lost, found after {took:?}",
        kernel(),
        daemon.events.lost_cnt()
    );
    assert!(daemon.events.lost_cnt() > 0, "the ring was to be full");
    drop(new);
    daemon.await_game(0, BOUND);
}
