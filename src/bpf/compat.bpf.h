/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the supported kernels that the scx headers leave to us.
 */
#ifndef SCX_GAMER_COMPAT_BPF_H
#define SCX_GAMER_COMPAT_BPF_H

/* The task is on the runqueue; unchanged since 6.12, but not in every vmlinux.h by this name. */
#define TASK_FLAG_QUEUED 1U

/* include/linux/sched/prio.h: nice 0 is static priority 120. */
#define STATIC_PRIO_NICE_0 120

/* The same: below are real-time and deadline tasks, and who inherits their priority. */
#define PRIO_NORMAL_MIN 100

/* include/uapi/linux/sched.h */
#define POLICY_SCHED_BATCH 3
#define POLICY_SCHED_IDLE  5

#endif
