/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the exit dump says about this scheduler: the state one needs to explain a stall.
 */
#ifndef SCX_GAMER_DUMP_BPF_H
#define SCX_GAMER_DUMP_BPF_H

#include "context.bpf.h"

static __always_inline void dump_queues(void)
{
	struct game_evidence *game = get_game();
	u64 now_ns = scx_bpf_now();
	u32 llc;

	scx_bpf_dump("vtime=%llu now=%llu game_tgid=%u\n", vtime.now_ns, now_ns,
		     game ? game->tgid : 0);
	bpf_for (llc, 0, llc_cnt) {
		struct queue_ctx *q = get_queue(QUEUE_OF_LLC(llc));
		struct llc_ctx *lctx = &llcs[llc & (MAX_LLCS - 1)];

		scx_bpf_dump("LLC %u: waiting=%u head_deadline=%lldns load=%u%% busy=%u\n", llc,
			     q->waiting_cnt, policy_delta_ns(q->deadline_ns, now_ns),
			     lctx->load_pct, lctx->busy);
	}
}

static __always_inline void dump_cpu_ctx(s32 cpu)
{
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);

	scx_bpf_dump("own_waiting=%u running_pid=%u span=%lluns boost=%u\n",
		     get_queue(QUEUE_OF_CPU(cpu))->waiting_cnt, cctx->pid, cctx->span_ns,
		     cctx->boost);
}

static __always_inline void dump_task_ctx(struct task_struct *p)
{
	struct task_ctx *tctx = get_task_ctx(p);
	u64 now_ns = scx_bpf_now();

	if (!tctx)
		return;
	scx_bpf_dump("roles=%x boost=%u loan=%u missed=%u queue=%u deadline=%lldns since=%lldns awake_run=%lluns\n",
		     tctx->roles, tctx->boost, tctx->loan, tctx->missed, tctx->queue_idx,
		     tctx->deadline_ns ? policy_delta_ns(tctx->deadline_ns, now_ns) : 0,
		     tctx->since_ns ? policy_delta_ns(now_ns, tctx->since_ns) : 0,
		     tctx->awake_run_ns);
}

#endif
