/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Queues: bookkeeping beside the DSQs, so that an empty queue costs one load and a
 * queue's earliest deadline is known without a kfunc (scx_bpf_dsq_peek is not there on 6.18).
 *
 * That deadline is a hint. It is too early after a take from a queue whose next task is far later
 * (head_deadline_ns() looks where that matters), and too late for a moment when two tasks join at once, when
 * one joins while another is taken or looked at, or when the CPU that takes may not run the head. The next
 * take or join puts it right; the order in the DSQ itself is always exact.
 *
 * Invariant: a task that waits in a queue is counted in its waiting_cnt, from before it is
 * inserted until it runs, sleeps, is queued anew or dies. join_queue's atomic is a full
 * barrier and comes before the look for an idle CPU; a CPU that goes idle sets its idle
 * bit before it looks at waiting_cnt (update_idle): one of the two sees the other.
 */
#ifndef SCX_GAMER_QUEUE_BPF_H
#define SCX_GAMER_QUEUE_BPF_H

#include "context.bpf.h"

/*
 * The LLCs in whose queues somebody may wait, a bit each; kept where there are several. A bit is set
 * after its queue has counted a task. Who finds none counted clears it, and then looks again: of a
 * task that joins meanwhile either the one or the other is noticed.
 */
struct {
	u64 words[MAX_LLCS / 64];
} CACHE_ALIGNED waiting_llcs;

static __always_inline u64 *word_of_llc(u32 llc)
{
	return &waiting_llcs.words[llc / 64 & (MAX_LLCS / 64 - 1)];
}

static __always_inline bool may_wait_in_llc(u32 llc)
{
	return *(volatile u64 *)word_of_llc(llc) & 1ULL << llc % 64;
}

static __always_inline void set_waiting_llc(u32 llc)
{
	/* Test before set: every CPU reads this line. */
	if (!may_wait_in_llc(llc))
		__sync_fetch_and_or(word_of_llc(llc), 1ULL << llc % 64);
}

static __always_inline bool may_wait_outside_llc(u32 llc)
{
	for (u32 first = 0; first < MAX_LLCS && first < llc_cnt; first += 64) {
		u64 own = llc / 64 == first / 64 ? 1ULL << llc % 64 : 0;

		if (*(volatile u64 *)word_of_llc(first) & ~own)
			return true;
	}
	return false;
}

static __always_inline void join_queue(struct task_ctx *tctx, u32 idx, u64 deadline_ns)
{
	struct queue_ctx *q = get_queue(idx);
	u32 waiting_cnt = __sync_fetch_and_add(&q->waiting_cnt, 1);

	tctx->queue_idx = idx;
	tctx->deadline_ns = deadline_ns;
	if (!waiting_cnt || policy_delta_ns(deadline_ns, q->deadline_ns) < 0)
		q->deadline_ns = deadline_ns;
	if (llc_cnt > 1 && idx < MAX_LLCS)
		set_waiting_llc(idx);
}

static __always_inline void leave_queue(struct task_ctx *tctx)
{
	u32 idx = tctx->queue_idx;

	if (idx == QUEUE_NONE)
		return;
	tctx->queue_idx = QUEUE_NONE;
	__sync_fetch_and_sub(&get_queue(idx)->waiting_cnt, 1);
}

/* As leave_queue(), for a task that was taken to run: those behind it are not earlier. */
static __always_inline void leave_queue_as_head(struct task_ctx *tctx)
{
	u32 idx = tctx->queue_idx;

	if (idx == QUEUE_NONE)
		return;
	get_queue(idx)->deadline_ns = tctx->deadline_ns;
	leave_queue(tctx);
}

static __always_inline bool is_waiting(u32 idx)
{
	return *(volatile u32 *)&get_queue(idx)->waiting_cnt > 0;
}

/* Whether somebody waits whom @cpu takes without stealing. */
static __always_inline bool is_waited_for(s32 cpu)
{
	return is_waiting(QUEUE_OF_CPU(cpu)) || is_waiting(QUEUE_OF_LLC(get_llc(cpu)));
}

/*
 * The deadline of a queue's head: exact where the hint lies before @than_ns, so that nobody gives way to
 * a task that has been taken already, which is to whoever came behind it. (Tried by the hint alone: a CPU
 * kicked for a thread that another took meanwhile gave a hog the compositor's turn.) A function of its
 * own, so that it is verified once.
 */
__noinline u64 head_deadline_ns(u32 idx, u64 than_ns)
{
	struct queue_ctx *q = get_queue(idx);
	u64 dsq = dsq_of_queue(idx);
	struct task_struct *p;

	if (!is_waiting(idx) || policy_delta_ns(q->deadline_ns, than_ns) >= 0)
		return q->deadline_ns;
	bpf_for_each(scx_dsq, p, dsq, 0) {
		q->deadline_ns = p->scx.dsq_vtime;
		break;
	}
	return q->deadline_ns;
}

/* Whether somebody waits in the queue of an LLC whose bit was set; clears the bit if not. */
static __always_inline bool is_waiting_in_llc(u32 llc)
{
	if (is_waiting(QUEUE_OF_LLC(llc)))
		return true;
	/* Its result makes it a full barrier. */
	if (__sync_fetch_and_and(word_of_llc(llc), ~(1ULL << llc % 64)) &&
	    is_waiting(QUEUE_OF_LLC(llc))) {
		set_waiting_llc(llc);
		return true;
	}
	return false;
}

#endif
