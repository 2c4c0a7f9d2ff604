/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The map of task contexts. It belongs to the daemon, like the evidence, and is handed to each new
 * scheduler, which makes every context anew: on 6.18 the freeing of task storage and a CPU that
 * goes offline can wait for each other for ever (tried: rcu_barrier_tasks_generic in the worker
 * that frees it, cpus_read_lock in the hotplug), and a CPU that comes or goes is what the
 * scheduler is restarted for.
 */
#ifndef SCX_GAMER_TASK_CTXS_BPF_H
#define SCX_GAMER_TASK_CTXS_BPF_H

#include "intf.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} task_ctxs SEC(".maps");

#endif
