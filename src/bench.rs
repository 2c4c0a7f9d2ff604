//! `scx_gamer bench`: a program of its own, so that none of what it draws and plays is in the daemon.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

/// It stands beside this program; $PATH is never asked, as this may run as root.
const PROGRAM: &str = "scx_gamer-bench";

/// Goes on as the benchmark, with its options.
///
/// # Errors
/// When the benchmark is not installed; otherwise this does not return.
pub fn become_it(args: &[OsString]) -> Result<()> {
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let path = exe.with_file_name(PROGRAM);
    let error = Command::new(&path).args(args).exec();
    Err(error).with_context(|| {
        format!(
            "cannot start {}: install it beside scx_gamer (`make install` does)",
            path.display()
        )
    })
}
