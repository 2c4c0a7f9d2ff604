//! QEMU as a child process: it ends with its owner, and its output comes in pieces that a caller
//! can wait for with a limit.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use crate::emulator::Emulator;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::qemu::Files;

/// How often a waiting loop looks for a signal or the limit.
const LOOK: Duration = Duration::from_millis(100);

/// A running emulator. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    chunks: Receiver<Vec<u8>>,
}

impl Process {
    /// Starts `emulator`; what it says itself goes to a file of `files`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(emulator: &Emulator, args: &[String], files: &Files) -> Result<Self> {
        let messages =
            File::create(&files.messages).map_err(|error| Failure::at(&files.messages, error))?;
        // setpriv: the emulator must not outlive us even if we are killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(emulator.program())
            .args(emulator.args())
            .args(args)
            .envs(emulator.env())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(messages)
            .process_group(0)
            .spawn()
            .context("starting QEMU by setpriv")?;
        let chunks = read_chunks(child.stdout.take())?;
        Ok(Self { child, chunks })
    }

    /// The next piece of the guest's output; waits for a moment only.
    pub(crate) fn chunk(&self) -> std::result::Result<Vec<u8>, RecvTimeoutError> {
        self.chunks.recv_timeout(LOOK)
    }

    /// Waits for its end for at most `limit`, then ends it; `None` means that it had to.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        wait_bounded(&mut self.child, limit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe in a thread of its own, so that the caller can wait with a limit.
fn read_chunks(pipe: Option<impl Read + Send + 'static>) -> Result<Receiver<Vec<u8>>> {
    let mut pipe = pipe.ok_or_else(|| anyhow!("QEMU has no output pipe"))?;
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("vm-output".into())
        .spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) if sender.send(buffer[..count].to_vec()).is_err() => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        })
        .context("thread for the guest's output")?;
    Ok(receiver)
}

/// Waits for a child for at most `limit`, then ends it; `None` means that it had to.
pub(crate) fn wait_bounded(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("waiting for QEMU")? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || interrupt::arrived() {
            child.kill().context("ending QEMU")?;
            child.wait().context("waiting for QEMU")?;
            return Ok(None);
        }
        thread::park_timeout(left.min(LOOK / 5));
    }
}
