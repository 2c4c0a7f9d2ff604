/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long do runnable tasks wait for a CPU? Measured at the scheduler core's own
 * tracepoints, so that it means the same under every scheduling class and scheduler.
 *
 * A wait begins when a task is woken, or when it is switched out while still runnable,
 * and ends when it is switched in. Each task carries the start of its wait in task
 * storage, which the kernel frees with the task; there is nothing to clean up. What has
 * not ended yet is found by walking all tasks when the report is read, so a task that
 * never runs shows as well. Waits of tasks that were runnable before the tracer was
 * loaded begin when it was loaded.
 *
 * The hooks are attached one after another. Until all are, no event counts: who is seen to be woken,
 * but not to get its CPU and to go back to sleep, would seem to wait until it is woken again.
 *
 * Limits: the idle tasks are not counted. A task that its cgroup's cpu.max holds back
 * counts as waiting.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "waittrace.h"

char _license[] SEC("license") = "GPL";

/* include/linux/sched.h */
#define TASK_RUNNING 0
#define TASK_WAKING  0x200
#define DEFAULT_PRIO 120 /* static_prio of nice 0 */

enum sched_policy {
	POLICY_FIFO = 1,
	POLICY_RR = 2,
	POLICY_IDLE = 5,
	POLICY_DEADLINE = 6,
};

/* Values of task_wait.start_ns which are not a time. */
enum {
	START_UNKNOWN = 0, /* no event seen yet */
	START_NONE = 1,	   /* does not wait */
};

struct task_wait {
	u64 start_ns; /* bpf_ktime_get_ns(), or START_* */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_wait);
} task_waits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_waits);
} cpu_waits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct wait_control);
} control SEC(".maps");

static struct cpu_waits *this_cpu_waits(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&cpu_waits, &zero);
}

/* 0 until the hooks are attached. */
static u64 counts_since_ns(void)
{
	u32 zero = 0;
	struct wait_control *found = bpf_map_lookup_elem(&control, &zero);

	return found ? found->since_ns : 0;
}

/* Created for every event: see load_waits for why "no event yet" must be certain. */
static struct task_wait *wait_of(struct task_struct *p, struct cpu_waits *cpu)
{
	struct task_wait *wait;

	wait = bpf_task_storage_get(&task_waits, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!wait && cpu)
		cpu->lost_cnt++;
	return wait;
}

/* The field has 4 bytes on 6.18 and 1 on 7.3: a plain access would not load on both. */
static bool runs_now(struct task_struct *task)
{
	return BPF_CORE_READ_BITFIELD(task, on_cpu);
}

/*
 * Whether the task has been woken and has no CPU. Its state alone does not say so: seen was a worker
 * thread of the kernel that twelve tracers in one boot took for waiting all the time, under as many
 * schedulers, none of which was ended for it.
 */
static bool waits_now(struct task_struct *task)
{
	return !runs_now(task) &&
	       (BPF_CORE_READ_BITFIELD(task, on_rq) || task->__state == TASK_WAKING);
}

static u32 class_of(u32 policy)
{
	switch (policy) {
	case POLICY_FIFO:
	case POLICY_RR:
	case POLICY_DEADLINE:
		return WAIT_CLASS_RT;
	case POLICY_IDLE:
		return WAIT_CLASS_IDLE;
	default:
		return WAIT_CLASS_NORMAL;
	}
}

/* Time since the wait began or the count began, whichever is later. */
static u64 waited_ns(u64 start_ns, u64 since_ns, u64 now_ns)
{
	s64 waited = policy_delta_ns(now_ns, start_ns > since_ns ? start_ns : since_ns);

	return waited > 0 ? waited : 0;
}

static void fill_record(struct wait_record *record, struct task_struct *p, u64 wait_ns, u32 cpu)
{
	record->wait_ns = wait_ns;
	record->pid = p->pid;
	record->tgid = p->tgid;
	record->policy = p->policy;
	record->wait_class = class_of(p->policy);
	record->nice = p->static_prio - DEFAULT_PRIO;
	record->rt_priority = p->rt_priority;
	record->cpu = cpu;
	record->allowed_cnt = p->nr_cpus_allowed;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), p->comm);
}

static void keep_longest(struct wait_longest *longest, struct task_struct *p, u64 wait_ns,
			 u64 since_ns)
{
	u64 seq;

	if (longest->since_ns == since_ns && wait_ns <= longest->record.wait_ns)
		return;
	seq = longest->seq_tail + 1;
	*(volatile u64 *)&longest->seq_tail = seq;
	barrier();
	longest->since_ns = since_ns;
	fill_record(&longest->record, p, wait_ns, bpf_get_smp_processor_id());
	barrier();
	*(volatile u64 *)&longest->seq_head = seq;
}

static void finish_wait(struct cpu_waits *cpu, struct task_struct *p, u64 start_ns, u64 since_ns,
			u64 now_ns)
{
	u64 wait_ns = waited_ns(start_ns, since_ns, now_ns);
	u32 class_idx = class_of(p->policy);
	u32 bucket = policy_hist_bucket(wait_ns);
	struct wait_class_data *data;

	if (class_idx >= WAIT_CLASS_CNT || bucket >= POLICY_HIST_BUCKETS)
		return;
	data = &cpu->classes[class_idx];
	data->wait_cnt++;
	data->wait_hist[bucket]++;
	keep_longest(&data->longest, p, wait_ns, since_ns);
}

static int wake(struct task_struct *p)
{
	struct cpu_waits *cpu = this_cpu_waits();
	struct task_wait *wait;

	if (!cpu || !counts_since_ns())
		return 0;
	cpu->wakeup_cnt++;
	/* A task can be woken before it has gone to sleep: it runs on, or waits already. */
	if (runs_now(p))
		return 0;
	wait = wait_of(p, cpu);
	if (wait && wait->start_ns <= START_NONE)
		wait->start_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *p)
{
	return wake(p);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *p)
{
	return wake(p);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct cpu_waits *cpu = this_cpu_waits();
	u64 since_ns = counts_since_ns();
	u64 now_ns = bpf_ktime_get_ns();
	struct task_wait *wait;
	u64 start_ns;

	if (!cpu || !since_ns)
		return 0;
	cpu->switch_cnt++;

	if (prev->pid) {
		wait = wait_of(prev, cpu);
		/*
		 * The state itself, not the tracepoint's argument: where a pending signal
		 * kept the task from sleeping, older kernels pass the state it had before.
		 */
		if (wait)
			wait->start_ns =
				preempt || prev->__state == TASK_RUNNING ? now_ns : START_NONE;
	}
	if (next->pid) {
		wait = wait_of(next, cpu);
		if (!wait)
			return 0;
		start_ns = wait->start_ns;
		wait->start_ns = START_NONE;
		if (start_ns > START_NONE)
			finish_wait(cpu, next, start_ns, since_ns, now_ns);
	}
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate)
{
	struct cpu_waits *cpu = this_cpu_waits();

	if (cpu)
		cpu->migration_cnt++;
	return 0;
}

/*
 * Walked once, after the count has begun: begins the wait of each task that is runnable
 * now and has had no event yet. Each event leaves something other than
 * START_UNKNOWN, so a task that moves on between the two looks is left alone.
 */
SEC("iter/task")
int load_waits(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task;
	struct task_wait *wait;

	if (!p || !waits_now(p) || p->__state != TASK_RUNNING)
		return 0;
	wait = wait_of(p, NULL);
	if (wait)
		__sync_val_compare_and_swap(&wait->start_ns, START_UNKNOWN, bpf_ktime_get_ns());
	return 0;
}

/* Walked at each report: writes a struct wait_record for each task that waits now. */
SEC("iter/task")
int open_waits(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task;
	struct wait_record record = {};
	struct task_wait *wait;
	u64 start_ns;

	if (!p || !waits_now(p))
		return 0;
	wait = bpf_task_storage_get(&task_waits, p, NULL, 0);
	if (!wait)
		return 0;
	start_ns = *(volatile u64 *)&wait->start_ns;
	if (start_ns <= START_NONE)
		return 0;
	fill_record(&record, p, waited_ns(start_ns, counts_since_ns(), bpf_ktime_get_ns()),
		    BPF_CORE_READ(p, thread_info.cpu));
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
