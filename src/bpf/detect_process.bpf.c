/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process detector: tells the daemon that a process has begun a new program or has
 * ended, so that it can find the game without polling /proc; and which processes the game's
 * family makes, so that one without a program of its own is known too.
 *
 * Out: one struct process_event for each exec and each end of a process, and for each process
 * that a process of the family forks. A ring without room loses the event and counts it; the
 * daemon then looks through /proc once, so nothing stays unseen. What is kept by process id is
 * forgotten here, at the process's end: the daemon may be late, and the id another's by then.
 *
 * Limits: only numbers leave the kernel here. What the process is, the daemon reads in /proc,
 * and most processes of a compile storm are gone before it looks.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "evidence.bpf.h"

char _license[] SEC("license") = "GPL";

/* The daemon sets the size; an event takes 32 bytes with its header. */
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

static __always_inline void emit(u32 tgid, u32 kind, u32 parent, u64 start_ns)
{
	struct process_event *event;

	event = bpf_ringbuf_reserve(&process_events, sizeof(*event), 0);
	if (!event) {
		count_drop();
		return;
	}
	event->tgid = tgid;
	event->kind = kind;
	event->parent = parent;
	event->pad = 0;
	event->start_ns = start_ns;
	bpf_ringbuf_submit(event, 0);
}

/* Whichever thread called exec, it is the leader by now. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	emit(task->tgid, PROCESS_EXEC, 0, 0);
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
	u32 tgid = task->tgid;

	if (task->signal->live.counter != 0)
		return 0;
	bpf_map_delete_elem(&family, &tgid);
	bpf_map_delete_elem(&process_evidence, &tgid);
	emit(tgid, PROCESS_EXIT, 0, 0);
	return 0;
}

/* Fires for every thread, too; the fork of a stranger costs a test. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct game_evidence *game;

	if (child->tgid == parent->tgid)
		return 0;
	game = get_game();
	if (game && is_family(game, parent->tgid))
		emit(child->tgid, PROCESS_FORK, parent->tgid, child->start_boottime);
	return 0;
}
