//! What tests on both sides share: the built programs, bounded waits, children that never outlive
//! their test.

pub(crate) mod daemon;
pub(crate) mod game;
pub(crate) mod verifier_counts;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Path of a program of this workspace, built beside this test (`target/debug/NAME`).
pub(crate) fn built(name: &str) -> PathBuf {
    let exe = env::current_exe().unwrap();
    let path = exe
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join(name);
    assert!(
        path.is_file(),
        "{} is not built; run: make build",
        path.display()
    );
    path
}

/// Path of another package's test program, newest build, beside this test
/// (`target/debug/deps/NAME-HASH`).
pub(crate) fn built_test(name: &str) -> PathBuf {
    let exe = env::current_exe().unwrap();
    let dir = exe.parent().unwrap();
    let is_it = |path: &Path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let hash = file
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('-'));
        hash.is_some_and(|hash| hash.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let entries = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter(|path| is_it(path))
        .max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not built in {}; run: cargo test --workspace --no-run",
                dir.display()
            )
        })
}

/// Waits until `condition` holds, at most for `limit` of this side's clock; whether it did.
pub(crate) fn wait_for(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// The thread that calls.
pub(crate) const SELF: Pid = Pid::from_raw(0);

/// Lets a thread run on these CPUs alone.
pub(crate) fn allow(thread: Pid, cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu).unwrap();
    }
    sched_setaffinity(thread, &set).unwrap();
}

/// Endless loops at nice 0, from when all of them run.
pub(crate) fn hogs(count: usize) -> Vec<Running> {
    let hog = |_| start(Command::new("sh").args(["-c", "while :; do :; done"]));
    let hogs: Vec<Running> = (0..count).map(hog).collect();
    assert!(wait_for(STARTED, || hogs.iter().all(loops)), "no hogs");
    hogs
}

/// Keeps the clock of this side from jumping, as it does in counted time when all CPUs idle: for programs
/// that come from the other side, file by file, while somebody waits for them. Takes nobody's turn.
pub(crate) fn stay_awake() -> Running {
    let mut idler = Command::new("chrt");
    let idler = start(idler.args(["-i", "0", "sh", "-c", "while :; do :; done"]));
    assert!(wait_for(STARTED, || loops(&idler)), "chrt starts no loop");
    idler
}

/// Until a program from the other side runs.
const STARTED: Duration = Duration::from_secs(300);
/// Who has run for longer has started.
const START_NS: u64 = 100_000_000;

/// Whether a loop is past its start.
fn loops(process: &Running) -> bool {
    process.run_ns() > START_NS
}

/// A child process that is killed when its test ends.
pub(crate) struct Running(Child);

/// Starts `command`.
pub(crate) fn start(command: &mut Command) -> Running {
    let name = command.get_program().to_string_lossy().into_owned();
    Running(
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}")),
    )
}

impl Running {
    /// The process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    /// How long its first thread has run [ns].
    pub(crate) fn run_ns(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }

    /// Sends `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Sends `signal`, if it has not ended, and waits at most `limit` for the end.
    pub(crate) fn stop(&mut self, signal: Signal, limit: Duration) -> Option<ExitStatus> {
        // Of one that was waited for the id may be another's by now.
        if let Some(status) = self.wait(Duration::ZERO) {
            return Some(status);
        }
        let _ = kill(self.pid(), signal);
        self.wait(limit)
    }

    /// Waits at most `limit` for the end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        wait_for(limit, || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn stopped_child_is_gone_and_a_stubborn_one_is_reported() {
    use std::os::unix::process::ExitStatusExt as _;

    let mut child = start(Command::new("sleep").arg("1000"));
    assert!(child.wait(Duration::ZERO).is_none());
    let status = child
        .stop(Signal::SIGTERM, Duration::from_secs(60))
        .unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
}
