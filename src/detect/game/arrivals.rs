//! Processes waiting for their first look.
//!
//! A process is looked at a moment after its exec, not at once. Most processes of a compile storm
//! have ended by then and cost no read of `/proc`; chains of execs are looked at once, at their
//! end; and a Wine loader has had time to become its program.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

/// From the exec to the first look.
pub const FIRST_LOOK_AFTER: Duration = Duration::from_millis(100);
/// Looks that are due within this time are done together.
const SLACK: Duration = Duration::from_millis(20);
/// Most processes that wait at a time.
pub const ARRIVALS_MAX: usize = 8192;

/// The queue, ordered by time.
#[derive(Debug, Default)]
pub struct Arrivals {
    queue: VecDeque<(Instant, u32)>,
    waiting: HashSet<u32>,
}

impl Arrivals {
    /// Takes in a process whose exec was just seen. Returns false if there is no room.
    #[must_use]
    pub fn push(&mut self, pid: u32, now: Instant) -> bool {
        if self.waiting.contains(&pid) {
            return true;
        }
        // Entries of processes that have ended stay in the queue until their time.
        if self.queue.len() >= ARRIVALS_MAX {
            return false;
        }
        self.waiting.insert(pid);
        self.queue.push_back((now + FIRST_LOOK_AFTER, pid));
        true
    }

    /// Forgets a process that has ended.
    pub fn remove(&mut self, pid: u32) {
        self.waiting.remove(&pid);
        if self.waiting.is_empty() {
            self.queue.clear();
        }
    }

    /// The next process whose look is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        while let Some(&(due, pid)) = self.queue.front() {
            if due > now + SLACK {
                return None;
            }
            self.queue.pop_front();
            if self.waiting.remove(&pid) {
                return Some(pid);
            }
        }
        None
    }

    /// Whether a look is due.
    pub fn has_due(&self, now: Instant) -> bool {
        self.queue
            .front()
            .is_some_and(|&(due, _)| due <= now + SLACK)
    }

    /// When the next look is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.front().map(|&(due, _)| due)
    }

    /// Entries held, at most [`ARRIVALS_MAX`].
    pub fn held_cnt(&self) -> usize {
        self.queue.len()
    }
}
