//! A storm of short processes, as a parallel build makes it.

use super::Done;
use crate::args::CcLikeArgs;
use crate::clock;
use crate::helper::Window;
use crate::signals::{Signals, Wake};
use crate::sys;
use crate::work::burn;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A directory of our own that goes when we go.
struct TempDir(PathBuf);

impl TempDir {
    fn create() -> Result<Self> {
        let name = format!("gamesim-{}-{}", std::process::id(), clock::now_ns());
        let path = std::env::temp_dir().join(name);
        // Fails if the name exists: a prepared link is never followed.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Blocks what [`storm`] waits for; before any thread starts.
///
/// # Errors
/// Those of [`Signals::block`].
pub fn block_signals() -> Result<Signals> {
    Ok(Signals::block(&[Signal::SIGCHLD])?)
}

/// Keeps `slots` processes of `loops` work each running until the window ends.
///
/// # Errors
/// When the temporary directory or a process cannot be made.
pub fn storm(slots: u32, loops: u64, window: Window, signals: &Signals) -> Result<Done> {
    let dir = TempDir::create()?;
    let mut children = Vec::new();
    for slot in 0..slots {
        let private = dir.0.join(slot.to_string());
        fs::create_dir(&private)?;
        children.push((spawn_job(&private, loops)?, private));
    }
    let result = keep_running(&mut children, loops, window, signals);
    for (child, _) in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

fn keep_running(
    children: &mut [(Child, PathBuf)],
    loops: u64,
    window: Window,
    signals: &Signals,
) -> Result<Done> {
    let mut done = Done::default();
    let input = std::io::stdin();
    loop {
        let left = window.until_ns.saturating_sub(clock::now_ns());
        if left == 0 {
            return Ok(done);
        }
        // One ms is added because poll's clock is coarser than ours.
        let limit = Duration::from_nanos(left) + Duration::from_millis(1);
        match signals.wait(input.as_fd(), Some(limit))? {
            Wake::Signal(Signal::SIGCHLD) | Wake::Timeout => {}
            // Told to end, or the parent closed its end.
            Wake::Signal(_) | Wake::Other => return Ok(done),
        }
        for (child, private) in children.iter_mut() {
            if let Some(status) = child.try_wait()? {
                if status.success() && window.contains(clock::now_ns()) {
                    done.jobs += 1;
                    done.loops += loops;
                }
                *child = spawn_job(private, loops)?;
            }
        }
    }
}

fn spawn_job(dir: &Path, loops: u64) -> Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("cc-like")
        .arg("--dir")
        .arg(dir)
        .arg("--loops")
        .arg(loops.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    sys::spawn_tied(&mut command, Signal::SIGKILL).context("cannot start a compile job")
}

/// One job: reads, works, writes an object file in pieces, renames it, as a compiler does.
///
/// # Errors
/// When the directory cannot be written.
pub fn job(args: &CcLikeArgs) -> Result<()> {
    const PIECES: u64 = 16;
    const PIECE_BYTES: usize = 8192;
    const SOURCE_BYTES: u64 = 256 * 1024;
    let mut source = Vec::new();
    fs::File::open("/proc/self/exe")?
        .take(SOURCE_BYTES)
        .read_to_end(&mut source)?;
    let temporary = args.dir.join("out.o.tmp");
    let mut output = fs::File::create(&temporary).context("cannot write the object file")?;
    let piece = source
        .get(..PIECE_BYTES)
        .context("our own file is too short")?;
    for _ in 0..PIECES {
        burn(args.loops / PIECES);
        output.write_all(piece)?;
    }
    drop(output);
    fs::rename(&temporary, args.dir.join("out.o"))?;
    Ok(())
}
