//! Everything that was counted up to one moment.

use std::time::Instant;

use super::DEVICE_CLASS_CNT;
use crate::detect::DetectorState;
use crate::detect::cost::Cost;
use crate::detect::flip::Display;
use crate::detect::input::InputTotals;
use crate::detect::sync::LockCounts;
use crate::intf;

/// The counters and the state of scheduler, detectors and daemon, read at one moment. All counts
/// only ever grow; those of the scheduler begin again when it is attached again, the others count from
/// the daemon's start.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When this was read.
    pub taken_at: Instant,
    /// When the scheduler was attached last: its counters count from here.
    pub attached_at: Instant,
    /// How often the scheduler was attached again since the daemon began.
    pub restart_cnt: u32,
    /// CPUs online.
    pub online_cpu_cnt: u32,
    /// Per-CPU statistics of the scheduler, one entry for each possible CPU.
    pub cpu_stats: Vec<intf::cpu_stats>,
    /// Load and regime, one entry for each LLC.
    pub llcs: Vec<Llc>,
    /// What the input detector has counted; nothing without one.
    pub input: InputTotals,
    /// Input events drained by the daemon, by `DEVICE_*`.
    pub drained_cnt: [u64; DEVICE_CLASS_CNT],
    /// Drained input events that found the daemon's queue full.
    pub queue_dropped_cnt: u64,
    /// What each possible CPU did for network devices.
    pub napi: Vec<intf::napi_counters>,
    /// Waits for locks, as the sync detector has counted them.
    pub locks: LockCounts,
    /// What is known of each display; their counts begin with their first flip.
    pub displays: Vec<Display>,
    /// Interrupts of GPUs and displays, one entry for each possible CPU.
    pub gpu_irq_cnts: Vec<u64>,
    /// How often a sound device ran dry, as the audio detector has counted.
    pub xrun_cnt: u64,
    /// The game, if one runs.
    pub game: Option<Game>,
    /// Name and state of each detector.
    pub detectors: Vec<(&'static str, DetectorState)>,
    /// Name and cost of each detector.
    pub detector_costs: Vec<(&'static str, Cost)>,
    /// What each BPF program cost; empty unless the kernel's BPF statistics are on.
    pub programs: Vec<Program>,
}

/// Load and regime of one LLC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Llc {
    /// Share of the CPUs' time that was spent running tasks, smoothed, 0..=100.
    pub load_pct: u32,
    /// Whether the busy regime holds.
    pub busy: bool,
}

/// The game as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Game {
    /// Its process.
    pub pid: u32,
    /// What it calls itself. Not trusted: may hold anything.
    pub name: String,
    /// How sure its finder is, 0..=100.
    pub confidence_pct: u32,
}

/// One BPF program's statistics, as the kernel counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The kernel's id: a program that was loaded again has a new one.
    pub id: u32,
    /// Its name in the source.
    pub name: String,
    /// How often it ran.
    pub run_cnt: u64,
    /// How long it ran in total, in ns.
    pub run_time_ns: u64,
}
