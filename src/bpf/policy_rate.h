/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rate: whether a task wakes to a beat, and the boost that its rate earns. So a game that no detector
 * knows is served all the same: the shorter the period, the sooner it must be met (rate-monotonic
 * order; Liu and Layland, "Scheduling Algorithms for Multiprogramming in a Hard-Real-Time
 * Environment", 1973).
 *
 * A gap between two wake-ups that fits moves the average; one that does not halves what has been
 * gathered, so that a beat survives one stumble, and a new one is followed after a few. Who runs for
 * more than half of its period is not waiting for a beat but for a CPU, and has none.
 *
 * No rate earns more than a game's threads have by default: a beat alone does not say what it is for.
 */
#ifndef SCX_GAMER_POLICY_RATE_H
#define SCX_GAMER_POLICY_RATE_H

#include "policy_types.h"

/* The unit of times below: 2^14 ns, about 16 us. */
#define POLICY_RATE_SHIFT 14

/* Shorter periods are the wake-ups of those who hand work to and fro. */
#define POLICY_RATE_NS_MIN (1ULL * 1000 * 1000)

/* Periods below these earn boost 3, 2 and 1: sound, 120 Hz and 60 Hz, with some jitter. */
#define POLICY_RATE_NS_SOUND (5ULL * 1000 * 1000)
#define POLICY_RATE_NS_120HZ (9ULL * 1000 * 1000)
#define POLICY_RATE_NS_60HZ  (17ULL * 1000 * 1000)

/* The part of the period (1/8) that a gap may differ by and fit, and that the average moves by. */
#define POLICY_RATE_FIT_SHIFT 3

/* So many gaps that fit make a beat; as many again are remembered. */
#define POLICY_RATE_FITS    8
#define POLICY_RATE_FIT_MAX (2 * POLICY_RATE_FITS)

/* All zero: nothing known. */
struct policy_rate {
	u32 woke_at; /* the last wake-up; wraps */
	u16 period;  /* average gap; 0: unknown */
	u16 fit_cnt;
};

/* The task wakes at @now_ns and ran for @ran_ns since it last woke. */
static __always_inline void policy_rate_wake(struct policy_rate *rate, u64 now_ns, u64 ran_ns)
{
	u32 now = (u32)(now_ns >> POLICY_RATE_SHIFT);
	u32 gap = now - rate->woke_at;
	s32 off = (s32)(gap - rate->period);
	s32 slack = rate->period >> POLICY_RATE_FIT_SHIFT;

	rate->woke_at = now;
	if (gap > 0xffff) {
		rate->period = 0;
		rate->fit_cnt = 0;
		return;
	}
	if (rate->period && off <= slack && off >= -slack &&
	    ran_ns >> POLICY_RATE_SHIFT <= gap / 2) {
		/* Rounded, as a shift alone would lead downwards. */
		rate->period += (off + (1 << (POLICY_RATE_FIT_SHIFT - 1))) >> POLICY_RATE_FIT_SHIFT;
		if (rate->fit_cnt < POLICY_RATE_FIT_MAX)
			rate->fit_cnt++;
		return;
	}
	rate->fit_cnt /= 2;
	if (!rate->fit_cnt)
		rate->period = gap;
}

/* The period in ns; 0: there is no beat. */
static __always_inline u64 policy_rate_period_ns(const struct policy_rate *rate)
{
	return rate->fit_cnt < POLICY_RATE_FITS ? 0 : (u64)rate->period << POLICY_RATE_SHIFT;
}

static __always_inline u32 policy_rate_boost(const struct policy_rate *rate)
{
	u64 period_ns = policy_rate_period_ns(rate);

	if (period_ns < POLICY_RATE_NS_MIN || period_ns >= POLICY_RATE_NS_60HZ)
		return 0;
	if (period_ns >= POLICY_RATE_NS_120HZ)
		return 1;
	return period_ns >= POLICY_RATE_NS_SOUND ? 2 : 3;
}

#endif
