//! Locks: who holds them, who waits for them, and the boost that goes from these to those.

use std::collections::VecDeque;

use scx_gamer::config::Feature;
use scx_gamer::policy::{Waiter, delta_ns, inherited, wait_counts, waiter_place};

use crate::machine::Machine;
use crate::script::{Task, count};

/// Locks in a row along which a boost is handed on (`POLICY_INHERIT_CHAIN_MAX`).
const CHAIN_MAX: usize = 4;

/// Handed over in the order in which they came to wait.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    holder: Option<usize>,
    waiters: VecDeque<usize>,
}

fn pid(task: usize) -> u32 {
    count(task) + 1
}

impl Machine {
    /// The work that is left until the run's end, or until something happens to a lock.
    pub(crate) fn work_to_next_stop_ns(&self, task: usize) -> u64 {
        let task_ctx = &self.tasks[task];
        if task_ctx.spec.locks == [None; 2] || task_ctx.quarters_done == 3 {
            return task_ctx.run_left_ns;
        }
        let stop_ns = task_ctx.run_ns / 4 * (task_ctx.quarters_done + 1);
        stop_ns.saturating_sub(task_ctx.run_ns - task_ctx.run_left_ns)
    }

    /// The task has come to the end of a quarter of its run; false: it has to wait for a lock.
    pub(crate) fn pass_quarter(&mut self, task: usize) -> bool {
        let task_ctx = &mut self.tasks[task];
        task_ctx.quarters_done += 1;
        let locks = task_ctx.spec.locks;
        match task_ctx.quarters_done {
            1 => locks[0].is_none_or(|lock| self.take_lock(task, lock)),
            2 => locks[1].is_none_or(|lock| self.take_lock(task, lock)),
            _ => {
                for lock in locks.into_iter().flatten() {
                    self.let_go(task, lock);
                }
                true
            }
        }
    }

    fn take_lock(&mut self, task: usize, lock: usize) -> bool {
        let Lock { holder, waiters } = &mut self.locks[lock];
        let Some(holder) = *holder else {
            *holder = Some(task);
            return true;
        };
        waiters.push_back(task);
        self.tasks[task].waits_for = Some((lock, self.now_ns));
        if self.parts.has(Feature::Inheritance) {
            self.hand_on_boost(task, lock, holder);
        }
        false
    }

    /// The boost of the one who waits goes to the holder, and to whom that waits for itself.
    fn hand_on_boost(&mut self, task: usize, lock: usize, holder: usize) {
        let boost = self.role_boost(task).max(self.tasks[task].inherited);
        if boost == 0 {
            return;
        }
        let mut link = (task, lock, holder);
        for _ in 0..CHAIN_MAX {
            let (waiter, lock, holder) = link;
            self.raise(holder, waiter, lock, boost);
            let next = self.tasks[holder]
                .waits_for
                .and_then(|(lock, _)| self.locks[lock].holder.map(|next| (holder, lock, next)));
            match next {
                Some(next) => link = next,
                None => break,
            }
        }
        self.hurry(link.2);
    }

    fn raise(&mut self, holder: usize, waiter: usize, lock: usize, boost: u32) {
        let heir = &mut self.tasks[holder];
        let Some(place) = waiter_place(&heir.waiters, pid(waiter), boost) else {
            return;
        };
        heir.waiters[place] = Waiter {
            pid: pid(waiter),
            boost,
            lock: lock as u64,
        };
        heir.inherited = inherited(&heir.waiters);
    }

    /// Forgets those who wait too long, as the scheduler does when it looks at roles again.
    pub(crate) fn recheck_inherited(&mut self, task: usize) {
        if self.tasks[task].inherited == 0 {
            return;
        }
        for place in 0..self.tasks[task].waiters.len() {
            let pid = self.tasks[task].waiters[place].pid;
            let waits_for = match pid {
                0 => None,
                pid => self.tasks[pid as usize - 1].waits_for,
            };
            let counts =
                waits_for.is_some_and(|(_, since_ns)| wait_counts(delta_ns(self.now_ns, since_ns)));
            if !counts {
                self.tasks[task].waiters[place].pid = 0;
            }
        }
        self.tasks[task].inherited = inherited(&self.tasks[task].waiters);
    }

    /// Gives the lock to who has waited for it longest; the others wait for that one.
    fn let_go(&mut self, task: usize, lock: usize) {
        let heir = self.locks[lock].waiters.pop_front();
        self.locks[lock].holder = heir;
        let Some(heir) = heir else { return };
        if let Some((_, since_ns)) = self.tasks[heir].waits_for.take() {
            self.tasks[heir].lock_waits_ns.push(self.now_ns - since_ns);
        }
        for place in 0..self.tasks[task].waiters.len() {
            let waiter = self.tasks[task].waiters[place];
            if waiter.pid == 0 || waiter.lock != lock as u64 {
                continue;
            }
            self.tasks[task].waiters[place].pid = 0;
            if waiter.pid != pid(heir) {
                self.raise(heir, waiter.pid as usize - 1, lock, waiter.boost);
            }
        }
        self.tasks[task].inherited = inherited(&self.tasks[task].waiters);
        self.assert_inherits_from_waiters_only(task);
        self.assert_inherits_from_waiters_only(heir);
        self.resume(heir);
    }

    fn assert_inherits_from_waiters_only(&self, task: usize) {
        let Task {
            waiters, inherited, ..
        } = &self.tasks[task];
        let waits_for_it = |waiter: &Waiter| {
            let waits_for = self.tasks[waiter.pid as usize - 1].waits_for;
            waits_for.is_some_and(|(lock, _)| self.locks[lock].holder == Some(task))
        };
        let mut remembered = waiters.iter().filter(|waiter| waiter.pid > 0);
        assert!(
            *inherited == 0 || remembered.all(waits_for_it),
            "task {task}"
        );
    }

    /// A task that has just inherited boost moves up in the queue in which it waits.
    fn hurry(&mut self, task: usize) {
        let queue = self.queue_of(task);
        if queue.take_first(|waiting| waiting == task).is_none() {
            return;
        }
        let before_ns = self.tasks[task].deadline_ns;
        let since_ns = self.tasks[task].wait_start_ns;
        self.set_deadline(task);
        if delta_ns(self.tasks[task].deadline_ns, before_ns) >= 0 {
            self.tasks[task].deadline_ns = before_ns;
        }
        self.insert(task);
        self.tasks[task].wait_start_ns = since_ns;
        self.hurried = Some(task);
    }
}
