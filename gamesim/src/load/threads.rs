//! Loads made of threads: hogs, hogs that change their affinity, a real-time hog.

use super::{Class, Done};
use crate::clock::{self, Ticker};
use crate::helper::Window;
use crate::sys;
use crate::work::{Sequence, burn};
use anyhow::{Context, Result, anyhow};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::thread;

/// Real-time priority of the hog: above nothing but the ordinary classes.
const FIFO_PRIORITY: i32 = 1;
const FIFO_PERIOD_NS: u64 = 10_000_000;
/// An affinity hog moves after this many chunks (about 5 ms of work).
const CHUNKS_PER_MOVE: u64 = 50;

/// Gives the calling thread, and those it starts, a class.
///
/// # Errors
/// When the kernel refuses.
pub fn set_class(class: Class) -> Result<()> {
    match class {
        Class::Normal => Ok(()),
        Class::Nice19 => sys::set_nice(19).context("cannot set nice 19"),
        Class::Idle => sys::set_idle().context("cannot set SCHED_IDLE"),
    }
}

/// Runs `count` threads that never wait; returns the work finished inside the window.
///
/// # Errors
/// When a thread cannot be started or set up.
pub fn hogs(count: u32, class: Class, moving: bool, chunk: u64, window: Window) -> Result<Done> {
    set_class(class)?;
    let mut handles = Vec::new();
    for index in 0..count {
        let name = format!("{}/{index}", if moving { "mover" } else { "hog" });
        handles.push(
            thread::Builder::new()
                .name(name)
                .spawn(move || hog(index, moving, chunk, window))
                .context("cannot start a hog thread")?,
        );
    }
    let mut done = Done::default();
    for handle in handles {
        done.loops += handle
            .join()
            .map_err(|_| anyhow!("a hog thread panicked"))??;
    }
    Ok(done)
}

fn hog(index: u32, moving: bool, chunk: u64, window: Window) -> Result<u64> {
    let allowed = allowed_cpus()?;
    let mut sequence = Sequence::new(u64::from(index));
    let mut loops = 0;
    for round in 0u64.. {
        if moving && round % CHUNKS_PER_MOVE == 0 {
            move_somewhere(&allowed, &mut sequence)?;
        }
        burn(chunk);
        let now = clock::now_ns();
        if window.contains(now) {
            loops += chunk;
        }
        if now >= window.until_ns {
            break;
        }
    }
    Ok(loops)
}

fn allowed_cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("cannot read the affinity")?;
    Ok((0..CpuSet::count())
        .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
        .collect())
}

/// A random non-empty subset of the CPUs. One that went offline meanwhile is no error.
fn move_somewhere(allowed: &[usize], sequence: &mut Sequence) -> Result<()> {
    let bits = sequence.next_value();
    let mut set = CpuSet::new();
    for (index, cpu) in allowed.iter().enumerate() {
        if bits >> (index % 64) & 1 == 1 {
            set.set(*cpu)?;
        }
    }
    if let Some(cpu) = allowed.get(usize::try_from(bits >> 32).unwrap_or(0) % allowed.len().max(1))
    {
        set.set(*cpu)?;
    }
    match sched_setaffinity(Pid::from_raw(0), &set) {
        Ok(()) | Err(nix::errno::Errno::EINVAL) => Ok(()),
        Err(error) => Err(error).context("cannot change the affinity"),
    }
}

/// Runs one SCHED_FIFO thread that takes `percent` of one CPU, in periods of 10 ms.
///
/// # Errors
/// When real-time scheduling is not permitted.
pub fn fifo(percent: u32, chunk: u64, window: Window) -> Result<Done> {
    sys::set_fifo(FIFO_PRIORITY).context("load fifo= needs root or a real-time limit")?;
    let busy_ns = FIFO_PERIOD_NS * u64::from(percent) / 100;
    let mut ticker = Ticker::start(FIFO_PERIOD_NS)?;
    let mut done = Done::default();
    loop {
        let start = clock::now_ns();
        if start >= window.until_ns {
            return Ok(done);
        }
        let mut now = start;
        while now - start < busy_ns {
            burn(chunk);
            now = clock::now_ns();
            if window.contains(now) {
                done.loops += chunk;
            }
        }
        ticker.wait()?;
    }
}
