/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Real-time turns: whether the real-time tasks that take a CPU from ours soon give it back, as those of
 * PipeWire do. Who was put off then waits for that CPU: to put off somebody else costs two interrupts
 * and a cold cache, and by then the real-time task is done.
 *
 * (Tried with every put-off, 6.18, 2 CPUs, medians of four and three rounds. In parallel time with CPUs
 * that halt, where an interrupt costs an emulated CPU much, quiet showed 137.6 frames a second instead of
 * 127.6 and hogs 141.7 instead of 131.2. In counted time, where what wakes the other CPU also keeps its
 * interrupts from being late, quiet no difference, and hogs a frame p99 of 17.4 ms instead of 14.3. No
 * verdict, so it is off by default.)
 *
 * Input: how long each such turn was. Output: their mean, and whether the next is expected to be brief.
 * One that is not brief after all keeps nobody waiting beyond the next slice that ends in its LLC, as
 * whoever was put off stands in that queue.
 *
 * Invariants (property-tested): the mean lies between the shortest and the longest turn; nothing is
 * expected before the first one.
 */
#ifndef SCX_GAMER_POLICY_RT_H
#define SCX_GAMER_POLICY_RT_H

#include "policy_types.h"

/* Turns below this mean are brief: about what a move costs until the cache is warm again. */
#define POLICY_RT_BRIEF_NS (100ULL * 1000)

/* The mean is over about this many turns. */
#define POLICY_RT_TURNS 8

/* The mean length of real-time turns after one of @turn_ns more; 0: there was none so far. */
static __always_inline u32 policy_rt_mean_next(u32 mean_ns, u64 turn_ns)
{
	u32 latest_ns = policy_max(policy_min(turn_ns, 1U << 30), 1);

	if (!mean_ns)
		return latest_ns;
	if (latest_ns < mean_ns)
		return mean_ns - (mean_ns - latest_ns) / POLICY_RT_TURNS;
	return mean_ns + (latest_ns - mean_ns) / POLICY_RT_TURNS;
}

static __always_inline bool policy_rt_is_brief(u32 mean_ns)
{
	return mean_ns && mean_ns < POLICY_RT_BRIEF_NS;
}

#endif
