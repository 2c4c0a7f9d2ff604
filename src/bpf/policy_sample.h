/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sampling: which events of a detector are looked at. All of them, until they come faster than any
 * device or game needs; then one of many, so that a flood costs a count each and no more.
 */
#ifndef SCX_GAMER_POLICY_SAMPLE_H
#define SCX_GAMER_POLICY_SAMPLE_H

#include "policy_types.h"

/* Events are counted over windows of this length. */
#define POLICY_SAMPLE_WINDOW_NS (1000ULL * 1000)

/* So many of a window are all looked at: 64,000 a second on each CPU. */
#define POLICY_SAMPLE_ALL_MAX 64

/* Beyond, one of so many is. */
#define POLICY_SAMPLE_STRIDE 16

/* State of one detector on one CPU. */
struct policy_sample {
	u64 window_start_ns;
	u64 event_cnt;	 /* all of them, since the detector was loaded */
	u64 skipped_cnt; /* of these, not looked at */
	u64 window_cnt;
};

/* Counts an event at @now_ns (CLOCK_MONOTONIC); whether to look at it. */
static __always_inline bool policy_sample_take(struct policy_sample *s, u64 now_ns)
{
	s64 age_ns = policy_delta_ns(now_ns, s->window_start_ns);

	s->event_cnt++;
	/* A clock that jumped back begins a new window as well. */
	if (age_ns < 0 || age_ns >= (s64)POLICY_SAMPLE_WINDOW_NS) {
		s->window_start_ns = now_ns;
		s->window_cnt = 0;
	}
	s->window_cnt++;
	if (s->window_cnt <= POLICY_SAMPLE_ALL_MAX ||
	    s->window_cnt % POLICY_SAMPLE_STRIDE == 0)
		return true;
	s->skipped_cnt++;
	return false;
}

#endif
