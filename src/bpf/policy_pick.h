/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pick: what a CPU that needs work looks at first: the task that just ran on it (if it
 * still wants to run), its own queue (tasks that may use no other CPU) or the queue it
 * shares with its LLC. The earliest deadline wins; at a tie, the task that needs no switch,
 * then the one that has no other CPU.
 *
 * If there is none of these, it steals from the queue of another LLC: of its own NUMA node before
 * others, and of these the one with the earliest deadline.
 *
 * A queue's deadline is the published word, see queue.bpf.h.
 */
#ifndef SCX_GAMER_POLICY_PICK_H
#define SCX_GAMER_POLICY_PICK_H

#include "policy_types.h"

enum policy_pick {
	POLICY_PICK_NONE = 0,
	POLICY_PICK_PREV = 1,
	POLICY_PICK_OWN = 2,
	POLICY_PICK_LLC = 3,
};

struct policy_pick_in {
	u64 prev_deadline_ns;
	u64 own_deadline_ns;
	u64 llc_deadline_ns;
	bool prev_runnable;
	bool own_waiting;
	bool llc_waiting;
};

static __always_inline enum policy_pick policy_pick(const struct policy_pick_in *in)
{
	enum policy_pick best = POLICY_PICK_NONE;
	u64 best_ns = 0;

	if (in->prev_runnable) {
		best = POLICY_PICK_PREV;
		best_ns = in->prev_deadline_ns;
	}
	if (in->own_waiting &&
	    (best == POLICY_PICK_NONE || policy_delta_ns(in->own_deadline_ns, best_ns) < 0)) {
		best = POLICY_PICK_OWN;
		best_ns = in->own_deadline_ns;
	}
	if (in->llc_waiting &&
	    (best == POLICY_PICK_NONE || policy_delta_ns(in->llc_deadline_ns, best_ns) < 0))
		best = POLICY_PICK_LLC;
	return best;
}

/*
 * In the light regime a CPU takes a task that last ran on it before the head of the queue, if that is due
 * by this much later at most: the margin by which an arrival without boost has to be more urgent to put
 * anybody off. A head is passed over for no longer than that, as who arrives later is due later.
 */
#define POLICY_LOCALITY_NS (4ULL * 1000 * 1000)

/* Whether a task that last ran on the CPU which takes goes before the head of the queue. */
static __always_inline bool policy_warm_first(u32 head_boost, u64 head_deadline_ns,
					      u64 warm_deadline_ns, u64 locality_ns)
{
	return !head_boost &&
	       policy_delta_ns(warm_deadline_ns, head_deadline_ns) <= (s64)locality_ns;
}

/* A queue whose head is this late is not served as it should be. */
#define POLICY_OVERDUE_NS (20ULL * 1000 * 1000)

static __always_inline bool policy_is_overdue(u64 now_ns, u64 deadline_ns)
{
	return policy_delta_ns(now_ns, deadline_ns) > (s64)POLICY_OVERDUE_NS;
}

/*
 * Whether a foreign queue is served before the CPU's own choice: it is overdue, as all CPUs of
 * its LLC may be taken by real-time tasks, and later than what waits at home.
 */
static __always_inline bool policy_steal_first(const struct policy_pick_in *home, u64 now_ns,
					       u64 foreign_deadline_ns)
{
	if (!policy_is_overdue(now_ns, foreign_deadline_ns))
		return false;
	if (home->own_waiting && policy_delta_ns(home->own_deadline_ns, foreign_deadline_ns) <= 0)
		return false;
	return !home->llc_waiting ||
	       policy_delta_ns(home->llc_deadline_ns, foreign_deadline_ns) > 0;
}

/*
 * Whether the queue @a of another LLC, in which somebody waits, is stolen from before the queue @b:
 * memory of the own node first, then who has waited longest.
 */
static __always_inline bool policy_steal_before(bool a_is_near, u64 a_deadline_ns, bool b_is_near,
						u64 b_deadline_ns)
{
	if (a_is_near != b_is_near)
		return a_is_near;
	return policy_delta_ns(a_deadline_ns, b_deadline_ns) < 0;
}

#endif
