//! Which ring each CPU writes.

use std::collections::BTreeMap;

use crate::intf;

/// Number of rings.
pub const RING_CNT: usize = intf::INPUT_RING_CNT as usize;

/// Entries of the table: every CPU id the BPF side knows.
pub const RING_TABLE_LEN: usize = intf::MAX_CPUS as usize;

/// Where a CPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuNode {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// The kernel's number of its NUMA node.
    pub node: u32,
}

/// The ring of each CPU id, below [`RING_CNT`].
///
/// On one node it is the id modulo 16. Several nodes divide the rings among them, so that none is
/// written from two; within a node the CPUs take turns. Beyond 16 nodes that cannot be had: each
/// node writes one ring, which it shares with the nodes 16 further on.
///
/// `cpus` has to list every possible CPU, online or not. Ids it lacks write ring 0 where there
/// are several nodes; ids from [`RING_TABLE_LEN`] up are ignored.
#[must_use]
pub fn assign_rings(cpus: &[CpuNode]) -> [u8; RING_TABLE_LEN] {
    let mut nodes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for place in cpus {
        nodes.entry(place.node).or_default().push(place.cpu);
    }
    if nodes.len() <= 1 {
        return std::array::from_fn(to_ring);
    }
    let mut table = [0; RING_TABLE_LEN];
    let node_cnt = nodes.len();
    for (rank, mut members) in nodes.into_values().enumerate() {
        members.sort_unstable();
        members.dedup();
        let (first, share) = ring_share(rank, node_cnt);
        for (turn, cpu) in members.into_iter().enumerate() {
            let slot = usize::try_from(cpu).ok().and_then(|cpu| table.get_mut(cpu));
            if let Some(ring) = slot {
                *ring = to_ring(first + turn % share);
            }
        }
    }
    table
}

/// First ring and number of rings of the node with this rank.
fn ring_share(rank: usize, node_cnt: usize) -> (usize, usize) {
    if node_cnt > RING_CNT {
        return (rank % RING_CNT, 1);
    }
    let first = rank * RING_CNT / node_cnt;
    let end = (rank + 1) * RING_CNT / node_cnt;
    (first, end - first)
}

fn to_ring(number: usize) -> u8 {
    u8::try_from(number % RING_CNT).expect("BUG: there are fewer than 256 rings")
}
