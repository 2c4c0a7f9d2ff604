//! From two snapshots to metrics. Pure: no clock, no kernel.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::hist::{BUCKET_CNT, Histogram, quantile_ns};
use super::{
    DEVICE_CLASS_CNT, DEVICE_NAMES, DetectorMetrics, DisplayMetrics, GpuIrqMetrics, InputMetrics,
    LlcMetrics, Metrics, NapiMetrics, Program, ProgramMetrics, ROLE_CNT, ROLE_NAMES, ROLE_SLOT_CNT,
    RoleMetrics, Snapshot,
};
use crate::detect::cost::Cost;
use crate::detect::flip::Display;
use crate::detect::sync::LockKind;
use crate::intf;

/// A decision is what these callbacks do; programs are known by the end of their names.
const DECISION_PROGRAMS: [&str; 3] = ["select_cpu", "enqueue", "dispatch"];

impl Metrics {
    /// What happened since the scheduler was attached (input: since the daemon began).
    pub fn since_attach(after: &Snapshot) -> Self {
        compute(None, after)
    }

    /// What happened between two snapshots of the same daemon. If the scheduler was attached again
    /// in between, its part covers the time since then.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        compute(Some(before), after)
    }
}

fn compute(before: Option<&Snapshot>, after: &Snapshot) -> Metrics {
    let same_run = before.filter(|before| before.attached_at == after.attached_at);
    let since = same_run.map_or(after.attached_at, |before| before.taken_at);
    let interval = after.taken_at.saturating_duration_since(since);
    let now = Totals::sum(&after.cpu_stats);
    let delta = match same_run {
        Some(before) => now.since(&Totals::sum(&before.cpu_stats)),
        None => now.clone(),
    };
    let count = |idx: intf::stat_idx| delta.counters[idx as usize];
    let wait_us = |per_mille| us(quantile_ns(&delta.wait_hist, per_mille, now.wait_max_ns));
    let programs = program_metrics(before, after);
    let stint_cnt = delta
        .role_stint_cnt
        .iter()
        .fold(0u64, |sum, cnt| sum.saturating_add(*cnt));
    let mut metrics = Metrics {
        interval_s: interval.as_secs_f64(),
        uptime_s: elapsed_s(after.attached_at, after.taken_at),
        restarts: after.restart_cnt,
        cpus: after.online_cpu_cnt,
        roles: role_metrics(&delta, interval, after.online_cpu_cnt),
        dispatch_idle: count(intf::STAT_DISPATCH_IDLE),
        dispatch_own: count(intf::STAT_DISPATCH_OWN),
        dispatch_llc: count(intf::STAT_DISPATCH_LLC),
        dispatch_warm: count(intf::STAT_DISPATCH_WARM),
        dispatch_steal: count(intf::STAT_DISPATCH_STEAL),
        dispatch_keep: count(intf::STAT_DISPATCH_KEEP),
        dispatch_kthread: count(intf::STAT_DISPATCH_KTHREAD),
        enqueue_llc: count(intf::STAT_ENQUEUE_LLC),
        enqueue_own: count(intf::STAT_ENQUEUE_OWN),
        preempts: count(intf::STAT_PREEMPT),
        idle_kicks: count(intf::STAT_KICK_IDLE),
        rt_reenqueues: count(intf::STAT_REENQUEUE_RT),
        spin_unboosted: count(intf::STAT_SPIN_UNBOOSTED),
        not_admitted: count(intf::STAT_NOT_ADMITTED),
        perf_changes: count(intf::STAT_PERF_SET),
        packed: count(intf::STAT_PACKED),
        tickless: count(intf::STAT_TICKLESS),
        window_hits: count(intf::STAT_WINDOW_HIT),
        regime_switches: count(intf::STAT_REGIME_SWITCH),
        loans: count(intf::STAT_LOAN),
        heirs_moved: count(intf::STAT_HURRY),
        missing_contexts: count(intf::STAT_NO_TASK_CTX),
        waits: delta
            .wait_hist
            .iter()
            .fold(0, |sum, cnt| cnt.saturating_add(sum)),
        wait_p50_us: wait_us(500),
        wait_p99_us: wait_us(990),
        wait_max_us: wait_us(1000),
        wait_max_ever_us: us(now.wait_max_ns),
        decision_ns: decision_ns(&programs, stint_cnt),
        programs,
        ..Metrics::default()
    };
    metrics.detector_costs = detector_metrics(before, after);
    add_input(&mut metrics, before, after);
    metrics.napi = napi_metrics(before, after);
    add_locks(&mut metrics, before, after);
    metrics.displays = display_metrics(before, after);
    metrics.gpu_irqs = gpu_irq_metrics(before, after);
    metrics.xruns = growth(after.xrun_cnt, before.map_or(0, |before| before.xrun_cnt));
    add_state(&mut metrics, after);
    metrics
}

/// All CPUs' statistics in one.
#[derive(Clone)]
struct Totals {
    counters: [u64; intf::STAT_CNT as usize],
    role_stint_cnt: [u64; ROLE_SLOT_CNT],
    role_late_cnt: [u64; ROLE_SLOT_CNT],
    role_run_ns: [u64; ROLE_SLOT_CNT],
    wait_hist: Histogram,
    wait_max_ns: u64,
}

impl Totals {
    fn sum(cpus: &[intf::cpu_stats]) -> Self {
        let mut totals = Self {
            counters: [0; intf::STAT_CNT as usize],
            role_stint_cnt: [0; ROLE_SLOT_CNT],
            role_late_cnt: [0; ROLE_SLOT_CNT],
            role_run_ns: [0; ROLE_SLOT_CNT],
            wait_hist: [0; BUCKET_CNT],
            wait_max_ns: 0,
        };
        for cpu in cpus {
            add(&mut totals.counters, &cpu.counters);
            add(&mut totals.role_stint_cnt, &cpu.role_stint_cnt);
            add(&mut totals.role_late_cnt, &cpu.role_late_cnt);
            add(&mut totals.role_run_ns, &cpu.role_run_ns);
            add(&mut totals.wait_hist, &cpu.wait_hist);
            totals.wait_max_ns = totals.wait_max_ns.max(cpu.wait_max_ns);
        }
        totals
    }

    /// The growth since `before`; the maximum has none and is kept.
    fn since(&self, before: &Self) -> Self {
        Self {
            counters: grown(&self.counters, &before.counters),
            role_stint_cnt: grown(&self.role_stint_cnt, &before.role_stint_cnt),
            role_late_cnt: grown(&self.role_late_cnt, &before.role_late_cnt),
            role_run_ns: grown(&self.role_run_ns, &before.role_run_ns),
            wait_hist: grown(&self.wait_hist, &before.wait_hist),
            wait_max_ns: self.wait_max_ns,
        }
    }
}

fn add<const N: usize>(totals: &mut [u64; N], values: &[u64; N]) {
    for (total, value) in totals.iter_mut().zip(values) {
        *total = total.saturating_add(*value);
    }
}

fn grown<const N: usize>(after: &[u64; N], before: &[u64; N]) -> [u64; N] {
    std::array::from_fn(|i| growth(after[i], before[i]))
}

/// How much a counter has grown. One that has shrunk was set to zero in between.
fn growth(after: u64, before: u64) -> u64 {
    after.checked_sub(before).unwrap_or(after)
}

fn role_metrics(
    delta: &Totals,
    interval: Duration,
    online_cpu_cnt: u32,
) -> BTreeMap<String, RoleMetrics> {
    let capacity_ns = interval.as_secs_f64() * 1e9 * f64::from(online_cpu_cnt);
    let metrics = |role: usize| RoleMetrics {
        stints: delta.role_stint_cnt[role],
        late: delta.role_late_cnt[role],
        late_pct: late_pct(delta.role_late_cnt[role], delta.role_stint_cnt[role]),
        cpu_pct: 100.0 * ratio(delta.role_run_ns[role] as f64, capacity_ns),
    };
    (0..ROLE_CNT)
        .map(|role| (ROLE_NAMES[role].to_owned(), metrics(role)))
        .collect()
}

/// A snapshot reads the late ones after all stints, and more may have begun meanwhile: at most all of them.
fn late_pct(late_cnt: u64, stint_cnt: u64) -> f64 {
    100.0 * ratio(late_cnt as f64, stint_cnt as f64).min(1.0)
}

fn program_metrics(
    before: Option<&Snapshot>,
    after: &Snapshot,
) -> BTreeMap<String, ProgramMetrics> {
    let earlier = |program: &Program| {
        let same = before?
            .programs
            .iter()
            .find(|earlier| earlier.id == program.id)?;
        Some((same.run_cnt, same.run_time_ns))
    };
    let metrics = |program: &Program| {
        let (run_cnt, run_time_ns) = earlier(program).unwrap_or_default();
        let runs = growth(program.run_cnt, run_cnt);
        let time_ns = growth(program.run_time_ns, run_time_ns);
        ProgramMetrics {
            runs,
            mean_ns: ratio(time_ns as f64, runs as f64),
        }
    };
    after
        .programs
        .iter()
        .map(|program| (program.name.clone(), metrics(program)))
        .collect()
}

/// Detectors outlive the scheduler.
fn detector_metrics(
    before: Option<&Snapshot>,
    after: &Snapshot,
) -> BTreeMap<String, DetectorMetrics> {
    let earlier = |name: &str| {
        let mut all = before?.detector_costs.iter();
        all.find(|earlier| earlier.0 == name)
            .map(|earlier| earlier.1)
    };
    let metrics = |name: &str, cost: &Cost| {
        let earlier = earlier(name).unwrap_or_default();
        let runs = growth(cost.run_cnt, earlier.run_cnt);
        let time_ns = growth(cost.run_time_ns, earlier.run_time_ns);
        DetectorMetrics {
            events: growth(cost.event_cnt, earlier.event_cnt),
            skipped: growth(cost.skipped_cnt, earlier.skipped_cnt),
            mean_ns: ratio(time_ns as f64, runs as f64),
        }
    };
    let costs = after.detector_costs.iter();
    costs
        .map(|(name, cost)| ((*name).to_owned(), metrics(name, cost)))
        .collect()
}

fn decision_ns(programs: &BTreeMap<String, ProgramMetrics>, stint_cnt: u64) -> f64 {
    let total_ns: f64 = programs
        .iter()
        .filter(|(name, _)| {
            DECISION_PROGRAMS
                .iter()
                .any(|suffix| name.ends_with(suffix))
        })
        .map(|(_, program)| program.mean_ns * program.runs as f64)
        .sum();
    ratio(total_ns, stint_cnt as f64)
}

/// Input is counted by the detector and the daemon, which outlive the scheduler.
fn add_input(metrics: &mut Metrics, before: Option<&Snapshot>, after: &Snapshot) {
    let input_before = before.map(|before| before.input).unwrap_or_default();
    let drained_before = before.map_or([0; DEVICE_CLASS_CNT], |before| before.drained_cnt);
    let seen = grown(&after.input.by_class(), &input_before.by_class());
    let drained = grown(&after.drained_cnt, &drained_before);
    metrics.input = (0..DEVICE_CLASS_CNT)
        .map(|class| {
            let counts = InputMetrics {
                seen: seen[class],
                drained: drained[class],
            };
            (DEVICE_NAMES[class].to_owned(), counts)
        })
        .collect();
    metrics.input_ring_drops = growth(after.input.dropped_cnt, input_before.dropped_cnt);
    metrics.input_queue_drops = growth(
        after.queue_dropped_cnt,
        before.map_or(0, |before| before.queue_dropped_cnt),
    );
}

/// Of the CPUs that have polled at all in the interval.
fn napi_metrics(before: Option<&Snapshot>, after: &Snapshot) -> BTreeMap<u32, NapiMetrics> {
    let metrics = |(cpu, now): (u32, &intf::napi_counters)| {
        let earlier = before.and_then(|before| before.napi.get(cpu as usize));
        let earlier = earlier.copied().unwrap_or_default();
        let metrics = NapiMetrics {
            polls: growth(now.poll_cnt, earlier.poll_cnt),
            packets: growth(now.packet_cnt, earlier.packet_cnt),
        };
        (cpu, metrics)
    };
    let all = (0..).zip(&after.napi).map(metrics);
    all.filter(|(_, metrics)| metrics.polls > 0).collect()
}

/// Counted by the sync detector, which outlives the scheduler.
fn add_locks(metrics: &mut Metrics, before: Option<&Snapshot>, after: &Snapshot) {
    let earlier = before.map(|before| before.locks).unwrap_or_default();
    let begun = grown(&after.locks.begun, &earlier.begun);
    let named = LockKind::ALL.into_iter().zip(begun);
    metrics.lock_waits = named
        .map(|(kind, cnt)| (kind.name().to_owned(), cnt))
        .collect();
    [metrics.lock_inherited] = grown(&[after.locks.inherited], &[earlier.inherited]);
}

fn display_metrics(
    before: Option<&Snapshot>,
    after: &Snapshot,
) -> BTreeMap<String, DisplayMetrics> {
    let metrics = |display: &Display| {
        let name = display.to_string();
        let mut earlier = before.iter().flat_map(|before| &before.displays);
        let earlier = earlier.find(|earlier| earlier.to_string() == name);
        let flips = growth(display.flip_cnt, earlier.map_or(0, |it| it.flip_cnt));
        let hz = if flips > 0 { display.interval_ns } else { 0 };
        let metrics = DisplayMetrics {
            hz: ratio(1e9, hz as f64),
            mode_hz: ratio(1e9, display.refresh_ns.into()),
            flips,
            missed: growth(display.missed_cnt, earlier.map_or(0, |it| it.missed_cnt)),
            owner_pid: display.owner_tgid,
        };
        (name, metrics)
    };
    after.displays.iter().map(metrics).collect()
}

/// CPUs that never served one are left out.
fn gpu_irq_metrics(before: Option<&Snapshot>, after: &Snapshot) -> BTreeMap<u32, GpuIrqMetrics> {
    let earlier = |cpu: usize| before.and_then(|before| before.gpu_irq_cnts.get(cpu));
    let cpus = (0..).zip(after.gpu_irq_cnts.iter().enumerate());
    let cpus = cpus.filter(|(_, (_, cnt))| **cnt > 0);
    let metrics = |(id, (cpu, cnt)): (u32, (usize, &u64))| {
        let interrupts = growth(*cnt, earlier(cpu).copied().unwrap_or(0));
        (id, GpuIrqMetrics { interrupts })
    };
    cpus.map(metrics).collect()
}

fn add_state(metrics: &mut Metrics, after: &Snapshot) {
    metrics.llcs = (0..)
        .zip(&after.llcs)
        .map(|(idx, llc)| {
            (
                idx,
                LlcMetrics {
                    busy: llc.busy.into(),
                    load_pct: llc.load_pct,
                },
            )
        })
        .collect();
    if let Some(game) = &after.game {
        metrics.game_pid = game.pid;
        metrics.game_name.clone_from(&game.name);
        metrics.game_confidence_pct = game.confidence_pct;
    }
    metrics.detectors = after
        .detectors
        .iter()
        .map(|(name, state)| ((*name).to_owned(), state.to_string()))
        .collect();
}

/// 0 for an empty interval: JSON has no infinity, and nothing happened.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn elapsed_s(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}
