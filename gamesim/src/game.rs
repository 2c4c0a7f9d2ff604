//! The game thread and its job workers.

use crate::args::Mode;
use crate::clock::now_ns;
use crate::helper::Window;
use crate::work::burn;
use anyhow::{Result, anyhow};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An uncapped game waits this long for input before a frame without any.
const INPUT_PATIENCE: Duration = Duration::from_millis(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere ends the run anyway; its message must not be hidden by ours.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct InboxState {
    inputs: Vec<u64>,
    presented: u64,
    closed: bool,
}

/// What the game thread waits for: input and presented frames.
#[derive(Debug, Default)]
pub struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
}

impl Inbox {
    /// Hands over kernel timestamps of input events and wakes the game.
    pub fn push_inputs(&self, stamps: &[u64]) {
        if stamps.is_empty() {
            return;
        }
        lock(&self.state).inputs.extend_from_slice(stamps);
        self.changed.notify_one();
    }

    /// What has not been taken into a frame.
    pub fn take_inputs(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.state).inputs)
    }

    /// Says that one more frame is on the screen.
    pub fn add_presented(&self) {
        lock(&self.state).presented += 1;
        self.changed.notify_one();
    }

    /// Ends the game.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// Whether the game has been told to end.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Waits until frame number `frame` may begin; `None` when the game is to end.
    fn next_frame(&self, frame: u64, mode: Mode) -> Option<Vec<u64>> {
        let state = lock(&self.state);
        let mut state = match mode {
            Mode::Paced => self
                .changed
                .wait_while(state, |state| !state.closed && state.presented < frame)
                .unwrap_or_else(PoisonError::into_inner),
            Mode::Uncapped => {
                self.changed
                    .wait_timeout_while(state, INPUT_PATIENCE, |state| {
                        !state.closed && state.inputs.is_empty()
                    })
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        if state.closed {
            None
        } else {
            Some(std::mem::take(&mut state.inputs))
        }
    }
}

#[derive(Debug, Default)]
struct PoolState {
    waiting_jobs: u32,
    unfinished: u32,
    closed: bool,
}

/// Job workers: the game thread hands out one job per worker and joins.
#[derive(Debug, Default)]
pub struct Pool {
    state: Mutex<PoolState>,
    handed_out: Condvar,
    finished: Condvar,
}

impl Pool {
    /// Body of a worker thread: jobs of `loops` until the pool closes.
    pub fn work(&self, loops: u64) {
        let mut state = lock(&self.state);
        loop {
            state = self
                .handed_out
                .wait_while(state, |state| state.waiting_jobs == 0 && !state.closed)
                .unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return;
            }
            state.waiting_jobs -= 1;
            drop(state);
            burn(loops);
            state = lock(&self.state);
            state.unfinished -= 1;
            if state.unfinished == 0 {
                self.finished.notify_one();
            }
        }
    }

    /// Hands out `jobs` and waits until all are done.
    pub fn run(&self, jobs: u32) {
        let mut state = lock(&self.state);
        state.waiting_jobs = jobs;
        state.unfinished = jobs;
        self.handed_out.notify_all();
        drop(
            self.finished
                .wait_while(state, |state| state.unfinished > 0)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Ends the workers.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.handed_out.notify_all();
    }
}

/// A simulated frame on its way to the render thread.
#[derive(Debug)]
pub struct Frame {
    /// Number of the frame, from 0.
    pub number: u64,
    /// Kernel timestamps of the input it shows, oldest first.
    pub inputs: Vec<u64>,
}

/// What the game thread needs.
#[derive(Debug)]
pub struct Game {
    /// When frames begin.
    pub mode: Mode,
    /// Loops of the simulation step.
    pub loops: u64,
    /// Jobs per frame.
    pub jobs: u32,
    /// What it waits for.
    pub inbox: Arc<Inbox>,
    /// Who helps.
    pub pool: Arc<Pool>,
}

impl Game {
    /// Plays until the window ends, the inbox closes or the render thread is gone.
    ///
    /// # Errors
    /// When the render thread is gone before the end.
    pub fn play(&self, frames: &SyncSender<Frame>, window: Window) -> Result<()> {
        for number in 0.. {
            let Some(inputs) = self.inbox.next_frame(number, self.mode) else {
                return Ok(());
            };
            if now_ns() >= window.until_ns {
                return Ok(());
            }
            burn(self.loops);
            self.pool.run(self.jobs);
            frames
                .send(Frame { number, inputs })
                .map_err(|_| anyhow!("the render thread ended"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, Pool};
    use crate::args::Mode;

    #[test]
    fn a_pool_without_jobs_does_not_wait() {
        Pool::default().run(0);
    }

    #[test]
    fn a_pool_joins_all_its_jobs() {
        let pool = Pool::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| pool.work(10));
            }
            for _ in 0..100 {
                pool.run(3);
            }
            pool.close();
        });
    }

    #[test]
    fn a_frame_takes_all_waiting_input_once() {
        let inbox = Inbox::default();
        inbox.push_inputs(&[1, 2]);
        assert_eq!(inbox.next_frame(0, Mode::Uncapped), Some(vec![1, 2]));
        assert_eq!(inbox.next_frame(0, Mode::Paced), Some(vec![]));
    }

    #[test]
    fn a_closed_inbox_ends_the_game() {
        let inbox = Inbox::default();
        inbox.close();
        assert_eq!(inbox.next_frame(9, Mode::Paced), None);
    }
}
