/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The integer types of the policy core and of the shared interface, in BPF (from
 * vmlinux.h) and on the host, and the few comparisons that every policy unit needs.
 *
 * A time is a u64 of nanoseconds on the scheduler clock. It may wrap: times are only
 * ever compared through the sign of their difference.
 */
#ifndef SCX_GAMER_POLICY_TYPES_H
#define SCX_GAMER_POLICY_TYPES_H

#ifndef __VMLINUX_H__
#include <stdbool.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
#endif

/*
 * What the daemon sets before the load is `const volatile`: read through a pointer without
 * volatile, the compiler takes the value in the file for the value that there will be.
 */
#ifdef __clang__
#pragma clang diagnostic error "-Wcast-qual"
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* Signed distance from @b to @a in ns; right across a wrap while they are less than 2^63 apart. */
static __always_inline s64 policy_delta_ns(u64 a, u64 b)
{
	return (s64)(a - b);
}

static __always_inline u64 policy_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

static __always_inline u64 policy_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static __always_inline s64 policy_clamp(s64 value, s64 lo, s64 hi)
{
	if (value < lo)
		return lo;
	return value > hi ? hi : value;
}

#endif
