//! One tool as a child process: its whole output, and an end in every case.

use anyhow::{Context, Result, bail, ensure};
use gamesim::signals::{Signals, Wake};
use gamesim::{helper, steam, sys};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A tool that was asked to end and does not is killed after this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A child that leads a process group of its own; both end when this is dropped.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    pidfd: OwnedFd,
    output: File,
}

impl Running {
    /// Starts `command`, split at blanks.
    ///
    /// # Errors
    /// Those of spawning.
    pub fn start(command: &str) -> Result<Self> {
        let mut words = command.split_whitespace();
        let program = words.next().context("an empty command")?;
        // In memory: a pipe would have to be drained while we wait, and what a killed tool leaves
        // behind could hold it open.
        let output = File::from(memfd_create("output", MFdFlags::MFD_CLOEXEC)?);
        let mut child = Command::new(program);
        child
            .args(words)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output.try_clone()?));
        child.process_group(0);
        steam::strip(&mut child);
        let child = sys::spawn_tied(&mut child, Signal::SIGTERM)
            .with_context(|| format!("cannot start {command:?}"))?;
        let pidfd = sys::pidfd_open(child.id())?;
        Ok(Self {
            command: command.to_owned(),
            child,
            pidfd,
            output,
        })
    }

    /// Waits for its end: all that it printed, or `None` when a signal came.
    ///
    /// # Errors
    /// When it fails, or is not done within `limit`.
    pub fn finish(mut self, limit: Duration, signals: &Signals) -> Result<Option<String>> {
        if !wait(self.pidfd.as_fd(), limit, signals)? {
            return Ok(None);
        }
        let Some(status) = self.child.try_wait()? else {
            bail!(
                "{:?} did not end within {} s",
                self.command,
                limit.as_secs()
            );
        };
        let text = self.printed()?;
        ensure!(status.success(), "{}", self.failure(status, &text));
        Ok(Some(text))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// How it ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let text = self.printed()?;
            bail!("{}", self.failure(status, &text));
        }
        Ok(())
    }

    fn printed(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        self.output.rewind()?;
        self.output.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn failure(&self, status: ExitStatus, text: &str) -> String {
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        let last = last.unwrap_or("it printed nothing");
        format!("{:?} ended ({status}): {last}", self.command)
    }
}

impl Drop for Running {
    /// Asks the group to end, and kills what is left of it.
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let Ok(group) = i32::try_from(self.child.id()).map(Pid::from_raw) else {
            return;
        };
        let _ = killpg(group, Signal::SIGTERM);
        let _ = helper::wait_exit(self.child.id(), PATIENCE);
        // Before the leader is reaped, so that its number is still the group's.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Waits until `other` is readable or the time has run out; false when a signal came.
///
/// # Errors
/// Those of [`Signals::wait`].
pub fn wait(
    other: std::os::fd::BorrowedFd<'_>,
    limit: Duration,
    signals: &Signals,
) -> Result<bool> {
    let end = Instant::now() + limit;
    loop {
        // A wait may end early, such as when this process was stopped and continued.
        let left = end.saturating_duration_since(Instant::now());
        match signals.wait(other, Some(left))? {
            Wake::Signal(_) => return Ok(false),
            Wake::Timeout if !left.is_zero() => {}
            Wake::Timeout | Wake::Other => return Ok(true),
        }
    }
}

/// Lets time pass; false when a signal came.
///
/// # Errors
/// Those of [`wait`].
pub fn rest(time: Duration, signals: &Signals) -> Result<bool> {
    // Never readable as long as anybody waits for it.
    let ourselves = sys::pidfd_open(std::process::id())?;
    wait(ourselves.as_fd(), time, signals)
}

#[cfg(test)]
mod tests {
    //! Goal: a tool's output is whole, its failure is told, and its group never outlives it.
    //! Method: the shell in the place of a tool.

    use super::Running;
    use gamesim::signals::Signals;
    use nix::sys::signal::{Signal, killpg, raise};
    use nix::unistd::Pid;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn both_streams_are_read_in_order() {
        let signals = Signals::block(&[]).unwrap();
        let running = Running::start("printf a\\nb").unwrap();
        let text = running.finish(LONG, &signals).unwrap().unwrap();
        assert_eq!(text, "a\nb");
    }

    #[test]
    fn a_failure_quotes_the_last_line() {
        let signals = Signals::block(&[]).unwrap();
        let running = Running::start("ls /nonexistent/directory").unwrap();
        let error = running.finish(LONG, &signals).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/directory"), "{error}");
        assert!(Running::start("/nonexistent/tool").is_err());
    }

    #[test]
    fn what_does_not_end_in_time_is_ended() {
        let signals = Signals::block(&[]).unwrap();
        let mut running = Running::start("sleep 1000").unwrap();
        running.check().unwrap();
        let group = Pid::from_raw(i32::try_from(running.child.id()).unwrap());
        let error = running.finish(Duration::ZERO, &signals).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        assert!(killpg(group, None).is_err(), "its group is still there");
    }

    #[test]
    fn a_signal_ends_the_wait_and_the_tool() {
        let signals = Signals::block(&[]).unwrap();
        let running = Running::start("sleep 1000").unwrap();
        let group = Pid::from_raw(i32::try_from(running.child.id()).unwrap());
        raise(Signal::SIGINT).unwrap();
        assert!(running.finish(LONG, &signals).unwrap().is_none());
        assert!(killpg(group, None).is_err(), "its group is still there");
    }
}
