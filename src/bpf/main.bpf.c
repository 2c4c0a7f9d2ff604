/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * scx_gamer: the scheduler. This file is the table of contents of the policy: each callback
 * names the route, the units it calls do the work, policy_*.h decide.
 */
#include <scx/common.bpf.h>

#include "accounting.bpf.h"
#include "compat.bpf.h"
#include "context.bpf.h"
#include "dispatch.bpf.h"
#include "dump.bpf.h"
#include "enqueue.bpf.h"
#include "evidence.bpf.h"
#include "knobs.bpf.h"
#include "loan.bpf.h"
#include "perf.bpf.h"
#include "select_cpu.bpf.h"
#include "stats.bpf.h"
#include "task_life.bpf.h"
#include "tickless.bpf.h"
#include "yield.bpf.h"

char _license[] SEC("license") = "GPL";

UEI_DEFINE(uei);

/* Wakes the daemon's event loop when the scheduler has exited; the record itself says nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} exit_notice SEC(".maps");

s32 BPF_STRUCT_OPS(gamer_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	lend_boost(p);
	return dispatch_direct ? select_idle_cpu(p, prev_cpu) : prev_cpu;
}

void BPF_STRUCT_OPS(gamer_enqueue, struct task_struct *p, u64 enq_flags)
{
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx) {
		enqueue_task(p, tctx, enq_flags);
		return;
	}
	count(STAT_NO_TASK_CTX);
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, slice_ns, enq_flags);
}

void BPF_STRUCT_OPS(gamer_dispatch, s32 cpu, struct task_struct *prev)
{
	hurry_heir(cpu);
	dispatch_cpu(cpu, prev);
}

bool BPF_STRUCT_OPS(gamer_yield, struct task_struct *from, struct task_struct *to)
{
	struct task_ctx *tctx = get_task_ctx(from);

	/* To a task that it names, as hypervisors do: that one keeps its place. */
	if (to || !tctx)
		return false;
	yield_turn(from, tctx);
	return true;
}

void BPF_STRUCT_OPS(gamer_tick, struct task_struct *p)
{
	struct task_ctx *tctx = get_task_ctx(p);
	s32 cpu = scx_bpf_task_cpu(p);
	u64 now_ns = scx_bpf_now();

	if (!tctx)
		return;
	refresh_roles(p, tctx, now_ns);
	charge_run(tctx, cpu, now_ns);
	roll_cpu_load(cpu, now_ns);
	roll_regime(cpu, now_ns);
	publish_running(p, tctx, cpu, now_ns);
	follow_load(cpu, now_ns);
	call_missed_idle(p, cpu);
}

void BPF_STRUCT_OPS(gamer_running, struct task_struct *p)
{
	struct task_ctx *tctx = get_task_ctx(p);
	s32 cpu = scx_bpf_task_cpu(p);
	u64 now_ns = scx_bpf_now();

	if (!tctx)
		return;
	begin_run(p, tctx, cpu, now_ns);
	run_without_tick(p, cpu);
	follow_load(cpu, now_ns);
	roll_regime(cpu, now_ns);
}

void BPF_STRUCT_OPS(gamer_stopping, struct task_struct *p, bool runnable)
{
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx)
		end_run(tctx, scx_bpf_task_cpu(p), runnable, scx_bpf_now());
}

/* Closes the gap between the last look at the queues and the idle bit; see queue.bpf.h. */
void BPF_STRUCT_OPS(gamer_update_idle, s32 cpu, bool idle)
{
	if (idle && may_find_work(cpu))
		scx_bpf_kick_cpu(cpu, 0);
}

/* A real-time or deadline task takes @cpu: what was already given to it moves (to 6.18). */
void BPF_STRUCT_OPS(gamer_cpu_release, s32 cpu, struct scx_cpu_release_args *args)
{
	begin_rt_turn(cpu);
	if (scx_bpf_reenqueue_local___v1())
		count(STAT_REENQUEUE_RT);
}

void BPF_STRUCT_OPS(gamer_cpu_acquire, s32 cpu, struct scx_cpu_acquire_args *args)
{
	end_rt_turn(cpu);
}

/*
 * The same from 6.19 on, where the kernel may hand a CPU to a higher class without
 * cpu_release. The daemon loads this or the other two.
 */
SEC("?tp_btf/sched_switch")
int BPF_PROG(gamer_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	s32 cpu = bpf_get_smp_processor_id();

	if (next->prio < PRIO_NORMAL_MIN) {
		if (prev->prio >= PRIO_NORMAL_MIN)
			begin_rt_turn(cpu);
		scx_bpf_reenqueue_local_from_anywhere();
		count(STAT_REENQUEUE_RT);
	} else if (prev->prio < PRIO_NORMAL_MIN) {
		end_rt_turn(cpu);
	}
	return 0;
}

void BPF_STRUCT_OPS(gamer_set_weight, struct task_struct *p, u32 weight)
{
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx)
		tctx->inv_weight = policy_inv_weight(weight);
}

void BPF_STRUCT_OPS(gamer_set_cpumask, struct task_struct *p, const struct cpumask *cpumask)
{
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx)
		tctx->pinned = bpf_cpumask_weight(cpumask) == 1;
}

void BPF_STRUCT_OPS(gamer_enable, struct task_struct *p)
{
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx)
		adopt_task(p, tctx);
}

/* It leaves for another scheduling class. Who waits and does not leave is queued anew. */
void BPF_STRUCT_OPS(gamer_disable, struct task_struct *p)
{
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx)
		put_task_to_rest(tctx);
}

s32 BPF_STRUCT_OPS_SLEEPABLE(gamer_init_task, struct task_struct *p,
			     struct scx_init_task_args *args)
{
	return make_task_ctx(p);
}

void BPF_STRUCT_OPS(gamer_exit_task, struct task_struct *p, struct scx_exit_task_args *args)
{
	struct task_ctx *tctx = get_task_ctx(p);

	if (tctx)
		put_task_to_rest(tctx);
}

void BPF_STRUCT_OPS(gamer_dump, struct scx_dump_ctx *dctx)
{
	dump_queues();
}

void BPF_STRUCT_OPS(gamer_dump_cpu, struct scx_dump_ctx *dctx, s32 cpu, bool idle)
{
	dump_cpu_ctx(cpu);
}

void BPF_STRUCT_OPS(gamer_dump_task, struct scx_dump_ctx *dctx, struct task_struct *p)
{
	dump_task_ctx(p);
}

s32 BPF_STRUCT_OPS_SLEEPABLE(gamer_init)
{
	s32 err = make_cpu_kinds();
	u32 llc, cpu;

	if (err)
		return err;
	bpf_for (llc, 0, llc_cnt) {
		err = scx_bpf_create_dsq(dsq_of_queue(QUEUE_OF_LLC(llc)),
					 node_of_llc[llc & (MAX_LLCS - 1)]);
		if (err)
			return err;
	}
	bpf_for (cpu, 0, cpu_id_cnt) {
		err =
		    scx_bpf_create_dsq(dsq_of_queue(QUEUE_OF_CPU(cpu)), node_of_llc[get_llc(cpu)]);
		if (err)
			return err;
	}
	return start_slice_timer();
}

void BPF_STRUCT_OPS(gamer_exit, struct scx_exit_info *ei)
{
	u64 notice = 0;

	UEI_RECORD(uei, ei);
	bpf_ringbuf_output(&exit_notice, &notice, sizeof(notice), BPF_RB_FORCE_WAKEUP);
}

/*
 * cpu_online and cpu_offline stay absent on purpose: the kernel then exits the scheduler on
 * hotplug and asks for a restart, which rereads the topology. The flags are set by the
 * daemon, as far as the kernel knows them.
 */
/* clang-format off */
SCX_OPS_DEFINE(gamer_ops,
	       .select_cpu	= (void *)gamer_select_cpu,
	       .enqueue		= (void *)gamer_enqueue,
	       .dispatch	= (void *)gamer_dispatch,
	       .yield		= (void *)gamer_yield,
	       .tick		= (void *)gamer_tick,
	       .running		= (void *)gamer_running,
	       .stopping	= (void *)gamer_stopping,
	       .update_idle	= (void *)gamer_update_idle,
	       .cpu_release	= (void *)gamer_cpu_release,
	       .cpu_acquire	= (void *)gamer_cpu_acquire,
	       .set_weight	= (void *)gamer_set_weight,
	       .set_cpumask	= (void *)gamer_set_cpumask,
	       .enable		= (void *)gamer_enable,
	       .disable		= (void *)gamer_disable,
	       .init_task	= (void *)gamer_init_task,
	       .exit_task	= (void *)gamer_exit_task,
	       .dump		= (void *)gamer_dump,
	       .dump_cpu	= (void *)gamer_dump_cpu,
	       .dump_task	= (void *)gamer_dump_task,
	       .init		= (void *)gamer_init,
	       .exit		= (void *)gamer_exit,
	       .timeout_ms	= 5000,
	       .name		= "scx_gamer");
