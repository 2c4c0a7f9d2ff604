/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process detector: tells the daemon that a process has begun a new program or has
 * ended, so that it can find the game without polling /proc.
 *
 * Out: one struct process_event for each exec and each end of a process. A ring without
 * room loses the event and counts it; the daemon then looks through /proc once, so nothing
 * stays unseen.
 *
 * Limits: only numbers leave the kernel here. What the process is, the daemon reads in /proc,
 * and most processes of a compile storm are gone before it looks.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "intf.h"

char _license[] SEC("license") = "GPL";

/* The daemon sets the size; an event takes 16 bytes with its header. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} process_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} process_drops SEC(".maps");

static __always_inline void count_drop(void)
{
	u32 key = 0;
	u64 *dropped_cnt = bpf_map_lookup_elem(&process_drops, &key);

	if (dropped_cnt)
		__sync_fetch_and_add(dropped_cnt, 1);
}

static __always_inline void emit(u32 tgid, u32 kind)
{
	struct process_event *event;

	event = bpf_ringbuf_reserve(&process_events, sizeof(*event), 0);
	if (!event) {
		count_drop();
		return;
	}
	event->tgid = tgid;
	event->kind = kind;
	bpf_ringbuf_submit(event, 0);
}

/* Whichever thread called exec, it is the leader by now. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	emit(task->tgid, PROCESS_EXEC);
	return 0;
}

/*
 * Fires for every thread. The kernel has counted this one off `live` before, so zero means
 * that nothing of the process runs any more. That is not the leader's end: a leader may
 * leave its threads behind, and an exec by another thread ends the leader only. Two threads
 * that end at once may both see zero; the daemon does not mind hearing it twice.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	if (task->signal->live.counter == 0)
		emit(task->tgid, PROCESS_EXIT);
	return 0;
}
