/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Placement: on which kind of CPU an idle one is looked for first, where CPUs differ (P and E cores,
 * preferred cores, one cache larger than the others).
 *
 * Inputs: the task's boost, whether it is background.
 * Outputs: the kind to be tried first; if none of that kind is idle, any idle CPU will do.
 */
#ifndef SCX_GAMER_POLICY_PLACE_H
#define SCX_GAMER_POLICY_PLACE_H

#include "policy_types.h"

enum policy_cpus {
	POLICY_CPUS_FAST = 0,
	POLICY_CPUS_OTHER = 1, /* all but the fast ones */
	POLICY_CPUS_KIND_CNT = 2,
	POLICY_CPUS_ANY = 2,
};

/* The pipeline goes where it is done soonest, background where it is in nobody's way. */
static __always_inline enum policy_cpus policy_cpus_first(u32 boost, bool is_background)
{
	if (boost)
		return POLICY_CPUS_FAST;
	return is_background ? POLICY_CPUS_OTHER : POLICY_CPUS_ANY;
}

#endif
