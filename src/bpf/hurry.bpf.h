/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hurry: a task that has just inherited boost may be waiting in a queue; it moves up to where its new
 * deadline belongs. Asked by dispatch on the CPU that the waiter has left, so that the
 * holder may well run there next.
 */
#ifndef SCX_GAMER_HURRY_BPF_H
#define SCX_GAMER_HURRY_BPF_H

#include "accounting.bpf.h"
#include "preempt.bpf.h"

/* Tasks of a queue that are looked at to find the one. */
#define HURRY_SCAN_MAX 512

/* Takes the task with this id out of its queue and puts it back by a new deadline; whether it was there. */
static __always_inline bool move_up(u32 queue_idx, u32 pid, u64 deadline_ns)
{
	u64 dsq = dsq_of_queue(queue_idx);
	struct task_struct *p;
	u32 looked_at = 0;
	bool moved = false;

	bpf_for_each(scx_dsq, p, dsq, 0) {
		if (++looked_at > HURRY_SCAN_MAX)
			break;
		if ((u32)p->pid != pid)
			continue;
		scx_bpf_dsq_move_set_vtime(BPF_FOR_EACH_ITER, deadline_ns);
		moved = scx_bpf_dsq_move_vtime(BPF_FOR_EACH_ITER, p, dsq, 0);
		break;
	}
	return moved;
}

/* The CPUs of other queues than the one that asks are not about to look at theirs. */
static __always_inline void call_for_hurry(struct task_struct *p, const struct arrival *who, s32 cpu)
{
	s32 victim = find_victim(p, who, scx_bpf_task_cpu(p));

	if (victim >= 0 && victim != cpu)
		kick_victim(victim);
}

/* One that runs already is published with its new boost at the next tick. */
static __always_inline void hurry(struct task_struct *p, struct task_ctx *tctx, s32 cpu)
{
	struct arrival who = {.now_ns = scx_bpf_now()};
	s32 its_cpu = scx_bpf_task_cpu(p);
	u32 queue_idx = tctx->queue_idx;
	struct queue_ctx *q;
	u64 deadline_ns;

	if (queue_idx == QUEUE_NONE)
		return;
	who.boost = admitted_boost(earned_boost(tctx), its_cpu);
	who.span_ns =
	    task_span_ns(p, tctx, its_cpu, who.now_ns, who.boost, is_in_window(who.boost), false);
	deadline_ns = who.now_ns + who.span_ns;
	/* It has waited for some of its span: from now on it may come out later, boost or not. */
	if (policy_delta_ns(deadline_ns, tctx->deadline_ns) >= 0 ||
	    !move_up(queue_idx, p->pid, deadline_ns))
		return;
	count(STAT_HURRY);
	tctx->deadline_ns = deadline_ns;
	q = get_queue(queue_idx);
	if (policy_delta_ns(deadline_ns, q->deadline_ns) < 0)
		q->deadline_ns = deadline_ns;
	if (queue_idx != QUEUE_OF_LLC(get_llc(cpu)) && queue_idx != QUEUE_OF_CPU(cpu))
		call_for_hurry(p, &who, cpu);
}

/* A function of its own, so that it is verified once. */
__noinline int hurry_by_pid(u32 pid, s32 cpu)
{
	struct task_struct *p = bpf_task_from_pid(pid);
	struct task_ctx *tctx;

	if (!p)
		return 0;
	tctx = get_task_ctx(p);
	if (tctx && tctx->inherited)
		hurry(p, tctx, cpu);
	bpf_task_release(p);
	return 0;
}

static __always_inline void hurry_heir(s32 cpu)
{
	u32 key = 0;
	u32 *pid = inheritance_counts ? bpf_map_lookup_elem(&lock_hurry, &key) : NULL;
	u32 heir;

	if (!pid || !*pid)
		return;
	heir = *pid;
	*pid = 0;
	hurry_by_pid(heir, cpu);
}

#endif
