/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Declares the maps about waits for locks, which are shared in the way of evidence.bpf.h.
 */
#ifndef SCX_GAMER_LOCKS_BPF_H
#define SCX_GAMER_LOCKS_BPF_H

#include "intf_evidence.h"

/* What the task waits for; ends with it, so that nothing is left of who dies in a wait. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lock_wait);
} lock_waits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct lock_counters);
} lock_counts SEC(".maps");

/* Ends with the holder. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lock_hold);
} lock_holds SEC(".maps");

/* The task that has just inherited from one about to sleep on this CPU; 0: none. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} lock_hurry SEC(".maps");

/* The tasks behind the threads of Wine, as they have said themselves. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WINE_THREADS_MAX);
	__type(key, struct wine_thread);
	__type(value, struct wine_task);
} wine_threads SEC(".maps");

#endif
