//! What tests on both sides share: the built programs, bounded waits, children that never outlive
//! their test.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

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

    /// Sends `signal` and waits at most `limit` for the end.
    pub(crate) fn stop(&mut self, signal: Signal, limit: Duration) -> Option<ExitStatus> {
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
