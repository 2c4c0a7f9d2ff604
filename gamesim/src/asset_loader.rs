//! The game's one child: a process that waits for the game's end, as many games have one to report crashes.

use crate::sys;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// The game's end of it; it ends when this is dropped, or the game does.
#[derive(Debug)]
pub struct CrashHandler(Child);

impl CrashHandler {
    /// Starts it. Call from a thread that outlives it.
    ///
    /// # Errors
    /// Those of spawning.
    pub fn start() -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("crash-handler");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        sys::spawn_tied(&mut command, Signal::SIGKILL)
            .context("cannot start the crash handler")
            .map(Self)
    }
}

impl Drop for CrashHandler {
    fn drop(&mut self) {
        // Closes its standard input first.
        let _ = self.0.wait();
    }
}

/// The process: waits for the end of its standard input.
///
/// # Errors
/// Those of read(2).
pub fn main() -> Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
