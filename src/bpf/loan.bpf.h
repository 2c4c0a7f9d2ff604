/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loans: a boosted task lends a part of its boost to whom it wakes (policy_boost.h), for the stint
 * that begins then. Asked in ops.select_cpu, which runs on the waker's CPU; a task with one CPU only
 * is not asked for there and gets none.
 */
#ifndef SCX_GAMER_LOAN_BPF_H
#define SCX_GAMER_LOAN_BPF_H

#include <bpf_experimental.h>

#include "context.bpf.h"
#include "stats.bpf.h"

static __always_inline void lend_boost(struct task_struct *p)
{
	struct cpu_ctx *waker = get_cpu_ctx(bpf_get_smp_processor_id());
	u32 loan = policy_boost_loan(waker->boost);
	struct task_ctx *tctx;

	/* In an interrupt, whoever runs has nothing to do with the wake-up. */
	if (!loans_count || !loan || !waker->run_start_ns || !bpf_in_task())
		return;
	tctx = get_task_ctx(p);
	if (!tctx || tctx->boost >= loan)
		return;
	tctx->loan = loan;
	count(STAT_LOAN);
}

#endif
