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

/* In the unit of task_ctx.roles_checked: about 50 ms. */
#define ROLES_REFRESH 48

/* From this nice value up a task says itself that it can wait. */
#define BACKGROUND_NICE_MIN 10

/*
 * The roles that come from what the task was seen doing. Evidence carries CLOCK_MONOTONIC, see
 * is_in_window().
 */
static __always_inline u32 roles_by_evidence(struct task_struct *p)
{
	struct evidence *shared = get_evidence();
	struct task_evidence *own;
	u64 now_ns;
	u32 roles = 0;

	if (!shared || !shared->actor_cnt)
		return 0;
	own = bpf_task_storage_get(&task_evidence, p, NULL, 0);
	if (!own)
		return 0;
	now_ns = bpf_ktime_get_ns();
	for (u32 kind = 0; kind < EVIDENCE_KIND_CNT; kind++) {
		u64 seen_ns = own->seen_ns[kind];

		if (seen_ns && policy_delta_ns(now_ns, seen_ns) < (s64)EVIDENCE_HOLD_NS)
			roles |= 1U << kind;
	}
	return roles;
}

static __always_inline bool is_background(struct task_struct *p)
{
	return p->policy == POLICY_SCHED_IDLE || p->policy == POLICY_SCHED_BATCH ||
	       p->static_prio >= STATIC_PRIO_NICE_0 + BACKGROUND_NICE_MIN;
}

static __always_inline void refresh_roles(struct task_struct *p, struct task_ctx *tctx, u64 now_ns)
{
	u32 now = (u32)(now_ns >> 20);
	u32 game_tgid, roles;

	if (tctx->roles && now - tctx->roles_checked < ROLES_REFRESH)
		return;
	tctx->roles_checked = now;

	roles = roles_by_evidence(p);
	game_tgid = get_game_tgid();
	if (game_tgid && (u32)p->tgid == game_tgid)
		roles |= 1U << ROLE_GAME;
	if (is_background(p))
		roles |= 1U << ROLE_BACKGROUND;
	if (!roles)
		roles = 1U << ROLE_NORMAL;

	tctx->roles = roles;
	tctx->boost = policy_boost_of_roles(roles, role_boost, ROLE_CNT);
}

/* The role that a task's runs are counted under: enum role lists them by urgency. */
static __always_inline u32 leading_role(const struct task_ctx *tctx)
{
	for (u32 role = 0; role < ROLE_CNT; role++) {
		if (tctx->roles & (1U << role))
			return role;
	}
	return ROLE_NORMAL;
}

/* The boost that the task has earned at this moment. */
static __always_inline u32 earned_boost(const struct task_ctx *tctx)
{
	return policy_boost_earned(tctx->boost, tctx->awake_run_ns);
}

#endif
