//! What a CPU that needs work takes.

use scx_gamer::config::Feature;
use scx_gamer::policy::{
    Pick, PickInput, YIELD_SPIN_CNT, pick, steal_before, steal_first, yield_gives_way,
};

use crate::cpus::Cpu;
use crate::machine::Machine;

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

impl Machine {
    pub(crate) fn dispatch(&mut self, cpu: usize, prev: Option<usize>) {
        if let Some(task) = self.cpus[cpu].packed.take() {
            self.put_off(prev, false);
            return self.begin_turn(cpu, task);
        }
        self.effort.dispatch_cnt += 1;
        if let Some(prev) = prev {
            self.set_deadline(prev);
        }
        let gives_way = prev.is_some_and(|prev| self.gives_way(cpu, prev));
        self.cpus[cpu].yields = false;
        match self.choose(cpu, prev, gives_way) {
            next if next == prev && prev.is_some() => {
                self.start(cpu, prev.expect("BUG: just seen"))
            }
            Some(next) => {
                self.put_off(prev, gives_way);
                self.begin_turn(cpu, next);
            }
            None => {
                self.idle_cpus.insert(cpu);
                self.change_pace(self.cpus[cpu].sibling);
            }
        }
    }

    fn choose(&mut self, cpu: usize, prev: Option<usize>, gives_way: bool) -> Option<usize> {
        let llc = self.cpus[cpu].llc;
        let own_head = self.cpus[cpu].own_queue.head();
        let llc_head = self.llcs[llc].queue.head();
        let deadline_ns = |task: Option<usize>| task.map_or(0, |task| self.tasks[task].deadline_ns);
        let input = PickInput {
            prev_deadline_ns: deadline_ns(prev),
            own_deadline_ns: deadline_ns(own_head),
            llc_deadline_ns: deadline_ns(llc_head),
            prev_runnable: prev.is_some() && !gives_way,
            own_waiting: own_head.is_some(),
            llc_waiting: llc_head.is_some(),
        };
        self.steal_overdue(cpu, &input)
            .or_else(|| match pick(&input) {
                Pick::None => prev.or_else(|| self.steal(cpu)),
                Pick::Prev => prev,
                Pick::Own => self.cpus[cpu].own_queue.take_head(),
                Pick::Llc => self.llcs[llc].queue.take_head(),
            })
    }

    /// A task that would go on waits, as another is about to run; one that has just yielded puts off nobody.
    fn put_off(&mut self, task: Option<usize>, gave_way: bool) {
        let Some(task) = task else { return };
        self.insert(task);
        if gave_way {
            self.tasks[task].yield_cnt = 0;
            if let Some(idle) = self.idle_cpu_for(task) {
                self.dispatch(idle, None);
            }
        } else {
            self.place(task);
        }
    }

    /// Whether the task that has just yielded lets those who wait for its CPU go first.
    fn gives_way(&self, cpu: usize, prev: usize) -> bool {
        let Cpu {
            llc,
            own_queue,
            yields,
            ..
        } = &self.cpus[cpu];
        let heads = [own_queue.head(), self.llcs[*llc].queue.head()];
        let may_be_waited_for = |task: usize| {
            self.role_boost(task) > 0 || self.tasks[prev].spec.spins_for == Some(task)
        };
        *yields
            && self.parts.has(Feature::Yields)
            && yield_gives_way(
                self.role_boost(prev),
                self.tasks[prev].yield_cnt,
                heads.into_iter().flatten().any(may_be_waited_for),
            )
    }

    pub(crate) fn note_yield(&mut self, cpu: usize, task: usize) {
        self.cpus[cpu].yields = true;
        let yield_cnt = &mut self.tasks[task].yield_cnt;
        *yield_cnt = (*yield_cnt + 1).min(YIELD_SPIN_CNT);
    }
}

/// From other LLCs.
impl Machine {
    /// Takes from another LLC what goes before the queues at home: looks at one, in turn.
    fn steal_overdue(&mut self, cpu: usize, home: &PickInput) -> Option<usize> {
        let llc_cnt = self.llcs.len();
        if llc_cnt == 1 {
            return None;
        }
        self.effort.overdue_look_cnt += 1;
        let Cpu {
            llc, foreign_step, ..
        } = &mut self.cpus[cpu];
        *foreign_step = *foreign_step % (llc_cnt - 1) + 1;
        let other = (*llc + *foreign_step) % llc_cnt;
        let deadline_ns = self.tasks[self.llcs[other].queue.head()?].deadline_ns;
        let overdue = steal_first(home, self.clock_ns(), deadline_ns);
        let task = overdue.then(|| self.take_foreign(cpu, other))??;
        self.stolen.overdue_cnt += 1;
        Some(task)
    }

    fn take_foreign(&mut self, cpu: usize, llc: usize) -> Option<usize> {
        let mut queue = std::mem::take(&mut self.llcs[llc].queue);
        let task = queue.take_first(|task| self.may_run(task, cpu));
        self.llcs[llc].queue = queue;
        task
    }

    /// The other LLCs in which somebody waits, in the order in which they are looked at.
    fn foreign_heads(&self, llc: usize) -> Vec<(usize, bool, u64)> {
        let llc_cnt = self.llcs.len();
        (1..llc_cnt)
            .map(|step| (llc + step) % llc_cnt)
            .filter_map(|other| {
                let head = self.llcs[other].queue.head()?;
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

    /// Of all foreign queues, none that is not empty belongs to a nearer node, and none as near is older:
    /// by the order of the queues' own keys, which do not wrap.
    fn assert_goes_first(&self, llc: usize, stolen: usize) {
        let age = |other: usize| self.llcs[other].queue.head_age();
        for other in (0..self.llcs.len()).filter(|other| *other != llc) {
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
}
