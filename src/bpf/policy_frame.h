/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frame clock: from the times at which a display's flips completed to the interval between them
 * and the next flip to expect.
 *
 * An interval that fits moves the average. One near a multiple of it is a flip that came late: the
 * ones between are missed, and the average stays. Whatever else fits neither; eight in a row that do
 * not fit are the new rate, whether the mode changed, the game halved its rate, or the display
 * follows the game (VRR), where every interval differs. So that such a display misses nothing,
 * flips are only missed after eight that fitted.
 *
 * Flips closer together than any refresh are counted and teach nothing: they do not wait
 * for the display. A pause or a clock that jumped back begins anew.
 *
 * Limit: a rate that drops to its half or third looks like missed flips for the first eight.
 */
#ifndef SCX_GAMER_POLICY_FRAME_H
#define SCX_GAMER_POLICY_FRAME_H

#include "policy_types.h"

/* 500 Hz; what follows sooner is no refresh. */
#define POLICY_FRAME_NS_MIN (2ULL * 1000 * 1000)

/* 30 Hz and 5 % of jitter. */
#define POLICY_FRAME_NS_MAX (35ULL * 1000 * 1000)

/* Without a flip for so long there is no rate. */
#define POLICY_FRAME_PAUSE_NS (250ULL * 1000 * 1000)

/* The part of the interval (1/8) that one may differ by and fit, and that the average moves by. */
#define POLICY_FRAME_SHIFT 3

/* So many in a row make a rate. */
#define POLICY_FRAME_RUN 8

/* All zero: nothing known. Times are those of the kernel's flip events (CLOCK_MONOTONIC). */
struct policy_frame {
	u64 last_flip_ns;    /* the last flip */
	u64 last_refresh_ns; /* the last that waited for the display; 0: none */
	u64 interval_ns;     /* average between these; 0: unknown */
	u64 flip_cnt;
	u64 missed_cnt;
	u32 odd_sum_ns; /* sum of the last intervals that did not fit, */
	u16 odd_cnt;	/* and how many in a row */
	u16 fit_cnt;	/* how many have fitted since one fitted neither way; up to POLICY_FRAME_RUN */
};

/* How often @interval_ns fits into @gap_ns; 0: it does not. */
static __always_inline u64 policy_frame_multiple(u64 gap_ns, u64 interval_ns)
{
	u64 cnt, off_ns;

	if (!interval_ns)
		return 0;
	cnt = (gap_ns + interval_ns / 2) / interval_ns;
	off_ns = gap_ns > cnt * interval_ns ? gap_ns - cnt * interval_ns :
					      cnt * interval_ns - gap_ns;
	return off_ns <= interval_ns >> POLICY_FRAME_SHIFT ? cnt : 0;
}

/* An interval that does not move the average; with enough of them they are the new one. */
static __always_inline void policy_frame_odd(struct policy_frame *f, u64 gap_ns)
{
	u64 mean_ns;

	f->odd_sum_ns += (u32)gap_ns;
	f->odd_cnt++;
	if (f->interval_ns && f->odd_cnt < POLICY_FRAME_RUN)
		return;
	mean_ns = f->odd_sum_ns / f->odd_cnt;
	f->odd_sum_ns = 0;
	f->odd_cnt = 0;
	if (mean_ns < POLICY_FRAME_NS_MIN || mean_ns > POLICY_FRAME_NS_MAX)
		return;
	f->interval_ns = mean_ns;
	f->fit_cnt = 0;
}

/* A flip completed at @now_ns. Returns how many were missed before it. */
static __always_inline u64 policy_frame_flip(struct policy_frame *f, u64 now_ns)
{
	u64 gap_ns = now_ns - f->last_refresh_ns;
	s64 since_flip_ns = policy_delta_ns(now_ns, f->last_flip_ns);
	u64 multiple;

	f->flip_cnt++;
	f->last_flip_ns = now_ns;
	if (!f->last_refresh_ns || since_flip_ns < 0 || gap_ns > POLICY_FRAME_PAUSE_NS) {
		f->last_refresh_ns = now_ns;
		f->interval_ns = 0;
		f->odd_sum_ns = 0;
		f->odd_cnt = 0;
		f->fit_cnt = 0;
		return 0;
	}
	if (since_flip_ns < (s64)POLICY_FRAME_NS_MIN)
		return 0;
	f->last_refresh_ns = now_ns;
	multiple = policy_frame_multiple(gap_ns, f->interval_ns);
	if (multiple == 1) {
		f->interval_ns += (s64)(gap_ns - f->interval_ns) >> POLICY_FRAME_SHIFT;
		f->odd_sum_ns = 0;
		f->odd_cnt = 0;
		if (f->fit_cnt < POLICY_FRAME_RUN)
			f->fit_cnt++;
		return 0;
	}
	if (!multiple || f->fit_cnt < POLICY_FRAME_RUN) {
		f->fit_cnt = 0;
		multiple = 1;
	}
	f->missed_cnt += multiple - 1;
	policy_frame_odd(f, gap_ns);
	return multiple - 1;
}

/*
 * How near the next flip is, in 16ths of the span by which a deadline shrinks for it: 0 in the first
 * quarter of the interval, @max_16ths (a multiple of 4) once the flip is due, in steps between.
 */
static __always_inline u32 policy_frame_near_16ths(const struct policy_frame *f, u64 now_ns,
						   u32 max_16ths)
{
	s64 gap_ns = policy_delta_ns(now_ns, f->last_refresh_ns);
	u64 quarters;

	if (!f->interval_ns || gap_ns < 0 || gap_ns > (s64)POLICY_FRAME_PAUSE_NS)
		return 0;
	quarters = policy_min((u64)gap_ns * 4 / f->interval_ns, 4);
	return max_16ths * (u32)quarters / 4;
}

/* When the next flip after @now_ns is to be expected; 0: unknown. */
static __always_inline u64 policy_frame_next_ns(const struct policy_frame *f, u64 now_ns)
{
	s64 gap_ns = policy_delta_ns(now_ns, f->last_refresh_ns);

	if (!f->interval_ns || gap_ns < -(s64)POLICY_FRAME_PAUSE_NS ||
	    gap_ns > (s64)POLICY_FRAME_PAUSE_NS)
		return 0;
	/* Drivers may stamp a flip with the moment at which it will be seen. */
	if (gap_ns < 0)
		gap_ns = 0;
	return f->last_refresh_ns + ((u64)gap_ns / f->interval_ns + 1) * f->interval_ns;
}

#endif
