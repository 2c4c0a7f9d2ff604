/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accounting: charges run time as it was really run, keeps what each CPU says about
 * itself, and derives from the run time of its CPUs the regime of each LLC and which boosts count.
 */
#ifndef SCX_GAMER_ACCOUNTING_BPF_H
#define SCX_GAMER_ACCOUNTING_BPF_H

#include "context.bpf.h"
#include "interrupts.bpf.h"
#include "queue.bpf.h"
#include "roles.bpf.h"
#include "stats.bpf.h"

/* Charges @p, which runs on @cpu, for what it ran since the last charge. */
static __always_inline void charge_run(struct task_ctx *tctx, s32 cpu, u64 now_ns)
{
	s64 ran_ns = policy_delta_ns(now_ns, tctx->since_ns);
	bool has_run = tctx->since_ns && ran_ns > 0;
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);
	u64 charge_ns, vtime_ns;
	struct cpu_stats *s;

	tctx->since_ns = now_ns;
	if (!has_run)
		return;
	charge_ns = policy_charge_ns(ran_ns, tctx->inv_weight);
	/* Test before set: every CPU reads this line. */
	vtime_ns = policy_vtime_advance(vtime.now_ns, tctx->vruntime_ns, ran_ns);
	if (vtime_ns != vtime.now_ns)
		vtime.now_ns = vtime_ns;

	tctx->vruntime_ns += charge_ns;
	if (recent_run_counts)
		tctx->recent_run_ns += charge_ns;
	if (boosted_share_max)
		cctx->boosted_ran[earned_boost(tctx) & POLICY_BOOST_MAX] +=
		    (u64)ran_ns >> POLICY_RAN_SHIFT;
	tctx->awake_run_ns += ran_ns;
	cctx->ran_ns += ran_ns;
	s = get_stats();
	if (s)
		add_relaxed(&s->role_run_ns[tctx->role & (ROLE_SLOT_CNT - 1)], ran_ns);
}

/*
 * Whether an input event has just made the task urgent. Events carry CLOCK_MONOTONIC, as their
 * hooks may not ask for the scheduler clock, which differs from it by some 20 ms.
 */
static __always_inline bool is_in_window(u32 boost)
{
	struct evidence *shared;
	u64 end_ns;

	if (!input_windows || !boost || policy_is_urgent(boost))
		return false;
	shared = get_evidence();
	if (!shared)
		return false;
	end_ns = *(volatile u64 *)&shared->window_end_ns;
	if (!end_ns)
		return false;
	if (policy_in_window(bpf_ktime_get_ns(), end_ns, boost))
		return true;
	/* Nobody else has to read the clock for this one. */
	__sync_val_compare_and_swap(&shared->window_end_ns, end_ns, 0);
	return false;
}

/*
 * The part by which the next flip shortens the spans of a process's tasks of this role: of the display
 * that it owns for a compositor, of any for who submits to a GPU. A function of its own, so that it is
 * verified once.
 */
__noinline u32 flip_nears_16ths(u32 tgid, u32 role)
{
	u32 max_16ths = role == ROLE_COMPOSITOR ? 8 : 4;
	u64 now_ns = bpf_ktime_get_ns();
	u32 nearest_16ths = 0;

	for (u32 i = 0; i < DISPLAY_CNT; i++) {
		u32 key = i;
		struct display_evidence *display = bpf_map_lookup_elem(&display_evidence, &key);
		u32 near_16ths;

		/* They are taken in order. */
		if (!display || !display->clock.flip_cnt)
			break;
		if (role == ROLE_COMPOSITOR && display->owner_tgid != tgid)
			continue;
		near_16ths = policy_frame_near_16ths(&display->clock, now_ns, max_16ths);
		if (near_16ths > nearest_16ths)
			nearest_16ths = near_16ths;
	}
	return nearest_16ths;
}

/* What a round of the queue takes that the CPUs of a cache share. */
static __always_inline u64 crowd_ns_of(s32 cpu)
{
	u32 llc = get_llc(cpu);

	return policy_crowd_ns(get_queue(QUEUE_OF_LLC(llc))->waiting_cnt,
			       llc_cpu_cnt[llc & (MAX_LLCS - 1)], slice_ns);
}

/*
 * The span of a task as it is now, on the side of @cpu; @unmovable: it was put off inside a hook, as those
 * run with migration disabled, and others run past the hook meanwhile.
 */
static __always_inline u64 task_span_ns(struct task_struct *p, const struct task_ctx *tctx, s32 cpu,
					u64 now_ns, u32 boost, bool in_window, bool unmovable)
{
	bool frames = frame_clock_counts && boost &&
		      (tctx->role == ROLE_GPU || tctx->role == ROLE_COMPOSITOR);
	struct policy_deadline_in in = {
	    .now_ns = now_ns,
	    .lag_ns = policy_delta_ns(tctx->vruntime_ns, vtime.now_ns),
	    .recent_run_ns = tctx->recent_run_ns,
	    .wait_bound_ns = wait_bound_ns,
	    .head_start_ns = head_start_ns,
	    .background_ns = tctx->role == ROLE_BACKGROUND ? background_ns : 0,
	    .crowd_ns = crowd_counts && !boost ? crowd_ns_of(cpu) : 0,
	    .boost = boost,
	    .near_flip_16ths = frames ? flip_nears_16ths(p->tgid, tctx->role) : 0,
	    .serves_others = unmovable || p->flags & PF_KTHREAD,
	    .in_window = in_window,
	};

	return policy_span_ns(&in);
}

/*
 * The part of an earned boost that counts on @cpu: all or nothing. What its own load shuts out matters
 * to those only who may use no other CPU.
 */
static __always_inline u32 admitted_boost(u32 earned, s32 cpu)
{
	u32 floor;

	if (!boosted_share_max || !earned)
		return earned;
	floor = llcs[get_llc(cpu) & (MAX_LLCS - 1)].boost_floor;
	if (is_waiting(QUEUE_OF_CPU(cpu)))
		floor = policy_max(floor, get_cpu_ctx(cpu)->boost_floor);
	return earned < floor ? 0 : earned;
}

/* Tells those who look for a victim what runs on @cpu; the span that it has now. */
static __always_inline u64 publish_running(struct task_struct *p, const struct task_ctx *tctx,
					   s32 cpu, u64 now_ns)
{
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);
	u32 boost = admitted_boost(earned_boost(tctx), cpu);

	cctx->span_ns = task_span_ns(p, tctx, cpu, now_ns, boost, is_in_window(boost), false);
	cctx->span_at_ns = now_ns;
	cctx->boost = boost;
	if (inheritance_counts)
		cctx->holds_lock = tctx->inherited;
	return cctx->span_ns;
}

/* A real-time task takes @cpu from ours. */
static __always_inline void begin_rt_turn(s32 cpu)
{
	if (rt_waits_count)
		get_cpu_ctx(cpu)->rt_since_ns = scx_bpf_now();
}

static __always_inline void end_rt_turn(s32 cpu)
{
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);
	s64 turn_ns;

	if (!rt_waits_count || !cctx->rt_since_ns)
		return;
	turn_ns = policy_delta_ns(scx_bpf_now(), cctx->rt_since_ns);
	if (turn_ns > 0)
		cctx->rt_mean_ns = policy_rt_mean_next(cctx->rt_mean_ns, turn_ns);
	cctx->rt_since_ns = 0;
}

/* What the CPUs of an LLC have run so far. */
struct llc_ran {
	u64 all_ns;
	u32 boosted[POLICY_BOOST_MAX + 1];
};

static __always_inline void sum_llc_ran(u32 llc, struct llc_ran *sum)
{
	u32 i;

	bpf_for (i, 0, llc_cpu_cnt[llc & (MAX_LLCS - 1)]) {
		u32 pos = llc_first[llc & (MAX_LLCS - 1)] + i;
		struct cpu_ctx *cctx = get_cpu_ctx(cpus_by_llc[pos & (MAX_CPUS - 1)]);

		sum->all_ns += cctx->ran_ns;
		for (u32 boost = 1; boosted_share_max && boost <= POLICY_BOOST_MAX; boost++)
			sum->boosted[boost] += cctx->boosted_ran[boost];
	}
}

/* Once per window, at the tick: which boosts count for those who may use this CPU only. */
static __always_inline void roll_cpu_load(s32 cpu, u64 now_ns)
{
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);
	s64 elapsed_ns = policy_delta_ns(now_ns, cctx->window_start_ns);

	if (!boosted_share_max || elapsed_ns < (s64)POLICY_REGIME_WINDOW_NS)
		return;
	cctx->window_start_ns = now_ns;
	policy_load_roll(&cctx->boosted, cctx->boosted_ran, elapsed_ns);
	cctx->boost_floor = policy_boost_floor(&cctx->boosted, boosted_share_max, cctx->boost_floor);
}

/*
 * Once per window, on whichever CPU comes first: the LLC's load, and with it the regime and which boosts
 * count; and which of its CPUs are busy with interrupts.
 */
static __always_inline void roll_regime(s32 cpu, u64 now_ns)
{
	u32 llc = get_llc(cpu);
	struct llc_ctx *lctx = &llcs[llc & (MAX_LLCS - 1)];
	u64 start_ns = lctx->window_start_ns;
	s64 elapsed_ns = policy_delta_ns(now_ns, start_ns);
	struct llc_ran ran = {};
	u32 load_pct, cpu_cnt;
	bool busy;

	if (elapsed_ns < (s64)POLICY_REGIME_WINDOW_NS)
		return;
	if (__sync_val_compare_and_swap(&lctx->window_start_ns, start_ns, now_ns) != start_ns)
		return;
	if (placement_counts)
		judge_interrupts(llc, elapsed_ns);
	sum_llc_ran(llc, &ran);
	cpu_cnt = llc_cpu_cnt[llc & (MAX_LLCS - 1)];
	load_pct = policy_load_pct(ran.all_ns - lctx->window_ran_ns, elapsed_ns, cpu_cnt);
	lctx->window_ran_ns = ran.all_ns;
	if (boosted_share_max) {
		policy_load_roll(&lctx->boosted, ran.boosted, elapsed_ns * cpu_cnt);
		lctx->boost_floor =
		    policy_boost_floor(&lctx->boosted, boosted_share_max, lctx->boost_floor);
	}
	/* A window that nobody closed in time says more about now than the older ones. */
	if (elapsed_ns < 2 * (s64)POLICY_REGIME_WINDOW_NS)
		load_pct = (lctx->load_pct + load_pct) / 2;
	lctx->load_pct = load_pct;
	busy = policy_regime_next(lctx->busy, load_pct, busy_enter_pct);
	if (busy != lctx->busy) {
		lctx->busy = busy;
		count(STAT_REGIME_SWITCH);
	}
}

/* By how many steps late turns have shortened the span that its deadline was made of. */
static __always_inline u32 raised_in_deadline(const struct task_ctx *tctx, s32 cpu)
{
	u32 raised = raised_by(tctx);
	u32 boost;

	if (!raised)
		return 0;
	boost = earned_boost(tctx);
	return tctx->inherited < boost && admitted_boost(boost, cpu) ? raised : 0;
}

/*
 * A turn begins: is it late? One without a deadline was given at once (an idle CPU's, or what an RT task
 * left of one judged already), and is not.
 */
static __always_inline void judge_turn(struct task_ctx *tctx, s32 cpu, u64 now_ns)
{
	struct cpu_stats *s;
	bool late = false;
	u64 due_ns;

	if (tctx->deadline_ns) {
		due_ns = policy_miss_due_ns(tctx->since_ns, tctx->deadline_ns,
					    raised_in_deadline(tctx, cpu));
		late = policy_miss_is_late(now_ns, due_ns);
	}
	tctx->deadline_ns = 0;
	tctx->missed = policy_miss_next(tctx->missed, late);
	if (!late)
		return;
	s = get_stats();
	if (s)
		add_relaxed(&s->role_late_cnt[tctx->role & (ROLE_SLOT_CNT - 1)], 1);
}

static __always_inline void begin_run(struct task_struct *p, struct task_ctx *tctx, s32 cpu,
				      u64 now_ns)
{
	struct cpu_stats *s = get_stats();
	struct cpu_ctx *cctx = get_cpu_ctx(cpu);

	leave_queue_as_head(tctx);
	if (s) {
		if (tctx->since_ns && policy_delta_ns(now_ns, tctx->since_ns) >= 0)
			record_wait(s, now_ns - tctx->since_ns);
		add_relaxed(&s->role_stint_cnt[tctx->role & (ROLE_SLOT_CNT - 1)], 1);
	}
	judge_turn(tctx, cpu, now_ns);
	tctx->since_ns = now_ns;
	cctx->pid = p->pid;
	publish_running(p, tctx, cpu, now_ns);
	cctx->run_start_ns = now_ns;
	cctx->yields = false;
}

static __always_inline void end_run(struct task_ctx *tctx, s32 cpu, bool runnable, u64 now_ns)
{
	charge_run(tctx, cpu, now_ns);
	get_cpu_ctx(cpu)->run_start_ns = 0;
	if (!runnable) {
		tctx->since_ns = 0;
		tctx->loan = 0;
	}
}

#endif
