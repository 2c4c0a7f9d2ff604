/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Input window: the short time after a real input event in which those boosted tasks that are not
 * urgent anyway come sooner. Each class of device has a window of its own; the one that ends last
 * holds. It closes by time, or before that by the flip that shows the result.
 *
 * Times are those of bpf_ktime_get_ns() (CLOCK_MONOTONIC).
 */
#ifndef SCX_GAMER_POLICY_WINDOW_H
#define SCX_GAMER_POLICY_WINDOW_H

#include "policy_boost.h"
#include "policy_types.h"

/* No window is longer: an end further away is left from a clock that jumped. */
#define POLICY_INPUT_WINDOW_NS_MAX (100ULL * 1000 * 1000)

/* Whether a window that ends at @end_ns (0: none) is open at @now_ns for a task of this boost. */
static __always_inline bool policy_in_window(u64 now_ns, u64 end_ns, u32 boost)
{
	s64 left_ns = policy_delta_ns(end_ns, now_ns);

	if (!boost || policy_is_urgent(boost) || !end_ns)
		return false;
	return left_ns > 0 && left_ns <= (s64)POLICY_INPUT_WINDOW_NS_MAX;
}

/* The end of the window after an event at @now_ns that opens one of @window_ns (0: it opens none). */
static __always_inline u64 policy_window_extend(u64 end_ns, u64 now_ns, u64 window_ns)
{
	u64 new_end_ns = now_ns + policy_min(window_ns, POLICY_INPUT_WINDOW_NS_MAX);
	s64 left_ns = policy_delta_ns(end_ns, now_ns);

	if (!window_ns)
		return end_ns;
	if (end_ns && left_ns <= (s64)POLICY_INPUT_WINDOW_NS_MAX &&
	    policy_delta_ns(end_ns, new_end_ns) > 0)
		return end_ns;
	return new_end_ns;
}

/*
 * Whether a flip that was asked for at @asked_ns shows what came of the event at @event_ns. A frame
 * that was begun before the event is asked for soon after it: half an interval is left for that.
 */
static __always_inline bool policy_flip_shows(u64 asked_ns, u64 event_ns, u64 interval_ns)
{
	s64 after_ns = policy_delta_ns(asked_ns, event_ns);

	return asked_ns && interval_ns && after_ns > (s64)(interval_ns / 2);
}

#endif
