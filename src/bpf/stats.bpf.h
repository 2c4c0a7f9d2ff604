/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Statistics: one record per CPU, written with relaxed atomics (a callback can run on
 * another CPU than the one it speaks of), summed up by the daemon.
 */
#ifndef SCX_GAMER_STATS_BPF_H
#define SCX_GAMER_STATS_BPF_H

#include "intf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_stats);
} stats SEC(".maps");

static __always_inline struct cpu_stats *get_stats(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&stats, &key);
}

static __always_inline void add_relaxed(u64 *counter, u64 amount)
{
	__atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

static __always_inline void count(enum stat_idx idx)
{
	struct cpu_stats *s = get_stats();

	if (s)
		add_relaxed(&s->counters[idx], 1);
}

static __always_inline void record_wait(struct cpu_stats *s, u64 wait_ns)
{
	u32 bucket = policy_hist_bucket(wait_ns);

	if (bucket < POLICY_HIST_BUCKETS)
		add_relaxed(&s->wait_hist[bucket], 1);
	if (wait_ns > s->wait_max_ns)
		s->wait_max_ns = wait_ns;
}

#endif
