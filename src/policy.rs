//! The policy core, callable from Rust: thin safe wrappers over the host build of
//! `src/bpf/policy_*.h`, the very functions that the BPF scheduler decides with.
//!
//! What each function decides and why stands in its header. Times are `u64` nanoseconds on the
//! scheduler clock and may wrap; any input is allowed everywhere.
#![allow(unsafe_code)]

use crate::intf;

pub use crate::intf::{
    POLICY_BOOST_MAX as BOOST_MAX, POLICY_BOOST_URGENT as BOOST_URGENT,
    POLICY_CHARGE_NS_MAX as CHARGE_NS_MAX, POLICY_HIST_BUCKETS as HIST_BUCKETS,
    POLICY_MISS_SCORE_MAX as MISS_SCORE_MAX, POLICY_MISS_STEPS_MAX as MISS_STEPS_MAX,
    POLICY_PERF_ALL as PERF_ALL, POLICY_PERF_MIN as PERF_MIN, POLICY_PERF_STEP as PERF_STEP,
    POLICY_REGIME_HYSTERESIS_PCT as REGIME_HYSTERESIS_PCT, POLICY_SHARE_ALL as SHARE_ALL,
    POLICY_WEIGHT_DEFAULT as WEIGHT_DEFAULT, POLICY_WEIGHT_MAX as WEIGHT_MAX,
    POLICY_WEIGHT_MIN as WEIGHT_MIN, policy_deadline_in as DeadlineInput,
    policy_frame as FrameClock, policy_load as BoostedLoad, policy_lock_claim as LockClaim,
    policy_lock_holder as LockHolder, policy_net as TrafficState, policy_perf_in as PerfInput,
    policy_pick_in as PickInput, policy_preempt_in as PreemptInput, policy_rate as RateState,
    policy_roles_in as RolesInput, policy_sample as SampleState, policy_waiter as Waiter,
};

/// The unit in which run time is summed by boost, in ns.
pub const RAN_UNIT_NS: u64 = 1 << intf::POLICY_RAN_SHIFT;
/// How far behind the virtual now a waking task's vruntime may stay, in ns.
pub const CREDIT_NS: u64 = intf::POLICY_CREDIT_NS as u64;
/// By how much who has a boost, or serves others, comes before the rest, in ns.
pub const HEAD_START_NS: u64 = intf::POLICY_HEAD_START_NS as u64;
/// By how much background tasks come later still, in ns.
pub const BACKGROUND_NS: u64 = intf::POLICY_BACKGROUND_NS as u64;
/// How much later a task may be due that is taken as it last ran on the CPU, in ns.
pub const LOCALITY_NS: u64 = intf::POLICY_LOCALITY_NS as u64;
/// How far behind the virtual now a runnable task's lag counts, in ns.
pub const LAG_NS_MAX: u64 = intf::POLICY_LAG_NS_MAX as u64;
/// Recent run counts up to here, in ns.
pub const RECENT_RUN_NS_MAX: u64 = intf::POLICY_RECENT_RUN_NS_MAX as u64;
/// A run this long without a sleep costs the boost, in ns.
pub const SPIN_NS: u64 = intf::POLICY_SPIN_NS as u64;
/// What it costs to leave a NUMA node, in ns of waiting.
pub const NODE_COST_NS: u64 = intf::POLICY_NODE_COST_NS as u64;
/// Nobody is put off before this much of a turn, in ns.
pub const TURN_NS_MIN: u64 = intf::POLICY_TURN_NS_MIN as u64;
/// From this yield on, since it slept or gave way, everybody who waits comes first.
pub const YIELD_SPIN_CNT: u32 = intf::POLICY_YIELD_SPIN_CNT;
/// The most that a task lends to the one it wakes.
pub const LOAN_MAX: u32 = intf::POLICY_LOAN_MAX;
/// A loan counts for so long a run, in ns.
pub const LOAN_NS: u64 = intf::POLICY_LOAN_NS as u64;
/// No input window is longer, in ns.
pub const INPUT_WINDOW_NS_MAX: u64 = intf::POLICY_INPUT_WINDOW_NS_MAX as u64;
/// A turn may begin so much later than its deadline, in ns.
pub const MISS_GRACE_NS: u64 = intf::POLICY_MISS_GRACE_NS as u64;
/// From this difference of spans on the minimum turn does not count, in ns.
pub const PREEMPT_CLEAR_NS: u64 = intf::POLICY_PREEMPT_CLEAR_NS as u64;
/// By how much more urgent an arrival without a higher boost must be, in ns.
pub const PREEMPT_MARGIN_NS: u64 = intf::POLICY_PREEMPT_MARGIN_NS as u64;

/// How many words of a waiter's memory [`lock_claim`] looks at.
pub const LOCK_WORDS: usize = intf::POLICY_LOCK_WORDS as usize;
/// No refresh takes less, in ns.
pub const FRAME_NS_MIN: u64 = intf::POLICY_FRAME_NS_MIN as u64;
/// No refresh takes more, in ns.
pub const FRAME_NS_MAX: u64 = intf::POLICY_FRAME_NS_MAX as u64;
/// Without a flip for so long there is no rate, in ns.
pub const FRAME_PAUSE_NS: u64 = intf::POLICY_FRAME_PAUSE_NS as u64;
/// So many intervals in a row make a rate.
pub const FRAME_RUN: usize = intf::POLICY_FRAME_RUN as usize;

/// Where CPUs differ: those that suit the pipeline, and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuKind {
    /// With the larger cache, or quicker.
    Fast,
    /// All others.
    Other,
}

/// What a CPU that needs work takes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Nothing waits.
    None,
    /// The task that just ran goes on.
    Prev,
    /// The head of the CPU's own queue.
    Own,
    /// The head of the queue shared with the LLC.
    Llc,
}

/// Whether an arrival takes a running task's CPU, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preempt {
    /// Not yet: it would be yes once the running task has had its minimum turn.
    NoTurn,
    /// No: the running task's boost is higher, or the same and urgent.
    NoBoost,
    /// No: the running task is not clearly less urgent.
    NoSpan,
    /// No: the running task holds a lock that a boosted one waits for.
    NoLock,
    /// Yes.
    Yes,
}

/// What a message says about a task's network traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Nothing.
    None,
    /// It is the small, regular kind.
    LowLatency,
    /// It is a transfer.
    Bulk,
}

/// Signed distance in ns from `b` to `a`; right across a wrap while they are less than 2^63 apart.
pub fn delta_ns(a: u64, b: u64) -> i64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_delta_ns(a, b) }
}

/// `boost`, at most [`BOOST_MAX`].
pub fn boost_clamp(boost: u32) -> u32 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_boost_clamp(boost) }
}

/// For each boost the roles (bit `1 << role`) that have it, as the BPF side takes them. Boosts count
/// up to [`BOOST_MAX`]; entries from the 32nd on have no bit and do not count.
pub fn roles_of_boost(boost_of_role: &[u8]) -> [u32; BOOST_MAX as usize + 1] {
    let mut roles = [0; BOOST_MAX as usize + 1];
    for (role, boost) in (0..u32::BITS).zip(boost_of_role) {
        roles[boost_clamp((*boost).into()) as usize] |= 1 << role;
    }
    roles
}

/// The highest boost (0..=7) among a set of roles; bit `i` stands for `boost_of_role[i]`.
pub fn boost_of_roles(roles: u32, boost_of_role: &[u8]) -> u32 {
    let roles_of_boost = roles_of_boost(boost_of_role);
    // SAFETY: reads the array, which has a place for each boost.
    unsafe { intf::policy_boost_of_roles(roles, roles_of_boost.as_ptr()) }
}

/// The boost (0..=7) that still counts after `awake_run_ns` of running without a sleep.
pub fn boost_earned(boost: u32, awake_run_ns: u64) -> u32 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_boost_earned(boost, awake_run_ns) }
}

/// What a task of this boost lends to the one that it wakes.
pub fn boost_loan(lender_boost: u32) -> u32 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_boost_loan(lender_boost) }
}

/// The boost of a task with `earned` of its own and a `loan`, after `awake_run_ns` of running.
pub fn boost_with_loan(earned: u32, loan: u32, awake_run_ns: u64) -> u32 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_boost_with_loan(earned, loan, awake_run_ns) }
}

/// A task wakes at `now_ns` and ran for `ran_ns` since it last woke.
pub fn rate_wake(rate: &mut RateState, now_ns: u64, ran_ns: u64) {
    // SAFETY: one valid struct, borrowed for the call.
    unsafe { intf::policy_rate_wake(rate, now_ns, ran_ns) }
}

/// The period of a task's wake-ups in ns; 0: there is no beat.
pub fn rate_period_ns(rate: &RateState) -> u64 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_rate_period_ns(rate) }
}

/// The boost that a task's beat earns.
pub fn rate_boost(rate: &RateState) -> u32 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_rate_boost(rate) }
}

/// The part of what a task was seen doing (bit `1 << EVIDENCE_*`) that counts for it.
pub fn roles_of_evidence(input: &RolesInput) -> u32 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_roles_of_evidence(input) }
}

/// What says so (`SOURCE_*`) of who was sent something by a task that has a role from `source`; 0 if
/// that went through too many hands.
pub fn relay_next(source: u32) -> u32 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_relay_next(source) }
}

/// Through how many hands went what a mark from `source` says.
pub fn relay_hands(source: u32) -> u32 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_relay_hands(source) }
}

/// Counts an event of a detector at `now_ns`; whether it is looked at.
pub fn sample_take(state: &mut SampleState, now_ns: u64) -> bool {
    // SAFETY: one valid struct, borrowed for the call.
    unsafe { intf::policy_sample_take(state, now_ns) }
}

/// A task has sent or received `bytes` as one message at `now_ns`: what its traffic is now.
pub fn net_message(
    state: &mut TrafficState,
    now_ns: u64,
    bytes: u32,
    is_datagram: bool,
) -> Traffic {
    // SAFETY: one valid struct, borrowed for the call.
    match unsafe { intf::policy_net_message(state, now_ns, bytes, is_datagram) } {
        intf::POLICY_NET_LOW_LATENCY => Traffic::LowLatency,
        intf::POLICY_NET_BULK => Traffic::Bulk,
        _ => Traffic::None,
    }
}

/// Tells a display's clock of a flip at `now_ns`; how many were missed before it.
pub fn frame_flip(clock: &mut FrameClock, now_ns: u64) -> u64 {
    // SAFETY: one valid struct, borrowed for the call.
    unsafe { intf::policy_frame_flip(clock, now_ns) }
}

/// When the next flip after `now_ns` is to be expected; `None`: unknown.
pub fn frame_next_ns(clock: &FrameClock, now_ns: u64) -> Option<u64> {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    let next_ns = unsafe { intf::policy_frame_next_ns(clock, now_ns) };
    (next_ns != 0).then_some(next_ns)
}

/// The part of a span, in 16ths, by which the next flip shortens it: 0 to `max_16ths` (a multiple of 4).
pub fn frame_near_16ths(clock: &FrameClock, now_ns: u64, max_16ths: u32) -> u32 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_frame_near_16ths(clock, now_ns, max_16ths) }
}

/// Whether a boost preempts wherever it has to.
pub fn is_urgent(boost: u32) -> bool {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_is_urgent(boost) }
}

/// How long after now the deadline lies, in ns: 0..=`wait_bound_ns`.
pub fn span_ns(input: &DeadlineInput) -> u64 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_span_ns(input) }
}

/// The key by which waiting tasks are ordered, in ns on the scheduler clock.
pub fn deadline_ns(input: &DeadlineInput) -> u64 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_deadline_ns(input) }
}

/// Whether an input window that ends at `end_ns` (0: there was none) is open at `now_ns` for a task of
/// this boost.
pub fn in_window(now_ns: u64, end_ns: u64, boost: u32) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_in_window(now_ns, end_ns, boost) }
}

/// The end of the window after an event at `now_ns` that opens one of `window_ns`.
pub fn window_extend(end_ns: u64, now_ns: u64, window_ns: u64) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_window_extend(end_ns, now_ns, window_ns) }
}

/// Whether a flip asked for at `asked_ns` shows what came of the event at `event_ns`.
pub fn flip_shows(asked_ns: u64, event_ns: u64, interval_ns: u64) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_flip_shows(asked_ns, event_ns, interval_ns) }
}

/// The histogram bucket (below [`HIST_BUCKETS`]) of a duration.
pub fn hist_bucket(ns: u64) -> u32 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_hist_bucket(ns) }
}

/// Upper edge of a histogram bucket in ns (exclusive, except for the last bucket, which holds
/// whatever is longer); buckets above the last count as the last.
pub fn hist_edge_ns(bucket: u32) -> u64 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_hist_edge_ns(bucket) }
}

/// The kind of CPU on which a waking task looks for an idle one first; `None`: any.
pub fn cpus_first(boost: u32, is_background: bool) -> Option<CpuKind> {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    match unsafe { intf::policy_cpus_first(boost, is_background) } {
        intf::POLICY_CPUS_FAST => Some(CpuKind::Fast),
        intf::POLICY_CPUS_OTHER => Some(CpuKind::Other),
        _ => None,
    }
}

/// How long a task will wait for the CPU that it last ran on, in ns. `ran_ns` is how long the task there
/// has been running; 0: unknown.
pub fn home_wait_ns(puts_off: bool, others_wait: bool, ran_ns: u64, slice_ns: u64) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_home_wait_ns(puts_off, others_wait, ran_ns, slice_ns) }
}

/// Whether an idle CPU of another NUMA node is worth more than that wait.
pub fn leaves_node(home_wait_ns: u64) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_leaves_node(home_wait_ns) }
}

/// The share of its time, of [`SHARE_ALL`], that a CPU spends in interrupts, after a window of `elapsed_ns`
/// with `irq_ns` of them.
pub fn irq_share_next(share: u32, irq_ns: u64, elapsed_ns: u64) -> u32 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_irq_share_next(share, irq_ns, elapsed_ns) }
}

/// Whether a CPU that spends this share in interrupts is busy with them, and whether it was.
pub fn irq_busy_next(busy: bool, share: u32) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_irq_busy_next(busy, share) }
}

/// What a CPU that needs work takes: the earliest deadline of what waits.
pub fn pick(input: &PickInput) -> Pick {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    match unsafe { intf::policy_pick(input) } {
        intf::POLICY_PICK_PREV => Pick::Prev,
        intf::POLICY_PICK_OWN => Pick::Own,
        intf::POLICY_PICK_LLC => Pick::Llc,
        _ => Pick::None,
    }
}

/// Whether a foreign queue with this head deadline is served before those at home.
pub fn steal_first(home: &PickInput, now_ns: u64, foreign_deadline_ns: u64) -> bool {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_steal_first(home, now_ns, foreign_deadline_ns) }
}

/// Whether a task that last ran on the CPU which takes goes before the head of the queue, whose boost and
/// deadline are given.
pub fn warm_first(
    (head_boost, head_deadline_ns): (u32, u64),
    warm_deadline_ns: u64,
    locality_ns: u64,
) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_warm_first(head_boost, head_deadline_ns, warm_deadline_ns, locality_ns) }
}

/// Whether a foreign queue is stolen from before another: by whether each belongs to the own node, and
/// its head's deadline.
pub fn steal_before(
    (is_near, deadline_ns): (bool, u64),
    (other_is_near, other_deadline_ns): (bool, u64),
) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_steal_before(is_near, deadline_ns, other_is_near, other_deadline_ns) }
}

/// Whether an arrival takes the CPU of a running task at once.
pub fn preempt(input: &PreemptInput) -> Preempt {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    match unsafe { intf::policy_preempt(input) } {
        intf::POLICY_PREEMPT_NO_TURN => Preempt::NoTurn,
        intf::POLICY_PREEMPT_NO_BOOST => Preempt::NoBoost,
        intf::POLICY_PREEMPT_NO_LOCK => Preempt::NoLock,
        intf::POLICY_PREEMPT_YES => Preempt::Yes,
        _ => Preempt::NoSpan,
    }
}

/// The bound on boosted shares that `pct` per cent stand for; 0 (no bound) for 100.
pub const fn share_bound(pct: u32) -> u32 {
    if pct >= 100 { 0 } else { SHARE_ALL / 100 * pct }
}

/// Ends a window of `capacity_ns` of CPU time; `ran` are the sums of run time by boost, in units of
/// [`RAN_UNIT_NS`].
pub fn load_roll(load: &mut BoostedLoad, ran: &[u32; BOOST_MAX as usize + 1], capacity_ns: u64) {
    // SAFETY: reads an array of that length and writes one valid struct, both borrowed.
    unsafe { intf::policy_load_roll(load, ran.as_ptr(), capacity_ns) }
}

/// The lowest boost that counts while boosted tasks may take `bound` of [`SHARE_ALL`], from the one
/// so far; above [`BOOST_MAX`]: none does.
pub fn boost_floor(load: &BoostedLoad, bound: u32, floor: u32) -> u32 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_boost_floor(load, bound, floor) }
}

/// By what a turn is judged for which the task waited from `since_ns` on: its deadline without the last
/// `raised` steps of its boost.
pub fn miss_due_ns(since_ns: u64, deadline_ns: u64, raised: u32) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_miss_due_ns(since_ns, deadline_ns, raised) }
}

/// Whether a turn that began at `begun_ns` was late.
pub fn miss_is_late(begun_ns: u64, due_ns: u64) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_miss_is_late(begun_ns, due_ns) }
}

/// The score of a task (0..=[`MISS_SCORE_MAX`]) after one more turn.
pub fn miss_next(score: u32, late: bool) -> u32 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_miss_next(score, late) }
}

/// By how many steps a score raises: 0..=[`MISS_STEPS_MAX`].
pub fn miss_steps(score: u32) -> u32 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_miss_steps(score) }
}

/// The boost of a task that has earned `earned` by its roles and has this score.
pub fn miss_raise(earned: u32, score: u32) -> u32 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_miss_raise(earned, score) }
}

/// Whether a CPU has to be at its fastest at once, whatever its load is.
pub fn perf_needs_all(input: &PerfInput) -> bool {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_perf_needs_all(input) }
}

/// A CPU's performance target after a window: [`PERF_MIN`]..=[`PERF_ALL`].
pub fn perf_target(input: &PerfInput) -> u32 {
    // SAFETY: reads one valid struct through a reference that outlives the call.
    unsafe { intf::policy_perf_target(input) }
}

/// Whether a woken task waits for its CPU, which runs another and had this load, to save power.
pub fn packs(running_boost: u32, load_pct: u32) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_packs(running_boost, load_pct) }
}

/// Share of the time of `cpu_cnt` CPUs in `elapsed_ns` that was spent running tasks: 0..=100.
pub fn load_pct(ran_ns: u64, elapsed_ns: u64, cpu_cnt: u32) -> u32 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_load_pct(ran_ns, elapsed_ns, cpu_cnt) }
}

/// The next regime (true: busy) from the present one and the smoothed load in per cent.
pub fn regime_next(busy: bool, load_pct: u32, busy_enter_pct: u32) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_regime_next(busy, load_pct, busy_enter_pct) }
}

/// The time that a round of a queue takes, in ns, in which `waiting_cnt` tasks wait for `cpu_cnt` CPUs.
pub fn crowd_ns(waiting_cnt: u32, cpu_cnt: u32, turn_ns: u64) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_crowd_ns(waiting_cnt, cpu_cnt, turn_ns) }
}

/// Whether a busy machine shortens the turns of tasks of this boost, background or not.
pub fn slice_divides(boost: u32, is_background: bool) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_slice_divides(boost, is_background) }
}

/// How long a task may run before the queue is looked at again, in ns:
/// `slice_min_ns`..=max(`slice_ns`, `slice_min_ns`).
pub fn slice_ns(
    slice_ns: u64,
    slice_min_ns: u64,
    waiting_cnt: u32,
    cpu_cnt: u32,
    busy: bool,
) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_slice_ns(slice_ns, slice_min_ns, waiting_cnt, cpu_cnt, busy) }
}

/// The mean length of a CPU's real-time turns in ns after one more of `turn_ns`; 0: there was none so far.
pub fn rt_mean_next(mean_ns: u32, turn_ns: u64) -> u32 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_rt_mean_next(mean_ns, turn_ns) }
}

/// Whether the next real-time turn is expected to be brief.
pub fn rt_is_brief(mean_ns: u32) -> bool {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_rt_is_brief(mean_ns) }
}

/// Whether a task with `boost` that yields for the `yield_cnt`th time since it slept or gave way lets others go
/// first; `pipeline_waits`: the next of them may be who it waits for.
pub fn yield_gives_way(boost: u32, yield_cnt: u32, pipeline_waits: bool) -> bool {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_yield_gives_way(boost, yield_cnt, pipeline_waits) }
}

/// Inverse of a `sched_ext` weight (1..=10000, 100 is nice 0), for [`charge_ns`].
pub fn inv_weight(weight: u32) -> u32 {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_inv_weight(weight) }
}

/// What `ran_ns` of real run time cost a task of this inverse weight, in virtual ns. One charge
/// counts at most [`CHARGE_NS_MAX`] of real time.
pub fn charge_ns(ran_ns: u64, inv_weight: u32) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_charge_ns(ran_ns, inv_weight) }
}

/// The virtual now after a task that began its run at `vruntime_ns` ran for `ran_ns`.
pub fn vtime_advance(vtime_now_ns: u64, vruntime_ns: u64, ran_ns: u64) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_vtime_advance(vtime_now_ns, vruntime_ns, ran_ns) }
}

/// `vruntime_ns`, kept at most `credit_ns` behind and `debt_ns` ahead of the virtual now.
pub fn vruntime_clamp(vruntime_ns: u64, vtime_now_ns: u64, credit_ns: u64, debt_ns: u64) -> u64 {
    // SAFETY: pure arithmetic on its arguments, defined for every value.
    unsafe { intf::policy_vruntime_clamp(vruntime_ns, vtime_now_ns, credit_ns, debt_ns) }
}

/// What the words of a futex say of its owner; see `policy_lock.h`.
pub fn lock_claim(words: &[u32; LOCK_WORDS], expected: u32, shared: bool) -> LockClaim {
    // SAFETY: reads the array, which has as many words as the function takes.
    unsafe { intf::policy_lock_claim(words.as_ptr(), expected, shared) }
}

/// What the word of a PI futex says of its owner.
pub fn lock_claim_pi(word: u32) -> LockClaim {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_lock_claim_pi(word) }
}

/// What is known of the wait for a lock (`POLICY_LOCK_*`).
pub fn lock_outcome(claim: &LockClaim, holder: &LockHolder) -> u32 {
    // SAFETY: reads two valid structs through references that outlive the call.
    unsafe { intf::policy_lock_outcome(claim, holder) }
}

/// Waiters that are remembered for the holder of a lock; the places are as many.
pub const WAITERS_MAX: usize = intf::POLICY_WAITERS_MAX as usize;

/// The boost of the most urgent of those who wait.
pub fn inherited(waiters: &[Waiter; WAITERS_MAX]) -> u32 {
    // SAFETY: reads the array, which has as many elements as the function takes.
    unsafe { intf::policy_inherited(waiters.as_ptr()) }
}

/// The place of a waiter; `None`: the others are as urgent.
pub fn waiter_place(waiters: &[Waiter; WAITERS_MAX], pid: u32, boost: u32) -> Option<usize> {
    // SAFETY: reads the array, which has as many elements as the function takes.
    let place = unsafe { intf::policy_waiter_place(waiters.as_ptr(), pid, boost) } as usize;
    (place < WAITERS_MAX).then_some(place)
}

/// Whether a wait that has lasted for so long still lends its boost.
pub fn wait_counts(waited_ns: i64) -> bool {
    // SAFETY: pure arithmetic on its argument, defined for every value.
    unsafe { intf::policy_wait_counts(waited_ns) }
}
