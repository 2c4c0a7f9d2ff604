/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtual time: what a task has had, in ns divided by its weight.
 *
 * Inputs: real run time, weight, the machine's virtual now.
 * Outputs: the charge, the advanced virtual now, the lag.
 *
 * The virtual now follows the tasks that run, but never faster than the real time that
 * they ran: one run of a SCHED_IDLE task, whose own vruntime leaps by a hundred times
 * its run, must not carry everybody else's reference away. A task's vruntime is kept
 * inside a window around the virtual now, so that neither a long sleep (credit) nor a
 * long run alone (debt) is remembered for longer than it matters.
 */
#ifndef SCX_GAMER_POLICY_VTIME_H
#define SCX_GAMER_POLICY_VTIME_H

#include "policy_types.h"

/* sched_ext weights: 1..10000, 100 is nice 0 (Documentation/scheduler/sched-ext.rst). */
#define POLICY_WEIGHT_MIN     1
#define POLICY_WEIGHT_DEFAULT 100
#define POLICY_WEIGHT_MAX     10000

/* Fraction bits of an inverse weight. */
#define POLICY_INV_WEIGHT_SHIFT 20

/*
 * Longest single charge: 8.6 s, so that charge * inverse weight stays below 2^60. A
 * longer unbroken run can only come from a stopped clock.
 */
#define POLICY_CHARGE_NS_MAX (1ULL << 33)

/* Inverse of @weight, so that the hot path multiplies instead of dividing. */
static __always_inline u32 policy_inv_weight(u32 weight)
{
	if (weight < POLICY_WEIGHT_MIN)
		weight = POLICY_WEIGHT_MIN;
	if (weight > POLICY_WEIGHT_MAX)
		weight = POLICY_WEIGHT_MAX;
	return ((u32)POLICY_WEIGHT_DEFAULT << POLICY_INV_WEIGHT_SHIFT) / weight;
}

/* What @ran_ns of real run time cost a task of this inverse weight, in virtual ns. */
static __always_inline u64 policy_charge_ns(u64 ran_ns, u32 inv_weight)
{
	return (policy_min(ran_ns, POLICY_CHARGE_NS_MAX) * inv_weight) >> POLICY_INV_WEIGHT_SHIFT;
}

/* The virtual now after a task that started its run at @vruntime_ns ran for @ran_ns. */
static __always_inline u64 policy_vtime_advance(u64 vtime_now_ns, u64 vruntime_ns, u64 ran_ns)
{
	s64 ahead_ns = policy_delta_ns(vruntime_ns, vtime_now_ns);

	return vtime_now_ns +
	       (u64)policy_clamp(ahead_ns, 0, (s64)policy_min(ran_ns, POLICY_CHARGE_NS_MAX));
}

/*
 * @vruntime_ns, kept at most @credit_ns behind and @debt_ns ahead of the virtual now. More
 * than POLICY_WINDOW_NS_MAX of either would not be a signed distance any more.
 */
#define POLICY_WINDOW_NS_MAX (1ULL << 62)

static __always_inline u64 policy_vruntime_clamp(u64 vruntime_ns, u64 vtime_now_ns, u64 credit_ns,
						 u64 debt_ns)
{
	s64 lag_ns = policy_delta_ns(vruntime_ns, vtime_now_ns);

	return vtime_now_ns + (u64)policy_clamp(lag_ns,
						-(s64)policy_min(credit_ns, POLICY_WINDOW_NS_MAX),
						(s64)policy_min(debt_ns, POLICY_WINDOW_NS_MAX));
}

#endif
