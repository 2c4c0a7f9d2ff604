/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inheritance: the boost that the holder of a lock has from those who wait for it.
 *
 * Inputs: who waits for a task, each with its boost, its lock and how long it has waited.
 * Outputs: the boost of the most urgent of them; where in the list one more is remembered.
 *
 * A holder knows few of its waiters, the most urgent ones: one is enough for one lock, and few
 * tasks hold more contended locks at once than there are places.
 *
 * Inheritance has no spin bound as roles have: who holds a lock through a long run is what the waiter
 * waits for. What bounds it is the wait: one that lasts longer than POLICY_INHERIT_NS is not about
 * frames, and lends no more. Admission and the wait bound hold for it as for every boost.
 */
#ifndef SCX_GAMER_POLICY_INHERIT_H
#define SCX_GAMER_POLICY_INHERIT_H

#include "policy_types.h"

/* Waiters that are remembered for one holder. */
#define POLICY_WAITERS_MAX 4

/* Locks in a row, each of whose holders waits for the next: so far a boost is handed on. */
#define POLICY_INHERIT_CHAIN_MAX 4

/* A wait counts for so long. */
#define POLICY_INHERIT_NS (5000ULL * 1000 * 1000)

struct policy_waiter {
	u32 pid;   /* the waiting task; 0: the place is free */
	u32 boost; /* its boost, its own or inherited, when it began to wait */
	u64 lock;  /* the lock that it waits for */
};

/* The boost of the most urgent of those who wait. */
static __always_inline u32 policy_inherited(const struct policy_waiter waiters[POLICY_WAITERS_MAX])
{
	u32 boost = 0;

	for (u32 i = 0; i < POLICY_WAITERS_MAX; i++) {
		if (waiters[i].pid && waiters[i].boost > boost)
			boost = waiters[i].boost;
	}
	return boost;
}

/*
 * The place for a waiter of this boost: its own, a free one, that of the least urgent one below it;
 * POLICY_WAITERS_MAX: none.
 */
static __always_inline u32
policy_waiter_place(const struct policy_waiter waiters[POLICY_WAITERS_MAX], u32 pid, u32 boost)
{
	u32 place = POLICY_WAITERS_MAX;
	u32 least = boost;

	for (u32 i = 0; i < POLICY_WAITERS_MAX; i++) {
		if (waiters[i].pid == pid)
			return i;
	}
	for (u32 i = 0; i < POLICY_WAITERS_MAX; i++) {
		u32 taken_by = waiters[i].pid ? waiters[i].boost : 0;

		if (taken_by < least) {
			least = taken_by;
			place = i;
		}
	}
	return place;
}

/* Whether a wait that began so long ago still lends its boost. */
static __always_inline bool policy_wait_counts(s64 waited_ns)
{
	return waited_ns < (s64)POLICY_INHERIT_NS;
}

#endif
