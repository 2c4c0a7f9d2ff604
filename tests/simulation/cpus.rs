//! The CPUs: which there are, how fast they are, and which of them a task goes to.

use std::cmp::Reverse;
use std::ops::Range;

use scx_gamer::config::Feature;
use scx_gamer::policy::{CpuKind, Preempt, PreemptInput, boost_clamp, cpus_first, packs, preempt};

use crate::load::{Admission, PerfTarget, RanByBoost, Regime};
use crate::machine::Machine;
use crate::queue::Queue;
use crate::script::Spec;

/// CPUs looked at for one arrival, at most.
const PREEMPT_SCAN_MAX: usize = 64;
/// How fast a CPU may be; the unit of speeds.
pub(crate) const SPEED_ALL: u64 = 1_024;
/// Two threads of a core that both run have so much each.
const SPEED_BESIDE_SIBLING: u64 = SPEED_ALL * 6 / 10;
/// A core that is not one of the fast ones.
const SPEED_SLOW: u64 = SPEED_ALL / 2;

#[derive(Debug)]
pub(crate) struct Cpu {
    pub(crate) llc: usize,
    pub(crate) sibling: Option<usize>,
    pub(crate) kind: CpuKind,
    pub(crate) running: Option<usize>,
    pub(crate) run_start_ns: u64,
    pub(crate) slice_end_ns: u64,
    /// Tells a `RunEnd` that is out of date: its run was cut short, or goes on at another speed.
    pub(crate) run_idx: u64,
    /// Up to when the run's progress is accounted for, and how fast it goes on.
    pub(crate) settled_ns: u64,
    pub(crate) speed: u64,
    pub(crate) own_queue: Queue,
    /// Goes before the queues: given to this CPU to save power.
    pub(crate) packed: Option<usize>,
    pub(crate) yields: bool,
    pub(crate) ran_ns: u64,
    /// The last window in which it began to run something.
    pub(crate) last_used: u64,
    pub(crate) boosted_ran: RanByBoost,
    pub(crate) own_admission: Admission,
    pub(crate) perf: PerfTarget,
    /// How far from its own LLC the one is that it looked at last.
    pub(crate) foreign_step: usize,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self {
            llc: 0,
            sibling: None,
            kind: CpuKind::Fast,
            running: None,
            run_start_ns: 0,
            slice_end_ns: 0,
            run_idx: 0,
            settled_ns: 0,
            speed: SPEED_ALL,
            own_queue: Queue::default(),
            packed: None,
            yields: false,
            ran_ns: 0,
            last_used: 0,
            boosted_ran: RanByBoost::default(),
            own_admission: Admission::default(),
            perf: PerfTarget::default(),
            foreign_step: 0,
        }
    }
}

/// CPUs that share a cache.
#[derive(Debug, Default)]
pub(crate) struct Llc {
    pub(crate) queue: Queue,
    pub(crate) admission: Admission,
    pub(crate) regime: Regime,
}

/// Where turns began that a task began with on waking.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// Those for which an idle CPU was found.
    pub(crate) idle_cnt: u64,
    /// Of these, beside a busy sibling while a whole core of that kind was idle.
    pub(crate) beside_cnt: u64,
    /// Of these by tasks with a boost, and of them on a slower CPU while a fast one was idle.
    pub(crate) boosted_cnt: u64,
    pub(crate) boosted_slow_cnt: u64,
}

/// Topology.
impl Machine {
    /// The same machine with its CPUs divided among LLCs of `llc_cpu_cnt` each.
    pub(crate) fn with_llcs_of(mut self, llc_cpu_cnt: usize) -> Self {
        for (idx, cpu) in self.cpus.iter_mut().enumerate() {
            cpu.llc = idx / llc_cpu_cnt;
        }
        let llc_cnt = self.cpus.len().div_ceil(llc_cpu_cnt);
        self.llcs.resize_with(llc_cnt, Llc::default);
        self
    }

    /// The same machine with its LLCs divided among NUMA nodes of `llc_cnt` each. Tasks that are bound to
    /// a node begin there.
    pub(crate) fn with_nodes_of(mut self, llc_cnt: usize) -> Self {
        self.node_llc_cnt = llc_cnt;
        for idx in 0..self.tasks.len() {
            let cpus = self.cpus_of_node(self.tasks[idx].spec.node);
            if self.tasks[idx].spec.pinned_cpu.is_none() {
                self.tasks[idx].cpu = cpus.start + idx % cpus.len();
            }
        }
        self
    }

    /// The same machine with cores of two threads.
    pub(crate) fn with_smt(mut self) -> Self {
        for (idx, cpu) in self.cpus.iter_mut().enumerate() {
            cpu.sibling = Some(idx ^ 1);
        }
        self
    }

    /// The same machine of whose CPUs only the first few are fast.
    pub(crate) fn with_fast_cpus(mut self, fast_cnt: usize) -> Self {
        for cpu in &mut self.cpus[fast_cnt..] {
            cpu.kind = CpuKind::Other;
        }
        self
    }

    /// The same machine, all of whose tasks are born on one CPU.
    pub(crate) fn with_one_birthplace(mut self) -> Self {
        for task in &mut self.tasks {
            task.cpu = 0;
        }
        self
    }

    /// All CPUs without a node.
    pub(crate) fn cpus_of_node(&self, node: Option<usize>) -> Range<usize> {
        let Some(node) = node else {
            return 0..self.cpus.len();
        };
        let of = |cpu: &Cpu| cpu.llc / self.node_llc_cnt;
        let start = self.cpus.partition_point(|cpu| of(cpu) < node);
        start..self.cpus.partition_point(|cpu| of(cpu) <= node)
    }

    pub(crate) fn cpus_of_llc(&self, llc: usize) -> Range<usize> {
        let start = self.cpus.partition_point(|cpu| cpu.llc < llc);
        start..self.cpus.partition_point(|cpu| cpu.llc <= llc)
    }

    pub(crate) fn is_near(&self, llc: usize, other: usize) -> bool {
        llc / self.node_llc_cnt == other / self.node_llc_cnt
    }

    pub(crate) fn may_run(&self, task: usize, cpu: usize) -> bool {
        let Spec {
            pinned_cpu, node, ..
        } = self.tasks[task].spec;
        pinned_cpu.is_none_or(|only| only == cpu) && self.cpus_of_node(node).contains(&cpu)
    }

    fn is_core_idle(&self, cpu: usize) -> bool {
        let sibling = self.cpus[cpu].sibling;
        sibling.is_none_or(|sibling| self.idle_cpus.contains(&sibling))
    }
}

/// Speed: a run takes as long as it does on a fast core of its own at the highest clock rate, or longer.
impl Machine {
    fn speed(&self, cpu: usize) -> u64 {
        let Cpu { kind, perf, .. } = &self.cpus[cpu];
        let core = match kind {
            CpuKind::Fast => SPEED_ALL,
            CpuKind::Other => SPEED_SLOW,
        };
        let alone = if self.is_core_idle(cpu) {
            SPEED_ALL
        } else {
            SPEED_BESIDE_SIBLING
        };
        core * alone / SPEED_ALL * perf.clock_rate() / SPEED_ALL
    }

    /// Accounts for the work that the running task has done.
    pub(crate) fn settle(&mut self, cpu: usize) {
        let now_ns = self.now_ns;
        let Cpu {
            running,
            settled_ns,
            speed,
            ..
        } = &mut self.cpus[cpu];
        if let Some(task) = *running {
            let work_ns = (now_ns - *settled_ns) * *speed / SPEED_ALL;
            let task_ctx = &mut self.tasks[task];
            task_ctx.run_left_ns = task_ctx.run_left_ns.saturating_sub(work_ns);
            task_ctx.work_ns += work_ns;
        }
        *settled_ns = now_ns;
    }

    /// A sibling has begun or ceased to run beside this CPU.
    pub(crate) fn change_pace(&mut self, cpu: Option<usize>) {
        if let Some(cpu) = cpu.filter(|&cpu| self.cpus[cpu].running.is_some()) {
            self.settle(cpu);
            self.expect_run_end(cpu);
        }
    }

    /// Announces when the run on this CPU will end, which begins or goes on now.
    pub(crate) fn expect_run_end(&mut self, cpu: usize) {
        let task = self.cpus[cpu].running.expect("BUG: nothing runs there");
        let speed = self.speed(cpu);
        let work_ns = u128::from(self.work_to_next_stop_ns(task)) * u128::from(SPEED_ALL);
        let takes_ns = u64::try_from(work_ns.div_ceil(u128::from(speed))).unwrap_or(u64::MAX);
        let Cpu {
            speed: present,
            run_idx,
            slice_end_ns,
            ..
        } = &mut self.cpus[cpu];
        *present = speed;
        *run_idx += 1;
        let (run_idx, slice_end_ns) = (*run_idx, *slice_end_ns);
        let end_ns = slice_end_ns.min(self.now_ns.saturating_add(takes_ns));
        self.push_event(end_ns, crate::machine::Event::RunEnd(cpu, run_idx));
    }
}

/// Which CPU.
impl Machine {
    /// The idle CPU that a task gets, as `claim_idle_cpu` finds it.
    pub(crate) fn idle_cpu_for(&self, task: usize) -> Option<usize> {
        let spec = &self.tasks[task].spec;
        if !self.parts.has(Feature::Placement) {
            let idle = self.idle_cpus.iter().copied();
            return idle
                .filter(|&cpu| self.may_run(task, cpu))
                .min_by_key(|&cpu| (!self.is_core_idle(cpu), cpu));
        }
        let differ = self.cpus.iter().any(|cpu| cpu.kind == CpuKind::Other);
        let kind = cpus_first(self.boost(task), spec.background).filter(|_| differ);
        kind.and_then(|kind| self.first_idle(task, Some(kind)))
            .or_else(|| self.first_idle(task, None))
    }

    /// In the kernel's order: cores that are idle as a whole first, of each the task's last CPU, then the
    /// same LLC, the same node, any.
    fn first_idle(&self, task: usize, kind: Option<CpuKind>) -> Option<usize> {
        let home = self.tasks[task].cpu;
        let distance = |cpu: usize| match (self.cpus[home].llc, self.cpus[cpu].llc) {
            _ if cpu == home => 0,
            (own, other) if own == other => 1,
            (own, other) if self.is_near(own, other) => 2,
            _ => 3,
        };
        let idle = self.idle_cpus.iter().copied();
        idle.filter(|&cpu| kind.is_none_or(|kind| self.cpus[cpu].kind == kind))
            .filter(|&cpu| self.may_run(task, cpu))
            .min_by_key(|&cpu| (!self.is_core_idle(cpu), distance(cpu), cpu))
    }

    /// Whether there is something to choose among idle CPUs.
    fn has_order(&self) -> bool {
        let first = &self.cpus[0];
        self.llcs.len() > 1
            || first.sibling.is_some()
            || self.cpus.iter().any(|cpu| cpu.kind != first.kind)
    }

    fn nobody_waits_at(&self, cpu: usize) -> bool {
        let Cpu { llc, own_queue, .. } = &self.cpus[cpu];
        own_queue.is_empty() && self.llcs[*llc].queue.is_empty()
    }

    /// The CPU that a waking task goes straight to, as `select_idle_cpu` finds it. Here an idle CPU that is
    /// called comes in no time, so where the task is woken makes no difference.
    pub(crate) fn direct_cpu(&self, task: usize) -> Option<usize> {
        let home = self.tasks[task].cpu;
        let may_choose = self.parts.has(Feature::Placement)
            && (self.tasks[task].spec.boost > 0 || !self.parts.saves_power)
            && self.has_order();
        // The kernel does not ask for a CPU where there is only one.
        if !self.parts.has(Feature::DirectDispatch)
            || self.tasks[task].spec.pinned_cpu.is_some()
            || !self.nobody_waits_at(home)
        {
            return None;
        }
        let cpu = if may_choose {
            self.idle_cpu_for(task)
        } else {
            self.idle_cpus.get(&home).copied()
        };
        cpu.filter(|&cpu| self.nobody_waits_at(cpu))
    }

    /// Whether a woken task waits for its last CPU, so that no other has to wake up.
    pub(crate) fn packs_home(&self, task: usize) -> bool {
        let home = self.tasks[task].cpu;
        let Cpu {
            running,
            packed,
            perf,
            ..
        } = &self.cpus[home];
        self.parts.saves_power
            && self.boost(task) == 0
            && self.tasks[task].spec.pinned_cpu.is_none()
            && self.nobody_waits_at(home)
            && packed.is_none()
            && running.is_some_and(|running| packs(self.boost(running), perf.load_pct))
    }

    /// The CPUs whose tasks an arrival may put off: with a boost those of its LLC, else its last one.
    pub(crate) fn possible_victims(&self, task: usize) -> Range<usize> {
        let cpu = self.tasks[task].cpu;
        if self.tasks[task].spec.pinned_cpu.is_some() || self.boost(task) == 0 {
            return cpu..cpu + 1;
        }
        let Range { start, end } = self.cpus_of_llc(self.cpus[cpu].llc);
        start..end.min(start + PREEMPT_SCAN_MAX)
    }

    /// The CPU whose task an arrival puts off: the one with the longest span.
    pub(crate) fn victim_for(&mut self, task: usize) -> Option<usize> {
        if !self.parts.has(Feature::Preempt) {
            return None;
        }
        let possible = self.possible_victims(task);
        self.effort.arrival_cnt += 1;
        self.effort.victim_cnt += possible.len() as u64;
        possible
            .filter(|&cpu| self.may_run(task, cpu))
            .filter_map(|cpu| Some((self.span_if_victim_of(task, cpu)?, Reverse(cpu))))
            .max()
            .map(|(_, Reverse(cpu))| cpu)
    }

    fn span_if_victim_of(&self, arrival: usize, cpu: usize) -> Option<u64> {
        let running = self.cpus[cpu].running?;
        let running_for_ns = self.now_ns - self.cpus[cpu].run_start_ns;
        let running_boost = self.boost(running);
        let input = PreemptInput {
            arrival_span_ns: self.tasks[arrival].span_ns,
            // It has grown by what was run since.
            running_span_ns: self.tasks[running].span_ns
                + (running_for_ns >> boost_clamp(running_boost)),
            running_for_ns,
            arrival_boost: self.boost(arrival),
            running_boost,
            running_holds_lock: self.parts.has(Feature::Inheritance)
                && self.tasks[running].inherited > 0,
        };
        (preempt(&input) == Preempt::Yes).then_some(input.running_span_ns)
    }

    pub(crate) fn note_placed(&mut self, task: usize, cpu: usize) {
        let idle = || self.idle_cpus.iter().filter(|&&idle| idle != cpu);
        let is_better =
            |other: usize| self.cpus[other].kind == self.cpus[cpu].kind && self.is_core_idle(other);
        let beside = !self.is_core_idle(cpu) && idle().any(|&other| is_better(other));
        let boosted = self.boost(task) > 0;
        let slow = self.cpus[cpu].kind == CpuKind::Other
            && idle().any(|&cpu| self.cpus[cpu].kind == CpuKind::Fast);
        self.placed.idle_cnt += 1;
        self.placed.beside_cnt += u64::from(beside);
        self.placed.boosted_cnt += u64::from(boosted);
        self.placed.boosted_slow_cnt += u64::from(boosted && slow);
    }
}
