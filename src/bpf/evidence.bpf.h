/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Declares the shared evidence maps in every object that takes part. The definitions are
 * the same everywhere; the daemon makes them one by reuse_fd before each load.
 */
#ifndef SCX_GAMER_EVIDENCE_BPF_H
#define SCX_GAMER_EVIDENCE_BPF_H

#include "intf.h"

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

static __always_inline struct evidence *get_evidence(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&evidence, &key);
}

/* The game's process, or 0. */
static __always_inline u32 get_game_tgid(void)
{
	u32 key = 0;
	struct game_evidence *game = bpf_map_lookup_elem(&game_evidence, &key);

	return game ? game->tgid : 0;
}

#endif
