/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPU selection: an idle CPU that shares cache with the task's last one, if there is any;
 * the task then goes straight to that CPU and skips the queues.
 *
 * The kernel's default selection is used for the search: it prefers the last CPU, then
 * whole idle cores, then the LLC, then the NUMA node, and honours the affinity. For a synchronous
 * wake-up it may also answer the waker's own, busy CPU: two threads that wake each other there
 * would keep it from ever looking at its queue, so who has no other CPU comes first.
 */
#ifndef SCX_GAMER_SELECT_CPU_BPF_H
#define SCX_GAMER_SELECT_CPU_BPF_H

#include "context.bpf.h"
#include "queue.bpf.h"
#include "stats.bpf.h"
#include "task_life.bpf.h"

static __always_inline s32 select_warm_cpu(struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx && is_idle && !is_waiting(QUEUE_OF_CPU(cpu))) {
		begin_wait(p, tctx, SCX_ENQ_WAKEUP, scx_bpf_now());
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
		count(STAT_DISPATCH_IDLE);
	}
	return cpu;
}

#endif
