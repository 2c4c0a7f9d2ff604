/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the BPF objects and the daemon share: types, limits and indices. bindgen turns
 * this file into Rust; sizes and offsets are asserted here and in Rust.
 */
#ifndef SCX_GAMER_INTF_H
#define SCX_GAMER_INTF_H

#include "intf_evidence.h"
#include "intf_layout.h"
#include "policy_admit.h"
#include "policy_boost.h"
#include "policy_deadline.h"
#include "policy_frame.h"
#include "policy_hist.h"
#include "policy_inherit.h"
#include "policy_lock.h"
#include "policy_miss.h"
#include "policy_net.h"
#include "policy_perf.h"
#include "policy_pick.h"
#include "policy_place.h"
#include "policy_preempt.h"
#include "policy_rate.h"
#include "policy_regime.h"
#include "policy_relay.h"
#include "policy_roles.h"
#include "policy_rt.h"
#include "policy_sample.h"
#include "policy_slice.h"
#include "policy_types.h"
#include "policy_vtime.h"
#include "policy_window.h"
#include "policy_yield.h"

/* What the scheduler knows of a task: one line, all of it touched by the hot path. */
struct task_ctx {
	u64 vruntime_ns;   /* weighted run time, see policy_vtime.h */
	u64 recent_run_ns; /* weighted run time since the last sleep */
	u64 awake_run_ns;  /* real run time since the last sleep */
	u64 since_ns;	   /* when its wait, or the part of its run not charged yet, began; 0: sleeps */
	u64 deadline_ns;   /* of the last enqueue, until the turn begins; then 0 */
	struct policy_rate rate;
	u32 inv_weight;	   /* policy_inv_weight() */
	u16 roles_checked; /* when the roles were last derived, in units of 2^22 ns (about 4 ms) */
	u8 inherited;	   /* boost of the most urgent task that waits for a lock it holds */
	u8 missed;	   /* score of late turns, see policy_miss.h */
	u16 queue_idx;	   /* where it waits: QUEUE_NONE, or an index into `queues` */
	u16 roles;	   /* set of enum role */
	u8 boost;	   /* of the roles, before it has to be earned */
	u8 role;	   /* the first of the roles: the runs count under it */
	u8 pinned : 1;	   /* its affinity leaves one CPU */
	u8 loan : 7;	   /* boost lent by who woke it */
	u8 yield_cnt;	   /* calls of sched_yield since it slept or gave way, up to POLICY_YIELD_SPIN_CNT */
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct task_ctx, 64);

/* What a CPU says about itself; written by that CPU, read by those who look for a victim. */
struct cpu_ctx {
	u64 run_start_ns; /* of the running task; 0: runs nothing of ours */
	u64 span_ns;	  /* of the running task, as it was at span_at_ns */
	u64 span_at_ns;
	u64 ran_ns; /* sum of all run time on this CPU */
	u32 boost;  /* of the running task */
	u32 pid;    /* of the running task */
	u32 foreign_step; /* how far from its own LLC in number the one is that it looked at last */
	u32 boost_floor;  /* the lowest boost that counts while somebody waits for this CPU alone */
	u32 boosted_ran[POLICY_BOOST_MAX + 1]; /* sums of run time by boost, see policy_admit.h */
	struct policy_load boosted;
	u64 window_start_ns; /* of `boosted` */
	u64 perf_start_ns;   /* the window that the performance target goes by */
	u64 perf_ran_ns;     /* ran_ns when it began */
	u16 perf_below;	     /* how far below POLICY_PERF_ALL the target is: at first everything is asked for */
	u8 load_pct;	     /* of the last window */
	bool ran_pipeline;   /* a boosted task ran in this window */
	bool holds_lock;     /* the running task, and a boosted one waits for it */
	bool yields;	     /* the running task has called sched_yield, and nobody was chosen yet */
	u32 rt_mean_ns;	     /* length of the turns of real-time tasks, see policy_rt.h */
	u64 rt_since_ns;     /* of the present one */
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct cpu_ctx, 192);
ASSERT_OFFSET(struct cpu_ctx, boosted_ran, 48);

/* A queue of waiting tasks: one for each LLC, and one for each CPU (tasks with no other choice). */
struct queue_ctx {
	u64 deadline_ns; /* the earliest, as far as is known; see queue.bpf.h */
	u32 waiting_cnt;
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct queue_ctx, 64);

/* Index into `queues`: LLCs first, then CPUs. */
#define QUEUE_OF_LLC(llc) (llc)
#define QUEUE_OF_CPU(cpu) (MAX_LLCS + (cpu))
enum queues {
	QUEUE_CNT = 2048, /* a power of two, so that a mask bounds an index */
	QUEUE_NONE = 0xffff,
};
_Static_assert(MAX_LLCS + MAX_CPUS <= QUEUE_CNT, "a queue for each LLC and each CPU");
_Static_assert(!(MAX_CPUS & (MAX_CPUS - 1)) && !(MAX_LLCS & (MAX_LLCS - 1)) &&
		   !(QUEUE_CNT & (QUEUE_CNT - 1)),
	       "limits are used as masks");

/* Load and regime of one LLC. */
struct llc_ctx {
	u64 window_start_ns;
	u64 window_ran_ns; /* sum of the CPUs' ran_ns when the window began */
	u32 load_pct;	   /* smoothed, 0..100 */
	u32 busy;	   /* the regime */
	u32 boost_floor;   /* the lowest boost that counts */
	struct policy_load boosted;
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct llc_ctx, 128);

/* Indices of the counters of struct cpu_stats. */
enum stat_idx {
	STAT_DISPATCH_IDLE = 0,	   /* straight to an idle CPU, found when the task woke */
	STAT_DISPATCH_OWN = 1,	   /* from the CPU's own queue */
	STAT_DISPATCH_LLC = 2,	   /* from the queue of the LLC */
	STAT_DISPATCH_STEAL = 3,   /* from another LLC's queue */
	STAT_DISPATCH_KEEP = 4,	   /* the running task went on with a new slice */
	STAT_DISPATCH_KTHREAD = 5, /* per-CPU kernel thread, straight to its CPU */
	STAT_ENQUEUE_LLC = 6,
	STAT_ENQUEUE_OWN = 7,
	STAT_PREEMPT = 8,	  /* a running task was put off for an arrival */
	STAT_KICK_IDLE = 9,	  /* an idle CPU was woken to look at a queue */
	STAT_REENQUEUE_RT = 10,	  /* a real-time task took a CPU, what waited there moved */
	STAT_SPIN_UNBOOSTED = 11, /* enqueues at which a spinning task had lost its boost */
	STAT_WINDOW_HIT = 12,	  /* enqueues inside an input window */
	STAT_REGIME_SWITCH = 13,
	STAT_NO_TASK_CTX = 14, /* a task without context was met; it ran with defaults */
	STAT_LOAN = 15,	       /* wake-ups at which the waker lent boost */
	STAT_NOT_ADMITTED = 16, /* enqueues at which a boost did not count: boosted load is too high */
	STAT_HURRY = 17,	/* waiting tasks that moved up, as they had inherited boost */
	STAT_PERF_SET = 18,	/* the performance target of a CPU was changed */
	STAT_PACKED = 19,	/* a woken task was left to its CPU to save power; see policy_packs() */
	STAT_DISPATCH_WARM = 20, /* from the queue of the LLC, not its head; see policy_warm_first() */
	STAT_TICKLESS = 21, /* turns that began without an end, so that the tick may stop */
	STAT_CNT = 22,
};

/* One CPU's statistics (per-CPU map, relaxed atomics). */
struct cpu_stats {
	u64 counters[STAT_CNT];		    /* by enum stat_idx */
	u64 role_stint_cnt[ROLE_SLOT_CNT];  /* runs, by the first role of the enum */
	u64 role_late_cnt[ROLE_SLOT_CNT];   /* of the runs, those that began late, by role */
	u64 role_run_ns[ROLE_SLOT_CNT];	    /* run time, by role */
	u64 wait_max_ns;		    /* since the scheduler was attached */
	u64 wait_hist[POLICY_HIST_BUCKETS]; /* runnable to running */
} CACHE_ALIGNED;

#endif
