/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State: the contexts of tasks, CPUs, LLCs and queues, and how they are reached.
 */
#ifndef SCX_GAMER_CONTEXT_BPF_H
#define SCX_GAMER_CONTEXT_BPF_H

#include "intf.h"
#include "knobs.bpf.h"
#include "task_ctxs.bpf.h"

struct cpu_ctx cpu_ctxs[MAX_CPUS];
struct queue_ctx queues[QUEUE_CNT];
struct llc_ctx llcs[MAX_LLCS];

/* The machine's virtual now, see policy_vtime.h; alone on its line, as every CPU reads it. */
struct {
	u64 now_ns;
} CACHE_ALIGNED vtime;

static __always_inline struct task_ctx *get_task_ctx(struct task_struct *p)
{
	return bpf_task_storage_get(&task_ctxs, p, NULL, 0);
}

/* The masks below are for the verifier: the callers' values are in range. */
static __always_inline struct cpu_ctx *get_cpu_ctx(s32 cpu)
{
	return &cpu_ctxs[(u32)cpu & (MAX_CPUS - 1)];
}

/* Whether @cpu belongs to a set of CPUs that the daemon has fixed, a bit each. */
static __always_inline bool is_among(const volatile u64 cpus[MAX_CPUS / 64], u32 cpu)
{
	return cpus[cpu / 64 & (MAX_CPUS / 64 - 1)] & 1ULL << cpu % 64;
}

static __always_inline bool is_this_cpu(s32 cpu)
{
	return cpu == (s32)bpf_get_smp_processor_id();
}

static __always_inline u32 get_llc(s32 cpu)
{
	return llc_cnt > 1 ? llc_of_cpu[(u32)cpu & (MAX_CPUS - 1)] & (MAX_LLCS - 1) : 0;
}

static __always_inline struct queue_ctx *get_queue(u32 idx)
{
	return &queues[idx & (QUEUE_CNT - 1)];
}

/* The user DSQ behind a queue. */
static __always_inline u64 dsq_of_queue(u32 idx)
{
	return (1ULL << 32) | idx;
}

#endif
