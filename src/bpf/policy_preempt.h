/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preemption: whether a task that arrives, and finds no idle CPU, takes a running
 * task's CPU at once instead of waiting for the end of its slice.
 *
 * Compared are spans (how far each task's deadline lies from its own enqueue), not
 * deadlines: a hog whose old deadline has long passed is still a hog. An arrival whose span is
 * not the shorter one would not be picked by the CPU that it takes, so it takes none.
 */
#ifndef SCX_GAMER_POLICY_PREEMPT_H
#define SCX_GAMER_POLICY_PREEMPT_H

#include "policy_boost.h"
#include "policy_types.h"

/*
 * Nobody is put off by its like before this much of a turn, unless that is far more urgent:
 * about the cost of twenty switches. An arrival of more boost does not wait for it: nobody would
 * ask again before the next tick, and it waited 4 ms at the 99th percentile (simulated, 8 hogs
 * on 2 CPUs).
 */
#define POLICY_TURN_NS_MIN (200ULL * 1000)

/*
 * From this difference on the minimum turn does not count: a hog gives way at once to those it
 * wakes, while tasks that sleep as much as their wakers let these finish what they are at.
 * (When this was chosen, against the kernel's scheduler, 6.18, counted time, 2 CPUs: with the turn
 * for all, stress-ng futex did 0.02 of the operations; with no turn, hackbench took 1.35 times as
 * long; with this, 0.40 of the operations and 0.85 of the time. Much has changed since:
 * docs/benchmarks.md has the present figures.)
 */
#define POLICY_PREEMPT_CLEAR_NS (40ULL * 1000 * 1000)

/* An arrival without boost must be at least this much more urgent. */
#define POLICY_PREEMPT_MARGIN_NS (4ULL * 1000 * 1000)

enum policy_preempt {
	POLICY_PREEMPT_NO_TURN = 0,  /* it would be yes once the minimum turn is over */
	POLICY_PREEMPT_NO_BOOST = 1, /* the running boost is higher, or the same and urgent */
	POLICY_PREEMPT_NO_SPAN = 2,  /* the running task is not clearly less urgent */
	POLICY_PREEMPT_YES = 3,
	POLICY_PREEMPT_NO_LOCK = 4, /* it holds a lock that the pipeline waits for */
};

struct policy_preempt_in {
	u64 arrival_span_ns;
	u64 running_span_ns;
	u64 running_for_ns;
	u32 arrival_boost;
	u32 running_boost;
	bool running_holds_lock; /* for which a boosted task waits */
};

/* Whether the running task may finish its minimum turn first. */
static __always_inline bool policy_has_turn(const struct policy_preempt_in *in)
{
	return in->running_boost == in->arrival_boost && in->running_for_ns < POLICY_TURN_NS_MIN &&
	       in->running_span_ns - in->arrival_span_ns < POLICY_PREEMPT_CLEAR_NS;
}

static __always_inline enum policy_preempt policy_preempt(const struct policy_preempt_in *in)
{
	u64 margin_ns = in->arrival_boost > in->running_boost ? 0 : POLICY_PREEMPT_MARGIN_NS;

	/* Put off, it would keep its waiters from running, the urgent ones first. Its slice still ends. */
	if (in->running_holds_lock)
		return POLICY_PREEMPT_NO_LOCK;
	if (in->running_boost > in->arrival_boost)
		return POLICY_PREEMPT_NO_BOOST;
	if (in->running_boost == in->arrival_boost && policy_is_urgent(in->running_boost))
		return POLICY_PREEMPT_NO_BOOST;
	/* Subtracted, not added: an arrival's span plus the margin could wrap. */
	if (in->running_span_ns <= margin_ns ||
	    in->arrival_span_ns >= in->running_span_ns - margin_ns)
		return POLICY_PREEMPT_NO_SPAN;
	if (policy_has_turn(in))
		return POLICY_PREEMPT_NO_TURN;
	return POLICY_PREEMPT_YES;
}

#endif
