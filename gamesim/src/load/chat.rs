//! The threads of a browser or chat client: nearly always asleep, waking one another in chains.

use super::threads::set_class;
use super::{Class, Done};
use crate::clock;
use crate::helper::Window;
use crate::threads::join;
use crate::work::{Sequence, burn};
use anyhow::{Context, Result};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Threads of a chain; the last chain may have fewer.
const CHAIN: u32 = 5;
/// Work of a thread for each wake-up [us].
const TURN_US: u64 = 20;
/// Shortest pause of a chain's head [us].
const PAUSE_MIN_US: u64 = 5_000;
/// Longest pause of a chain's head [us].
const PAUSE_MAX_US: u64 = 35_000;

/// What wakes a thread.
enum Trigger {
    /// The pauses of a chain's head.
    Pauses(Sequence),
    /// The thread before it in the chain.
    Pipe(PipeReader),
}

impl Trigger {
    /// Waits for the thread's turn; false when there are no more.
    fn wait(&mut self, window: Window) -> Result<bool> {
        match self {
            Self::Pauses(sequence) => {
                clock::pause(next_pause(sequence));
                Ok(clock::now_ns() < window.until_ns)
            }
            Self::Pipe(pipe) => Ok(pipe.read(&mut [0])? > 0),
        }
    }
}

fn next_pause(sequence: &mut Sequence) -> Duration {
    let spread_us = PAUSE_MAX_US - PAUSE_MIN_US + 1;
    Duration::from_micros(PAUSE_MIN_US + sequence.next_value() % spread_us)
}

/// Runs `count` threads in chains until the window ends: a head sleeps, works and wakes the next,
/// which works and wakes the next, to the end of the chain.
///
/// # Errors
/// When a pipe cannot be made or a thread cannot be started.
pub fn chains(count: u32, class: Class, loops_per_us: u64, window: Window) -> Result<Done> {
    set_class(class)?;
    let loops = loops_per_us.saturating_mul(TURN_US);
    let mut handles = Vec::new();
    for (chain, first) in (0u64..).zip((0..count).step_by(CHAIN as usize)) {
        // From the last thread to the first, because each needs its end of the pipe to the next.
        let mut next = None;
        for place in (1..CHAIN.min(count - first)).rev() {
            let (reader, writer) = pipe().context("cannot make a pipe")?;
            let (trigger, next) = (Trigger::Pipe(reader), next.replace(writer));
            handles.push(spawn(chain, place, move || {
                take_turns(trigger, next, loops, window)
            })?);
        }
        let trigger = Trigger::Pauses(Sequence::new(chain));
        handles.push(spawn(chain, 0, move || {
            take_turns(trigger, next, loops, window)
        })?);
    }
    let mut done = Done::default();
    for handle in handles {
        done += join(handle)?;
    }
    Ok(done)
}

fn spawn(
    chain: u64,
    place: u32,
    body: impl FnOnce() -> Result<Done> + Send + 'static,
) -> Result<JoinHandle<Result<Done>>> {
    thread::Builder::new()
        .name(format!("chat/{chain}.{place}"))
        .spawn(body)
        .context("cannot start a chat thread")
}

/// Body of a thread. When it ends its pipe closes, which ends the rest of the chain.
fn take_turns(
    mut trigger: Trigger,
    mut next: Option<PipeWriter>,
    loops: u64,
    window: Window,
) -> Result<Done> {
    let mut done = Done::default();
    while trigger.wait(window)? {
        burn(loops);
        let counts = window.contains(clock::now_ns());
        if counts {
            done.loops += loops;
        }
        match &mut next {
            Some(next) => next.write_all(&[0])?,
            None => done.jobs += u64::from(counts),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::{PAUSE_MAX_US, PAUSE_MIN_US, next_pause};
    use crate::work::Sequence;

    #[test]
    fn pauses_repeat_for_a_chain_stay_in_bounds_and_differ_between_chains() {
        let pauses = |chain| {
            let mut sequence = Sequence::new(chain);
            (0..1000)
                .map(|_| u64::from(next_pause(&mut sequence).subsec_micros()))
                .collect::<Vec<_>>()
        };
        let first = pauses(0);
        assert_eq!(first, pauses(0));
        assert_ne!(first, pauses(1));
        assert!(
            first
                .iter()
                .all(|pause_us| (PAUSE_MIN_US..=PAUSE_MAX_US).contains(pause_us))
        );
        // They use the whole range: the mean is near its middle.
        let mean_us = first.iter().sum::<u64>() / 1000;
        assert!((19_000..21_000).contains(&mean_us), "{mean_us}");
    }
}
