//! A queue of tasks by deadline; those of the same one in the order in which they came.

use std::collections::BTreeMap;

use crate::machine::CLOCK_START_NS;

#[derive(Debug, Default)]
pub(crate) struct Queue(BTreeMap<(u64, u64), usize>);

impl Queue {
    pub(crate) fn insert(&mut self, deadline_ns: u64, arrival: u64, task: usize) {
        self.0.insert((Self::age(deadline_ns), arrival), task);
    }

    /// From the start of the clock on, which wraps, deadlines only grow.
    fn age(deadline_ns: u64) -> u64 {
        deadline_ns.wrapping_sub(CLOCK_START_NS)
    }

    pub(crate) fn head(&self) -> Option<usize> {
        self.0.first_key_value().map(|(_, &task)| task)
    }

    pub(crate) fn head_age(&self) -> Option<u64> {
        self.0.first_key_value().map(|(key, _)| key.0)
    }

    pub(crate) fn take_head(&mut self) -> Option<usize> {
        self.0.pop_first().map(|(_, task)| task)
    }

    /// Takes the first that the one who asks wants.
    pub(crate) fn take_first(&mut self, wants: impl Fn(usize) -> bool) -> Option<usize> {
        let (&key, _) = self.0.iter().find(|&(_, &task)| wants(task))?;
        self.0.remove(&key)
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = usize> {
        self.0.values().copied()
    }

    pub(crate) fn holds(&self, task: usize) -> bool {
        self.tasks().any(|waiting| waiting == task)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
