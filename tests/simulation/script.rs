//! What a simulated task is and does, and what it got.

use scx_gamer::policy::{LOAN_MAX, RateState, WAITERS_MAX, WEIGHT_DEFAULT, Waiter, inv_weight};

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
    /// Whether it says itself that it can wait.
    pub(crate) background: bool,
    /// Whether it is woken by input events.
    pub(crate) reads_input: bool,
    /// What the next flip does for it.
    pub(crate) frames: Frames,
    /// Locks that each run takes after one and two quarters of it, and lets go after the third.
    pub(crate) locks: [Option<usize>; 2],
    /// Its run ends no sooner than this task sleeps; until then it calls `sched_yield`.
    pub(crate) spins_for: Option<usize>,
}

/// What a task has to do with the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    None,
    /// It submits to the GPU.
    Draws,
    /// It asks for a flip when its run ends.
    Shows,
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
            background: false,
            reads_input: false,
            frames: Frames::None,
            locks: [None; 2],
            spins_for: None,
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
    /// The longest that a turn began after its deadline.
    pub(crate) late_max_ns: u64,
    pub(crate) rate: RateState,
    pub(crate) loan: u32,
    pub(crate) yield_cnt: u32,
    /// Who waits for a lock that it holds.
    pub(crate) waiters: [Waiter; WAITERS_MAX],
    pub(crate) inherited: u32,
    /// The lock that it waits for, and since when.
    pub(crate) waits_for: Option<(usize, u64)>,
    /// How many quarters of the run's locks are behind it.
    pub(crate) quarters_done: u64,
    pub(crate) wait_start_ns: u64,
    /// Whether the present wait began with a sleep's end.
    pub(crate) woken: bool,
    /// The present run, as long as it is at full speed, and what is left of it.
    pub(crate) run_ns: u64,
    pub(crate) run_left_ns: u64,
    /// Runs that are due (a stage may be woken again before it is done); 0: it sleeps.
    pub(crate) due_cnt: u64,
    pub(crate) ran_ns: u64,
    /// What it has done meanwhile, in time at full speed.
    pub(crate) work_ns: u64,
    pub(crate) wait_max_ns: u64,
    pub(crate) wakeup_waits_ns: Vec<u64>,
    pub(crate) lock_waits_ns: Vec<u64>,
    /// Runs that it has finished.
    pub(crate) done_cnt: u64,
    /// How often it was lent how much.
    pub(crate) loan_cnts: [u64; LOAN_MAX as usize + 1],
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
            late_max_ns: 0,
            rate: RateState::default(),
            loan: 0,
            yield_cnt: 0,
            waiters: [Waiter::default(); WAITERS_MAX],
            inherited: 0,
            waits_for: None,
            quarters_done: 0,
            wait_start_ns: 0,
            woken: false,
            run_ns: 0,
            run_left_ns: 0,
            due_cnt: 0,
            ran_ns: 0,
            work_ns: 0,
            wait_max_ns: 0,
            wakeup_waits_ns: Vec::new(),
            lock_waits_ns: Vec::new(),
            done_cnt: 0,
            loan_cnts: [0; LOAN_MAX as usize + 1],
        }
    }

    /// A quantile (0..=100 %) of the waits after a wakeup, in ns.
    pub(crate) fn wakeup_wait_ns(&self, pct: usize) -> u64 {
        quantile(self.wakeup_waits_ns.clone(), pct)
    }
}

/// A number of tasks or CPUs, as the policy takes it.
pub(crate) fn count(value: usize) -> u32 {
    u32::try_from(value).expect("BUG: more than 2^32 of them")
}

/// A quantile (0..=100 %) of these; 0 of none.
pub(crate) fn quantile(mut values: Vec<u64>, pct: usize) -> u64 {
    values.sort_unstable();
    let at = (values.len() * pct / 100).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(0)
}
