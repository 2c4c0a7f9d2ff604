/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dispatch: what a CPU runs next. The earliest deadline among the task that just ran (if
 * it wants to go on), the CPU's own queue and the queue of its LLC; then other LLCs'
 * queues, those of the same NUMA node first, and of these the one with the earliest deadline.
 * In the light regime one that last ran here goes before who is hardly earlier.
 * A foreign queue that is long overdue, and later than those at home, goes before everything: all
 * CPUs of its LLC may be taken by real-time tasks.
 */
#ifndef SCX_GAMER_DISPATCH_BPF_H
#define SCX_GAMER_DISPATCH_BPF_H

#include "accounting.bpf.h"
#include "enqueue.bpf.h"
#include "hurry.bpf.h"

static __always_inline bool take_from(u32 idx, enum stat_idx stat)
{
	if (!is_waiting(idx) || !scx_bpf_dsq_move_to_local(dsq_of_queue(idx), 0))
		return false;
	count(stat);
	return true;
}

/* Tasks of a queue among which one is looked for that last ran on the CPU that takes. */
#define WARM_SCAN_MAX 4

/*
 * Takes a task that last ran on @cpu from the queue of its LLC before the head, if that is hardly earlier.
 * A function of its own, so that it is verified once.
 */
__noinline bool take_warm(u32 llc, s32 cpu)
{
	u64 dsq = dsq_of_queue(QUEUE_OF_LLC(llc));
	u64 head_deadline_ns = 0;
	struct task_struct *p;
	u32 looked_at = 0;
	u32 head_boost = 0;
	bool taken = false;

	bpf_for_each(scx_dsq, p, dsq, 0) {
		if (!looked_at) {
			struct task_ctx *head = get_task_ctx(p);

			head_boost = head ? head->boost : 0;
			head_deadline_ns = p->scx.dsq_vtime;
		}
		if (++looked_at > WARM_SCAN_MAX ||
		    !policy_warm_first(head_boost, head_deadline_ns, p->scx.dsq_vtime, locality_ns))
			break;
		if (scx_bpf_task_cpu(p) != cpu)
			continue;
		/* The head is left to the usual way. */
		taken = looked_at > 1 && scx_bpf_dsq_move(BPF_FOR_EACH_ITER, p, SCX_DSQ_LOCAL, 0);
		break;
	}
	return taken;
}

/* Takes from the queue of the LLC. */
static __always_inline bool take_from_llc(u32 llc, s32 cpu)
{
	/* With one that waits there is nothing to choose, nor with one CPU. */
	if (locality_ns && llc_cpu_cnt[llc & (MAX_LLCS - 1)] > 1 &&
	    !llcs[llc & (MAX_LLCS - 1)].busy && get_queue(QUEUE_OF_LLC(llc))->waiting_cnt > 1 &&
	    take_warm(llc, cpu)) {
		count(STAT_DISPATCH_WARM);
		return true;
	}
	return take_from(QUEUE_OF_LLC(llc), STAT_DISPATCH_LLC);
}

/* Lets the task that just ran go on, with a new slice. */
static __always_inline void keep_running(struct task_struct *prev, s32 cpu)
{
	u32 llc = get_llc(cpu);

	scx_bpf_task_set_slice(prev, slice_of_queue(get_task_ctx(prev), QUEUE_OF_LLC(llc), llc));
	get_cpu_ctx(cpu)->yields = false;
	count(STAT_DISPATCH_KEEP);
}

static __always_inline bool may_go_on(struct task_struct *prev, s32 cpu)
{
	return prev && (prev->scx.flags & TASK_FLAG_QUEUED) &&
	       (is_migration_disabled(prev) || bpf_cpumask_test_cpu(cpu, prev->cpus_ptr));
}

/* The deadline that the task which just ran would get now; charges it for its run. */
static __always_inline u64 deadline_if_requeued(struct task_struct *prev, s32 cpu)
{
	struct task_ctx *tctx = get_task_ctx(prev);
	u64 now_ns = scx_bpf_now();

	if (!tctx)
		return now_ns + wait_bound_ns;
	charge_run(tctx, cpu, now_ns);
	return now_ns + publish_running(prev, tctx, cpu, now_ns);
}

/* The LLC that comes @step (below llc_cnt) after @llc, around the machine. */
static __always_inline u32 llc_after(u32 llc, u32 step)
{
	return llc + step >= llc_cnt ? llc + step - llc_cnt : llc + step;
}

/*
 * Takes from another LLC's queue what goes before those at home. One queue is looked at in each dispatch,
 * in turn, so that the cost does not grow with the number of LLCs.
 */
static __always_inline bool steal_overdue(s32 cpu, u32 llc, const struct policy_pick_in *home)
{
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);
	u32 step = cctx->foreign_step + 1 < llc_cnt ? cctx->foreign_step + 1 : 1;
	u32 other = llc_after(llc, step);

	cctx->foreign_step = step;
	return policy_steal_first(home, scx_bpf_now(), get_queue(QUEUE_OF_LLC(other))->deadline_ns) &&
	       take_from(QUEUE_OF_LLC(other), STAT_DISPATCH_STEAL);
}

static __always_inline bool is_near(u32 llc, u32 other)
{
	return !nodes_differ ||
	       node_of_llc[llc & (MAX_LLCS - 1)] == node_of_llc[other & (MAX_LLCS - 1)];
}

/*
 * The other LLC to steal from first; not below llc_cnt: nobody waits in any. Only those whose bit is set
 * are looked at. A function of its own, so that it is verified once.
 */
__noinline u32 llc_to_steal_from(u32 llc)
{
	bool best_is_near = false;
	u32 best = MAX_LLCS;
	u64 best_ns = 0;
	u32 step;

	bpf_for (step, 1, llc_cnt) {
		u32 other = llc_after(llc, step);
		bool near;
		u64 deadline_ns;

		if (!may_wait_in_llc(other) || !is_waiting_in_llc(other))
			continue;
		near = is_near(llc, other);
		deadline_ns = *(volatile u64 *)&get_queue(QUEUE_OF_LLC(other))->deadline_ns;
		if (best == MAX_LLCS ||
		    policy_steal_before(near, deadline_ns, best_is_near, best_ns)) {
			best = other;
			best_ns = deadline_ns;
			best_is_near = near;
		}
	}
	return best;
}

/*
 * Takes anything that this CPU may run from another LLC's queue but that of @tried, from the same
 * node first.
 */
static __always_inline bool steal_any(u32 llc, u32 tried)
{
	u32 pass, step;

	bpf_for (pass, 0, nodes_differ ? 2 : 1) {
		bpf_for (step, 1, llc_cnt) {
			u32 other = llc_after(llc, step);

			if (other != tried && is_near(llc, other) == (pass == 0) &&
			    may_wait_in_llc(other) && is_waiting_in_llc(other) &&
			    take_from(QUEUE_OF_LLC(other), STAT_DISPATCH_STEAL))
				return true;
		}
	}
	return false;
}

/* Takes from another LLC's queue; from whichever there is something to take, as affinities differ. */
static __always_inline bool steal(u32 llc)
{
	u32 first;

	if (!may_wait_outside_llc(llc))
		return false;
	first = llc_to_steal_from(llc);
	if (first >= llc_cnt)
		return false;
	return take_from(QUEUE_OF_LLC(first), STAT_DISPATCH_STEAL) || steal_any(llc, first);
}

static __always_inline void dispatch_cpu(s32 cpu, struct task_struct *prev)
{
	u32 llc = get_llc(cpu);
	struct policy_pick_in in = {
	    .own_deadline_ns = get_queue(QUEUE_OF_CPU(cpu))->deadline_ns,
	    .llc_deadline_ns = get_queue(QUEUE_OF_LLC(llc))->deadline_ns,
	    .own_waiting = is_waiting(QUEUE_OF_CPU(cpu)),
	    .llc_waiting = is_waiting(QUEUE_OF_LLC(llc)),
	    .prev_runnable = may_go_on(prev, cpu),
	};
	bool may_keep = in.prev_runnable;
	bool taken = false;

	if (llc_cnt > 1 && steal_overdue(cpu, llc, &in))
		return;
	if (in.prev_runnable && gives_way(prev, cpu))
		in.prev_runnable = false;
	if (in.prev_runnable && (in.own_waiting || in.llc_waiting)) {
		in.prev_deadline_ns = deadline_if_requeued(prev, cpu);
		in.own_deadline_ns = head_deadline_ns(QUEUE_OF_CPU(cpu), in.prev_deadline_ns);
		in.llc_deadline_ns = head_deadline_ns(QUEUE_OF_LLC(llc), in.prev_deadline_ns);
	}

	switch (policy_pick(&in)) {
	case POLICY_PICK_PREV:
		keep_running(prev, cpu);
		return;
	case POLICY_PICK_OWN:
		taken = take_from(QUEUE_OF_CPU(cpu), STAT_DISPATCH_OWN) || take_from_llc(llc, cpu);
		break;
	case POLICY_PICK_LLC:
		taken = take_from_llc(llc, cpu) || take_from(QUEUE_OF_CPU(cpu), STAT_DISPATCH_OWN);
		break;
	case POLICY_PICK_NONE:
		break;
	}
	if (taken)
		return;
	if (may_keep)
		keep_running(prev, cpu);
	else if (llc_cnt > 1 && steals)
		steal(llc);
}

/* Whether dispatch, asked now by an idle CPU, would have a queue to look at. */
static __always_inline bool may_find_work(s32 cpu)
{
	return is_waited_for(cpu) || (llc_cnt > 1 && steals && may_wait_outside_llc(get_llc(cpu)));
}

/*
 * From the tick of a busy CPU: wakes an idle one while somebody waits. A CPU that idles again
 * after a vain look is not announced by update_idle, and a task is counted a moment before it can
 * be taken: what slips through there waits for a tick at most.
 */
static __always_inline void call_missed_idle(struct task_struct *p, s32 cpu)
{
	s32 idle_cpu = -EBUSY;

	if (is_waiting(QUEUE_OF_LLC(get_llc(cpu))))
		idle_cpu = claim_any_idle(p, cpu, 0);
	if (idle_cpu >= 0)
		call_idle_cpu(idle_cpu);
}

#endif
