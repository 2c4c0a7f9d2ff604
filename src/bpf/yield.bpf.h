/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Yield: a running task calls sched_yield; dispatch, which comes next on its CPU, then enqueue (if it has
 * given way) treat it accordingly.
 */
#ifndef SCX_GAMER_YIELD_BPF_H
#define SCX_GAMER_YIELD_BPF_H

#include "context.bpf.h"
#include "queue.bpf.h"

static __always_inline void yield_turn(struct task_struct *p, struct task_ctx *tctx)
{
	get_cpu_ctx(scx_bpf_task_cpu(p))->yields = true;
	if (tctx->yield_cnt < POLICY_YIELD_SPIN_CNT)
		tctx->yield_cnt++;
	scx_bpf_task_set_slice(p, 0);
}

/*
 * Whether the head of a queue may be who a task of process @tgid waits for: a thread of the same process, one with
 * a boost, or the kernel's. A function of its own, so that it is verified once.
 */
__noinline bool pipeline_waits(u32 queue_idx, u32 tgid)
{
	u64 dsq = dsq_of_queue(queue_idx);
	struct task_struct *p;
	bool waits = false;

	bpf_for_each(scx_dsq, p, dsq, 0) {
		struct task_ctx *tctx = get_task_ctx(p);

		waits = (u32)p->tgid == tgid || p->flags & PF_KTHREAD || (tctx && tctx->boost);
		break;
	}
	return waits;
}

/* Whether the task that just ran on @cpu lets those who wait there go first. */
static __always_inline bool gives_way(struct task_struct *prev, s32 cpu)
{
	struct task_ctx *tctx;

	if (!get_cpu_ctx(cpu)->yields)
		return false;
	tctx = get_task_ctx(prev);
	return tctx && policy_yield_gives_way(
			   tctx->boost, tctx->yield_cnt,
			   pipeline_waits(QUEUE_OF_CPU(cpu), prev->tgid) ||
			       pipeline_waits(QUEUE_OF_LLC(get_llc(cpu)), prev->tgid));
}

/* Whether a task is queued as it gave way just now: those who come first are chosen already. */
static __always_inline bool gave_way(struct task_ctx *tctx, s32 home_cpu, u64 enq_flags)
{
	if (!get_cpu_ctx(home_cpu)->yields || enq_flags & (SCX_ENQ_WAKEUP | SCX_ENQ_REENQ))
		return false;
	tctx->yield_cnt = 0;
	return true;
}

#endif
