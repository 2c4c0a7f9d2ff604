/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slice: how long a task may run before the queue is looked at again.
 *
 * Light: the whole slice, to keep the cache warm. Busy: shared among those who wait,
 * so that a round of the queue stays short, but never below the minimum, where
 * switching would cost more than it gives.
 */
#ifndef SCX_GAMER_POLICY_SLICE_H
#define SCX_GAMER_POLICY_SLICE_H

#include "policy_boost.h"
#include "policy_types.h"

/*
 * Whether a busy machine shortens the turns of such tasks. Not those of urgent ones, as they are short by
 * themselves and a cut one hands on its work a turn later; nor those of background tasks, as everybody
 * else puts them off in any case and among themselves a switch buys nothing.
 */
static __always_inline bool policy_slice_divides(u32 boost, bool is_background)
{
	return !policy_is_urgent(boost) && (boost || !is_background);
}

/* @waiting_cnt tasks wait for @cpu_cnt CPUs. Result: slice_min_ns..max(slice_ns, slice_min_ns). */
static __always_inline u64 policy_slice_ns(u64 slice_ns, u64 slice_min_ns, u32 waiting_cnt,
					   u32 cpu_cnt, bool busy)
{
	u64 share_ns = slice_ns;

	if (busy && waiting_cnt) {
		u64 sharers_cnt = (u64)(cpu_cnt ? cpu_cnt : 1) + waiting_cnt;

		share_ns = policy_min(slice_ns, 1ULL << 40) * (cpu_cnt ? cpu_cnt : 1) / sharers_cnt;
	}
	return share_ns < slice_min_ns ? slice_min_ns : share_ns;
}

#endif
