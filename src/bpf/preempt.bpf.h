/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preemption: finds the CPU whose running task an arrival should put off, and kicks it.
 *
 * An arrival without boost only asks the CPU it would like to run on; a boosted one looks
 * at the CPUs of its LLC for the least urgent task. The task itself waits in its queue all
 * the same: the kicked CPU takes whatever is most urgent then.
 */
#ifndef SCX_GAMER_PREEMPT_BPF_H
#define SCX_GAMER_PREEMPT_BPF_H

#include "context.bpf.h"
#include "stats.bpf.h"

/* CPUs looked at for one arrival, at most. */
#define PREEMPT_SCAN_MAX 64

struct arrival {
	u64 now_ns;
	u64 span_ns;
	u32 boost;
	bool fixed;    /* to its home CPU */
	bool gave_way; /* it has just yielded, so it puts off nobody */
	bool looked;   /* for a victim */
	s32 victim;    /* what was found: a CPU, or below 0 */
};

/* How much less urgent than @who the task on @cpu is, in ns of span; 0: not to be preempted. */
static __always_inline u64 victim_span_ns(const struct arrival *who, s32 cpu)
{
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);
	u64 run_start_ns = *(volatile u64 *)&cctx->run_start_ns;
	struct policy_preempt_in in = {
	    .arrival_span_ns = who->span_ns,
	    .running_span_ns = cctx->span_ns,
	    .arrival_boost = who->boost,
	    .running_boost = cctx->boost,
	    .running_holds_lock = inheritance_counts && cctx->holds_lock,
	};
	s64 ran_ns = policy_delta_ns(who->now_ns, run_start_ns);

	if (!arrivals_preempt || !run_start_ns || ran_ns <= 0)
		return 0;
	in.running_for_ns = ran_ns;
	/* It has grown by what was run since it was published. */
	ran_ns = policy_delta_ns(who->now_ns, cctx->span_at_ns);
	if (ran_ns > 0)
		in.running_span_ns += (u64)ran_ns >> policy_boost_clamp(in.running_boost);
	return policy_preempt(&in) == POLICY_PREEMPT_YES ? in.running_span_ns + 1 : 0;
}

/*
 * The CPU whose task @who puts off; below 0: none. A function of its own, so that it is verified once
 * and not for each way through enqueue.
 */
__noinline s32 find_victim(struct task_struct *p __arg_trusted,
			   const struct arrival *who __arg_nonnull, s32 home_cpu)
{
	u32 llc = get_llc(home_cpu) & (MAX_LLCS - 1);
	u64 best_ns = victim_span_ns(who, home_cpu);
	s32 best_cpu = best_ns ? home_cpu : -1;
	u32 cpu_cnt = llc_cpu_cnt[llc];
	u32 first = llc_first[llc];

	if (!who->boost || who->fixed)
		return best_cpu;
	for (u32 i = 0; i < PREEMPT_SCAN_MAX && i < cpu_cnt; i++) {
		s32 cpu = cpus_by_llc[(first + i) & (MAX_CPUS - 1)];
		u64 span_ns;

		if (cpu == home_cpu)
			continue;
		span_ns = victim_span_ns(who, cpu);
		if (span_ns > best_ns && bpf_cpumask_test_cpu(cpu, p->cpus_ptr)) {
			best_ns = span_ns;
			best_cpu = cpu;
		}
	}
	return best_cpu;
}

/* As find_victim(), once for an arrival. */
static __always_inline s32 victim_of(struct task_struct *p, struct arrival *who, s32 home_cpu)
{
	if (!who->looked)
		who->victim = find_victim(p, who, home_cpu);
	who->looked = true;
	return who->victim;
}

static __always_inline void kick_victim(s32 cpu)
{
	scx_bpf_kick_cpu(cpu, SCX_KICK_PREEMPT);
	count(STAT_PREEMPT);
}

#endif
