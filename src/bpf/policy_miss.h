/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Misses: a task whose turns come too late, again and again, is raised a step or two until they do not.
 *
 * Inputs: when a turn began and its deadline; the score so far.
 * Outputs: what it is judged by, whether it was late, the next score, the boost with that score's steps.
 *
 * A deadline is the key by which tasks wait, and that of a rested boosted task is now: no turn could be done by
 * then. So what it runs itself does not count, and late is a turn that ends later than its deadline, its
 * own run and a grace allow; which is one that begins later than its deadline and the grace. (By the
 * deadline alone, with nothing beside the game, 99 % of the turns of who reads input ended late and 55 % of
 * the game's; 6.18, 2 CPUs.)
 *
 * A late turn adds to the score, one in time takes away: it stays up while more than one turn in nine is
 * late. Who was raised is judged by the deadline that it would have without: by its own, which is
 * earlier, the same wait would be late now, and keep it up there (simulated: more late turns for
 * everybody than without).
 *
 * Who has no boost is not raised: under overload that would be everybody.
 *
 * Invariants (property-tested): the score is bounded, and calm brings it to 0 in as many turns at most;
 * a higher score never gives less boost; no boost is lowered, none rises above POLICY_BOOST_MAX, and 0
 * stays 0.
 */
#ifndef SCX_GAMER_POLICY_MISS_H
#define SCX_GAMER_POLICY_MISS_H

#include "policy_boost.h"
#include "policy_types.h"

/* A turn may begin so much later than its deadline. */
#define POLICY_MISS_GRACE_NS (1000LL * 1000)

/* What a late turn adds to the score; one in time takes 1 away. */
#define POLICY_MISS_LATE 8

/* So much of the score makes a step: four late turns in a row. */
#define POLICY_MISS_STEP 32

#define POLICY_MISS_STEPS_MAX 2
#define POLICY_MISS_SCORE_MAX ((POLICY_MISS_STEPS_MAX + 1) * POLICY_MISS_STEP - 1)
_Static_assert(POLICY_MISS_SCORE_MAX <= 0xff, "a score is a u8");

/*
 * By what a turn is judged for which the task waited from @since_ns on: the deadline that it would have had
 * without the last @raised steps of its boost, as each halved the span.
 */
static __always_inline u64 policy_miss_due_ns(u64 since_ns, u64 deadline_ns, u32 raised)
{
	s64 span_ns = policy_delta_ns(deadline_ns, since_ns);

	if (span_ns <= 0)
		return deadline_ns;
	span_ns = policy_min(span_ns, 1ULL << 40);
	return deadline_ns + ((u64)span_ns << policy_min(raised, POLICY_MISS_STEPS_MAX)) - span_ns;
}

/* Whether a turn that began at @begun_ns was late. */
static __always_inline bool policy_miss_is_late(u64 begun_ns, u64 due_ns)
{
	return policy_delta_ns(begun_ns, due_ns) > POLICY_MISS_GRACE_NS;
}

static __always_inline u32 policy_miss_next(u32 score, bool late)
{
	score = policy_min(score, POLICY_MISS_SCORE_MAX);
	if (late)
		return policy_min(score + POLICY_MISS_LATE, POLICY_MISS_SCORE_MAX);
	return score ? score - 1 : 0;
}

/* By how many steps a score raises: 0..POLICY_MISS_STEPS_MAX. */
static __always_inline u32 policy_miss_steps(u32 score)
{
	return policy_min(score / POLICY_MISS_STEP, POLICY_MISS_STEPS_MAX);
}

/* The boost of a task that has earned @earned by its roles. */
static __always_inline u32 policy_miss_raise(u32 earned, u32 score)
{
	return earned ? policy_boost_clamp(policy_boost_clamp(earned) + policy_miss_steps(score)) : 0;
}

#endif
