//! A machine of N CPUs in one or more LLCs, on a virtual clock: a discrete-event simulation
//! which asks the policy core the same questions, at the same moments, as the BPF scheduler.
//!
//! Here is what happens to a task: it wakes, runs, is put off, sleeps. What is decided about it stands in
//! `cpus`, `dispatch`, `urgency`, `load`, `locks` and `display`.
//!
//! Left out on purpose: the cost of switches and kicks, real-time tasks, interrupts, kernel threads.
//! The scheduler clock and the virtual time begin one second before their wrap.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use scx_gamer::config::Feature;
use scx_gamer::policy::{
    charge_ns, rate_wake, slice_divides, slice_ns, vruntime_clamp, vtime_advance,
};

use crate::cpus::{Cpu, Llc, Placed};
use crate::dispatch::{Effort, Stolen};
use crate::display::{Display, InputWindow};
use crate::locks::Lock;
use crate::parts::Parts;
use crate::queue::Queue;
use crate::script::{Frames, MS, Pattern, Rng, SEC, Spec, Task, US, count};
use crate::seeds::Fingerprint;

pub(crate) const SLICE_NS: u64 = 3 * MS;
pub(crate) const SLICE_NS_MIN: u64 = MS / 2;
pub(crate) const WAIT_BOUND_NS: u64 = 300 * MS;
/// The kernel notices the end of a slice at its tick only (250 Hz, the slowest in common use).
const TICK_NS: u64 = 4 * MS;
/// The longest unbroken turn beside others that wait.
pub(crate) const TURN_NS_MAX: u64 = SLICE_NS + TICK_NS;
pub(crate) const CLOCK_START_NS: u64 = u64::MAX - SEC;
/// From one `sched_yield` of a spinning task to the next.
const YIELD_NS: u64 = 5 * US;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Wake(usize),
    /// The run of this number on this CPU ends: its slice, or what the task had to do.
    RunEnd(usize, u64),
    /// The display may show a new frame.
    Refresh,
}

pub(crate) struct Machine {
    pub(crate) now_ns: u64,
    pub(crate) vtime_ns: u64,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) llcs: Vec<Llc>,
    /// LLCs of each NUMA node.
    pub(crate) node_llc_cnt: usize,
    pub(crate) idle_cpus: BTreeSet<usize>,
    pub(crate) locks: Vec<Lock>,
    /// The task that has just moved up in its queue.
    pub(crate) hurried: Option<usize>,
    pub(crate) display: Option<Display>,
    pub(crate) window: InputWindow,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    event_cnt: u64,
    rng: Rng,
    pub(crate) parts: Parts,
    pub(crate) preempt_cnt: u64,
    /// How often an idle CPU began to run something.
    pub(crate) wakeup_cnt: u64,
    /// In how many windows of how many CPUs turns began.
    pub(crate) used_cnt: u64,
    pub(crate) stolen: Stolen,
    pub(crate) effort: Effort,
    pub(crate) placed: Placed,
    /// Of all turns, when and where they begin and end.
    pub(crate) fingerprint: Fingerprint,
}

impl Machine {
    /// All CPUs share one cache; all tasks wake for the first time within the first 20 ms, but for those
    /// that others wake.
    pub(crate) fn new(cpu_cnt: usize, seed: u64, specs: &[Spec]) -> Self {
        let lock_cnt = specs.iter().flat_map(|spec| spec.locks).flatten().max();
        let mut machine = Self {
            now_ns: 0,
            vtime_ns: CLOCK_START_NS,
            cpus: (0..cpu_cnt).map(|_| Cpu::new()).collect(),
            tasks: specs
                .iter()
                .enumerate()
                .map(|(idx, &spec)| Task::new(spec, idx % cpu_cnt, CLOCK_START_NS))
                .collect(),
            llcs: vec![Llc::default()],
            node_llc_cnt: usize::MAX,
            idle_cpus: (0..cpu_cnt).collect(),
            locks: (0..lock_cnt.map_or(0, |lock| lock + 1))
                .map(|_| Lock::default())
                .collect(),
            hurried: None,
            display: None,
            window: InputWindow::default(),
            events: BinaryHeap::new(),
            event_cnt: 0,
            rng: Rng(seed),
            parts: Parts::ALL,
            preempt_cnt: 0,
            wakeup_cnt: 0,
            used_cnt: 0,
            stolen: Stolen::default(),
            effort: Effort::default(),
            placed: Placed::default(),
            fingerprint: Fingerprint::default(),
        };
        let woken: BTreeSet<_> = specs.iter().filter_map(|spec| spec.wakes).collect();
        for (task, spec) in specs.iter().enumerate() {
            if !woken.contains(&task) && !matches!(spec.pattern, Pattern::Stage { .. }) {
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

    /// Advances to `end_ns` of virtual time; panics if a CPU idles beside a task it could run, or
    /// steals in another order than it should.
    pub(crate) fn run(mut self, end_ns: u64) -> Self {
        while let Some(&Reverse((at_ns, _, event))) = self.events.peek() {
            if at_ns > end_ns {
                break;
            }
            self.events.pop();
            self.now_ns = at_ns;
            match event {
                Event::Wake(task) => self.on_wake(task),
                Event::RunEnd(cpu, run) if self.cpus[cpu].run_idx == run => self.on_run_end(cpu),
                Event::RunEnd(..) => {}
                Event::Refresh => self.on_refresh(),
            }
            self.assert_no_cpu_idles_beside_work();
        }
        self.now_ns = end_ns;
        let own_queues = self.cpus.iter().map(|cpu| &cpu.own_queue);
        let queues = self.llcs.iter().map(|llc| &llc.queue).chain(own_queues);
        for task in queues.flat_map(Queue::tasks) {
            let task = &mut self.tasks[task];
            task.wait_max_ns = task.wait_max_ns.max(end_ns - task.wait_start_ns);
        }
        self
    }

    fn assert_no_cpu_idles_beside_work(&self) {
        if self.idle_cpus.is_empty() {
            return;
        }
        let shared_work: Vec<_> = self.llcs.iter().flat_map(|llc| llc.queue.tasks()).collect();
        for &cpu in &self.idle_cpus {
            assert!(
                self.cpus[cpu].own_queue.is_empty()
                    && !shared_work.iter().any(|&task| self.may_run(task, cpu)),
                "CPU {cpu} idles at {} ns",
                self.now_ns
            );
        }
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

    pub(crate) fn push_event(&mut self, at_ns: u64, event: Event) {
        self.event_cnt += 1;
        self.events.push(Reverse((at_ns, self.event_cnt, event)));
    }

    pub(crate) fn clock_ns(&self) -> u64 {
        CLOCK_START_NS.wrapping_add(self.now_ns)
    }
}

/// From sleep to a queue or a CPU.
impl Machine {
    fn on_wake(&mut self, task: usize) {
        let spec = self.tasks[task].spec;
        if let Pattern::Periodic { period_ns, .. } = spec.pattern {
            self.push_event(self.now_ns + period_ns, Event::Wake(task));
        }
        if spec.reads_input {
            self.note_input();
        }
        self.wake(task);
    }

    /// More is due for the task: it wakes, or does one run more when it is done with the present one.
    pub(crate) fn wake(&mut self, task: usize) {
        self.tasks[task].due_cnt += 1;
        if self.tasks[task].due_cnt == 1 {
            self.begin_work(task);
            self.resume(task);
        }
    }

    fn begin_work(&mut self, task: usize) {
        let run_ns = match self.tasks[task].spec.pattern {
            Pattern::Hog => u64::MAX,
            Pattern::Periodic { run_ns, .. } | Pattern::Stage { run_ns } => run_ns,
            Pattern::Burst { run_ns, .. } => self.rng.range(run_ns / 2, run_ns * 3 / 2),
        };
        let task_ctx = &mut self.tasks[task];
        task_ctx.run_ns = run_ns;
        task_ctx.run_left_ns = run_ns;
        task_ctx.quarters_done = 0;
    }

    /// A sleeper, or who has waited for a lock, goes to a CPU or into a queue.
    pub(crate) fn resume(&mut self, task: usize) {
        let clock_ns = self.clock_ns();
        let (vtime_ns, credit_ns) = (self.vtime_ns, self.parts.credit_ns());
        let task_ctx = &mut self.tasks[task];
        rate_wake(&mut task_ctx.rate, clock_ns, task_ctx.awake_run_ns);
        task_ctx.woken = true;
        task_ctx.recent_run_ns = 0;
        task_ctx.awake_run_ns = 0;
        task_ctx.yield_cnt = 0;
        task_ctx.vruntime_ns =
            vruntime_clamp(task_ctx.vruntime_ns, vtime_ns, credit_ns, WAIT_BOUND_NS);
        self.recheck_inherited(task);
        self.set_deadline(task);
        self.tasks[task].wait_start_ns = self.now_ns;
        if let Some(cpu) = self.direct_cpu(task) {
            self.note_placed(task, cpu);
            self.begin_turn(cpu, task);
        } else if self.packs_home(task) {
            let home = self.tasks[task].cpu;
            self.cpus[home].packed = Some(task);
        } else {
            self.insert(task);
            self.place(task);
        }
    }

    pub(crate) fn queue_of(&mut self, task: usize) -> &mut Queue {
        let Task { cpu, spec, .. } = self.tasks[task];
        match spec.pinned_cpu {
            Some(cpu) => &mut self.cpus[cpu].own_queue,
            None => &mut self.llcs[self.cpus[cpu].llc].queue,
        }
    }

    pub(crate) fn insert(&mut self, task: usize) {
        self.tasks[task].wait_start_ns = self.now_ns;
        self.event_cnt += 1;
        let (arrival, deadline_ns) = (self.event_cnt, self.tasks[task].deadline_ns);
        self.queue_of(task).insert(deadline_ns, arrival, task);
    }

    /// Finds a CPU for a task that has just been inserted: an idle one, or one to preempt.
    pub(crate) fn place(&mut self, task: usize) {
        if let Some(idle) = self.idle_cpu_for(task) {
            if self.tasks[task].woken {
                self.note_placed(task, idle);
            }
            self.dispatch(idle, None);
        } else if let Some(cpu) = self.victim_for(task) {
            self.preempt_cnt += 1;
            self.settle(cpu);
            self.end_run(cpu);
        }
    }
}

/// A turn on a CPU.
impl Machine {
    /// As another task than before.
    pub(crate) fn begin_turn(&mut self, cpu: usize, task: usize) {
        self.judge_turn(task);
        let task_ctx = &mut self.tasks[task];
        let wait_ns = self.now_ns - task_ctx.wait_start_ns;
        task_ctx.wait_max_ns = task_ctx.wait_max_ns.max(wait_ns);
        if task_ctx.woken {
            task_ctx.wakeup_waits_ns.push(wait_ns);
        }
        self.start(cpu, task);
    }

    pub(crate) fn start(&mut self, cpu: usize, task: usize) {
        let Llc { queue, regime, .. } = &self.llcs[self.cpus[cpu].llc];
        let by_role = self.parts.has(Feature::RoleSlices);
        let background = self.tasks[task].spec.background;
        let divides = regime.busy && (!by_role || slice_divides(self.role_boost(task), background));
        let waiting_cnt = queue.len() + self.cpus[cpu].own_queue.len();
        let slice_ns = slice_ns(
            SLICE_NS,
            self.parts.slice_ns_min(),
            count(waiting_cnt),
            count(self.cpus_of_llc(self.cpus[cpu].llc).len()),
            divides,
        );
        let was_idle = self.idle_cpus.remove(&cpu);
        self.wakeup_cnt += u64::from(was_idle);
        self.fingerprint.add([self.now_ns, cpu as u64, task as u64]);
        self.note_use(cpu);
        self.tasks[task].cpu = cpu;
        let running = &mut self.cpus[cpu];
        running.running = Some(task);
        running.run_start_ns = self.now_ns;
        running.settled_ns = self.now_ns;
        running.slice_end_ns = (self.now_ns + slice_ns).next_multiple_of(TICK_NS);
        self.follow_load(cpu, task);
        self.expect_run_end(cpu);
        if was_idle {
            self.change_pace(self.cpus[cpu].sibling);
        }
    }

    fn on_run_end(&mut self, cpu: usize) {
        let task = self.cpus[cpu].running.expect("BUG: nothing runs there");
        self.settle(cpu);
        while self.tasks[task].run_left_ns > 0 && self.work_to_next_stop_ns(task) == 0 {
            if !self.pass_quarter(task) {
                return self.end_run(cpu);
            }
            // Who got the lock may have taken the CPU.
            if self.cpus[cpu].running != Some(task) {
                return;
            }
        }
        if self.tasks[task].run_left_ns == 0 || self.now_ns >= self.cpus[cpu].slice_end_ns {
            self.end_run(cpu);
        } else {
            self.expect_run_end(cpu);
        }
    }

    /// Charges the running task and decides what comes next: at the end of a slice or of a
    /// task's work, when it has to wait for a lock, and when an arrival takes the CPU.
    fn end_run(&mut self, cpu: usize) {
        let Some(prev) = self.cpus[cpu].running.take() else {
            return;
        };
        let ran_ns = self.now_ns - self.cpus[cpu].run_start_ns;
        self.fingerprint.add([self.now_ns, cpu as u64, ran_ns]);
        self.note_run(cpu, prev, ran_ns);
        let task_ctx = &mut self.tasks[prev];
        self.vtime_ns = vtime_advance(self.vtime_ns, task_ctx.vruntime_ns, ran_ns);
        let charge = charge_ns(ran_ns, task_ctx.inv_weight);
        task_ctx.vruntime_ns = task_ctx.vruntime_ns.wrapping_add(charge);
        task_ctx.recent_run_ns = task_ctx.recent_run_ns.saturating_add(charge);
        task_ctx.awake_run_ns += ran_ns;
        task_ctx.ran_ns += ran_ns;
        task_ctx.woken = false;

        if task_ctx.run_left_ns == 0 {
            self.finish_work(cpu, prev);
        }
        self.recheck_inherited(prev);
        let runs_on = self.tasks[prev].due_cnt > 0 && self.tasks[prev].waits_for.is_none();
        if !runs_on {
            self.tasks[prev].loan = 0;
        }
        let hurried = self.hurried.take();
        self.dispatch(cpu, runs_on.then_some(prev));
        if let Some(heir) = hurried.filter(|&heir| self.queue_of(heir).holds(heir)) {
            self.place(heir);
        }
    }

    /// The task's work is done: it wakes the next stage, and sleeps unless more is due or it has to spin.
    fn finish_work(&mut self, cpu: usize, task: usize) {
        let spec = self.tasks[task].spec;
        if spec
            .spins_for
            .is_some_and(|other| self.tasks[other].due_cnt > 0)
        {
            self.tasks[task].run_left_ns = YIELD_NS;
            self.note_yield(cpu, task);
            return;
        }
        self.tasks[task].due_cnt -= 1;
        self.tasks[task].done_cnt += 1;
        if self.tasks[task].due_cnt > 0 {
            self.begin_work(task);
        }
        if let Pattern::Burst { sleep_ns, .. } = spec.pattern {
            let sleep_ns = self.rng.range(sleep_ns / 2, sleep_ns * 3 / 2);
            self.push_event(self.now_ns + sleep_ns, Event::Wake(task));
        }
        if spec.frames == Frames::Shows {
            self.ask_for_flip();
        }
        if let Some(stage) = spec.wakes {
            if self.tasks[stage].due_cnt == 0 {
                self.lend_boost(task, stage);
            }
            self.wake(stage);
        }
    }
}
