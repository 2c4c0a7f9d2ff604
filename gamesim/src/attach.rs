//! Another scheduler as a child process, from attach to detach.

use crate::signals::{Signals, Wake};
use crate::{clock, helper, scheduler, steam, sys};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The kernel announces no change of its state file: it is read this often while waiting.
const STATE_PERIOD: Duration = Duration::from_millis(50);

/// A scheduler that is attached as long as this lives.
#[derive(Debug)]
pub struct Attached {
    child: Child,
    pidfd: OwnedFd,
    enable_count: Option<u64>,
    limit: Duration,
    /// Its name as the kernel gives it.
    pub name: String,
}

/// Why the machine cannot take another scheduler, if it cannot.
///
/// # Errors
/// No sched_ext, or a scheduler is attached already.
pub fn check_free() -> Result<()> {
    match scheduler::state().as_deref() {
        None => bail!("this kernel has no sched_ext: boot one built with CONFIG_SCHED_CLASS_EXT"),
        Some("disabled") => Ok(()),
        Some(_) => bail!(
            "scheduler {} is attached already: stop it first",
            scheduler::name()
        ),
    }
}

/// Whether a scheduler is enabled and counted. The kernel counts it a moment after it calls it
/// enabled: who reads the count in between takes that moment for another attachment later.
fn enabled_since(before: Option<u64>) -> bool {
    scheduler::state().as_deref() == Some("enabled")
        && (before.is_none() || scheduler::enable_count() != before)
}

impl Attached {
    /// Starts `command` and waits until its scheduler is enabled; `None` when a signal came.
    ///
    /// # Errors
    /// When it ends or the time runs out before that.
    pub fn start(command: &str, limit: Duration, signals: &Signals) -> Result<Option<Self>> {
        check_free()?;
        let before = scheduler::enable_count();
        let mut shell = Command::new("/bin/sh");
        // What it prints must not get into our results; its own group gets our SIGINT as a whole.
        let output = std::io::stderr().as_fd().try_clone_to_owned()?;
        shell
            .arg("-c")
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::from(output));
        shell.process_group(0);
        steam::strip(&mut shell);
        let child = sys::spawn_tied(&mut shell, Signal::SIGINT)
            .with_context(|| format!("cannot start {command:?}"))?;
        let pidfd = sys::pidfd_open(child.id())?;
        let mut attached = Self {
            child,
            pidfd,
            enable_count: None,
            limit,
            name: String::new(),
        };
        let start = Instant::now();
        while !enabled_since(before) {
            match signals.wait(attached.pidfd.as_fd(), Some(STATE_PERIOD))? {
                Wake::Signal(_) => return Ok(None),
                Wake::Other => bail!("{command:?} ended before it attached a scheduler"),
                Wake::Timeout if start.elapsed() > limit => {
                    bail!(
                        "{command:?} attached no scheduler within {} s",
                        limit.as_secs()
                    )
                }
                Wake::Timeout => {}
            }
        }
        attached.enable_count = scheduler::enable_count();
        attached.name = scheduler::name();
        Ok(Some(attached))
    }

    /// Whether this very attachment is still there.
    ///
    /// # Errors
    /// What happened to it.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the scheduler ended during the run ({status})");
        }
        match scheduler::state().as_deref() {
            Some("enabled") if scheduler::enable_count() == self.enable_count => Ok(()),
            Some("enabled") => bail!("the scheduler was ejected and attached again during the run"),
            _ => bail!("the scheduler was ejected during the run"),
        }
    }

    /// Asks the scheduler to end and waits until the kernel's own is back.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn detach(mut self) -> Result<()> {
        self.stop();
        if scheduler::state().as_deref() == Some("disabled") {
            return Ok(());
        }
        bail!(
            "the scheduler did not detach within {} s",
            self.limit.as_secs()
        )
    }

    fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }

    fn stop(&mut self) {
        self.signal(Signal::SIGINT);
        if !helper::wait_exit(self.child.id(), self.limit) {
            self.signal(Signal::SIGKILL);
        }
        let _ = self.child.wait();
        let start = Instant::now();
        while scheduler::state().as_deref() != Some("disabled") && start.elapsed() < self.limit {
            clock::pause(STATE_PERIOD);
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.stop();
        }
    }
}
