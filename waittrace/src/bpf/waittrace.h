/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the wait tracer's BPF object and its user space share. bindgen turns this file
 * into Rust and asserts sizes and offsets there.
 */
#ifndef WAITTRACE_H
#define WAITTRACE_H

#include "policy_hist.h"
#include "policy_types.h"

/* By scheduling policy. */
enum wait_class {
	WAIT_CLASS_NORMAL = 0, /* SCHED_OTHER, SCHED_BATCH, SCHED_EXT */
	WAIT_CLASS_IDLE = 1,   /* SCHED_IDLE */
	WAIT_CLASS_RT = 2,     /* SCHED_FIFO, SCHED_RR, SCHED_DEADLINE */
	WAIT_CLASS_CNT = 3,
};

enum { WAIT_COMM_LEN = 16 };

/* Written by user space. */
struct wait_control {
	u64 since_ns; /* CLOCK_MONOTONIC; nothing before it counts, and waits begin there at the earliest */
};

/* One wait and whose it was. */
struct wait_record {
	u64 wait_ns;
	u32 pid;
	u32 tgid;
	u32 wait_class;	 /* enum wait_class */
	u32 policy;	 /* SCHED_* */
	s32 nice;	 /* -20..19 */
	u32 rt_priority; /* 0 unless of a real-time policy */
	u32 cpu;	 /* where it ran at last; an open wait: where it waits, or ran before */
	u32 allowed_cnt; /* CPUs it may use */
	char comm[WAIT_COMM_LEN];
};
_Static_assert(sizeof(struct wait_record) == 56, "struct wait_record has changed its size");

/*
 * The longest finished wait on one CPU. The CPU writes seq_tail first and seq_head last; a
 * reader copies upwards, so a copy whose two numbers agree is whole.
 */
struct wait_longest {
	u64 seq_head;
	u64 since_ns; /* the wait_control.since_ns it was measured under */
	struct wait_record record;
	u64 seq_tail;
};

struct wait_class_data {
	u64 wait_cnt;
	u64 wait_hist[POLICY_HIST_BUCKETS]; /* finished waits */
	struct wait_longest longest;
};

/* What one CPU has counted since the tracer was loaded; written by that CPU only. */
struct cpu_waits {
	u64 switch_cnt;
	u64 wakeup_cnt;
	u64 migration_cnt;
	u64 lost_cnt; /* events of a task for which the kernel gave no storage */
	struct wait_class_data classes[WAIT_CLASS_CNT];
};

#endif
