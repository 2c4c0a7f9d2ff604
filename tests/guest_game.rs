//! Goal: the game is found and released through real process events, and a storm loses nothing.
//! Method: real processes under the live reader and the BPF detector, in the VM as root. Times are
//! the guest's.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use scx_gamer::detect::evidence::Evidence;
use scx_gamer::detect::game::live::LiveProcesses;
use scx_gamer::detect::game::{GameFinder, GameOptions};
use scx_gamer::detect::process::{ProcessEvent, ProcessEvents};
use tempfile::TempDir;

const BOUND: Duration = Duration::from_secs(1);
/// A look through `/proc` comes at most once a second, and takes its time in a guest.
const FAMILY_BOUND: Duration = Duration::from_secs(3);
/// Long enough for every look that is going to happen at a young process.
const ALL_LOOKS: Duration = Duration::from_secs(4);

/// The part of the daemon's event loop that finds the game.
struct Daemon {
    evidence: Evidence,
    events: ProcessEvents,
    finder: GameFinder<LiveProcesses>,
    answer: Arc<AtomicU32>,
    exec_cnt: u64,
    exit_cnt: u64,
    busy: Duration,
}

impl Daemon {
    fn start(game_pid: Option<u32>) -> Self {
        Self::start_with(128 * 1024, game_pid)
    }

    fn start_with(ring_bytes: u32, game_pid: Option<u32>) -> Self {
        let evidence = Evidence::create().expect("the kernel has the maps");
        let events = ProcessEvents::load_with_ring(&evidence, ring_bytes);
        let events = events.expect("the kernel has the hooks");
        let answer = Arc::new(AtomicU32::new(0));
        let options = GameOptions {
            game_pid,
            polling: false,
        };
        let source = LiveProcesses::with(evidence.process_records().expect("the map is there"));
        let finder = GameFinder::new(source, options, Arc::clone(&answer), Instant::now())
            .expect("the named process is alive");
        let mut daemon = Self {
            evidence,
            events,
            finder,
            answer,
            exec_cnt: 0,
            exit_cnt: 0,
            busy: Duration::ZERO,
        };
        daemon.run_for(Duration::from_millis(300));
        daemon
    }

    fn game(&self) -> u32 {
        self.answer.load(Ordering::Relaxed)
    }

    fn turn(&mut self, end: Instant) {
        let wake = self.finder.next_deadline().map_or(end, |at| at.min(end));
        let wait = wake.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        poll(
            &mut [PollFd::new(self.events.epoll_fd(), PollFlags::POLLIN)],
            timeout,
        )
        .expect("the ring can be polled");
        let now = Instant::now();
        let (finder, execs, exits) = (&mut self.finder, &mut self.exec_cnt, &mut self.exit_cnt);
        let lost = self.events.drain(|event| match event {
            ProcessEvent::Exec(pid) => {
                *execs += 1;
                finder.on_exec(pid, now);
            }
            ProcessEvent::Exit(pid) => {
                *exits += 1;
                let _ = finder.on_exit(pid, now);
            }
            ProcessEvent::Fork {
                parent,
                child,
                start_ticks,
            } => finder.on_fork(parent, child, start_ticks),
        });
        if lost.expect("the ring can be read") > 0 {
            self.finder.on_events_lost(now);
        }
        let _ = self.finder.on_deadline(now);
        self.evidence
            .set_game(self.game(), self.finder.family())
            .expect("the maps can be written");
        self.busy += now.elapsed();
    }

    fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(end);
        }
    }

    /// Runs until the answer is `pid`; tells how long that took.
    fn await_game(&mut self, pid: u32, bound: Duration) -> Duration {
        let start = Instant::now();
        while self.game() != pid && start.elapsed() < bound {
            self.turn(start + bound);
        }
        let took = start.elapsed();
        assert_eq!(
            self.game(),
            pid,
            "after {took:?}; now {:?}",
            self.finder.current()
        );
        took
    }
}

impl Daemon {
    /// Runs until exactly these are the family that the BPF side knows.
    fn await_family(&mut self, expected: &[u32]) {
        let expected = BTreeSet::from_iter(expected.iter().copied());
        let start = Instant::now();
        while self.evidence.family() != expected && start.elapsed() < FAMILY_BOUND {
            self.turn(start + FAMILY_BOUND);
        }
        assert_eq!(self.evidence.family(), expected, "{:?}", start.elapsed());
    }
}

/// Ends with the test.
struct Running(Child);

impl Running {
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // With all that it has started: inherited marks would make a game of them.
        let group = i32::try_from(self.0.id()).expect("ids are small");
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn start(program: &Path, arguments: &[&str], environ: &[(&str, &str)]) -> Running {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environ.iter().copied())
        .process_group(0)
        .stdin(Stdio::piped());
    Running(command.spawn().expect("the program starts"))
}

/// A copy of a program under another name.
fn copy(dir: &TempDir, program: &str, name: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::copy(program, &path).expect("the program can be copied");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// Processes that run this program, without `but`.
fn running(program: &Path, but: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs_it = |pid: &u32| {
        let exe = fs::read_link(format!("/proc/{pid}/exe"));
        *pid != but && exe.is_ok_and(|exe| exe == program)
    };
    pids.filter(runs_it).collect()
}

/// Waits until `cnt` processes run this program besides `but`.
fn await_running(program: &Path, but: u32, cnt: usize) -> Vec<u32> {
    let start = Instant::now();
    loop {
        let pids = running(program, but);
        if pids.len() == cnt || start.elapsed() > BOUND {
            assert_eq!(pids.len(), cnt, "{}", program.display());
            return pids;
        }
    }
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

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
    let events = daemon.exec_cnt + daemon.exit_cnt + daemon.events.dropped_cnt();
    println!(
        "{}: {} execs and {} exits in {:?}, {} lost, {} looks, at most {tracked_max} held, \
         {:?} of the daemon's time for each exec",
        kernel(),
        daemon.exec_cnt,
        daemon.exit_cnt,
        begin.elapsed(),
        daemon.events.dropped_cnt(),
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
        daemon.events.dropped_cnt()
    );
    assert!(daemon.events.dropped_cnt() > 0, "the ring was to be full");
    drop(new);
    daemon.await_game(0, BOUND);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_steam_games_children_are_its_family_and_the_client_and_helpers_are_not() {
    let dir = TempDir::new().expect("a directory");
    let [client, game] = ["steam", "game"].map(|name| copy(&dir, "/bin/bash", name));
    let [renderer, helper, web] = ["renderer", "UnityCrashHandler64", "steamwebhelper"]
        .map(|name| copy(&dir, "/bin/sleep", name));
    let mut daemon = Daemon::start(None);
    // The shells wait for their children, and so stay above them.
    let inner = format!(
        "{} 100 & {} 100 & wait",
        renderer.display(),
        helper.display()
    );
    let outer = format!(
        "{} 100 & SteamAppId=480 {} -c '{inner}' & wait",
        web.display(),
        game.display()
    );
    let tree = start(&client, &["-c", &outer], &[]);
    let game = await_running(&game, 0, 1)[0];
    daemon.await_game(game, BOUND);
    let renderer = await_running(&renderer, 0, 1)[0];
    daemon.await_family(&[renderer]);
    drop(tree);
    daemon.await_game(0, BOUND);
    daemon.await_family(&[]);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_wine_session_that_was_there_first_is_family_and_another_prefix_is_not() {
    let dir = TempDir::new().expect("a directory");
    let loader = copy(&dir, "/bin/bash", "wine64-preloader");
    let server = copy(&dir, "/bin/sleep", "wineserver");
    let proton = [("SteamAppId", "480"), ("STEAM_COMPAT_DATA_PATH", "/c")];
    let lutris = [("LUTRIS_GAME_UUID", "u"), ("WINEPREFIX", "/l/")];
    let wine = |program: &str, environ: &[(&str, &str)]| {
        start(&loader, &["-c", "read line", program], environ)
    };
    for environ in [&proton, &lutris] {
        let server_of_it = start(&server, &["100"], environ);
        let _other_server = start(&server, &["100"], &[("WINEPREFIX", "/other")]);
        let _services = wine(r"C:\windows\system32\services.exe", environ);
        let _launcher = wine(r"C:\Epic\EpicGamesLauncher.exe", environ);
        let mut daemon = Daemon::start(None);
        let game = wine(r"Z:\games\Game.exe", environ);
        daemon.await_game(game.pid(), BOUND);
        daemon.await_family(&[server_of_it.pid()]);
        let other = wine(r"Z:\games\Compiler.exe", environ);
        daemon.await_family(&[server_of_it.pid(), other.pid()]);
        drop(other);
        daemon.await_family(&[server_of_it.pid()]);
        drop(game);
        daemon.await_family(&[]);
    }
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn under_gamescope_the_games_forks_are_family_and_threads_are_no_processes() {
    let script = "import os, sys, threading, time\n\
                  threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n\
                  time.sleep(0.5)\n\
                  os.fork() or os.fork()\n\
                  time.sleep(100)";
    let dir = TempDir::new().expect("a directory");
    let gamescope = copy(&dir, "/bin/bash", "gamescope");
    let game = copy(&dir, "/usr/bin/python3", "mygame");
    let mut daemon = Daemon::start(None);
    let outer = format!(
        "GAMESCOPE_WAYLAND_DISPLAY=gamescope-0 {} -c '{script}' & wait",
        game.display()
    );
    let tree = start(&gamescope, &["-c", &outer], &[]);
    let pid = await_running(&game, 0, 1)[0];
    daemon.await_game(pid, BOUND);
    daemon.run_for(BOUND);
    // The child and the grandchild, which have no program of their own.
    let mut forks = await_running(&game, pid, 2);
    daemon.await_family(&forks);
    let gone = forks.remove(0);
    kill(
        Pid::from_raw(i32::try_from(gone).expect("ids are small")),
        Signal::SIGKILL,
    )
    .expect("it is alive");
    daemon.await_family(&forks);
    drop(tree);
    daemon.await_family(&[]);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_reused_process_id_gives_a_stranger_nothing() {
    let dir = TempDir::new().expect("a directory");
    let game = copy(&dir, "/bin/bash", "game");
    let renderer = copy(&dir, "/bin/sleep", "renderer");
    let mut daemon = Daemon::start(None);
    let script = format!("{} 100 & wait; read line", renderer.display());
    let game = start(&game, &["-c", &script], &[("SteamAppId", "480")]);
    daemon.await_game(game.pid(), BOUND);
    let member = await_running(&renderer, 0, 1)[0];
    daemon.await_family(&[member]);
    // Nobody reads events meanwhile: the place is gone with the process, not with the news of it.
    let id = Pid::from_raw(i32::try_from(member).expect("ids are small"));
    kill(id, Signal::SIGKILL).expect("it is alive");
    let begin = Instant::now();
    let stranger = loop {
        fs::write("/proc/sys/kernel/ns_last_pid", (member - 1).to_string()).expect("we are root");
        let process = start(Path::new("/bin/sleep"), &["100"], &[]);
        if process.pid() == member {
            break process;
        }
        assert!(begin.elapsed() < BOUND, "the id is not free");
    };
    assert_eq!(daemon.evidence.family(), BTreeSet::new());
    daemon.run_for(BOUND);
    assert_eq!(
        (daemon.game(), daemon.evidence.family()),
        (game.pid(), BTreeSet::new())
    );
    drop(stranger);
}
