/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Admission: how much of the CPUs' time boosted tasks may take before the least urgent of them lose
 * their boost. A game that starts forty workers is not more of a game for it, and beside boosts
 * that never end everybody else would have the wait bound and no more.
 *
 * Inputs: run time by boost, in windows; the bound.
 * Output: the floor, the lowest boost that still counts.
 *
 * Run time counts under the boost that a task has earned, whether or not it was admitted: what is
 * asked for decides, not what was granted. It is smoothed over some windows, so that a long frame
 * costs nobody a boost.
 *
 * Invariants (property-tested): what is admitted is at most the bound; a higher bound or less load
 * never gives a higher floor; who is shut out comes back only when there is clearly room.
 */
#ifndef SCX_GAMER_POLICY_ADMIT_H
#define SCX_GAMER_POLICY_ADMIT_H

#include "policy_boost.h"
#include "policy_types.h"

/* Run times are summed in units of 2^6 ns: a u32 wraps after 275 s, and is only ever subtracted. */
#define POLICY_RAN_SHIFT 6

/* All of the capacity, in the unit of shares. */
#define POLICY_SHARE_ALL 65536

/* A share is the mean of about this many windows. */
#define POLICY_SHARE_WINDOWS 8

/* Who was shut out comes back when this part of the bound is left: an eighth. */
#define POLICY_READMIT_PART 8

/* What boosted tasks took, by boost; 0 is not used. */
struct policy_load {
	u32 seen[POLICY_BOOST_MAX + 1];	 /* the sum when the window began */
	u32 share[POLICY_BOOST_MAX + 1]; /* smoothed, 0..POLICY_SHARE_ALL */
};

/* Ends a window in which there were @capacity_ns of CPU time; @ran are the sums of run time. */
static __always_inline void policy_load_roll(struct policy_load *load,
					     const u32 ran[POLICY_BOOST_MAX + 1], u64 capacity_ns)
{
	u64 capacity = policy_min(capacity_ns, 1ULL << 40) >> POLICY_RAN_SHIFT;

	for (u32 boost = 1; boost <= POLICY_BOOST_MAX; boost++) {
		u64 ran_units = (u32)(ran[boost] - load->seen[boost]);
		u64 share = ran_units * POLICY_SHARE_ALL / (capacity ? capacity : 1);

		load->seen[boost] = ran[boost];
		share = policy_min(share, POLICY_SHARE_ALL);
		load->share[boost] = (u32)((load->share[boost] * (POLICY_SHARE_WINDOWS - 1ULL) + share) /
					   POLICY_SHARE_WINDOWS);
	}
}

/*
 * The lowest boost that counts: from the most urgent down, as long as the sum of shares is within
 * @bound. 1: all do; above POLICY_BOOST_MAX: none does. @floor is the one so far.
 */
static __always_inline u32 policy_boost_floor(const struct policy_load *load, u32 bound, u32 floor)
{
	u64 sum = 0;

	for (u32 boost = POLICY_BOOST_MAX; boost; boost--) {
		u32 room = boost < floor ? bound / POLICY_READMIT_PART : 0;

		sum += load->share[boost];
		if (sum > bound - room)
			return boost + 1;
	}
	return 1;
}

#endif
