//! One descriptor that says when the rings should be read, at most once per batch.
//!
//! The kernel wakes a reader for each record that finds the ring empty. A reader that empties it
//! at once is woken for every event of an 8 kHz mouse, and takes that time from the game. So
//! after a read that found something, the rings are not watched for [`BATCH_INTERVAL`]: a timer is.
//! The next read is at its end and takes what has come meanwhile; when nothing has, the rings are
//! watched again. An event after a pause is seen at once, every other one within the interval,
//! and a quiet mouse costs nothing.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Longest time a record waits in its ring while the daemon runs. A ring holds 17 times as much
/// as a mouse with 8 kHz and two axes writes in it.
const BATCH_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Pacer {
    epoll: Epoll,
    timer: TimerFd,
}

impl Pacer {
    /// Watches `source`, the descriptor of all rings.
    pub(super) fn new(source: BorrowedFd<'_>) -> Result<Self> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot create an epoll")?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )
        .context("cannot create a timer")?;
        epoll
            .add(source, EpollEvent::new(EpollFlags::EPOLLIN, 0))
            .context("cannot watch the input rings")?;
        epoll
            .add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))
            .context("cannot watch the timer of the input rings")?;
        Ok(Self { epoll, timer })
    }

    /// Readable when the rings should be read.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    /// Waits for the end of the batch before the rings are looked at again.
    pub(super) fn watch_timer(&self, source: BorrowedFd<'_>) -> Result<()> {
        self.set_watch(source, EpollFlags::empty())?;
        // Setting it also takes back an expiration that nobody has read.
        self.timer
            .set(
                Expiration::OneShot(BATCH_INTERVAL.into()),
                TimerSetTimeFlags::empty(),
            )
            .context("cannot set the timer of the input rings")
    }

    /// Waits for the next record; one that is there already counts.
    pub(super) fn watch_rings(&self, source: BorrowedFd<'_>) -> Result<()> {
        self.timer
            .unset()
            .context("cannot stop the timer of the input rings")?;
        self.set_watch(source, EpollFlags::EPOLLIN)
    }

    fn set_watch(&self, source: BorrowedFd<'_>, flags: EpollFlags) -> Result<()> {
        self.epoll
            .modify(source, &mut EpollEvent::new(flags, 0))
            .context("cannot change the watch on the input rings")
    }
}
