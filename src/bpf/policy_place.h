/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Placement: on which kind of CPU an idle one is looked for first, where CPUs differ (P and E cores,
 * preferred cores, one cache larger than the others); when a task leaves the NUMA node that it last ran
 * on; and which CPUs are busy with interrupts, so that they come last.
 *
 * Inputs: the task's boost, whether it is background; what it would have to wait for where it is; the time
 * that a CPU spent in interrupts.
 * Outputs: the kind to be tried first; if none of that kind is idle, any idle CPU will do. Whether an
 * idle CPU of another node will. Whether a CPU is busy with interrupts.
 *
 * Two thresholds and a smoothed share, as many kernels see interrupts at their ticks only: one that was
 * hit is an eighth of a window at 250 Hz.
 *
 * Invariants (property-tested): the share is never above the whole, a steady one is told exactly
 * enough for the thresholds, more time in interrupts is never less of it; a share between the
 * thresholds changes nothing.
 */
#ifndef SCX_GAMER_POLICY_PLACE_H
#define SCX_GAMER_POLICY_PLACE_H

#include "policy_admit.h"
#include "policy_regime.h"
#include "policy_types.h"

enum policy_cpus {
	POLICY_CPUS_FAST = 0,
	POLICY_CPUS_OTHER = 1, /* all but the fast ones */
	POLICY_CPUS_CALM = 2,  /* all but those that are busy with interrupts */
	POLICY_CPUS_KIND_CNT = 3,
	POLICY_CPUS_ANY = 3,
};

/* The pipeline goes where it is done soonest, background where it is in nobody's way. */
static __always_inline enum policy_cpus policy_cpus_first(u32 boost, bool is_background)
{
	if (boost)
		return POLICY_CPUS_FAST;
	return is_background ? POLICY_CPUS_OTHER : POLICY_CPUS_ANY;
}

/*
 * What it costs to leave the caches and the memory of a node, in ns of waiting: as much as the kernel's own
 * scheduler takes a migration to cost at least (sysctl_sched_migration_cost, kernel/sched/fair.c).
 */
#define POLICY_NODE_COST_NS (500ULL * 1000)

/*
 * How long a task will wait for the CPU that it last ran on, in ns: not at all if it puts off somebody near
 * it, else until the slice there ends. That has been running for @ran_ns (0: nobody knows what runs there).
 */
static __always_inline u64 policy_home_wait_ns(bool puts_off, bool others_wait, u64 ran_ns,
					       u64 slice_ns)
{
	if (puts_off)
		return 0;
	return others_wait || !ran_ns || !slice_ns ? slice_ns : slice_ns - ran_ns % slice_ns;
}

/* Whether an idle CPU of another node is worth more than the wait. */
static __always_inline bool policy_leaves_node(u64 home_wait_ns)
{
	return home_wait_ns > POLICY_NODE_COST_NS;
}

/* From this share of its time on, in units of 1 / POLICY_SHARE_ALL, a CPU is busy with interrupts. */
#define POLICY_IRQ_BUSY (POLICY_SHARE_ALL * 20 / 100)

/* Below this one it is calm again. */
#define POLICY_IRQ_CALM (POLICY_SHARE_ALL * 10 / 100)

/* The share that a CPU spends in interrupts, after a window in which it did so for @irq_ns. */
static __always_inline u32 policy_irq_share_next(u32 share, u64 irq_ns, u64 elapsed_ns)
{
	u64 span_ns = policy_max(policy_min(elapsed_ns, 1ULL << 40), 1);
	u32 latest = policy_min(irq_ns, span_ns) * POLICY_SHARE_ALL / span_ns;

	/* A window that nobody closed in time says more about now than the older ones. */
	if (elapsed_ns >= 2 * POLICY_REGIME_WINDOW_NS)
		return latest;
	return (3 * policy_min(share, POLICY_SHARE_ALL) + latest) / 4;
}

/* Whether a CPU that spends this share in interrupts is busy with them, and whether it was. */
static __always_inline bool policy_irq_busy_next(bool busy, u32 share)
{
	return share >= (busy ? POLICY_IRQ_CALM : POLICY_IRQ_BUSY);
}

#endif
