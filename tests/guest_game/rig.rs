//! The daemon's part that finds the game, on the real kernel, and processes of any name under it.

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
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use scx_gamer::detect::evidence::Evidence;
use scx_gamer::detect::game::live::LiveProcesses;
use scx_gamer::detect::game::{GameFinder, GameOptions};
use scx_gamer::detect::process::{ProcessEvent, ProcessEvents};
use tempfile::TempDir;

pub(crate) const BOUND: Duration = Duration::from_secs(1);
/// Until a program that was started runs: its files come from the host.
pub(crate) const STARTED: Duration = Duration::from_secs(20);
/// A look through `/proc` comes at most once a second, and takes its time in a guest.
pub(crate) const FAMILY_BOUND: Duration = Duration::from_secs(3);
/// Long enough for every look that is going to happen at a young process.
pub(crate) const ALL_LOOKS: Duration = Duration::from_secs(4);

/// The part of the daemon's event loop that finds the game.
pub(crate) struct Daemon {
    pub(crate) evidence: Evidence,
    pub(crate) events: ProcessEvents,
    pub(crate) finder: GameFinder<LiveProcesses>,
    answer: Arc<AtomicU32>,
    pub(crate) exec_cnt: u64,
    pub(crate) exit_cnt: u64,
    pub(crate) busy: Duration,
}

impl Daemon {
    pub(crate) fn start(game_pid: Option<u32>) -> Self {
        Self::start_with(128 * 1024, game_pid)
    }

    pub(crate) fn start_with(ring_bytes: u32, game_pid: Option<u32>) -> Self {
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

    pub(crate) fn game(&self) -> u32 {
        self.answer.load(Ordering::Relaxed)
    }

    pub(crate) fn turn(&mut self, end: Instant) {
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

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(end);
        }
    }

    /// Runs until the answer is `pid`; tells how long that took.
    pub(crate) fn await_game(&mut self, pid: u32, bound: Duration) -> Duration {
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
    pub(crate) fn await_family(&mut self, expected: &[u32]) {
        let expected = BTreeSet::from_iter(expected.iter().copied());
        let start = Instant::now();
        while self.evidence.family() != expected && start.elapsed() < FAMILY_BOUND {
            self.turn(start + FAMILY_BOUND);
        }
        assert_eq!(self.evidence.family(), expected, "{:?}", start.elapsed());
    }
}

/// Ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn pid(&self) -> u32 {
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

pub(crate) fn start(program: &Path, arguments: &[&str], environ: &[(&str, &str)]) -> Running {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environ.iter().copied())
        .process_group(0)
        .stdin(Stdio::piped());
    Running(command.spawn().expect("the program starts"))
}

/// Waits until the process has only its other threads left.
pub(crate) fn await_end_of_leader(pid: u32) {
    let start = Instant::now();
    let path = format!("/proc/{pid}/stat");
    while !fs::read_to_string(&path).is_ok_and(|stat| stat.contains(") Z ")) {
        assert!(start.elapsed() < STARTED, "it stays");
        std::thread::yield_now();
    }
}

/// A copy of a program under another name.
pub(crate) fn copy(dir: &TempDir, program: &str, name: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::copy(program, &path).expect("the program can be copied");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// Processes that run this program, without `but`.
pub(crate) fn running(program: &Path, but: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs_it = |pid: &u32| {
        let exe = fs::read_link(format!("/proc/{pid}/exe"));
        *pid != but && exe.is_ok_and(|exe| exe == program)
    };
    pids.filter(runs_it).collect()
}

/// Waits until `cnt` processes run this program besides `but`.
pub(crate) fn await_running(program: &Path, but: u32, cnt: usize) -> Vec<u32> {
    let start = Instant::now();
    loop {
        let pids = running(program, but);
        if pids.len() == cnt || start.elapsed() > STARTED {
            assert_eq!(pids.len(), cnt, "{}", program.display());
            return pids;
        }
    }
}

pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
