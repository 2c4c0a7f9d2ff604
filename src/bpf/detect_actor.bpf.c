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
#include "marks.bpf.h"

char _license[] SEC("license") = "GPL";

/* enum evidence_kind */
const volatile u32 kind;

/* The hook's row in the daemon's table. */
const volatile u32 source;

static __always_inline int mark_current(void)
{
	u64 now_ns = bpf_ktime_get_ns();

	if (take_event(now_ns))
		mark_task(bpf_get_current_task_btf(), kind, source, now_ns);
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
