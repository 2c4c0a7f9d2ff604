//! The game's one child: a process that waits for work which never comes, and for the game's end.

use crate::{steam, sys};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// The game's end of it; it ends when this is dropped, or the game does.
#[derive(Debug)]
pub struct AssetLoader(Child);

impl AssetLoader {
    /// Starts it. Call from a thread that outlives it.
    ///
    /// # Errors
    /// Those of spawning.
    pub fn start() -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("asset-loader");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        steam::strip(&mut command);
        sys::spawn_tied(&mut command, Signal::SIGKILL)
            .context("cannot start the asset loader")
            .map(Self)
    }
}

impl Drop for AssetLoader {
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
