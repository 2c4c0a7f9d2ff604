/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Declares the shared evidence maps in every object that takes part. The definitions are
 * the same everywhere; the daemon makes them one by reuse_fd before each load.
 */
#ifndef SCX_GAMER_EVIDENCE_BPF_H
#define SCX_GAMER_EVIDENCE_BPF_H

#include "intf_evidence.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct evidence);
} evidence SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct game_evidence);
} game_evidence SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_evidence);
} task_evidence SEC(".maps");

/*
 * By tgid. What is remembered of a process is forgotten when it ends (detect_process.bpf.c), or
 * without that detector in turn.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PROCESS_EVIDENCE_MAX);
	__type(key, u32);
	__type(value, struct process_evidence);
} process_evidence SEC(".maps");

/* Written by the flip detector, under the lock that the kernel holds over a card's events. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DISPLAY_CNT);
	__type(key, u32);
	__type(value, struct display_evidence);
} display_evidence SEC(".maps");

/* Interrupts of GPUs and displays that each CPU has served; by CPU, written by it only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, u32);
	__type(value, u64);
} gpu_irq_cnt SEC(".maps");

/*
 * The processes of the game's family, by tgid; written by the daemon. One that ends leaves at once
 * (detect_process.bpf.c), so that the next process of this id does not inherit the place.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FAMILY_MAX);
	__type(key, u32);
	__type(value, u32);
} family SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct napi_counters);
} napi SEC(".maps");

static __always_inline struct evidence *get_evidence(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&evidence, &key);
}

static __always_inline struct game_evidence *get_game(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&game_evidence, &key);
}

/* Whether the process is the game or belongs to its family. */
static __always_inline bool is_family(const struct game_evidence *game, u32 tgid)
{
	if (!game->tgid)
		return false;
	return tgid == game->tgid || (game->family_cnt && bpf_map_lookup_elem(&family, &tgid));
}

#endif
