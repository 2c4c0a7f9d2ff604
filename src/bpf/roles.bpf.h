/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Roles: turns the detectors' evidence about a task into the set of roles that it holds and
 * the boost of the highest one. Looked at again at most every ROLES_REFRESH, so that
 * the evidence costs the hot path one comparison.
 */
#ifndef SCX_GAMER_ROLES_BPF_H
#define SCX_GAMER_ROLES_BPF_H

#include "compat.bpf.h"
#include "context.bpf.h"
#include "evidence.bpf.h"
#include "inherit.bpf.h"

/*
 * In the unit of task_ctx.roles_checked: about 50 ms. That wraps after 275 s; who has slept for just so long
 * keeps what it had for the first 50 ms.
 */
#define ROLES_REFRESH	    12
#define ROLES_CHECKED_SHIFT 22

/* From this nice value up a task says itself that it can wait. */
#define BACKGROUND_NICE_MIN 10

/*
 * The roles that come from what the task was seen doing. Evidence carries CLOCK_MONOTONIC, see
 * is_in_window().
 */
static __always_inline bool is_recent(u64 now_ns, u64 seen_ns)
{
	return seen_ns && policy_delta_ns(now_ns, seen_ns) < (s64)EVIDENCE_HOLD_NS;
}

static __always_inline u32 roles_by_evidence(struct task_struct *p, struct task_ctx *tctx,
					     struct policy_roles_in *in)
{
	struct evidence *shared = get_evidence();
	struct process_evidence *process;
	struct task_evidence *own;
	u32 tgid = p->tgid;
	u64 now_ns;

	if (!shared || !shared->actor_cnt)
		return 0;
	own = bpf_task_storage_get(&task_evidence, p, NULL, 0);
	if (!own)
		return 0;
	now_ns = bpf_ktime_get_ns();
	/*
	 * Gathered in memory that the verifier does not track: with a set of known bits on each of the
	 * 2^7 ways, all that follows would be verified as often.
	 */
	tctx->roles = 0;
	for (u32 kind = 0; kind < EVIDENCE_KIND_CNT; kind++) {
		if (is_recent(now_ns, own->seen_ns[kind]))
			tctx->roles |= 1U << kind;
	}
	in->seen = *(volatile u16 *)&tctx->roles;
	if (!in->seen)
		return 0;
	process = bpf_map_lookup_elem(&process_evidence, &tgid);
	if (process) {
		in->owns_display = is_recent(now_ns, process->display_ns);
		in->hands_input = is_recent(now_ns, process->relay_ns);
	}
	return policy_roles_of_evidence(in);
}

static __always_inline bool is_background(struct task_struct *p)
{
	return p->policy == POLICY_SCHED_IDLE || p->policy == POLICY_SCHED_BATCH ||
	       p->static_prio >= STATIC_PRIO_NICE_0 + BACKGROUND_NICE_MIN;
}

/* The role that a task's runs are counted under: enum role lists them by urgency. */
static __always_inline u32 leading_role(u32 roles)
{
	for (u32 role = 0; role < ROLE_CNT; role++) {
		if (roles & (1U << role))
			return role;
	}
	return ROLE_NORMAL;
}

/* A function of its own, so that it is verified once and not for each way through enqueue. */
__noinline int derive_roles(struct task_struct *p __arg_trusted,
			    struct task_ctx *tctx __arg_nonnull)
{
	struct policy_roles_in in = {};
	struct game_evidence *game;
	u32 roles, boost;

	game = get_game();
	if (game) {
		in.game_known = game->tgid != 0;
		in.in_family = is_family(game, p->tgid);
	}
	roles = roles_by_evidence(p, tctx, &in);
	if (in.in_family)
		roles |= 1U << ROLE_GAME;
	if (is_background(p))
		roles |= 1U << ROLE_BACKGROUND;
	if (!roles)
		roles = 1U << ROLE_NORMAL;

	tctx->roles = roles;
	tctx->role = leading_role(*(volatile u16 *)&tctx->roles);
	boost = policy_boost_of_roles(*(volatile u16 *)&tctx->roles, roles_of_boost);
	if (rates_count && !is_background(p))
		boost = policy_max(boost, policy_rate_boost(&tctx->rate));
	tctx->boost = boost;
	return 0;
}

/*
 * Forgets the waiters who do not wait any more, or too long: a hook may have missed the end of a wait. What
 * the others have inherited themselves may have become less.
 * A function of its own, so that it is verified once.
 */
__noinline int recheck_inherited(struct task_struct *p __arg_trusted,
				 struct task_ctx *tctx __arg_nonnull)
{
	struct lock_hold *hold = bpf_task_storage_get(&lock_holds, p, NULL, 0);
	u64 now_ns = bpf_ktime_get_ns();

	if (!hold)
		return 0;
	for (u32 i = 0; i < POLICY_WAITERS_MAX; i++) {
		u32 pid = hold->waiters[i].pid;
		struct task_struct *waiter = pid ? bpf_task_from_pid(pid) : NULL;
		struct task_ctx *its;
		struct lock_wait *wait;
		bool counts = false;

		if (waiter) {
			its = get_task_ctx(waiter);
			wait = bpf_task_storage_get(&lock_waits, waiter, NULL, 0);
			if (its)
				hold->waiters[i].boost = policy_max(its->boost, its->inherited);
			counts = its && wait && wait->since_ns && wait->holder == (u32)p->pid &&
				 policy_wait_counts(policy_delta_ns(now_ns, wait->since_ns));
			bpf_task_release(waiter);
		}
		if (!counts)
			hold->waiters[i].pid = 0;
	}
	tctx->inherited = policy_inherited(hold->waiters);
	return 0;
}

static __always_inline void refresh_roles(struct task_struct *p, struct task_ctx *tctx, u64 now_ns)
{
	u16 now = now_ns >> ROLES_CHECKED_SHIFT;

	if (tctx->roles && (u16)(now - tctx->roles_checked) < ROLES_REFRESH)
		return;
	tctx->roles_checked = now;
	derive_roles(p, tctx);
	if (inheritance_counts && tctx->inherited)
		recheck_inherited(p, tctx);
}

/* How far late turns raise what the task has earned by its roles. */
static __always_inline u32 raised_by(const struct task_ctx *tctx)
{
	u32 earned;

	if (!misses_count || !policy_miss_steps(tctx->missed))
		return 0;
	earned = policy_boost_earned(tctx->boost, tctx->awake_run_ns);
	return policy_miss_raise(earned, tctx->missed) - earned;
}

/* The boost that the task has earned at this moment, whether or not it is admitted. */
static __always_inline u32 earned_boost(const struct task_ctx *tctx)
{
	u32 earned = policy_boost_earned(tctx->boost, tctx->awake_run_ns) + raised_by(tctx);

	earned = policy_boost_with_loan(earned, tctx->loan, tctx->awake_run_ns);
	return inheritance_counts ? policy_max(earned, tctx->inherited) : earned;
}

#endif
