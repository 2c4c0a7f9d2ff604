//! A machine of N CPUs that share one cache, on a virtual clock: a discrete-event simulation
//! which asks the policy core the same questions, at the same moments, as the BPF scheduler.
//!
//! Left out on purpose: the cost of switches and kicks, several LLCs, the light regime, windows.
//! The scheduler clock and the virtual time begin one second before their wrap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use scx_gamer::policy::{
    DeadlineInput, Pick, PickInput, Preempt, PreemptInput, boost_earned, charge_ns, deadline_ns,
    delta_ns, pick, preempt, slice_ns, span_ns, vruntime_clamp, vtime_advance,
};

use crate::parts::Parts;
use crate::script::{MS, Pattern, Rng, SEC, Spec, Task};

pub(crate) const SLICE_NS: u64 = 3 * MS;
pub(crate) const SLICE_NS_MIN: u64 = MS / 2;
const WAIT_BOUND_NS: u64 = 300 * MS;
/// The kernel notices the end of a slice at its tick only (250 Hz, the slowest in common use).
const TICK_NS: u64 = 4 * MS;
/// The longest unbroken turn beside others that wait.
pub(crate) const TURN_NS_MAX: u64 = SLICE_NS + TICK_NS;
const CLOCK_START_NS: u64 = u64::MAX - SEC;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake(usize),
    /// The run of this number on this CPU ends: its slice, or what the task had to do.
    RunEnd(usize, u64),
}

#[derive(Debug, Default)]
struct Cpu {
    running: Option<usize>,
    run_start_ns: u64,
    /// Tells a `RunEnd` that is out of date: its run was cut short.
    run_idx: u64,
    own_queue: Vec<usize>,
}

pub(crate) struct Machine {
    now_ns: u64,
    vtime_ns: u64,
    cpus: Vec<Cpu>,
    pub(crate) tasks: Vec<Task>,
    llc_queue: Vec<usize>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    event_cnt: u64,
    rng: Rng,
    parts: Parts,
    pub(crate) preempt_cnt: u64,
}

impl Machine {
    /// All tasks wake for the first time within the first 20 ms.
    pub(crate) fn new(cpu_cnt: usize, seed: u64, specs: &[Spec]) -> Self {
        let mut machine = Self {
            now_ns: 0,
            vtime_ns: CLOCK_START_NS,
            cpus: (0..cpu_cnt).map(|_| Cpu::default()).collect(),
            tasks: specs
                .iter()
                .map(|&spec| Task::new(spec, CLOCK_START_NS))
                .collect(),
            llc_queue: Vec::new(),
            events: BinaryHeap::new(),
            event_cnt: 0,
            rng: Rng(seed),
            parts: Parts::ALL,
            preempt_cnt: 0,
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

    /// Advances to `end_ns` of virtual time; panics if a CPU idles beside a task it could run.
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
            for (idx, cpu) in self.cpus.iter().enumerate() {
                let work_waits = !self.llc_queue.is_empty() || !cpu.own_queue.is_empty();
                assert!(
                    cpu.running.is_some() || !work_waits,
                    "CPU {idx} idles at {at_ns} ns"
                );
            }
        }
        self.now_ns = end_ns;
        for task in self
            .llc_queue
            .iter()
            .chain(self.cpus.iter().flat_map(|cpu| &cpu.own_queue))
        {
            let task = &mut self.tasks[*task];
            task.wait_max_ns = task.wait_max_ns.max(end_ns - task.wait_start_ns);
        }
        self
    }

    /// The longest that this task may wait: after one wait bound, whatever still stands ahead of
    /// it gets one turn each, on all CPUs (a pinned task: in the worst case all on its own).
    pub(crate) fn wait_limit_ns(&self, task: usize) -> u64 {
        let ahead_cnt = self.tasks.len() as u64;
        let cpu_cnt = self.tasks[task]
            .spec
            .pinned_cpu
            .map_or(self.cpus.len() as u64, |_| 1);
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
            boost: self.boost(task),
            near_flip_16ths: 0,
            in_window: false,
        };
        self.tasks[task].deadline_ns = deadline_ns(&input);
        self.tasks[task].span_ns = span_ns(&input);
    }

    fn boost(&self, task: usize) -> u32 {
        if !self.parts.boosts {
            return 0;
        }
        boost_earned(self.tasks[task].spec.boost, self.tasks[task].awake_run_ns)
    }

    fn insert(&mut self, task: usize) {
        self.tasks[task].wait_start_ns = self.now_ns;
        match self.tasks[task].spec.pinned_cpu {
            Some(cpu) => self.cpus[cpu].own_queue.push(task),
            None => self.llc_queue.push(task),
        }
    }

    fn allowed_cpus(&self, task: usize) -> std::ops::Range<usize> {
        self.tasks[task]
            .spec
            .pinned_cpu
            .map_or(0..self.cpus.len(), |cpu| cpu..cpu + 1)
    }

    /// Finds a CPU for a task that has just been inserted: an idle one, or one to preempt.
    fn place(&mut self, task: usize) {
        let mut victims: Vec<usize> = self.allowed_cpus(task).collect();
        if let Some(&idle) = victims
            .iter()
            .find(|&&cpu| self.cpus[cpu].running.is_none())
        {
            return self.dispatch(idle, None);
        }
        if !self.parts.preempts {
            return;
        }
        let span_ns = |cpu: &usize| self.cpus[*cpu].running.map(|task| self.tasks[task].span_ns);
        victims.sort_by_key(|cpu| Reverse(span_ns(cpu)));
        let victim = victims
            .into_iter()
            .find(|&cpu| self.verdict(task, cpu) == Preempt::Yes);
        if let Some(cpu) = victim.filter(|_| self.tasks[task].woken) {
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
        })
    }

    /// Charges the running task and decides what comes next: at the end of a slice or of a
    /// task's work, and when an arrival takes the CPU.
    fn end_run(&mut self, cpu: usize) {
        let Some(prev) = self.cpus[cpu].running.take() else {
            return;
        };
        let ran_ns = self.now_ns - self.cpus[cpu].run_start_ns;
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

    /// Position of the earliest deadline; at a tie the one that came first.
    fn head(&self, queue: &[usize]) -> Option<usize> {
        let until_ns = |task: &usize| delta_ns(self.tasks[*task].deadline_ns, self.clock_ns());
        (0..queue.len()).min_by_key(|&idx| until_ns(&queue[idx]))
    }

    fn dispatch(&mut self, cpu: usize, prev: Option<usize>) {
        if let Some(prev) = prev {
            self.set_deadline(prev);
        }
        let own = self.head(&self.cpus[cpu].own_queue);
        let llc = self.head(&self.llc_queue);
        let deadline = |task: Option<usize>| task.map_or(0, |task| self.tasks[task].deadline_ns);
        let picked = pick(&PickInput {
            prev_deadline_ns: deadline(prev),
            own_deadline_ns: deadline(own.map(|idx| self.cpus[cpu].own_queue[idx])),
            llc_deadline_ns: deadline(llc.map(|idx| self.llc_queue[idx])),
            prev_runnable: prev.is_some(),
            own_waiting: own.is_some(),
            llc_waiting: llc.is_some(),
        });
        let next = match picked {
            Pick::None => None,
            Pick::Prev => prev,
            Pick::Own => own.map(|idx| self.cpus[cpu].own_queue.remove(idx)),
            Pick::Llc => llc.map(|idx| self.llc_queue.remove(idx)),
        };
        if let Some(task) = next {
            if picked != Pick::Prev {
                self.note_wait(task);
            }
            self.start(cpu, task);
        }
        if let Some(prev) = prev.filter(|_| picked != Pick::Prev) {
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
        let waiting_cnt = self.llc_queue.len() + self.cpus[cpu].own_queue.len();
        let count = |value: usize| u32::try_from(value).expect("BUG: more than 2^32 tasks");
        let slice_ns = slice_ns(
            SLICE_NS,
            self.parts.slice_ns_min,
            count(waiting_cnt),
            count(self.cpus.len()),
            true,
        );
        let slice_end_ns = (self.now_ns + slice_ns).next_multiple_of(TICK_NS);
        let end_ns = slice_end_ns.min(self.now_ns.saturating_add(self.tasks[task].run_left_ns));
        let running = &mut self.cpus[cpu];
        running.running = Some(task);
        running.run_start_ns = self.now_ns;
        running.run_idx += 1;
        let run_idx = running.run_idx;
        self.push_event(end_ns, Event::RunEnd(cpu, run_idx));
    }
}
