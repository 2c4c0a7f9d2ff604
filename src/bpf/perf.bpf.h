/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Performance: tells the cpufreq governor how fast each CPU has to be, and keeps the load that packing
 * goes by. At the end of a window, and at once when a boosted task begins to run.
 *
 * Only a CPU that runs something of ours speaks, and only of itself, as the kernel allows no more from
 * here: an idle CPU keeps its last target. That costs nothing where each CPU has a clock of its own.
 */
#ifndef SCX_GAMER_PERF_BPF_H
#define SCX_GAMER_PERF_BPF_H

#include "accounting.bpf.h"

static __always_inline void set_perf(struct cpu_ctx *cctx, s32 cpu, u32 target)
{
	u32 below = POLICY_PERF_ALL - target;

	if (below == cctx->perf_below)
		return;
	cctx->perf_below = below;
	scx_bpf_cpuperf_set(cpu, target);
	count(STAT_PERF_SET);
}

/* Once the running task was published, at its start and at each tick. */
static __always_inline void follow_load(s32 cpu, u64 now_ns)
{
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);
	s64 elapsed_ns = policy_delta_ns(now_ns, cctx->perf_start_ns);
	struct policy_perf_in in = {.saves_power = saves_power};

	if (!perf_targets && !saves_power)
		return;
	if (cctx->boost)
		cctx->ran_pipeline = true;
	in.pipeline = cctx->ran_pipeline;
	in.hurried = saves_power && cctx->boost && is_in_window(1);

	if (elapsed_ns < (s64)POLICY_REGIME_WINDOW_NS) {
		if (perf_targets && policy_perf_needs_all(&in))
			set_perf(cctx, cpu, POLICY_PERF_ALL);
		return;
	}
	in.load_pct = policy_load_pct(cctx->ran_ns - cctx->perf_ran_ns, elapsed_ns, 1);
	cctx->perf_start_ns = now_ns;
	cctx->perf_ran_ns = cctx->ran_ns;
	cctx->load_pct = in.load_pct;
	cctx->ran_pipeline = cctx->boost;
	if (!perf_targets)
		return;
	in.target = POLICY_PERF_ALL - cctx->perf_below;
	/* Utilisation counts in what the fastest CPU of the machine does at its best. */
	in.speed = scx_bpf_cpuperf_cur(cpu) * scx_bpf_cpuperf_cap(cpu) / POLICY_PERF_ALL;
	set_perf(cctx, cpu, policy_perf_target(&in));
}

#endif
