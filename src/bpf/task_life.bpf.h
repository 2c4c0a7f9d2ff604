/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A task's life under this scheduler: its context is made when it is born (or when the
 * scheduler is attached) and follows its weight, its affinity, its waking and sleeping.
 */
#ifndef SCX_GAMER_TASK_LIFE_BPF_H
#define SCX_GAMER_TASK_LIFE_BPF_H

#include "context.bpf.h"
#include "queue.bpf.h"
#include "roles.bpf.h"

static __always_inline s32 make_task_ctx(struct task_struct *p)
{
	struct task_ctx *tctx =
	    bpf_task_storage_get(&task_ctxs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!tctx)
		return -ENOMEM;
	/* All of it: it may be left from a scheduler before this one. */
	*tctx = (struct task_ctx){
	    .vruntime_ns = vtime.now_ns,
	    .inv_weight = policy_inv_weight(POLICY_WEIGHT_DEFAULT),
	    .queue_idx = QUEUE_NONE,
	    /* It may run before it is queued: the kernel attaches us with a queue of its own. */
	    .role = ROLE_NORMAL,
	    .pinned = p->nr_cpus_allowed == 1,
	};
	return 0;
}

/* The task comes under this scheduler (again): what it had elsewhere does not count. */
static __always_inline void adopt_task(struct task_struct *p, struct task_ctx *tctx)
{
	tctx->vruntime_ns = vtime.now_ns;
	tctx->inv_weight = policy_inv_weight(p->scx.weight);
	tctx->recent_run_ns = recent_run_counts ? POLICY_NEWBORN_RUN_NS : 0;
	tctx->awake_run_ns = 0;
	tctx->inherited = 0;
	tctx->pinned = p->nr_cpus_allowed == 1;
}

/* A function of its own, so that it is verified once and not for each way through enqueue. */
__noinline int note_wakeup(struct policy_rate *rate __arg_nonnull, u64 now_ns, u64 ran_ns)
{
	policy_rate_wake(rate, now_ns, ran_ns);
	return 0;
}

/*
 * From here on the task waits for a CPU, if it did not yet. There is no ops.runnable: what has to
 * be done is done once, where the task is queued.
 */
static __always_inline void begin_wait(struct task_struct *p, struct task_ctx *tctx, u64 enq_flags,
				       u64 now_ns)
{
	u64 credit_ns = POLICY_LAG_NS_MAX;

	if (enq_flags & SCX_ENQ_WAKEUP) {
		if (rates_count)
			note_wakeup(&tctx->rate, now_ns, tctx->awake_run_ns);
		tctx->recent_run_ns = 0;
		tctx->awake_run_ns = 0;
		tctx->yield_cnt = 0;
		credit_ns = sleep_credit_ns;
	}
	tctx->vruntime_ns = policy_vruntime_clamp(tctx->vruntime_ns, vtime.now_ns, credit_ns,
						  wait_bound_ns);
	if (!tctx->since_ns)
		tctx->since_ns = now_ns;
	refresh_roles(p, tctx, now_ns);
}

static __always_inline void put_task_to_rest(struct task_ctx *tctx)
{
	leave_queue(tctx);
	tctx->since_ns = 0;
}

#endif
