/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Marks: how a detector writes down what it saw a task do, and how it keeps a flood of events
 * cheap. Every detector that names tasks includes this; each has its own `samples`.
 */
#ifndef SCX_GAMER_MARKS_BPF_H
#define SCX_GAMER_MARKS_BPF_H

#include "evidence.bpf.h"
#include "policy_sample.h"

/* A mark younger than this is not written again. */
enum { MARK_GRAIN_NS = 100 * 1000 };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct policy_sample);
} samples SEC(".maps");

/* Counts an event; whether to look at it, see policy_sample.h. */
static __always_inline bool take_event(u64 now_ns)
{
	u32 key = 0;
	struct policy_sample *sample = bpf_map_lookup_elem(&samples, &key);

	return sample && policy_sample_take(sample, now_ns);
}

/* What is remembered about a process; made if need be; NULL if there is no memory. */
static __always_inline struct process_evidence *make_process_evidence(u32 tgid)
{
	struct process_evidence *own = bpf_map_lookup_elem(&process_evidence, &tgid);
	struct process_evidence none = {};

	if (own)
		return own;
	bpf_map_update_elem(&process_evidence, &tgid, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&process_evidence, &tgid);
}

/* Whether @key was ever put into these bits; true for some others as well, as keys share them. */
static __always_inline bool may_have(const u64 *words, u64 key)
{
	return words[key / 64 % BIT_WORD_CNT] & 1ULL << key % 64;
}

static __always_inline void put_bit(u64 *words, u64 key)
{
	/* Test before set: every CPU reads this line. */
	if (!may_have(words, key))
		__sync_fetch_and_or(&words[key / 64 % BIT_WORD_CNT], 1ULL << key % 64);
}

/*
 * @task was seen doing @kind (enum evidence_kind) at @now_ns (CLOCK_MONOTONIC); @source (enum
 * evidence_source) says how. Returns what is known of it, or NULL if nothing can be kept.
 */
static __always_inline struct task_evidence *mark_task(struct task_struct *task, u32 kind,
							u32 source, u64 now_ns)
{
	struct task_evidence *own;
	struct evidence *shared;
	u64 last_ns;

	kind &= EVIDENCE_SLOT_CNT - 1;
	own = bpf_task_storage_get(&task_evidence, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!own)
		return NULL;
	own->event_cnt[kind]++;
	last_ns = own->seen_ns[kind];
	if (last_ns && policy_delta_ns(now_ns, last_ns) < MARK_GRAIN_NS)
		return own;
	own->seen_ns[kind] = now_ns;
	own->source[kind] = source;
	if (kind == EVIDENCE_DISPLAY) {
		struct process_evidence *process = make_process_evidence(task->tgid);

		if (process)
			process->display_ns = now_ns;
	}
	if (last_ns && policy_delta_ns(now_ns, last_ns) <= (s64)EVIDENCE_HOLD_NS)
		return own;
	own->since_ns[kind] = now_ns;
	own->event_cnt[kind] = 1;
	shared = get_evidence();
	if (!shared)
		return own;
	__atomic_fetch_add(&shared->actor_cnt, 1, __ATOMIC_RELAXED);
	if (kind == EVIDENCE_INPUT || kind == EVIDENCE_AUDIO)
		put_bit(shared->had_parcel, task->tgid);
	return own;
}

#endif
