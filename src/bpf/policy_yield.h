/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Yield: whether a task that calls sched_yield gives way to those who wait, whatever their deadlines. It
 * spins for something that one of them has to do, most likely a thread of its own pipeline that it has put
 * off itself; by its own deadline it would go first again and again. (Seen on one CPU: a thread that waits
 * for an item of a channel yielded 360,000 times a second while the thread that was writing that item had
 * been put off; the game showed 47 frames a second instead of 168.)
 *
 * Inputs: the task's boost, how often it has yielded since it last slept or gave way, whether the next in its
 * CPU's queues may be who it waits for. To hogs a boosted task does not give way at first: what it waits for
 * may well be running elsewhere, and is done before a hog's turn is over.
 *
 * Invariants (property-tested): one more yield, less boost or a thread of the pipeline that waits never makes it
 * keep its turn.
 */
#ifndef SCX_GAMER_POLICY_YIELD_H
#define SCX_GAMER_POLICY_YIELD_H

#include "policy_types.h"

/* Some tenths of a millisecond: by then nothing says that what it waits for is done without a hog's turn. */
#define POLICY_YIELD_SPIN_CNT 250

static __always_inline bool policy_yield_gives_way(u32 boost, u32 yield_cnt, bool pipeline_waits)
{
	return !boost || pipeline_waits || yield_cnt >= POLICY_YIELD_SPIN_CNT;
}

#endif
