/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts: which CPUs spend so much of their time in them, hard and soft ones, that what runs there
 * would be held up (policy_place.h decides). The kernel's own counts are read once per window, for all
 * CPUs of an LLC. Kernels without IRQ_TIME_ACCOUNTING count ticks: interrupts that end between
 * two of them, or come while the CPU is idle without a tick, are not seen there.
 *
 * While no CPU is busy with interrupts, all that this costs who looks for an idle CPU is one load.
 */
#ifndef SCX_GAMER_INTERRUPTS_BPF_H
#define SCX_GAMER_INTERRUPTS_BPF_H

#include "context.bpf.h"
#include "kinds.bpf.h"

/* A kernel whose type information leaves it out has no CPU that is busy with interrupts. */
extern const struct kernel_cpustat kernel_cpustat __ksym __weak;

/* What is known of a CPU's interrupts; written by who closes a window of its LLC. */
struct irq_ctx {
	u64 irq_ns; /* as the kernel had counted when the window began */
	u32 share;  /* smoothed, of POLICY_SHARE_ALL */
};
struct irq_ctx irq_ctxs[MAX_CPUS];

/* The CPUs that are busy with interrupts, a bit each, and how many they are. */
struct {
	u32 cnt;
	u64 words[MAX_CPUS / 64];
} CACHE_ALIGNED irq_busy;

static __always_inline bool any_irq_busy(void)
{
	return placement_counts && *(volatile u32 *)&irq_busy.cnt;
}

static __always_inline u64 *irq_word_of_cpu(u32 cpu)
{
	return &irq_busy.words[cpu / 64 & (MAX_CPUS / 64 - 1)];
}

static __always_inline bool is_irq_busy(u32 cpu)
{
	return any_irq_busy() && *(volatile u64 *)irq_word_of_cpu(cpu) & 1ULL << cpu % 64;
}

/* Two may do so at once, if one was held up for a window: only who changes the bit counts. */
static __always_inline void set_irq_busy(u32 cpu, bool busy)
{
	u64 bit = 1ULL << cpu % 64;
	u64 before = busy ? __sync_fetch_and_or(irq_word_of_cpu(cpu), bit)
			  : __sync_fetch_and_and(irq_word_of_cpu(cpu), ~bit);

	if (busy == !!(before & bit))
		return;
	put_into_kinds(cpu, !busy);
	__sync_fetch_and_add(&irq_busy.cnt, busy ? 1 : -1);
}

static __always_inline void judge_cpu_interrupts(u32 cpu, u64 elapsed_ns)
{
	struct kernel_cpustat *counted = bpf_per_cpu_ptr(&kernel_cpustat, cpu);
	struct irq_ctx *ictx = &irq_ctxs[cpu & (MAX_CPUS - 1)];
	u64 before_ns = ictx->irq_ns;
	bool was_busy, busy;
	u64 irq_ns;

	if (!counted)
		return;
	irq_ns = counted->cpustat[CPUTIME_IRQ] + counted->cpustat[CPUTIME_SOFTIRQ];
	ictx->irq_ns = irq_ns;
	/* The first time that is all since the boot. */
	if (!before_ns)
		return;
	irq_ns = policy_clamp(policy_delta_ns(irq_ns, before_ns), 0, elapsed_ns);
	ictx->share = policy_irq_share_next(ictx->share, irq_ns, elapsed_ns);
	was_busy = *irq_word_of_cpu(cpu) & 1ULL << cpu % 64;
	busy = policy_irq_busy_next(was_busy, ictx->share);
	if (busy != was_busy)
		set_irq_busy(cpu, busy);
}

/* The end of a window of an LLC. A function of its own, so that it is verified once. */
__noinline int judge_interrupts(u32 llc, u64 elapsed_ns)
{
	u32 i;

	if (!bpf_ksym_exists(&kernel_cpustat))
		return 0;
	bpf_for (i, 0, llc_cpu_cnt[llc & (MAX_LLCS - 1)]) {
		u32 pos = llc_first[llc & (MAX_LLCS - 1)] + i;

		judge_cpu_interrupts(cpus_by_llc[pos & (MAX_CPUS - 1)], elapsed_ns);
	}
	return 0;
}

#endif
