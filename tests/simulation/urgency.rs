//! How urgent a task is: its boost, from its roles and whatever adds to it, and its deadline.

use scx_gamer::config::Feature;
use scx_gamer::policy::{
    DeadlineInput, boost_earned, boost_loan, boost_with_loan, crowd_ns, deadline_ns, delta_ns,
    miss_due_ns, miss_is_late, miss_next, miss_raise, rate_boost, span_ns,
};

use crate::cpus::Cpu;
use crate::machine::{CLOCK_START_NS, Machine, SLICE_NS, WAIT_BOUND_NS};
use crate::script::{Task, count};

impl Machine {
    pub(crate) fn set_deadline(&mut self, task: usize) {
        let input = self.deadline_input(task);
        self.tasks[task].deadline_ns = deadline_ns(&input);
        self.tasks[task].span_ns = span_ns(&input);
    }

    fn deadline_input(&self, task: usize) -> DeadlineInput {
        let task_ctx = &self.tasks[task];
        let boost = self.boost(task);
        DeadlineInput {
            now_ns: self.clock_ns(),
            lag_ns: delta_ns(task_ctx.vruntime_ns, self.vtime_ns),
            recent_run_ns: if self.parts.has(Feature::RecentRun) {
                task_ctx.recent_run_ns
            } else {
                0
            },
            wait_bound_ns: WAIT_BOUND_NS,
            head_start_ns: self.parts.head_start_ns(),
            background_ns: if task_ctx.spec.background {
                self.parts.background_ns()
            } else {
                0
            },
            crowd_ns: if self.parts.has(Feature::Crowd) {
                self.crowd_ns(task_ctx.cpu)
            } else {
                0
            },
            boost,
            near_flip_16ths: if boost > 0 {
                self.near_flip_16ths(task)
            } else {
                0
            },
            serves_others: false,
            in_window: self.in_window(boost),
        }
    }

    /// What a round of the queue takes that the CPUs of a cache share.
    fn crowd_ns(&self, cpu: usize) -> u64 {
        let llc = self.cpus[cpu].llc;
        let cpu_cnt = count(self.cpus_of_llc(llc).len());
        crowd_ns(count(self.llcs[llc].queue.len()), cpu_cnt, SLICE_NS)
    }

    /// What counts of the boost that the task has earned.
    pub(crate) fn boost(&self, task: usize) -> u32 {
        let earned = self.earned_boost(task);
        let Cpu {
            llc,
            own_queue,
            own_admission,
            ..
        } = &self.cpus[self.tasks[task].cpu];
        let mut floor = self.llcs[*llc].admission.floor;
        if !own_queue.is_empty() {
            floor = floor.max(own_admission.floor);
        }
        if earned < floor { 0 } else { earned }
    }

    /// By its roles and its beat.
    pub(crate) fn role_boost(&self, task: usize) -> u32 {
        let Task { spec, rate, .. } = &self.tasks[task];
        let by_roles = if self.parts.has(Feature::Boost) {
            spec.boost
        } else {
            0
        };
        if self.parts.has(Feature::Rates) && !spec.background {
            by_roles.max(rate_boost(rate))
        } else {
            by_roles
        }
    }

    /// How far late turns raise what the task has earned.
    fn raised_by(&self, task: usize) -> u32 {
        if !self.parts.has(Feature::Misses) {
            return 0;
        }
        let Task {
            awake_run_ns,
            missed,
            ..
        } = self.tasks[task];
        let earned = boost_earned(self.role_boost(task), awake_run_ns);
        miss_raise(earned, missed) - earned
    }

    /// Whether or not it is admitted.
    pub(crate) fn earned_boost(&self, task: usize) -> u32 {
        let Task {
            awake_run_ns,
            loan,
            inherited,
            ..
        } = self.tasks[task];
        let earned = boost_earned(self.role_boost(task), awake_run_ns) + self.raised_by(task);
        boost_with_loan(earned, loan, awake_run_ns).max(inherited)
    }

    /// A running task wakes another. The kernel does not ask for a CPU where there is only one.
    pub(crate) fn lend_boost(&mut self, lender: usize, task: usize) {
        let loan = boost_loan(self.boost(lender));
        if self.parts.has(Feature::Loans)
            && self.tasks[task].spec.pinned_cpu.is_none()
            && self.role_boost(task) < loan
        {
            self.tasks[task].loan = loan;
            self.tasks[task].loan_cnts[loan as usize] += 1;
        }
    }

    /// A turn begins after a wait in a queue: is it late?
    pub(crate) fn judge_turn(&mut self, task: usize) {
        // Steps that are not admitted have shortened nothing, nor those below what is inherited.
        let counts = self.boost(task) > 0 && self.tasks[task].inherited < self.earned_boost(task);
        let raised = if counts { self.raised_by(task) } else { 0 };
        let clock_ns = self.clock_ns();
        let task_ctx = &mut self.tasks[task];
        let since_ns = CLOCK_START_NS.wrapping_add(task_ctx.wait_start_ns);
        let due_ns = miss_due_ns(since_ns, task_ctx.deadline_ns, raised);
        let late = miss_is_late(clock_ns, due_ns);
        task_ctx.missed = miss_next(task_ctx.missed, late);
        task_ctx.late_cnt += u64::from(late);
        let late_ns = u64::try_from(delta_ns(clock_ns, task_ctx.deadline_ns)).unwrap_or(0);
        task_ctx.late_max_ns = task_ctx.late_max_ns.max(late_ns);
    }
}
