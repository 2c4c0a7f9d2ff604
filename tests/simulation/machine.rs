//! A machine of N CPUs in one or more LLCs, on a virtual clock: a discrete-event simulation
//! which asks the policy core the same questions, at the same moments, as the BPF scheduler.
//!
//! Left out on purpose: the cost of switches and kicks, placement, the light regime, windows.
//! The scheduler clock and the virtual time begin one second before their wrap.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;

use scx_gamer::policy::{
    BOOST_MAX, BoostedLoad, DeadlineInput, Pick, PickInput, Preempt, PreemptInput, RAN_UNIT_NS,
    boost_earned, boost_floor, charge_ns, deadline_ns, delta_ns, load_roll, miss_due_ns,
    miss_is_late, miss_next, miss_raise, pick, preempt, slice_ns, span_ns, steal_before,
    steal_first, vruntime_clamp, vtime_advance,
};

use crate::parts::Parts;
use crate::script::{MS, Pattern, Rng, SEC, Spec, Task};
use crate::seeds::Fingerprint;

pub(crate) const SLICE_NS: u64 = 3 * MS;
pub(crate) const SLICE_NS_MIN: u64 = MS / 2;
const WAIT_BOUND_NS: u64 = 300 * MS;
/// The kernel notices the end of a slice at its tick only (250 Hz, the slowest in common use).
const TICK_NS: u64 = 4 * MS;
/// The longest unbroken turn beside others that wait.
pub(crate) const TURN_NS_MAX: u64 = SLICE_NS + TICK_NS;
/// Load is taken over windows of this length (`POLICY_REGIME_WINDOW_NS`).
const WINDOW_NS: u64 = 32 * MS;
const CLOCK_START_NS: u64 = u64::MAX - SEC;
/// CPUs looked at for one arrival, at most.
const PREEMPT_SCAN_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake(usize),
    /// The run of this number on this CPU ends: its slice, or what the task had to do.
    RunEnd(usize, u64),
}

/// Tasks by deadline; those of the same one in the order in which they came.
#[derive(Debug, Default)]
struct Queue(BTreeMap<(u64, u64), usize>);

impl Queue {
    fn insert(&mut self, deadline_ns: u64, arrival: u64, task: usize) {
        // From the start of the clock on, which wraps, deadlines only grow.
        let key = (deadline_ns.wrapping_sub(CLOCK_START_NS), arrival);
        self.0.insert(key, task);
    }

    fn head(&self) -> Option<usize> {
        self.0.first_key_value().map(|(_, &task)| task)
    }

    fn take_head(&mut self) -> Option<usize> {
        self.0.pop_first().map(|(_, task)| task)
    }

    /// Takes the first that the one who asks may run.
    fn take_first(&mut self, may_run: impl Fn(usize) -> bool) -> Option<usize> {
        let (&key, _) = self.0.iter().find(|&(_, &task)| may_run(task))?;
        self.0.remove(&key)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What boosted tasks took on some CPUs, and from which boost on they are admitted.
#[derive(Debug, Default)]
struct Admission {
    load: BoostedLoad,
    window_start_ns: u64,
    floor: u32,
}

impl Admission {
    /// Ends a window if it is over; `ran` are the sums of these CPUs' run time by boost.
    fn roll(&mut self, now_ns: u64, ran: &RanByBoost, cpu_cnt: u64, bound: u32) {
        let elapsed_ns = now_ns - self.window_start_ns;
        if elapsed_ns < WINDOW_NS || bound == 0 {
            return;
        }
        self.window_start_ns = now_ns;
        load_roll(&mut self.load, ran, elapsed_ns * cpu_cnt);
        self.floor = boost_floor(&self.load, bound, self.floor);
    }
}

type RanByBoost = [u32; BOOST_MAX as usize + 1];

#[derive(Debug, Default)]
struct Cpu {
    llc: usize,
    running: Option<usize>,
    run_start_ns: u64,
    /// Tells a `RunEnd` that is out of date: its run was cut short.
    run_idx: u64,
    own_queue: Queue,
    boosted_ran: RanByBoost,
    own_admission: Admission,
    /// How far from its own LLC the one is that it looked at last.
    foreign_step: usize,
}

/// Tasks that ran in another LLC than they waited for.
#[derive(Debug, Default)]
pub(crate) struct Stolen {
    /// As they were overdue, before what waited at home.
    pub(crate) overdue_cnt: u64,
    /// From the same node, as nothing waited at home.
    pub(crate) near_cnt: u64,
    /// From another node, as nothing waited in this one.
    pub(crate) far_cnt: u64,
    /// From another queue than the first choice, in which there was nothing that the CPU may run.
    pub(crate) fallback_cnt: u64,
}

/// What deciding took.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    /// How often a CPU chose what to run.
    pub(crate) dispatch_cnt: u64,
    /// Queues of other LLCs looked at for that, in turn, as they may be overdue.
    pub(crate) overdue_look_cnt: u64,
    /// How often there was nothing at home, but in other LLCs.
    pub(crate) steal_cnt: u64,
    /// Queues of other LLCs looked at then.
    pub(crate) steal_look_cnt: u64,
    /// Those from which was taken then, or tried to, after the first choice.
    pub(crate) fallback_look_cnt: u64,
    /// How often an arrival looked for a task to put off.
    pub(crate) arrival_cnt: u64,
    /// CPUs looked at for that.
    pub(crate) victim_cnt: u64,
}

pub(crate) struct Machine {
    now_ns: u64,
    vtime_ns: u64,
    cpus: Vec<Cpu>,
    pub(crate) tasks: Vec<Task>,
    llc_queues: Vec<Queue>,
    /// LLCs of each NUMA node.
    node_llc_cnt: usize,
    admissions: Vec<Admission>,
    idle_cpus: BTreeSet<usize>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    event_cnt: u64,
    rng: Rng,
    parts: Parts,
    pub(crate) preempt_cnt: u64,
    pub(crate) stolen: Stolen,
    pub(crate) effort: Effort,
    /// Of all turns, when and where they begin and end.
    pub(crate) fingerprint: Fingerprint,
}

impl Machine {
    /// All CPUs share one cache; all tasks wake for the first time within the first 20 ms.
    pub(crate) fn new(cpu_cnt: usize, seed: u64, specs: &[Spec]) -> Self {
        let mut machine = Self {
            now_ns: 0,
            vtime_ns: CLOCK_START_NS,
            cpus: (0..cpu_cnt).map(|_| Cpu::default()).collect(),
            tasks: specs
                .iter()
                .enumerate()
                .map(|(idx, &spec)| Task::new(spec, idx % cpu_cnt, CLOCK_START_NS))
                .collect(),
            llc_queues: vec![Queue::default()],
            node_llc_cnt: usize::MAX,
            admissions: vec![Admission::default()],
            idle_cpus: (0..cpu_cnt).collect(),
            events: BinaryHeap::new(),
            event_cnt: 0,
            rng: Rng(seed),
            parts: Parts::ALL,
            preempt_cnt: 0,
            stolen: Stolen::default(),
            effort: Effort::default(),
            fingerprint: Fingerprint::default(),
        };
        for task in 0..specs.len() {
            if !specs.iter().any(|spec| spec.wakes == Some(task)) {
                let at_ns = machine.rng.range(0, 20 * MS);
                machine.push_event(at_ns, Event::Wake(task));
            }
        }
        machine
    }

    /// The same machine with only these parts of the policy.
    pub(crate) fn with_parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    /// The same machine with its CPUs divided among LLCs of `llc_cpu_cnt` each.
    pub(crate) fn with_llcs_of(mut self, llc_cpu_cnt: usize) -> Self {
        for (idx, cpu) in self.cpus.iter_mut().enumerate() {
            cpu.llc = idx / llc_cpu_cnt;
        }
        let llc_cnt = self.cpus.len().div_ceil(llc_cpu_cnt);
        self.llc_queues.resize_with(llc_cnt, Queue::default);
        self.admissions.resize_with(llc_cnt, Admission::default);
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

    /// All CPUs without a node.
    fn cpus_of_node(&self, node: Option<usize>) -> Range<usize> {
        let Some(node) = node else {
            return 0..self.cpus.len();
        };
        let of = |cpu: &Cpu| cpu.llc / self.node_llc_cnt;
        let start = self.cpus.partition_point(|cpu| of(cpu) < node);
        start..self.cpus.partition_point(|cpu| of(cpu) <= node)
    }

    fn may_run(&self, task: usize, cpu: usize) -> bool {
        let spec = &self.tasks[task].spec;
        spec.pinned_cpu.is_none_or(|only| only == cpu)
            && self.cpus_of_node(spec.node).contains(&cpu)
    }

    /// Advances to `end_ns` of virtual time; panics if a CPU idles beside a task it could run, or
    /// steals in another order than it should.
    pub(crate) fn run(mut self, end_ns: u64) -> Self {
        while let Some(Reverse((at_ns, _, event))) = self.events.pop() {
            if at_ns > end_ns {
                break;
            }
            self.now_ns = at_ns;
            match event {
                Event::Wake(task) => self.on_wake(task),
                Event::RunEnd(cpu, run) if self.cpus[cpu].run_idx == run => self.end_run(cpu),
                Event::RunEnd(..) => {}
            }
            let shared_work: Vec<_> = self
                .llc_queues
                .iter()
                .flat_map(|queue| queue.0.values())
                .collect();
            for &cpu in &self.idle_cpus {
                assert!(
                    self.cpus[cpu].own_queue.is_empty()
                        && !shared_work.iter().any(|&&task| self.may_run(task, cpu)),
                    "CPU {cpu} idles at {at_ns} ns",
                );
            }
        }
        self.now_ns = end_ns;
        let own_queues = self.cpus.iter().map(|cpu| &cpu.own_queue);
        for &task in self
            .llc_queues
            .iter()
            .chain(own_queues)
            .flat_map(|queue| queue.0.values())
        {
            let task = &mut self.tasks[task];
            task.wait_max_ns = task.wait_max_ns.max(end_ns - task.wait_start_ns);
        }
        self
    }

    /// The longest that this task may wait: after one wait bound, whatever still stands ahead of
    /// it gets one turn each, on all CPUs (a pinned task: in the worst case all on its own).
    pub(crate) fn wait_limit_ns(&self, task: usize) -> u64 {
        let ahead_cnt = self.tasks.len() as u64;
        let Spec {
            pinned_cpu, node, ..
        } = self.tasks[task].spec;
        let cpu_cnt = pinned_cpu.map_or(self.cpus_of_node(node).len() as u64, |_| 1);
        WAIT_BOUND_NS + (ahead_cnt.div_ceil(cpu_cnt) + 1) * TURN_NS_MAX
    }

    fn push_event(&mut self, at_ns: u64, event: Event) {
        self.event_cnt += 1;
        self.events.push(Reverse((at_ns, self.event_cnt, event)));
    }

    fn clock_ns(&self) -> u64 {
        CLOCK_START_NS.wrapping_add(self.now_ns)
    }

    fn on_wake(&mut self, task: usize) {
        if let Pattern::Periodic { period_ns, .. } = self.tasks[task].spec.pattern {
            self.push_event(self.now_ns + period_ns, Event::Wake(task));
        }
        if self.make_runnable(task) {
            self.place(task);
        }
    }

    /// Puts a sleeper into its queue; false: it was awake and will do one run more.
    fn make_runnable(&mut self, task: usize) -> bool {
        let run_ns = self.draw_run_ns(task);
        let (vtime_ns, credit_ns) = (self.vtime_ns, self.parts.credit_ns);
        let task_ctx = &mut self.tasks[task];
        task_ctx.due_cnt += 1;
        if !task_ctx.asleep {
            return false;
        }
        task_ctx.asleep = false;
        task_ctx.woken = true;
        task_ctx.recent_run_ns = 0;
        task_ctx.awake_run_ns = 0;
        task_ctx.run_left_ns = run_ns;
        task_ctx.vruntime_ns =
            vruntime_clamp(task_ctx.vruntime_ns, vtime_ns, credit_ns, WAIT_BOUND_NS);
        self.set_deadline(task);
        self.insert(task);
        true
    }

    fn draw_run_ns(&mut self, task: usize) -> u64 {
        match self.tasks[task].spec.pattern {
            Pattern::Hog => u64::MAX,
            Pattern::Periodic { run_ns, .. } | Pattern::Stage { run_ns } => run_ns,
            Pattern::Burst { run_ns, .. } => self.rng.range(run_ns / 2, run_ns * 3 / 2),
        }
    }

    fn set_deadline(&mut self, task: usize) {
        let task_ctx = &self.tasks[task];
        let input = DeadlineInput {
            now_ns: self.clock_ns(),
            lag_ns: delta_ns(task_ctx.vruntime_ns, self.vtime_ns),
            recent_run_ns: if self.parts.recent_run {
                task_ctx.recent_run_ns
            } else {
                0
            },
            wait_bound_ns: WAIT_BOUND_NS,
            head_start_ns: self.parts.head_start_ns,
            boost: self.boost(task),
            near_flip_16ths: 0,
            serves_others: false,
            in_window: false,
        };
        self.tasks[task].deadline_ns = deadline_ns(&input);
        self.tasks[task].span_ns = span_ns(&input);
    }

    fn boost(&self, task: usize) -> u32 {
        if !self.parts.boosts {
            return 0;
        }
        let earned = self.earned_boost(task);
        let Cpu {
            llc,
            own_queue,
            own_admission,
            ..
        } = &self.cpus[self.tasks[task].cpu];
        let mut floor = self.admissions[*llc].floor;
        if !own_queue.is_empty() {
            floor = floor.max(own_admission.floor);
        }
        if earned < floor { 0 } else { earned }
    }

    /// How far late turns raise what the task has earned.
    fn raised_by(&self, task: usize) -> u32 {
        if !self.parts.misses {
            return 0;
        }
        let Task {
            spec,
            awake_run_ns,
            missed,
            ..
        } = self.tasks[task];
        let earned = boost_earned(spec.boost, awake_run_ns);
        miss_raise(earned, missed) - earned
    }

    /// Whether or not it is admitted.
    fn earned_boost(&self, task: usize) -> u32 {
        let Task {
            spec, awake_run_ns, ..
        } = self.tasks[task];
        boost_earned(spec.boost, awake_run_ns) + self.raised_by(task)
    }

    /// A turn begins: is it late?
    fn judge_turn(&mut self, task: usize) {
        // Steps that are not admitted have shortened nothing.
        let raised = match self.boost(task) {
            0 => 0,
            _ => self.raised_by(task),
        };
        let clock_ns = self.clock_ns();
        let task_ctx = &mut self.tasks[task];
        let since_ns = CLOCK_START_NS.wrapping_add(task_ctx.wait_start_ns);
        let due_ns = miss_due_ns(since_ns, task_ctx.deadline_ns, raised);
        let late = miss_is_late(clock_ns, due_ns);
        task_ctx.missed = miss_next(task_ctx.missed, late);
        task_ctx.late_cnt += u64::from(late);
    }

    /// Counts a run for admission, under the boost that was earned.
    fn note_boosted_run(&mut self, cpu: usize, task: usize, ran_ns: u64) {
        let boost = self.earned_boost(task);
        let units = u32::try_from(ran_ns / RAN_UNIT_NS).expect("BUG: a run of minutes");
        let (now_ns, bound) = (self.now_ns, self.parts.boosted_max);
        let ran = &mut self.cpus[cpu].boosted_ran[boost as usize];
        *ran = ran.wrapping_add(units);
        let own_ran = self.cpus[cpu].boosted_ran;
        self.cpus[cpu]
            .own_admission
            .roll(now_ns, &own_ran, 1, bound);

        let llc = self.cpus[cpu].llc;
        let cpus = &self.cpus[self.cpus_of_llc(llc)];
        let mut sums = RanByBoost::default();
        for ran in cpus.iter().map(|cpu| cpu.boosted_ran) {
            for (sum, ran) in sums.iter_mut().zip(ran) {
                *sum = sum.wrapping_add(ran);
            }
        }
        self.admissions[llc].roll(now_ns, &sums, cpus.len() as u64, bound);
    }

    fn insert(&mut self, task: usize) {
        self.tasks[task].wait_start_ns = self.now_ns;
        self.event_cnt += 1;
        let Task {
            deadline_ns,
            cpu,
            spec,
            ..
        } = self.tasks[task];
        let queue = match spec.pinned_cpu {
            Some(cpu) => &mut self.cpus[cpu].own_queue,
            None => &mut self.llc_queues[self.cpus[cpu].llc],
        };
        queue.insert(deadline_ns, self.event_cnt, task);
    }

    /// The CPUs whose tasks an arrival may put off: with a boost those of its LLC, else its last one.
    fn possible_victims(&self, task: usize) -> Range<usize> {
        let Task { cpu, spec, .. } = self.tasks[task];
        if spec.pinned_cpu.is_some() || self.boost(task) == 0 {
            return cpu..cpu + 1;
        }
        let Range { start, end } = self.cpus_of_llc(self.cpus[cpu].llc);
        start..end.min(start + PREEMPT_SCAN_MAX)
    }

    fn cpus_of_llc(&self, llc: usize) -> Range<usize> {
        let start = self.cpus.partition_point(|cpu| cpu.llc < llc);
        start..self.cpus.partition_point(|cpu| cpu.llc <= llc)
    }

    /// Finds a CPU for a task that has just been inserted: an idle one, or one to preempt.
    fn place(&mut self, task: usize) {
        let idle = match self.tasks[task].spec.pinned_cpu {
            Some(cpu) => self.idle_cpus.get(&cpu),
            None => self.idle_cpus.iter().find(|&&cpu| self.may_run(task, cpu)),
        };
        if let Some(&idle) = idle {
            return self.dispatch(idle, None);
        }
        if !self.parts.preempts || !self.tasks[task].woken {
            return;
        }
        let possible = self.possible_victims(task);
        self.effort.arrival_cnt += 1;
        self.effort.victim_cnt += possible.len() as u64;
        let span_ns = |cpu: &usize| self.cpus[*cpu].running.map(|task| self.tasks[task].span_ns);
        let victim = possible
            .filter(|&cpu| self.verdict(task, cpu) == Preempt::Yes)
            .max_by_key(|cpu| (span_ns(cpu), Reverse(*cpu)));
        if let Some(cpu) = victim {
            self.preempt_cnt += 1;
            self.end_run(cpu);
        }
    }

    fn verdict(&self, arrival: usize, cpu: usize) -> Preempt {
        let running = self.cpus[cpu]
            .running
            .expect("BUG: an idle CPU needs no preemption");
        preempt(&PreemptInput {
            arrival_span_ns: self.tasks[arrival].span_ns,
            running_span_ns: self.tasks[running].span_ns,
            running_for_ns: self.now_ns - self.cpus[cpu].run_start_ns,
            arrival_boost: self.boost(arrival),
            running_boost: self.boost(running),
            running_holds_lock: false,
        })
    }

    /// Charges the running task and decides what comes next: at the end of a slice or of a
    /// task's work, and when an arrival takes the CPU.
    fn end_run(&mut self, cpu: usize) {
        let Some(prev) = self.cpus[cpu].running.take() else {
            return;
        };
        let ran_ns = self.now_ns - self.cpus[cpu].run_start_ns;
        self.fingerprint.add([self.now_ns, cpu as u64, ran_ns]);
        self.note_boosted_run(cpu, prev, ran_ns);
        let task_ctx = &mut self.tasks[prev];
        self.vtime_ns = vtime_advance(self.vtime_ns, task_ctx.vruntime_ns, ran_ns);
        let charge = charge_ns(ran_ns, task_ctx.inv_weight);
        task_ctx.vruntime_ns = task_ctx.vruntime_ns.wrapping_add(charge);
        task_ctx.recent_run_ns = task_ctx.recent_run_ns.saturating_add(charge);
        task_ctx.awake_run_ns += ran_ns;
        task_ctx.ran_ns += ran_ns;
        task_ctx.run_left_ns -= ran_ns;
        task_ctx.woken = false;

        let next_stage = if task_ctx.run_left_ns == 0 {
            self.finish_work(prev)
        } else {
            None
        };
        let prev_runnable = (!self.tasks[prev].asleep).then_some(prev);
        self.dispatch(cpu, prev_runnable);
        if let Some(stage) = next_stage.filter(|&task| self.waits(task)) {
            self.place(stage);
        }
    }

    /// The task's work is done: sleeps unless more is due. Result: the stage that it woke.
    fn finish_work(&mut self, task: usize) -> Option<usize> {
        let run_ns = self.draw_run_ns(task);
        let task_ctx = &mut self.tasks[task];
        task_ctx.due_cnt -= 1;
        task_ctx.run_left_ns = run_ns;
        task_ctx.asleep = task_ctx.due_cnt == 0;
        if let Pattern::Burst { sleep_ns, .. } = task_ctx.spec.pattern {
            let sleep_ns = self.rng.range(sleep_ns / 2, sleep_ns * 3 / 2);
            self.push_event(self.now_ns + sleep_ns, Event::Wake(task));
        }
        self.tasks[task]
            .spec
            .wakes
            .filter(|&stage| self.make_runnable(stage))
    }

    fn waits(&self, task: usize) -> bool {
        !self.tasks[task].asleep && self.cpus.iter().all(|cpu| cpu.running != Some(task))
    }

    fn deadline_ns(&self, task: Option<usize>) -> u64 {
        task.map_or(0, |task| self.tasks[task].deadline_ns)
    }

    /// Takes from another LLC what goes before the queues at home: looks at one, in turn.
    fn steal_overdue(&mut self, cpu: usize, home: &PickInput) -> Option<usize> {
        let llc_cnt = self.llc_queues.len();
        if llc_cnt == 1 {
            return None;
        }
        self.effort.overdue_look_cnt += 1;
        let Cpu {
            llc, foreign_step, ..
        } = &mut self.cpus[cpu];
        *foreign_step = *foreign_step % (llc_cnt - 1) + 1;
        let other = (*llc + *foreign_step) % llc_cnt;
        let deadline_ns = self.tasks[self.llc_queues[other].head()?].deadline_ns;
        let overdue = steal_first(home, self.clock_ns(), deadline_ns);
        let task = overdue.then(|| self.take_foreign(cpu, other))??;
        self.stolen.overdue_cnt += 1;
        Some(task)
    }

    fn take_foreign(&mut self, cpu: usize, llc: usize) -> Option<usize> {
        let mut queue = std::mem::take(&mut self.llc_queues[llc]);
        let task = queue.take_first(|task| self.may_run(task, cpu));
        self.llc_queues[llc] = queue;
        task
    }

    /// The other LLCs in which somebody waits, in the order in which they are looked at.
    fn foreign_heads(&self, llc: usize) -> Vec<(usize, bool, u64)> {
        let llc_cnt = self.llc_queues.len();
        (1..llc_cnt)
            .map(|step| (llc + step) % llc_cnt)
            .filter_map(|other| {
                let head = self.llc_queues[other].head()?;
                Some((
                    other,
                    self.is_near(llc, other),
                    self.tasks[head].deadline_ns,
                ))
            })
            .collect()
    }

    /// Takes from another LLC, of those in which somebody waits; the others are not looked at.
    fn steal(&mut self, cpu: usize) -> Option<usize> {
        let llc = self.cpus[cpu].llc;
        let heads = self.foreign_heads(llc);
        let sooner = |best: (usize, bool, u64), next: (usize, bool, u64)| {
            if steal_before((next.1, next.2), (best.1, best.2)) {
                next
            } else {
                best
            }
        };
        let (first, is_near, _) = heads.iter().copied().reduce(sooner)?;
        self.effort.steal_cnt += 1;
        self.effort.steal_look_cnt += heads.len() as u64;
        self.assert_goes_first(llc, first);
        let mut from = is_near;
        let mut task = self.take_foreign(cpu, first);
        if task.is_none() {
            for pass in [true, false] {
                for &(other, is_near, _) in &heads {
                    if task.is_none() && other != first && is_near == pass {
                        self.effort.fallback_look_cnt += 1;
                        task = self.take_foreign(cpu, other);
                        from = is_near;
                    }
                }
            }
            self.stolen.fallback_cnt += u64::from(task.is_some());
        }
        if task.is_some() {
            self.stolen.near_cnt += u64::from(from);
            self.stolen.far_cnt += u64::from(!from);
        }
        task
    }

    fn is_near(&self, llc: usize, other: usize) -> bool {
        llc / self.node_llc_cnt == other / self.node_llc_cnt
    }

    /// Of all foreign queues, none that is not empty belongs to a nearer node, and none as near is older:
    /// by the order of the queues' own keys, which do not wrap.
    fn assert_goes_first(&self, llc: usize, stolen: usize) {
        let age = |other: usize| {
            let queue = &self.llc_queues[other].0;
            queue.first_key_value().map(|(key, _)| key.0)
        };
        for other in (0..self.llc_queues.len()).filter(|other| *other != llc) {
            let is_near = self.is_near(llc, other);
            let goes_first = match self.is_near(llc, stolen) {
                near if near != is_near => is_near,
                _ => age(other) < age(stolen),
            };
            assert!(
                age(other).is_none() || !goes_first,
                "LLC {llc} steals from {stolen} before {other} at {} ns",
                self.now_ns
            );
        }
    }

    fn dispatch(&mut self, cpu: usize, prev: Option<usize>) {
        self.effort.dispatch_cnt += 1;
        if let Some(prev) = prev {
            self.set_deadline(prev);
        }
        let llc = self.cpus[cpu].llc;
        let own_head = self.cpus[cpu].own_queue.head();
        let llc_head = self.llc_queues[llc].head();
        let input = PickInput {
            prev_deadline_ns: self.deadline_ns(prev),
            own_deadline_ns: self.deadline_ns(own_head),
            llc_deadline_ns: self.deadline_ns(llc_head),
            prev_runnable: prev.is_some(),
            own_waiting: own_head.is_some(),
            llc_waiting: llc_head.is_some(),
        };
        let next = self
            .steal_overdue(cpu, &input)
            .or_else(|| match pick(&input) {
                Pick::None => self.steal(cpu),
                Pick::Prev => prev,
                Pick::Own => self.cpus[cpu].own_queue.take_head(),
                Pick::Llc => self.llc_queues[llc].take_head(),
            });
        match next {
            Some(task) => {
                if next != prev {
                    self.note_wait(task);
                    self.judge_turn(task);
                }
                self.start(cpu, task);
            }
            None => {
                self.idle_cpus.insert(cpu);
            }
        }
        if let Some(prev) = prev.filter(|_| next != prev) {
            self.insert(prev);
            self.place(prev);
        }
    }

    fn note_wait(&mut self, task: usize) {
        let task_ctx = &mut self.tasks[task];
        let wait_ns = self.now_ns - task_ctx.wait_start_ns;
        task_ctx.wait_max_ns = task_ctx.wait_max_ns.max(wait_ns);
        if task_ctx.woken {
            task_ctx.wakeup_waits_ns.push(wait_ns);
        }
    }

    fn start(&mut self, cpu: usize, task: usize) {
        let llc = self.cpus[cpu].llc;
        let waiting_cnt = self.llc_queues[llc].0.len() + self.cpus[cpu].own_queue.0.len();
        let count = |value: usize| u32::try_from(value).expect("BUG: more than 2^32 tasks");
        let slice_ns = slice_ns(
            SLICE_NS,
            self.parts.slice_ns_min,
            count(waiting_cnt),
            count(self.cpus_of_llc(llc).len()),
            true,
        );
        let slice_end_ns = (self.now_ns + slice_ns).next_multiple_of(TICK_NS);
        let end_ns = slice_end_ns.min(self.now_ns.saturating_add(self.tasks[task].run_left_ns));
        self.idle_cpus.remove(&cpu);
        self.fingerprint.add([self.now_ns, cpu as u64, task as u64]);
        self.tasks[task].cpu = cpu;
        let running = &mut self.cpus[cpu];
        running.running = Some(task);
        running.run_start_ns = self.now_ns;
        running.run_idx += 1;
        let run_idx = running.run_idx;
        self.push_event(end_ns, Event::RunEnd(cpu, run_idx));
    }
}
