//! A helper process: this binary under another command, beside the game and tied to it by a socket.
//!
//! The socket is the helper's standard input. Messages are JSON lines: the helper says it is ready,
//! we send the measurement window, the helper reports after its end. End of file means stop.

use crate::{clock, host, sys};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

/// A loaded, emulated machine may need this long for what takes milliseconds elsewhere.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a person reads who starts by hand what is a part of a run.
pub const NOT_FOR_DIRECT_USE: &str = "this command is a part of `gamesim run`, not for direct use";

/// The measured part of a run, in CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Window {
    /// Samples count from here (the warm-up ends).
    pub from_ns: u64,
    /// Work stops here.
    pub until_ns: u64,
}

impl Window {
    /// Whether a sample taken at `at_ns` counts.
    #[must_use]
    pub fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns..self.until_ns).contains(&at_ns)
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.until_ns.saturating_sub(self.from_ns) as f64 / clock::SECOND_NS as f64
    }
}

/// The game's end of a helper. What waits for its window ends when this is dropped, the others with the run.
#[derive(Debug)]
pub struct Helper {
    name: String,
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Helper {
    /// Starts `gamesim ARGS` as the helper `name`, with something to write to besides if need be.
    ///
    /// # Errors
    /// Those of making a socket pair and of [`host::ask_for`].
    pub fn start(name: &str, args: &[String], output: Option<BorrowedFd<'_>>) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
        host::ask_for(args, theirs.as_fd(), output)
            .with_context(|| format!("cannot start the {name} process"))?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(ours.try_clone()?);
        Ok(Self {
            name: name.to_owned(),
            stream: ours,
            reader,
        })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the helper is gone.
    pub fn send<T: Serialize>(&mut self, message: &T) -> Result<()> {
        send(&mut self.stream, message).with_context(|| format!("the {} process ended", self.name))
    }

    /// Waits up to [`PATIENCE`] for one message.
    ///
    /// # Errors
    /// When the helper is gone, silent, or says what we do not understand.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        receive(&mut self.reader)
            .with_context(|| format!("no answer from the {} process", self.name))
    }

    /// Another handle of the socket, for a thread that speaks its own protocol after the hello.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn socket(&self) -> Result<UnixStream> {
        Ok(self.stream.try_clone()?)
    }
}

/// Asks a child to end, insists after [`PATIENCE`], and reaps it; nothing if it has ended.
pub fn end(child: &mut Child) {
    if let Ok(Some(_)) = child.try_wait() {
        return;
    }
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if !wait_exit(child.id(), PATIENCE) {
        let _ = child.kill();
    }
    let _ = child.wait();
}

/// Waits for process `pid` to end; false when the time ran out first.
#[must_use]
pub fn wait_exit(pid: u32, limit: Duration) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let Ok(pidfd) = sys::pidfd_open(pid) else {
        return true;
    };
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    matches!(
        poll(
            &mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)],
            timeout
        ),
        Ok(1..)
    )
}

/// The helper's end: its standard input as a socket.
///
/// # Errors
/// When standard input is not one, that is, when a person starts a helper by hand.
pub fn attach(name: &str) -> Result<(UnixStream, BufReader<UnixStream>)> {
    let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    stream.peer_addr().context(NOT_FOR_DIRECT_USE)?;
    let name = std::ffi::CString::new(name)?;
    nix::sys::prctl::set_name(&name)?;
    let reader = BufReader::new(stream.try_clone()?);
    Ok((stream, reader))
}

/// In a helper: waits for the measurement window; `None` when the game has ended before.
///
/// # Errors
/// A message of another shape.
pub fn receive_window(reader: &mut BufReader<UnixStream>) -> Result<Option<Window>> {
    if reader.fill_buf().map_or(true, <[u8]>::is_empty) {
        return Ok(None);
    }
    receive(reader).map(Some)
}

/// Writes one JSON line.
///
/// # Errors
/// Those of write(2).
pub fn send<T: Serialize>(stream: &mut UnixStream, message: &T) -> Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(stream.write_all(&line)?)
}

/// Reads one JSON line.
///
/// # Errors
/// End of file, time-out, or a message of another shape.
pub fn receive<T: DeserializeOwned>(reader: &mut BufReader<UnixStream>) -> Result<T> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        bail!("it ended");
    }
    serde_json::from_str(&line).context("unknown message")
}
