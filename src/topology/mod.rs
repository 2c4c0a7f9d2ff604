//! The machine's CPUs, caches and nodes, in the shape that the BPF side needs.

use scx_utils::Topology;
use thiserror::Error;

use crate::intf::{MAX_CPUS, MAX_LLCS};

/// Why a machine cannot be described to the scheduler.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TopologyError {
    /// More CPU ids than the scheduler has room for.
    #[error(
        "this machine has CPU ids up to {highest}, scx_gamer supports {MAX_CPUS} CPUs: please report it"
    )]
    TooManyCpus {
        /// The highest CPU id.
        highest: usize,
    },
    /// More last-level caches than the scheduler has room for.
    #[error(
        "this machine has {count} last-level caches, scx_gamer supports {MAX_LLCS}: please report it"
    )]
    TooManyLlcs {
        /// Number of last-level caches.
        count: usize,
    },
}

/// One online CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuPlace {
    /// Linux CPU id.
    pub cpu: u16,
    /// Index of its last-level cache, 0 .. number of caches.
    pub llc: u16,
    /// NUMA node id.
    pub node: u16,
}

/// Where each CPU stands. Offline CPUs are absent; the scheduler restarts when one comes online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    places: Vec<CpuPlace>,
    llc_count: u16,
}

impl Layout {
    /// Describes the machine this runs on.
    ///
    /// # Errors
    /// If it has more CPUs or caches than there is room for.
    pub fn of(topology: &Topology) -> Result<Self, TopologyError> {
        let caches = topology.all_llcs.values();
        Self::new(caches.map(|cache| (cache.node_id, cache.all_cpus.keys().copied())))
    }

    /// Describes a machine by its last-level caches, each with its node and its CPUs.
    ///
    /// # Errors
    /// If it has more CPUs or caches than there is room for.
    pub fn new<Cpus>(caches: impl Iterator<Item = (usize, Cpus)>) -> Result<Self, TopologyError>
    where
        Cpus: Iterator<Item = usize>,
    {
        let mut places = Vec::new();
        let mut count = 0;
        for (llc, (node, cpus)) in (0u16..).zip(caches) {
            count = usize::from(llc) + 1;
            for highest in cpus {
                let cpu = u16::try_from(highest)
                    .ok()
                    .filter(|&cpu| u32::from(cpu) < MAX_CPUS)
                    .ok_or(TopologyError::TooManyCpus { highest })?;
                let node = u16::try_from(node).unwrap_or(0);
                places.push(CpuPlace { cpu, llc, node });
            }
        }
        let llc_count = u16::try_from(count)
            .ok()
            .filter(|&llcs| u32::from(llcs) <= MAX_LLCS)
            .ok_or(TopologyError::TooManyLlcs { count })?;
        Ok(Self {
            places,
            llc_count: llc_count.max(1),
        })
    }

    /// The CPUs, those of one cache next to each other.
    #[must_use]
    pub fn places(&self) -> &[CpuPlace] {
        &self.places
    }

    /// Number of last-level caches, at least 1.
    #[must_use]
    pub fn llc_count(&self) -> u16 {
        self.llc_count
    }

    /// Highest CPU id plus one.
    #[must_use]
    pub fn cpu_id_count(&self) -> u32 {
        self.places
            .iter()
            .map(|place| u32::from(place.cpu) + 1)
            .max()
            .unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(caches: &[(usize, &[usize])]) -> Result<Layout, TopologyError> {
        let caches = caches.iter();
        Layout::new(caches.map(|&(node, cpus)| (node, cpus.iter().copied())))
    }

    #[test]
    fn cpus_of_one_cache_stand_together() {
        let layout = layout(&[(0, &[0, 1, 4, 5]), (1, &[2, 3, 6, 7])]).expect("fits");
        assert_eq!(layout.llc_count(), 2);
        assert_eq!(layout.cpu_id_count(), 8);
        let places = layout.places().iter();
        let places: Vec<_> = places
            .map(|place| (place.cpu, place.llc, place.node))
            .collect();
        assert_eq!(places[..4], [(0, 0, 0), (1, 0, 0), (4, 0, 0), (5, 0, 0)]);
        assert_eq!(places[4..], [(2, 1, 1), (3, 1, 1), (6, 1, 1), (7, 1, 1)]);
    }

    #[test]
    fn a_machine_without_caches_has_one_queue() {
        assert_eq!(layout(&[]).expect("fits").llc_count(), 1);
    }

    #[test]
    fn more_caches_or_cpus_than_supported_are_refused_with_their_number() {
        let caches = vec![(0, &[0][..]); MAX_LLCS as usize + 1];
        let count = caches.len();
        assert_eq!(layout(&caches), Err(TopologyError::TooManyLlcs { count }));
        let highest = MAX_CPUS as usize;
        assert_eq!(
            layout(&[(0, &[highest])]),
            Err(TopologyError::TooManyCpus { highest })
        );
    }
}
