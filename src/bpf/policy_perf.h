/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Performance: how fast a CPU has to be, and whether another one has to wake up. While a sched_ext
 * scheduler is attached, the schedutil governor knows no utilisation but the target that it is told,
 * and without one it holds every CPU at its fastest.
 *
 * Inputs: the load of one CPU over the last window, how fast that CPU was meanwhile, whether it ran
 * boosted tasks (the pipeline), the target so far.
 * Output: the next target, of POLICY_PERF_ALL, which is the fastest CPU of the machine at its best.
 *
 * The governor adds a quarter to each target itself (sugov_effective_cpu_perf()): who has no boost
 * gets the utilisation as the target, and so what the kernel's own scheduler would give it.
 *
 * Invariants (property-tested): never below the floor, nor above everything; more load is never a
 * lower target; it rises at once, and falls by half of the difference in a window; without power
 * saving the pipeline has everything.
 */
#ifndef SCX_GAMER_POLICY_PERF_H
#define SCX_GAMER_POLICY_PERF_H

#include "policy_types.h"

/* SCX_CPUPERF_ONE */
#define POLICY_PERF_ALL 1024

/*
 * No target is lower: who wakes on a CPU that had little to do runs for a window before anybody looks
 * again.
 */
#define POLICY_PERF_MIN (POLICY_PERF_ALL / 4)

/* Targets are multiples of this: each change is a call of the governor. */
#define POLICY_PERF_STEP (POLICY_PERF_ALL / 16)

/* From this load on nobody knows how much more there is to do. */
#define POLICY_PERF_SATURATED_PCT 95

/* From this load on a CPU has no room for one more. */
#define POLICY_PACK_PCT_MAX 50

struct policy_perf_in {
	u32 target;	  /* the one so far */
	u32 load_pct;	  /* the part of the window in which the CPU ran something */
	u32 speed;	  /* how fast it was meanwhile, of POLICY_PERF_ALL */
	bool pipeline;	  /* it runs a boosted task, or ran one in the window */
	bool hurried;	  /* it runs a boosted task, in an input window */
	bool saves_power; /* the pipeline too is driven by its load */
};

/* Whether the CPU has to be at its fastest at once, whatever its load is. */
static __always_inline bool policy_perf_needs_all(const struct policy_perf_in *in)
{
	return in->saves_power ? in->hurried : in->pipeline;
}

/* The target after a window. */
static __always_inline u32 policy_perf_target(const struct policy_perf_in *in)
{
	u32 target = policy_min(in->target, POLICY_PERF_ALL);
	u32 wanted = policy_min(in->load_pct, 100) * policy_min(in->speed, POLICY_PERF_ALL) / 100;

	if (policy_perf_needs_all(in) || in->load_pct >= POLICY_PERF_SATURATED_PCT)
		return POLICY_PERF_ALL;
	/* A frame late costs more than one of the others' turns. */
	if (in->pipeline)
		wanted += wanted / 4;
	wanted = (wanted + POLICY_PERF_STEP - 1) / POLICY_PERF_STEP * POLICY_PERF_STEP;
	wanted = policy_clamp(wanted, POLICY_PERF_MIN, POLICY_PERF_ALL);
	if (wanted >= target)
		return wanted;
	/* Less than two steps are left alone, so that a load at a border does not change it each window. */
	return target - (target - wanted) / 2 / POLICY_PERF_STEP * POLICY_PERF_STEP;
}

/*
 * Whether a woken task without boost waits for the end of the turn of who runs on its CPU, rather than
 * that an idle CPU wakes up for it.
 */
static __always_inline bool policy_packs(u32 running_boost, u32 load_pct)
{
	return !running_boost && load_pct < POLICY_PACK_PCT_MAX;
}

#endif
