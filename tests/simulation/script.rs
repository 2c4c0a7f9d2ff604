//! What a simulated task is and does, and what it got.

use scx_gamer::policy::{WEIGHT_DEFAULT, inv_weight};

pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000 * US;
pub(crate) const SEC: u64 = 1_000 * MS;

/// SplitMix64: small, and the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Evenly from `from..to`.
    pub(crate) fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// Evenly from `0..count`.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.range(0, count as u64)).expect("BUG: below a usize")
    }
}

/// When a task runs and sleeps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pattern {
    /// Never sleeps.
    Hog,
    /// Runs for `run_ns` at each multiple of `period_ns`; late ones follow without a sleep.
    Periodic { period_ns: u64, run_ns: u64 },
    /// Runs for `run_ns` whenever another task wakes it.
    Stage { run_ns: u64 },
    /// Runs for `run_ns`, then sleeps for `sleep_ns`, both varied by up to a half.
    Burst { run_ns: u64, sleep_ns: u64 },
}

/// What a task asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) pattern: Pattern,
    pub(crate) weight: u32,
    pub(crate) boost: u32,
    /// The only CPU it may use.
    pub(crate) pinned_cpu: Option<usize>,
    /// The NUMA node whose CPUs alone it may use.
    pub(crate) node: Option<usize>,
    /// The task that wakes when this one's run ends: the next stage of a pipeline.
    pub(crate) wakes: Option<usize>,
}

impl Spec {
    pub(crate) fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            weight: WEIGHT_DEFAULT,
            boost: 0,
            pinned_cpu: None,
            node: None,
            wakes: None,
        }
    }

    pub(crate) fn hog() -> Self {
        Self::new(Pattern::Hog)
    }

    pub(crate) fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    pub(crate) fn boost(self, boost: u32) -> Self {
        Self { boost, ..self }
    }

    pub(crate) fn pinned(self, cpu: usize) -> Self {
        Self {
            pinned_cpu: Some(cpu),
            ..self
        }
    }

    pub(crate) fn wakes(self, task: usize) -> Self {
        Self {
            wakes: Some(task),
            ..self
        }
    }
}

/// A task: the fields of the scheduler's `task_ctx`, its script's position, and what it got.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) spec: Spec,
    /// The one it ran on last.
    pub(crate) cpu: usize,
    pub(crate) inv_weight: u32,
    pub(crate) vruntime_ns: u64,
    pub(crate) recent_run_ns: u64,
    pub(crate) awake_run_ns: u64,
    pub(crate) deadline_ns: u64,
    pub(crate) span_ns: u64,
    /// Score of late turns.
    pub(crate) missed: u32,
    pub(crate) late_cnt: u64,
    pub(crate) wait_start_ns: u64,
    /// Whether the present wait began with a sleep's end.
    pub(crate) woken: bool,
    /// What is left of the present run.
    pub(crate) run_left_ns: u64,
    /// Runs that are due (a stage may be woken again before it is done).
    pub(crate) due_cnt: u64,
    pub(crate) asleep: bool,
    pub(crate) ran_ns: u64,
    pub(crate) wait_max_ns: u64,
    pub(crate) wakeup_waits_ns: Vec<u64>,
}

impl Task {
    pub(crate) fn new(spec: Spec, cpu: usize, vtime_ns: u64) -> Self {
        Self {
            spec,
            cpu: spec.pinned_cpu.unwrap_or(cpu),
            inv_weight: inv_weight(spec.weight),
            vruntime_ns: vtime_ns,
            recent_run_ns: 0,
            awake_run_ns: 0,
            deadline_ns: 0,
            span_ns: 0,
            missed: 0,
            late_cnt: 0,
            wait_start_ns: 0,
            woken: false,
            run_left_ns: 0,
            due_cnt: 0,
            asleep: true,
            ran_ns: 0,
            wait_max_ns: 0,
            wakeup_waits_ns: Vec::new(),
        }
    }

    /// A quantile (0..=100 %) of the waits after a wakeup, in ns.
    pub(crate) fn wakeup_wait_ns(&self, pct: usize) -> u64 {
        let mut waits = self.wakeup_waits_ns.clone();
        waits.sort_unstable();
        waits
            .get((waits.len() * pct / 100).min(waits.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    }
}
