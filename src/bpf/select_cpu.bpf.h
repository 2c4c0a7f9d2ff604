/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPU selection: where an idle CPU is looked for, and in which order.
 *
 * A waking task goes straight to an idle CPU while nobody waits whom it would overtake: no queue is
 * touched, and nobody else is woken. Otherwise it waits in a queue, and an idle CPU is called to look
 * at that.
 *
 * Which CPU: one of the kind that suits the task (policy_place.h), then any that is not busy with
 * interrupts, then any; each time in the kernel's own order: cores that are idle as a whole before others,
 * and of each the last CPU, the same LLC, the same node, any. Where there is nothing to choose (one LLC, no
 * SMT, CPUs of one kind) the last CPU comes first. An idle CPU of another NUMA node has to be worth it.
 */
#ifndef SCX_GAMER_SELECT_CPU_BPF_H
#define SCX_GAMER_SELECT_CPU_BPF_H

#include "context.bpf.h"
#include "interrupts.bpf.h"
#include "kinds.bpf.h"
#include "queue.bpf.h"
#include "stats.bpf.h"
#include "task_life.bpf.h"

static __always_inline enum policy_cpus first_kind_of(const struct task_ctx *tctx, u32 boost)
{
	return policy_cpus_first(boost, tctx->roles & (1U << ROLE_BACKGROUND));
}

/* Takes @cpu, if it is idle and @p may use it. */
static __always_inline bool claims_idle(struct task_struct *p, s32 cpu)
{
	return bpf_cpumask_test_cpu(cpu, p->cpus_ptr) && scx_bpf_test_and_clear_cpu_idle(cpu);
}

/* Takes an idle CPU that @p may use, those of the node of @home_cpu first. */
static __always_inline s32 claim_any_idle(struct task_struct *p, s32 home_cpu, u64 flags)
{
	/* Where idle CPUs are kept by node, the kernel does not let anybody ask without one. */
	if (idle_by_node)
		return scx_bpf_pick_idle_cpu_node(
		    p->cpus_ptr, node_of_llc[get_llc(home_cpu) & (MAX_LLCS - 1)], flags);
	return scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
}

/* Takes an idle CPU in the kernel's order from those of one kind that @p may use. */
static __always_inline s32 claim_idle_of_kind(struct task_struct *p, s32 home_cpu,
					      enum policy_cpus kind, u64 flags)
{
	struct bpf_cpumask *mask;

	/* Some kernels test the last CPU against the kind alone. */
	if (kind >= POLICY_CPUS_KIND_CNT || !bpf_cpumask_test_cpu(home_cpu, p->cpus_ptr))
		return -EBUSY;
	mask = cpu_kinds[kind].mask;
	return mask ? scx_bpf_select_cpu_and(p, home_cpu, 0, cast_mask(mask), flags) : -EBUSY;
}

/*
 * Takes an idle CPU that @p may use, of any node or of that of @home_cpu alone; below 0: there is none. Who
 * takes one has to see to it that it looks for work. A function of its own, so that it is verified once.
 */
__noinline s32 claim_idle_cpu(struct task_struct *p __arg_trusted,
			      const struct task_ctx *tctx __arg_nonnull, s32 home_cpu, u32 boost,
			      bool any_node)
{
	u64 flags = idle_by_node && !any_node ? SCX_PICK_IDLE_IN_NODE : 0;
	s32 cpu = -EBUSY;

	if (!placement_counts || !__COMPAT_HAS_scx_bpf_select_cpu_and)
		return claim_any_idle(p, home_cpu, 0);
	/* The kind says more than the node: a larger cache, a faster core. */
	if (cpus_differ)
		cpu = claim_idle_of_kind(p, home_cpu, first_kind_of(tctx, boost), 0);
	if (cpu < 0 && any_irq_busy())
		cpu = claim_idle_of_kind(p, home_cpu, POLICY_CPUS_CALM, flags);
	if (cpu < 0 && !cpus_have_order)
		return claims_idle(p, home_cpu) ? home_cpu : claim_any_idle(p, home_cpu, flags);
	if (cpu < 0)
		cpu = scx_bpf_select_cpu_and(p, home_cpu, 0, p->cpus_ptr, flags);
	/* To 6.18 the kernel takes who is put off by an RT task for unmovable, see is_unmovable(). */
	if (cpu < 0 && is_migration_disabled(p))
		cpu = claim_any_idle(p, home_cpu, flags);
	return cpu;
}

/*
 * Whether a waking task looks further than at its last CPU: where there is something to choose and no
 * power to save.
 */
static __always_inline bool may_choose(const struct task_ctx *tctx, s32 prev_cpu)
{
	return placement_counts && (tctx->boost || !saves_power) &&
	       (cpus_have_order || is_irq_busy(prev_cpu));
}

/*
 * The CPU that a waking task goes straight to, or its last one. Where there is nothing to choose, or power
 * to save, that is only the last one, if idle, and if it is where the task is woken: others are called by
 * enqueue, and whichever CPU comes first takes the task, which may well be the waker's, about to sleep.
 * (Tried: straight to the last CPU, wherever it is, and so with whom a waking task puts off. In a VM whose
 * CPUs take turns, paced by the display beside hogs and a compile, 8 of 11 plays of 300 frames in three boots
 * had late ones; through the queue none of 8 in two of these.)
 */
static __always_inline s32 select_idle_cpu(struct task_struct *p, s32 prev_cpu)
{
	struct task_ctx *tctx = get_task_ctx(p);
	s32 cpu = -EBUSY;

	if (!tctx || is_waited_for(prev_cpu))
		return prev_cpu;
	if (may_choose(tctx, prev_cpu))
		cpu = claim_idle_cpu(p, tctx, prev_cpu, tctx->boost, false);
	else if (is_this_cpu(prev_cpu) && claims_idle(p, prev_cpu))
		cpu = prev_cpu;
	if (cpu < 0)
		return prev_cpu;
	if (is_waited_for(cpu)) {
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		return prev_cpu;
	}
	begin_wait(p, tctx, SCX_ENQ_WAKEUP, scx_bpf_now());
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	count(STAT_DISPATCH_IDLE);
	return cpu;
}

#endif
