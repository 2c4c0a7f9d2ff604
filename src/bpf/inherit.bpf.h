/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inheritance: what the sync detector tells the scheduler of waits for locks whose holder is known.
 *
 * A holder has a list of waiters (`lock_holds`, policy_inherit.h), and the boost of the most urgent one in
 * its task context. The wait's hook puts the waiter there and takes it out again; if the holder waits
 * itself, the boost goes on to the next. What a hook has missed, because the kernel left it out or a task
 * died in its wait, the scheduler finds when it looks at the holder's roles (recheck_inherited).
 */
#ifndef SCX_GAMER_INHERIT_BPF_H
#define SCX_GAMER_INHERIT_BPF_H

#include "evidence.bpf.h"
#include "locks.bpf.h"
#include "task_ctxs.bpf.h"

/* A task that waits, and for whom. */
struct wait_link {
	u64 lock;
	u32 waiter;
	u32 holder;
	u32 boost;
};

/* Makes the holder inherit. If it waits itself, @link becomes that wait; else its holder is 0. */
static __always_inline void raise(struct task_struct *holder, struct wait_link *link)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, holder, NULL, 0);
	struct lock_hold *hold =
	    bpf_task_storage_get(&lock_holds, holder, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct lock_wait *wait;
	u32 place;

	link->holder = 0;
	if (!tctx || !hold)
		return;
	place = policy_waiter_place(hold->waiters, link->waiter, link->boost);
	if (place >= POLICY_WAITERS_MAX)
		return;
	/* What was handed on to it meanwhile may be more. */
	if (hold->waiters[place].pid == link->waiter)
		link->boost = policy_max(link->boost, hold->waiters[place].boost);
	hold->waiters[place].boost = link->boost;
	hold->waiters[place].lock = link->lock;
	hold->waiters[place].pid = link->waiter;
	if (tctx->inherited < link->boost)
		tctx->inherited = link->boost;
	wait = bpf_task_storage_get(&lock_waits, holder, NULL, 0);
	if (!wait || !wait->since_ns || !wait->holder)
		return;
	wait->boost = policy_max(wait->boost, link->boost);
	link->lock = wait->lock;
	link->waiter = holder->pid;
	link->holder = wait->holder;
}

/* One step along a row of locks; whether there is a next. A function of its own: verified once. */
__noinline bool raise_next(struct wait_link *link __arg_nonnull)
{
	struct task_struct *holder = bpf_task_from_pid(link->holder);

	if (!holder)
		return false;
	raise(holder, link);
	bpf_task_release(holder);
	return link->holder != 0;
}

/* The task does not wait for @holder any more. */
static __always_inline void take_out(struct task_struct *holder, u32 waiter)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, holder, NULL, 0);
	struct lock_hold *hold = bpf_task_storage_get(&lock_holds, holder, NULL, 0);

	if (!tctx || !hold)
		return;
	for (u32 i = 0; i < POLICY_WAITERS_MAX; i++) {
		if (hold->waiters[i].pid == waiter)
			hold->waiters[i].pid = 0;
	}
	tctx->inherited = policy_inherited(hold->waiters);
}

#endif
