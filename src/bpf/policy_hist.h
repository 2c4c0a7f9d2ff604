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

#define POLICY_SAME_4(n)  n, n, n, n
#define POLICY_SAME_16(n) POLICY_SAME_4(n), POLICY_SAME_4(n), POLICY_SAME_4(n), POLICY_SAME_4(n)

/* Position of the highest set bit of each byte. */
static const u8 policy_log2_of_byte[256] = {
    0, 0, 1, 1, POLICY_SAME_4(2), POLICY_SAME_4(3), POLICY_SAME_4(3), POLICY_SAME_16(4),
    POLICY_SAME_16(5), POLICY_SAME_16(5),
    POLICY_SAME_16(6), POLICY_SAME_16(6), POLICY_SAME_16(6), POLICY_SAME_16(6),
    POLICY_SAME_16(7), POLICY_SAME_16(7), POLICY_SAME_16(7), POLICY_SAME_16(7),
    POLICY_SAME_16(7), POLICY_SAME_16(7), POLICY_SAME_16(7), POLICY_SAME_16(7),
};

/*
 * Position of the highest set bit of @value (1..2^32-1). By a table: BPF has no instruction for it, and every
 * turn asks (a search by halves took 54 of the 380 instructions that ops.running has of its own).
 */
static __always_inline u32 policy_log2(u32 value)
{
	u32 shift = 0;

	if (value >> 16) {
		value >>= 16;
		shift = 16;
	}
	if (value >> 8) {
		value >>= 8;
		shift += 8;
	}
	/* Else clang, which knows the range, leaves the mask out, and the verifier, which does not, refuses. */
	asm volatile("" : "+r"(value));
	return shift + policy_log2_of_byte[value & 0xff];
}

static __always_inline u32 policy_hist_bucket(u64 ns)
{
	u32 octave;

	if (ns < (1ULL << POLICY_HIST_FIRST_SHIFT))
		return 0;
	if (ns >> (POLICY_HIST_FIRST_SHIFT + POLICY_HIST_OCTAVES))
		return POLICY_HIST_BUCKETS - 1;
	octave = policy_log2(ns >> POLICY_HIST_FIRST_SHIFT);
	return 1 + octave * 4 + (u32)(ns >> (octave + POLICY_HIST_FIRST_SHIFT - 2) & 3);
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
