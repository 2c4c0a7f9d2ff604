//! The daemon under test, and what the kernel and the daemon say about it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scx_gamer::stats::{EXPLAIN, EXPLAIN_PID, Explanation, Metrics, SOCKET_PATH};
use scx_stats::StatsClient;
use serde_json::Value;

use super::{Running, built, start, wait_for};

/// What the daemon writes to stderr goes here.
const LOG: &str = "/run/scx_gamer_test.log";
/// Longest time in which a daemon attaches or a detached one ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one statistics answer may take [ms].
const ANSWER_MS: u64 = 10_000;

/// A word of `/sys/kernel/sched_ext`; empty where the file is missing.
pub(crate) fn sched_ext(name: &str) -> String {
    let path = Path::new("/sys/kernel/sched_ext").join(name);
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Whether a scheduler is attached.
pub(crate) fn enabled() -> bool {
    sched_ext("state") == "enabled"
}

/// How often a scheduler was attached since the boot.
pub(crate) fn enable_seq() -> u64 {
    sched_ext("enable_seq").parse().unwrap()
}

/// A running daemon that has attached its scheduler.
pub(crate) struct Daemon {
    process: Running,
    ejections_before: usize,
}

impl Daemon {
    /// Starts the daemon with these flags and waits until its scheduler is attached.
    pub(crate) fn start(flags: &[&str]) -> Self {
        assert!(
            wait_for(PATIENCE, || sched_ext("state") == "disabled"),
            "another scheduler stays attached"
        );
        let before = Instant::now();
        let mut command = Command::new(built("scx_gamer"));
        command.args(flags).stdin(Stdio::null());
        command.stdout(File::create("/dev/null").unwrap());
        command.stderr(File::create(LOG).unwrap());
        let mut daemon = Self {
            process: start(&mut command),
            ejections_before: ejections().len(),
        };
        let mut ended = None;
        let attached = wait_for(PATIENCE, || {
            ended = daemon.process.wait(Duration::ZERO);
            enabled() || ended.is_some()
        });
        assert!(
            attached && ended.is_none(),
            "not attached ({ended:?}): {}",
            daemon.log()
        );
        println!("daemon attached after {} ms", before.elapsed().as_millis());
        daemon
    }

    /// The process, to send it signals.
    pub(crate) fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// What it wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(LOG).unwrap_or_default()
    }

    /// Waits until the log has this text; the time it took.
    pub(crate) fn wait_for_log(&self, text: &str) -> Duration {
        let start = Instant::now();
        let there = wait_for(PATIENCE, || self.log().contains(text));
        assert!(there, "no {text:?} in {}", self.log());
        start.elapsed()
    }

    /// Its statistics since the scheduler was attached.
    pub(crate) fn metrics(&self) -> Metrics {
        let answer = self.answer(vec![]);
        serde_json::from_value(answer).unwrap()
    }

    /// What it knows about a process; nothing about one that is not there. Starts no program, as
    /// `--explain` does.
    pub(crate) fn explanation(&self, pid: u32) -> Option<Explanation> {
        let answer = self.answer(vec![
            ("target".to_owned(), EXPLAIN.to_owned()),
            (EXPLAIN_PID.to_owned(), pid.to_string()),
        ]);
        serde_json::from_value(answer).unwrap()
    }

    fn answer(&self, args: Vec<(String, String)>) -> Value {
        let mut client = None;
        wait_for(PATIENCE, || {
            client = connect().ok();
            client.is_some()
        });
        let mut client = client.unwrap_or_else(|| panic!("no statistics: {}", self.log()));
        client
            .request("stats", args)
            .unwrap_or_else(|error| panic!("{error:#}: {}", self.log()))
    }

    /// Waits until `condition` holds for the statistics; the time it took.
    pub(crate) fn wait_for_metrics(
        &self,
        limit: Duration,
        condition: impl Fn(&Metrics) -> bool,
    ) -> Option<Duration> {
        let start = Instant::now();
        wait_for(limit, || condition(&self.metrics())).then(|| start.elapsed())
    }

    /// Fails unless the daemon lives, its scheduler is attached and the kernel has ejected none.
    pub(crate) fn assert_in_charge(&mut self) {
        let status = self.process.wait(Duration::ZERO);
        let ejections = ejections().split_off(self.ejections_before);
        assert!(
            enabled() && status.is_none() && ejections.is_empty(),
            "state {:?}, daemon's end {status:?}, kernel: {ejections:?}, log: {}",
            sched_ext("state"),
            self.log()
        );
    }

    /// Ends it with SIGTERM, as a service manager does.
    pub(crate) fn end(mut self) -> ExitStatus {
        let status = self.process.stop(Signal::SIGTERM, PATIENCE);
        status.unwrap_or_else(|| panic!("does not end: {}", self.log()))
    }
}

fn connect() -> anyhow::Result<StatsClient> {
    StatsClient::new()
        .set_path(SOCKET_PATH)
        .connect(Some(ANSWER_MS))
}

/// What the kernel said about schedulers that it ended by itself since the boot.
fn ejections() -> Vec<String> {
    let output = Command::new("dmesg").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| line.contains("sched_ext") && line.contains(" disabled ("))
        .filter(|line| !line.contains("(unregistered from "))
        .map(str::to_owned)
        .collect()
}
