/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Histogram of durations: four buckets to a power of two, so that a quantile read from
 * it is at most 25 % above the true value. Bucket 0 holds what is below 256 ns, the
 * last one everything from its lower edge up (about 8 s).
 */
#ifndef SCX_GAMER_POLICY_HIST_H
#define SCX_GAMER_POLICY_HIST_H

#include "policy_types.h"

#define POLICY_HIST_FIRST_SHIFT 8
#define POLICY_HIST_OCTAVES	25
#define POLICY_HIST_BUCKETS	(POLICY_HIST_OCTAVES * 4 + 1)

/* Position of the highest set bit of @value (which is not 0). */
static __always_inline u32 policy_log2(u64 value)
{
	u32 shift = 0;

	for (u32 step = 32; step; step >>= 1) {
		if (value >> step) {
			value >>= step;
			shift += step;
		}
	}
	return shift;
}

static __always_inline u32 policy_hist_bucket(u64 ns)
{
	u32 octave, bucket;

	if (ns < (1ULL << POLICY_HIST_FIRST_SHIFT))
		return 0;
	octave = policy_log2(ns);
	bucket = 1 + (octave - POLICY_HIST_FIRST_SHIFT) * 4 + (u32)((ns >> (octave - 2)) & 3);
	return bucket < POLICY_HIST_BUCKETS ? bucket : POLICY_HIST_BUCKETS - 1;
}

/* Upper edge of a bucket in ns (exclusive); a quantile that falls into it is reported as this. */
static __always_inline u64 policy_hist_edge_ns(u32 bucket)
{
	u32 octave, quarter;

	if (!bucket)
		return 1ULL << POLICY_HIST_FIRST_SHIFT;
	if (bucket > POLICY_HIST_BUCKETS - 1)
		bucket = POLICY_HIST_BUCKETS - 1;
	octave = POLICY_HIST_FIRST_SHIFT + (bucket - 1) / 4;
	quarter = (bucket - 1) % 4;
	return (1ULL << octave) + (u64)(quarter + 1) * (1ULL << (octave - 2));
}

#endif
