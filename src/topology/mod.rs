//! The machine's CPUs, caches and nodes, in the shape that the BPF side needs.

mod cpufreq;
mod kinds;
mod ticks;

pub use cpufreq::Governors;
pub use ticks::tickless_cpus;

use std::collections::BTreeSet;

use scx_utils::{NR_CPU_IDS, Topology};
use thiserror::Error;

use crate::intf::{MAX_CPUS, MAX_LLCS};

/// Why a machine cannot be described to the scheduler.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopologyError {
    /// More CPU ids than the scheduler has room for.
    #[error("this machine has {count} CPU ids, scx_gamer supports {MAX_CPUS}: please report it")]
    TooManyCpus {
        /// Number of CPU ids.
        count: usize,
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
    /// Whether it suits the pipeline better than other CPUs; of none where they are all alike.
    pub is_fast: bool,
}

/// Where each CPU stands. Offline CPUs are absent; the scheduler restarts when one comes online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    places: Vec<CpuPlace>,
    llc_count: u16,
    cpu_id_count: u32,
    has_siblings: bool,
}

impl Layout {
    /// Describes the machine this runs on.
    ///
    /// # Errors
    /// If it has more CPUs or caches than there is room for.
    pub fn of(topology: &Topology) -> Result<Self, TopologyError> {
        let caches = topology.all_llcs.values();
        let caches = caches.map(|cache| (cache.node_id, cache.all_cpus.keys().copied()));
        let layout = Self::new(caches, *NR_CPU_IDS)?;
        let traits = topology.all_llcs.values().flat_map(|cache| {
            let cpus = cache.all_cpus.values();
            // Each has its share of what the CPUs that are online have together.
            let cache_bytes = cpus.clone().map(|cpu| cpu.cache_size).sum();
            cpus.map(move |cpu| kinds::CpuTraits {
                cpu: cpu.id,
                capacity: cpu.cpu_capacity,
                cache_bytes,
            })
        });
        let fast = kinds::fast_cpus(&traits.collect::<Vec<_>>());
        Ok(layout.with_kinds(&fast, topology.smt_enabled))
    }

    /// The same machine, on which `fast` CPUs suit the pipeline better than the others, and cores have
    /// several CPUs or one.
    #[must_use]
    pub fn with_kinds(mut self, fast: &BTreeSet<usize>, has_siblings: bool) -> Self {
        for place in &mut self.places {
            place.is_fast = fast.contains(&usize::from(place.cpu));
        }
        self.has_siblings = has_siblings;
        self
    }

    /// Describes a machine by its last-level caches, each with its node and its online CPUs, and by
    /// the number of CPU ids that its kernel can ever use.
    ///
    /// # Errors
    /// If it has more CPUs or caches than there is room for.
    pub fn new<Cpus>(
        caches: impl Iterator<Item = (usize, Cpus)>,
        id_count: usize,
    ) -> Result<Self, TopologyError>
    where
        Cpus: Iterator<Item = usize>,
    {
        let too_many = TopologyError::TooManyCpus { count: id_count };
        let cpu_id_count = u32::try_from(id_count)
            .ok()
            .filter(|&count| count <= MAX_CPUS)
            .ok_or_else(|| too_many.clone())?;
        let mut places = Vec::new();
        let mut count = 0;
        for (llc, (node, cpus)) in (0u16..).zip(caches) {
            count = usize::from(llc) + 1;
            for cpu in cpus {
                let cpu = u16::try_from(cpu)
                    .ok()
                    .filter(|&cpu| u32::from(cpu) < cpu_id_count)
                    .ok_or_else(|| too_many.clone())?;
                let node = u16::try_from(node).unwrap_or(0);
                places.push(CpuPlace {
                    cpu,
                    llc,
                    node,
                    is_fast: false,
                });
            }
        }
        let llc_count = u16::try_from(count)
            .ok()
            .filter(|&llcs| u32::from(llcs) <= MAX_LLCS)
            .ok_or(TopologyError::TooManyLlcs { count })?;
        Ok(Self {
            places,
            llc_count: llc_count.max(1),
            cpu_id_count,
            has_siblings: false,
        })
    }

    /// The CPUs that suit the pipeline better than the others; none where all are alike.
    pub fn fast_cpus(&self) -> impl Iterator<Item = u16> {
        let fast = self.places.iter().filter(|place| place.is_fast);
        fast.map(|place| place.cpu)
    }

    /// Whether there is more to choose among idle CPUs than that they are idle.
    #[must_use]
    pub fn cpus_have_order(&self) -> bool {
        self.llc_count > 1 || self.has_siblings || self.fast_cpus().next().is_some()
    }

    /// Whether some CPUs are nearer to a part of the memory than others.
    #[must_use]
    pub fn nodes_differ(&self) -> bool {
        let nodes = self.places.iter().map(|place| place.node);
        nodes.collect::<BTreeSet<_>>().len() > 1
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

    /// Number of CPU ids that can ever be used, offline CPUs included.
    #[must_use]
    pub fn cpu_id_count(&self) -> u32 {
        self.cpu_id_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(caches: &[(usize, &[usize])], ids: usize) -> Result<Layout, TopologyError> {
        let caches = caches.iter();
        let caches = caches.map(|&(node, cpus)| (node, cpus.iter().copied()));
        Layout::new(caches, ids)
    }

    #[test]
    fn cpus_of_one_cache_stand_together() {
        let layout = layout(&[(0, &[0, 1, 4, 5]), (1, &[2, 3, 6, 7])], 16).expect("fits");
        assert_eq!(layout.llc_count(), 2);
        assert_eq!(layout.cpu_id_count(), 16);
        let places = layout.places().iter();
        let places: Vec<_> = places
            .map(|place| (place.cpu, place.llc, place.node))
            .collect();
        assert_eq!(places[..4], [(0, 0, 0), (1, 0, 0), (4, 0, 0), (5, 0, 0)]);
        assert_eq!(places[4..], [(2, 1, 1), (3, 1, 1), (6, 1, 1), (7, 1, 1)]);
    }

    #[test]
    fn a_machine_without_caches_has_one_queue() {
        assert_eq!(layout(&[], 1).expect("fits").llc_count(), 1);
    }

    #[test]
    fn more_caches_or_cpus_than_supported_are_refused_with_their_number() {
        let caches = vec![(0, &[0][..]); MAX_LLCS as usize + 1];
        let count = caches.len();
        assert_eq!(
            layout(&caches, 1),
            Err(TopologyError::TooManyLlcs { count })
        );
        let count = MAX_CPUS as usize + 1;
        assert_eq!(
            layout(&[(0, &[0])], count),
            Err(TopologyError::TooManyCpus { count })
        );
    }
}
