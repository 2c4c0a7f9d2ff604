/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regime: light (an idle CPU is likely: run at once where the cache is warm) or busy
 * (nobody is idle: order matters). Decided per window from the CPUs' measured load.
 *
 * Two thresholds, so that a load at the border does not flip the regime every window.
 */
#ifndef SCX_GAMER_POLICY_REGIME_H
#define SCX_GAMER_POLICY_REGIME_H

#include "policy_types.h"

/* The load is taken over windows of this length: long against a frame, short against a person. */
#define POLICY_REGIME_WINDOW_NS (32ULL * 1000 * 1000)

/* Busy is left this many per cent below the threshold at which it was entered. */
#define POLICY_REGIME_HYSTERESIS_PCT 15

/* Share of @cpu_cnt CPUs' time in @elapsed_ns that was spent running tasks: 0..100. */
static __always_inline u32 policy_load_pct(u64 ran_ns, u64 elapsed_ns, u32 cpu_cnt)
{
	u64 capacity_ns = policy_min(elapsed_ns, 1ULL << 40) * (cpu_cnt ? cpu_cnt : 1);

	if (!capacity_ns)
		return 0;
	if (ran_ns >= capacity_ns)
		return 100;
	/* Scaled down first: ran_ns * 100 could wrap. */
	return capacity_ns < 100 ? 0 : (u32)policy_min(ran_ns / (capacity_ns / 100), 100);
}

/* The next regime (true: busy) from the present one and the smoothed load. */
static __always_inline bool policy_regime_next(bool busy, u32 load_pct, u32 busy_enter_pct)
{
	u32 leave_pct = busy_enter_pct > POLICY_REGIME_HYSTERESIS_PCT
			    ? busy_enter_pct - POLICY_REGIME_HYSTERESIS_PCT
			    : 0;

	return load_pct >= busy_enter_pct || (busy && load_pct > leave_pct);
}

#endif
