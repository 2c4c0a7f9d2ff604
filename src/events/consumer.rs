//! The one consumer of input events.

use std::sync::Arc;

use super::queue::EventQueue;
use super::record::{DeviceClass, InputEvent};

/// What has arrived since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTotals {
    event_cnt: [u64; DeviceClass::ALL.len()],
    /// `CLOCK_MONOTONIC` of the newest event, in ns; 0: none yet.
    pub last_event_ns: u64,
}

impl EventTotals {
    /// Events of one class.
    #[must_use]
    pub fn of_class(&self, class: DeviceClass) -> u64 {
        self.event_cnt[class.index()]
    }

    /// Events of all classes.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.event_cnt.iter().sum()
    }
}

/// Takes events out of the queue and keeps totals.
#[derive(Debug)]
pub struct InputConsumer {
    queue: Arc<EventQueue>,
    totals: EventTotals,
}

impl InputConsumer {
    /// The consumer of `queue`.
    #[must_use]
    pub fn new(queue: Arc<EventQueue>) -> Self {
        Self {
            queue,
            totals: EventTotals::default(),
        }
    }

    /// Takes every event that waits, hands it to `on_event`, and says how many there were.
    /// Events of one CPU come in order; those of different CPUs may not.
    pub fn consume(&mut self, mut on_event: impl FnMut(&InputEvent)) -> usize {
        let mut taken = 0;
        while let Some(event) = self.queue.pop() {
            self.totals.event_cnt[event.device_class.index()] += 1;
            self.totals.last_event_ns = self.totals.last_event_ns.max(event.time_ns);
            on_event(&event);
            taken += 1;
        }
        taken
    }

    /// What has been consumed since the start.
    #[must_use]
    pub fn totals(&self) -> &EventTotals {
        &self.totals
    }

    /// Events lost on the way from the rings: the queue was full, or the record was malformed.
    #[must_use]
    pub fn lost_cnt(&self) -> u64 {
        self.queue.overflow_cnt() + self.queue.malformed_cnt()
    }
}
