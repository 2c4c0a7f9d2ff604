/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Deadline: the key by which waiting tasks are ordered, on the scheduler clock.
 *
 *     span     = (lag + credit) + recent run, halved once per boost step, less a part as the next
 *                flip nears; for who has no boost and serves nobody more by the head start of the
 *                others, and for background tasks by as much again; with the crowd rule also by the time that
 *                a round of its queue takes; at most the wait bound
 *     deadline = now + span
 *
 * where lag is vruntime less the virtual now, and recent run is the weighted run time
 * since the last sleep (both capped; a negative sum counts as 0). A task that had less
 * than its share and sleeps a lot gets a deadline close to now; a hog's is far away.
 *
 * Why the wait is bounded: a task that waits has a deadline at most one wait bound
 * after it began to wait. Whatever arrives later than that sorts behind it, whatever
 * its boost.
 *
 * Invariants (property-tested): the span is never above the wait bound; more boost, more weight,
 * an open window, a nearer flip or serving others never gives a later deadline; being background, a larger
 * crowd or a longer head start never gives an earlier one, and nobody who has it a later one; right across a
 * clock wrap.
 */
#ifndef SCX_GAMER_POLICY_DEADLINE_H
#define SCX_GAMER_POLICY_DEADLINE_H

#include "policy_boost.h"
#include "policy_types.h"

/* How far behind the virtual now a sleeper's vruntime may stay: its credit on waking. */
#define POLICY_CREDIT_NS (40ULL * 1000 * 1000)

/* Recent run counts up to here; beyond, a hog is a hog. */
#define POLICY_RECENT_RUN_NS_MAX (100ULL * 1000 * 1000)

/*
 * What a new task starts with: until it has slept for the first time nothing says that it is not a hog.
 * (Tried with none, 50 and 100 ms: the short processes of a compile otherwise come before the game.)
 */
#define POLICY_NEWBORN_RUN_NS POLICY_RECENT_RUN_NS_MAX

/*
 * Lag counts down to here: below the credit it makes up for recent run. Were it to end at
 * the credit, a task that naps between long runs would stay ahead of a hog of the same
 * weight for ever (simulated: four of each on two CPUs had 48 % and 1.7 % of a CPU). Were
 * it lower still, hogs behind a virtual now that runs away from them (a boosted task or a
 * lone one on its CPU leads it) would sort like sleepers; so they keep a credit's distance.
 */
#define POLICY_LAG_NS_MAX POLICY_RECENT_RUN_NS_MAX

/*
 * By how much those with a boost, and those that the pipeline may be waiting for, come before everybody
 * else: a frame at 60 Hz. Without it who sleeps a lot has a span of next to nothing, with a boost or
 * without, and a crowd of such threads takes turns with the game. (Tried beside 200 of them, a compile
 * and hogs: with 8 ms they take turns still, with 24 ms paced frames begin to come late beside hogs.)
 */
#define POLICY_HEAD_START_NS (16ULL * 1000 * 1000)

/* By how much background tasks come after those that are nobody's in particular. */
#define POLICY_BACKGROUND_NS POLICY_HEAD_START_NS

struct policy_deadline_in {
	u64 now_ns;
	s64 lag_ns;	   /* vruntime - virtual now; > 0: had more than its share */
	u64 recent_run_ns; /* weighted run time since the last sleep */
	u64 wait_bound_ns; /* no span is longer */
	u64 head_start_ns; /* of boosted tasks and those that serve others */
	u64 background_ns; /* by which it comes later as a background task; 0: it is none */
	u64 crowd_ns;	   /* by which it comes later as others wait, see policy_crowd_ns() */
	u32 boost;	   /* 0..POLICY_BOOST_MAX */
	u32 near_flip_16ths; /* 0..16: the part by which the next flip shortens the span */
	bool serves_others;  /* a thread of the kernel, or inside a hook that others need */
	bool in_window;	     /* an input window is open for this task: one more halving */
};

/*
 * The time that a round of a queue takes in which @waiting_cnt tasks wait for @cpu_cnt CPUs, each of them
 * for a turn. Who has no boost cannot count on its turn before; with a deadline that is sooner it would be
 * overdue, and what is overdue goes before every boosted task that has to queue.
 */
static __always_inline u64 policy_crowd_ns(u32 waiting_cnt, u32 cpu_cnt, u64 turn_ns)
{
	return policy_min(turn_ns, 1ULL << 30) * waiting_cnt / (cpu_cnt ? cpu_cnt : 1);
}

/* How long after now the deadline lies, in ns: 0..wait_bound_ns. */
static __always_inline u64 policy_span_ns(const struct policy_deadline_in *in)
{
	/* Two wait bounds are enough debt to reach the bound at boost 1 too. */
	s64 debt_ns_max = (s64)policy_min(in->wait_bound_ns, 1ULL << 40) * 2;
	s64 late_ns = policy_clamp(in->lag_ns, -(s64)POLICY_LAG_NS_MAX, debt_ns_max) +
		      (s64)POLICY_CREDIT_NS +
		      (s64)policy_min(in->recent_run_ns, POLICY_RECENT_RUN_NS_MAX);
	u64 span_ns = late_ns > 0 ? (u64)late_ns : 0;

	span_ns >>= policy_boost_clamp(in->boost) + (in->in_window ? 1 : 0);
	if (in->near_flip_16ths)
		span_ns -= span_ns * policy_min(in->near_flip_16ths, 16) / 16;
	span_ns = policy_min(span_ns, in->wait_bound_ns);
	if (!in->boost && !in->serves_others) {
		span_ns += policy_min(in->head_start_ns, in->wait_bound_ns - span_ns);
		span_ns += policy_min(in->background_ns, in->wait_bound_ns - span_ns);
		span_ns += policy_min(in->crowd_ns, in->wait_bound_ns - span_ns);
	}
	return span_ns;
}

static __always_inline u64 policy_deadline_ns(const struct policy_deadline_in *in)
{
	return in->now_ns + policy_span_ns(in);
}

#endif
