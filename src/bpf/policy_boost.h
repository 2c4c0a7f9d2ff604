/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Boost: how urgent a task is for what it is, 0 (not) to 7 (most).
 *
 * Inputs: the set of roles a task holds, the roles of each boost, how long the task has
 * run since it last slept.
 * Outputs: one boost, and whether it is urgent (5 and up: preempts wherever it has to).
 *
 * Who wakes another lends it a part of its boost for the next few milliseconds of run, so that
 * what it waits for is done soon, whoever does it. A loan is less than what the lender has and
 * never more than POLICY_LOAN_MAX: along a chain of wake-ups it comes to nothing.
 *
 * A role is a hint that can be wrong or abused, so a boost must be earned all the time:
 * a task that runs longer than the spin bound without sleeping is not handing work
 * along a pipeline, and competes without boost until it sleeps again.
 */
#ifndef SCX_GAMER_POLICY_BOOST_H
#define SCX_GAMER_POLICY_BOOST_H

#include "policy_types.h"

#define POLICY_BOOST_MAX    7
#define POLICY_BOOST_URGENT 5

/* A run this long without a sleep costs the boost: three frames at 60 Hz. */
#define POLICY_SPIN_NS (50ULL * 1000 * 1000)

static __always_inline u32 policy_boost_clamp(u32 boost)
{
	return boost > POLICY_BOOST_MAX ? POLICY_BOOST_MAX : boost;
}

/* The highest boost among @roles; bit i of @roles_of_boost[b] says that role i has boost b. */
static __always_inline u32
policy_boost_of_roles(u32 roles, const volatile u32 roles_of_boost[POLICY_BOOST_MAX + 1])
{
	for (u32 boost = POLICY_BOOST_MAX; boost; boost--) {
		if (roles & roles_of_boost[boost])
			return boost;
	}
	return 0;
}

/* The boost that still counts after @awake_run_ns of running without a sleep. */
static __always_inline u32 policy_boost_earned(u32 boost, u64 awake_run_ns)
{
	return awake_run_ns > POLICY_SPIN_NS ? 0 : policy_boost_clamp(boost);
}

/* The most that is lent: less than what a game's own threads have by default. */
#define POLICY_LOAN_MAX 2

/* A loan counts for so long a run. */
#define POLICY_LOAN_NS (4ULL * 1000 * 1000)

/* What a task of this boost lends to the one that it wakes. */
static __always_inline u32 policy_boost_loan(u32 lender_boost)
{
	u32 rest = lender_boost ? lender_boost - 1 : 0;

	return rest > POLICY_LOAN_MAX ? POLICY_LOAN_MAX : rest;
}

/* The boost of a task with @earned of its own and @loan, after @awake_run_ns of running. */
static __always_inline u32 policy_boost_with_loan(u32 earned, u32 loan, u64 awake_run_ns)
{
	return loan > earned && awake_run_ns <= POLICY_LOAN_NS ? loan : earned;
}

static __always_inline bool policy_is_urgent(u32 boost)
{
	return boost >= POLICY_BOOST_URGENT;
}

#endif
