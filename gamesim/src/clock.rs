//! CLOCK_MONOTONIC in nanoseconds, and timers on it.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::time::Duration;

/// Nanoseconds per second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// CLOCK_MONOTONIC now, in nanoseconds; 0 never happens after boot.
#[must_use]
pub fn now_ns() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| duration_ns(Duration::from(time)))
}

/// A duration in whole nanoseconds, saturating.
#[must_use]
pub fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Sleeps, as a part of a load. A signal may end it early.
pub fn pause(duration: Duration) {
    let clock = nix::time::ClockId::CLOCK_MONOTONIC;
    let flags = nix::time::ClockNanosleepFlags::empty();
    let _ = nix::time::clock_nanosleep(clock, flags, &TimeSpec::from_duration(duration));
}

/// A periodic timer on CLOCK_MONOTONIC.
#[derive(Debug)]
pub struct Ticker {
    timer: TimerFd,
    first_ns: u64,
    period_ns: u64,
    ticks: u64,
}

impl Ticker {
    /// Starts a timer whose first tick is one period (above 0 ns) from now.
    ///
    /// # Errors
    /// Those of timerfd_create(2) and timerfd_settime(2).
    pub fn start(period_ns: u64) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let first_ns = now_ns() + period_ns;
        timer.set(
            Expiration::IntervalDelayed(
                TimeSpec::from_duration(Duration::from_nanos(first_ns)),
                TimeSpec::from_duration(Duration::from_nanos(period_ns)),
            ),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME,
        )?;
        Ok(Self {
            timer,
            first_ns,
            period_ns,
            ticks: 0,
        })
    }

    /// Waits for the next tick and returns (ideal time of the newest tick, ticks since the last call).
    ///
    /// # Errors
    /// Those of read(2).
    pub fn wait(&mut self) -> io::Result<(u64, u64)> {
        let mut count = [0u8; 8];
        loop {
            match nix::unistd::read(&self.timer, &mut count) {
                Ok(_) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let elapsed = u64::from_ne_bytes(count);
        self.ticks += elapsed;
        Ok((self.first_ns + (self.ticks - 1) * self.period_ns, elapsed))
    }

    /// Waits for the first tick after `at_ns` and returns its ideal time: a late caller
    /// waits for the next tick, it is not given one that has passed.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn wait_after(&mut self, at_ns: u64) -> io::Result<u64> {
        loop {
            let (ideal_ns, _) = self.wait()?;
            if ideal_ns > at_ns {
                return Ok(ideal_ns);
            }
        }
    }
}
