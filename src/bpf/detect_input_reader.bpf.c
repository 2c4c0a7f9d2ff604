/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Input reader detector: marks the threads that read input devices. The current task at the
 * entry of a device's read function (evdev_read, hidraw_read: the daemon names it) is such a
 * thread. Entry rather than exit, so that a thread which sleeps in the read is known
 * before its first event.
 *
 * Its own object, because the function may be in a module that is not loaded: that must
 * not cost the input window. It is loaded once for each function. While it is attached the
 * module cannot be removed.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "evidence.bpf.h"

char _license[] SEC("license") = "GPL";

/* A mark younger than this is not written again. */
enum { READ_GRAIN_NS = 100 * 1000 };

static __always_inline int mark_reader(void)
{
	u64 now_ns = bpf_ktime_get_ns();
	struct task_evidence *seen;
	struct evidence *shared;
	u64 last_ns;

	seen = bpf_task_storage_get(&task_evidence, bpf_get_current_task_btf(), NULL,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!seen)
		return 0;
	last_ns = seen->input_read_ns;
	if (last_ns && policy_delta_ns(now_ns, last_ns) < READ_GRAIN_NS)
		return 0;
	seen->input_read_ns = now_ns;
	if (last_ns && policy_delta_ns(now_ns, last_ns) <= (s64)EVIDENCE_HOLD_NS)
		return 0;
	shared = get_evidence();
	if (shared)
		__atomic_fetch_add(&shared->input_reader_cnt, 1, __ATOMIC_RELAXED);
	return 0;
}

SEC("?fentry")
int BPF_PROG(input_read_fentry)
{
	return mark_reader();
}

SEC("?kprobe")
int BPF_KPROBE(input_read_kprobe)
{
	return mark_reader();
}
