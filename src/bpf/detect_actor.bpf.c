/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Actor detector: marks the threads that do something which tells what they are for. Whoever
 * is current at the entry of a certain kernel function is such a thread: the function and
 * what being in it says are set by the daemon (detect/actor.rs has the table). Entry rather
 * than exit, so that a thread which sleeps inside is known before its first event.
 *
 * Only functions that run on behalf of the current task belong in that table: system calls'
 * ways into a driver, never what may run in an interrupt.
 *
 * Loaded once for each function, as one may be in a module that is not there: that must not
 * cost the others. While it is attached the module cannot be removed.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "evidence.bpf.h"

char _license[] SEC("license") = "GPL";

/* enum evidence_kind */
const volatile u32 kind;

/* A mark younger than this is not written again. */
enum { MARK_GRAIN_NS = 100 * 1000 };

static __always_inline int mark_current(void)
{
	u32 idx = kind % EVIDENCE_KIND_CNT;
	u64 now_ns = bpf_ktime_get_ns();
	struct task_evidence *own;
	struct evidence *shared;
	u64 last_ns;

	own = bpf_task_storage_get(&task_evidence, bpf_get_current_task_btf(), NULL,
				   BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!own)
		return 0;
	last_ns = own->seen_ns[idx];
	if (last_ns && policy_delta_ns(now_ns, last_ns) < MARK_GRAIN_NS)
		return 0;
	own->seen_ns[idx] = now_ns;
	if (last_ns && policy_delta_ns(now_ns, last_ns) <= (s64)EVIDENCE_HOLD_NS)
		return 0;
	own->since_ns[idx] = now_ns;
	shared = get_evidence();
	if (shared)
		__atomic_fetch_add(&shared->actor_cnt, 1, __ATOMIC_RELAXED);
	return 0;
}

SEC("?fentry")
int BPF_PROG(actor_fentry)
{
	return mark_current();
}

SEC("?kprobe")
int BPF_KPROBE(actor_kprobe)
{
	return mark_current();
}
