/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Enqueue: which queue a task waits in, under which deadline, and who will look for it.
 *
 *   woken, and to put off who runs here   straight to this CPU, before everything
 *   per-CPU kernel thread, just woken     straight to its CPU
 *   woken, with --power-save              perhaps straight to its CPU, so that no other wakes up
 *   one CPU only, or migration disabled   that CPU's own queue
 *   everything else                       the queue of the LLC it last ran in
 *
 * Inserting and deciding who looks (call_for) is one act: the owner of an own queue is kicked if
 * idle (where a task wakes, the kernel has done that); for a shared queue an idle CPU is looked for
 * after the task was counted as waiting; without one the arrival may preempt, or waits for the CPU
 * that a real-time task has for a moment.
 */
#ifndef SCX_GAMER_ENQUEUE_BPF_H
#define SCX_GAMER_ENQUEUE_BPF_H

#include "accounting.bpf.h"
#include "preempt.bpf.h"
#include "select_cpu.bpf.h"
#include "task_life.bpf.h"
#include "yield.bpf.h"

static __always_inline bool is_percpu_kthread(const struct task_struct *p,
					      const struct task_ctx *tctx)
{
	return tctx->pinned && (p->flags & PF_KTHREAD);
}

/* The slice that those who wait in a queue leave a task; @llc is the one it belongs to. */
static __always_inline u64 slice_of_queue(const struct task_ctx *tctx, u32 queue_idx, u32 llc)
{
	u32 cpu_cnt = queue_idx == QUEUE_OF_LLC(llc) ? llc_cpu_cnt[llc & (MAX_LLCS - 1)] : 1;
	bool divides = !role_slices || !tctx ||
		       policy_slice_divides(tctx->boost, tctx->role == ROLE_BACKGROUND);

	return policy_slice_ns(slice_ns, slice_ns_min, get_queue(queue_idx)->waiting_cnt, cpu_cnt,
			       divides && llcs[llc & (MAX_LLCS - 1)].busy);
}

/*
 * Whether somebody waits on @cpu whom a task that goes straight there must not overtake: local
 * DSQs are served before dispatch is asked, so that kernel threads which wake each other could
 * keep it from being asked at all.
 */
static __always_inline bool would_starve(s32 cpu, u32 llc, u64 now_ns)
{
	return is_waiting(QUEUE_OF_CPU(cpu)) ||
	       (is_waiting(QUEUE_OF_LLC(llc)) &&
		policy_is_overdue(now_ns, get_queue(QUEUE_OF_LLC(llc))->deadline_ns));
}

/*
 * Whether the task may not leave its CPU for now. To 6.18, cpu_release asks for the requeueing
 * of a task that may still be current, so that two nested BPF prologs have each disabled its
 * migration once, and is_migration_disabled() expects one. (Tried: every task that an RT task
 * put off became unmovable, and the other CPU idled beside a full queue.)
 */
static __always_inline bool is_unmovable(const struct task_struct *p, u64 enq_flags)
{
	if (!is_migration_disabled(p))
		return false;
	return !(CONFIG_PREEMPT_RCU && (enq_flags & SCX_ENQ_REENQ) && p->migration_disabled == 2 &&
		 bpf_get_current_task_btf() == p);
}

/*
 * The CPU on whose side the task waits: its last one, if it is still allowed there. Where it wakes, it is: the
 * kernel has seen to that.
 */
static __always_inline s32 home_cpu_of(struct task_struct *p, bool unmovable, u64 enq_flags)
{
	s32 cpu = scx_bpf_task_cpu(p);

	if (unmovable || (enq_flags & SCX_ENQ_WAKEUP) || bpf_cpumask_test_cpu(cpu, p->cpus_ptr))
		return cpu;
	return bpf_cpumask_any_distribute(p->cpus_ptr);
}

static __always_inline void call_idle_cpu(s32 cpu)
{
	scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	count(STAT_KICK_IDLE);
}

/* Whether a task was put off by a real-time task that will soon give the CPU back. */
static __always_inline bool is_back_soon(s32 home_cpu, u64 enq_flags)
{
	return rt_waits_count && (enq_flags & SCX_ENQ_REENQ) &&
	       policy_rt_is_brief(get_cpu_ctx(home_cpu)->rt_mean_ns);
}

/* Whether the task, for which no CPU of its node is idle, is better off with one of another node. */
static __always_inline bool leaves_node(struct task_struct *p, struct arrival *who, s32 home_cpu)
{
	u64 run_start_ns = get_cpu_ctx(home_cpu)->run_start_ns;
	s64 ran_ns = run_start_ns ? policy_delta_ns(who->now_ns, run_start_ns) : 0;
	/* It waits there itself. */
	bool others_wait = get_queue(QUEUE_OF_LLC(get_llc(home_cpu)))->waiting_cnt > 1;

	return policy_leaves_node(policy_home_wait_ns(victim_of(p, who, home_cpu) >= 0, others_wait,
						      ran_ns > 0 ? ran_ns : 0, slice_ns));
}

/* Takes an idle CPU for an arrival that has been queued; below 0: there is none that is worth it. */
static __always_inline s32 idle_cpu_for(struct task_struct *p, const struct task_ctx *tctx,
					struct arrival *who, s32 home_cpu)
{
	s32 cpu;

	if (who->fixed)
		return -EBUSY;
	cpu = claim_idle_cpu(p, tctx, home_cpu, who->boost, false);
	if (cpu < 0 && idle_by_node && leaves_node(p, who, home_cpu))
		cpu = claim_idle_cpu(p, tctx, home_cpu, who->boost, true);
	return cpu;
}

static __always_inline void call_for(struct task_struct *p, const struct task_ctx *tctx,
				     struct arrival *who, s32 home_cpu, u64 enq_flags)
{
	s32 cpu = idle_cpu_for(p, tctx, who, home_cpu);

	if (cpu >= 0) {
		call_idle_cpu(cpu);
		return;
	}
	/* Nobody but its own CPU would come for one that is fixed. */
	if (!who->fixed && (is_back_soon(home_cpu, enq_flags) || who->gave_way))
		return;
	cpu = victim_of(p, who, home_cpu);
	if (cpu >= 0)
		kick_victim(cpu);
	else if (who->fixed && !(enq_flags & SCX_ENQ_WAKEUP))
		scx_bpf_kick_cpu(home_cpu, SCX_KICK_IDLE);
}

static __always_inline bool goes_first(const struct arrival *who, u32 queue_idx)
{
	u64 deadline_ns = who->now_ns + who->span_ns;

	return !is_waiting(queue_idx) ||
	       policy_delta_ns(deadline_ns, head_deadline_ns(queue_idx, deadline_ns)) < 0;
}

/*
 * Whether a woken task may have its CPU at once: that one runs the task to be put off, and nobody waits
 * there who goes before the arrival. Only where it is woken, or where no other CPU may come first, see
 * select_idle_cpu().
 */
static __always_inline bool may_take_home(struct task_struct *p, struct arrival *who,
					  s32 home_cpu, u32 llc, u64 enq_flags)
{
	if (!takes_home || !(who->fixed || is_this_cpu(home_cpu)) ||
	    !(enq_flags & SCX_ENQ_WAKEUP) || (enq_flags & SCX_ENQ_REENQ) ||
	    !goes_first(who, QUEUE_OF_CPU(home_cpu)) || !goes_first(who, QUEUE_OF_LLC(llc)))
		return false;
	return victim_of(p, who, home_cpu) == home_cpu;
}

/*
 * Puts the task before everything that waits for its CPU, and the running one off: it is the next
 * to run, whatever else happens. A kick would cost an interrupt of the CPU's own, and the queue a
 * look by dispatch. From here on there is nobody to be put off there, until it runs.
 */
static __always_inline void take_home(struct task_struct *p, s32 home_cpu, u64 slice, u64 enq_flags)
{
	get_cpu_ctx(home_cpu)->run_start_ns = 0;
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice, enq_flags | SCX_ENQ_PREEMPT);
	count(STAT_PREEMPT);
}

/*
 * Whether a woken task goes to the CPU that it last ran on so that no other has to wake up: that one is
 * idle, or runs one of ours and nothing waits there yet. Its runqueue is locked, so it cannot fall to
 * another class meanwhile; if that comes later, what was given to the CPU moves as ever. When the running
 * task has had its slice, it is queued and an idle CPU looked for: packing costs a slice at most.
 */
static __always_inline bool packs_home(u32 boost, s32 home_cpu, u64 enq_flags)
{
	struct cpu_ctx *cctx = get_cpu_ctx(home_cpu);

	if (!saves_power || boost || !(enq_flags & SCX_ENQ_WAKEUP) || (enq_flags & SCX_ENQ_REENQ) ||
	    is_waited_for(home_cpu))
		return false;
	if (scx_bpf_test_and_clear_cpu_idle(home_cpu))
		return true;
	return cctx->run_start_ns && policy_packs(cctx->boost, cctx->load_pct) &&
	       !scx_bpf_dsq_nr_queued(SCX_DSQ_LOCAL_ON | home_cpu);
}

static __always_inline void enqueue_task(struct task_struct *p, struct task_ctx *tctx,
					 u64 enq_flags)
{
	u64 now_ns = scx_bpf_now();
	bool unmovable = is_unmovable(p, enq_flags);
	bool fixed = tctx->pinned || unmovable;
	s32 home_cpu = home_cpu_of(p, unmovable, enq_flags);
	u32 llc = get_llc(home_cpu);
	u32 queue_idx = fixed ? QUEUE_OF_CPU(home_cpu) : QUEUE_OF_LLC(llc);
	struct arrival who = {.now_ns = now_ns, .fixed = fixed};
	s32 idle_cpu = -1;
	bool in_window;
	u32 earned;

	leave_queue(tctx);
	begin_wait(p, tctx, enq_flags, now_ns);
	who.gave_way = gave_way(tctx, home_cpu, enq_flags);
	earned = earned_boost(tctx);
	who.boost = admitted_boost(earned, home_cpu);
	in_window = is_in_window(who.boost);
	who.span_ns = task_span_ns(p, tctx, home_cpu, now_ns, who.boost, in_window, unmovable);
	/* Also where no queue is joined: the turn is judged by it. */
	tctx->deadline_ns = now_ns + who.span_ns;
	if (in_window)
		count(STAT_WINDOW_HIT);
	if (tctx->boost && !earned)
		count(STAT_SPIN_UNBOOSTED);
	if (earned && !who.boost)
		count(STAT_NOT_ADMITTED);

	if (!fixed && packs_home(who.boost, home_cpu, enq_flags)) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_of_queue(tctx, queue_idx, llc), enq_flags);
		count(STAT_PACKED);
		return;
	}
	if (may_take_home(p, &who, home_cpu, llc, enq_flags)) {
		idle_cpu = fixed ? -1 : claim_idle_cpu(p, tctx, home_cpu, who.boost, false);
		if (idle_cpu < 0) {
			take_home(p, home_cpu, slice_of_queue(tctx, queue_idx, llc), enq_flags);
			return;
		}
	} else if (kthreads_direct && is_percpu_kthread(p, tctx) && (enq_flags & SCX_ENQ_WAKEUP) &&
		   !(enq_flags & SCX_ENQ_REENQ) && !would_starve(home_cpu, llc, now_ns)) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, enq_flags);
		count(STAT_DISPATCH_KTHREAD);
		return;
	}

	join_queue(tctx, queue_idx, now_ns + who.span_ns);
	scx_bpf_dsq_insert_vtime(p, dsq_of_queue(queue_idx), slice_of_queue(tctx, queue_idx, llc),
				 tctx->deadline_ns, enq_flags);
	count(fixed ? STAT_ENQUEUE_OWN : STAT_ENQUEUE_LLC);
	if (idle_cpu >= 0)
		call_idle_cpu(idle_cpu);
	else
		call_for(p, tctx, &who, home_cpu, enq_flags);
}

#endif
