//! The bounded lock-free queue between the rings and the consumer.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::SegQueue;

use super::record::InputEvent;

/// Longest queue: half a second of a mouse with 8 kHz that reports two axes, 200 KiB.
pub const EVENT_QUEUE_MAX: usize = 8192;

/// Events on their way to the consumer. What is lost on the way is counted, by cause.
#[derive(Debug)]
pub struct EventQueue {
    events: SegQueue<InputEvent>,
    len_max: usize,
    overflow_cnt: AtomicU64,
    malformed_cnt: AtomicU64,
}

impl EventQueue {
    /// An empty queue that never holds more than `len_max` events for one producer; each further
    /// producer may go beyond it by one.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self {
            events: SegQueue::new(),
            len_max,
            overflow_cnt: AtomicU64::new(0),
            malformed_cnt: AtomicU64::new(0),
        }
    }

    /// Adds an event, or counts it as lost where the queue is full.
    pub fn push(&self, event: InputEvent) {
        if self.events.len() >= self.len_max {
            self.overflow_cnt.fetch_add(1, Ordering::Relaxed);
        } else {
            self.events.push(event);
        }
    }

    /// Counts bytes that were not a record.
    pub fn count_malformed(&self) {
        self.malformed_cnt.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the oldest event.
    #[must_use]
    pub fn pop(&self) -> Option<InputEvent> {
        self.events.pop()
    }

    /// Events which wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Events lost because the queue was full.
    #[must_use]
    pub fn overflow_cnt(&self) -> u64 {
        self.overflow_cnt.load(Ordering::Relaxed)
    }

    /// Records which could not be read.
    #[must_use]
    pub fn malformed_cnt(&self) -> u64 {
        self.malformed_cnt.load(Ordering::Relaxed)
    }
}

impl Default for EventQueue {
    fn default() -> Self {
        Self::new(EVENT_QUEUE_MAX)
    }
}
