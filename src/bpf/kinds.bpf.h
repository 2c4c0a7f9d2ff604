/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kinds: the CPUs of each enum policy_cpus, as masks among which an idle one is looked for. Those that are
 * busy with interrupts belong to none of them.
 */
#ifndef SCX_GAMER_KINDS_BPF_H
#define SCX_GAMER_KINDS_BPF_H

#include "context.bpf.h"

/* By enum policy_cpus; made by init, those of the fast ones and the others where CPUs differ. */
struct cpu_kind {
	struct bpf_cpumask __kptr *mask;
};
private(CPU_KINDS) struct cpu_kind cpu_kinds[POLICY_CPUS_KIND_CNT];

static __always_inline bool is_fast(u32 cpu)
{
	return is_among(fast_cpus, cpu);
}

static __always_inline s32 make_cpu_kind(enum policy_cpus kind)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();
	u32 cpu;

	if (!mask)
		return -ENOMEM;
	bpf_for (cpu, 0, cpu_id_cnt) {
		if (kind == POLICY_CPUS_CALM || is_fast(cpu) == (kind == POLICY_CPUS_FAST))
			bpf_cpumask_set_cpu(cpu, mask);
	}
	mask = bpf_kptr_xchg(&cpu_kinds[kind].mask, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

static __always_inline s32 make_cpu_kinds(void)
{
	return (placement_counts ? make_cpu_kind(POLICY_CPUS_CALM) : 0)
		   ?: (cpus_differ ? make_cpu_kind(POLICY_CPUS_FAST)
					 ?: make_cpu_kind(POLICY_CPUS_OTHER)
				   : 0);
}

static __always_inline void put_into_kind(u32 cpu, enum policy_cpus kind, bool belongs)
{
	struct bpf_cpumask *mask = cpu_kinds[kind].mask;

	if (!mask)
		return;
	if (belongs)
		bpf_cpumask_set_cpu(cpu, mask);
	else
		bpf_cpumask_clear_cpu(cpu, mask);
}

/* @cpu is calm from now on, or busy with interrupts. */
static __always_inline void put_into_kinds(u32 cpu, bool calm)
{
	put_into_kind(cpu, POLICY_CPUS_CALM, calm);
	if (!cpus_differ)
		return;
	if (is_fast(cpu))
		put_into_kind(cpu, POLICY_CPUS_FAST, calm);
	else
		put_into_kind(cpu, POLICY_CPUS_OTHER, calm);
}

#endif
