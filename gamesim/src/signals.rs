//! SIGINT and SIGTERM as a file descriptor, so that every exit goes through clean-up code.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Blocked signals, delivered through a descriptor.
#[derive(Debug)]
pub struct Signals(SignalFd);

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// One of the signals is pending.
    Signal(Signal),
    /// The other descriptor is readable or closed.
    Other,
    /// The time ran out.
    Timeout,
}

impl Signals {
    /// Blocks SIGINT, SIGTERM and `extra` in this thread and those it starts.
    ///
    /// # Errors
    /// Those of sigprocmask(2) and signalfd(2).
    pub fn block(extra: &[Signal]) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM].iter().chain(extra) {
            set.add(*signal);
        }
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// Waits for a signal, for `other`, or for the time to run out.
    ///
    /// # Errors
    /// Those of poll(2) and read(2).
    pub fn wait(&self, other: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<Wake> {
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = [
            PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
            PollFd::new(other, PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(0) => return Ok(Wake::Timeout),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Wake::Timeout),
            Err(error) => return Err(error.into()),
        }
        if let Some(info) = self.0.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            return Ok(Wake::Signal(
                Signal::try_from(number).unwrap_or(Signal::SIGTERM),
            ));
        }
        Ok(Wake::Other)
    }
}
