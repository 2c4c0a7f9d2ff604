/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tickless: on a CPU whose tick the kernel may stop (nohz_full=) a task for which nobody waits gets a slice
 * without end, which is what lets the kernel stop it. Without a tick no slice ends, so a timer looks
 * after those who come to wait; also because not every kernel starts the tick again when a slice with an
 * end follows one without (with an idle CPU between them it stays off).
 */
#ifndef SCX_GAMER_TICKLESS_BPF_H
#define SCX_GAMER_TICKLESS_BPF_H

#include "context.bpf.h"
#include "queue.bpf.h"
#include "stats.bpf.h"

/* How often it is looked after those who wait, in ns: a tick at 250 Hz for all such CPUs together. */
#define TICKLESS_LOOK_NS (4ULL * 1000 * 1000)

struct slice_timer {
	struct bpf_timer timer;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slice_timer);
} slice_timers SEC(".maps");

static __always_inline bool is_tickless(u32 cpu)
{
	return tickless && is_among(tickless_cpus, cpu);
}

/* At the beginning of a turn; the kernel looks at the slice next. */
static __always_inline void run_without_tick(struct task_struct *p, s32 cpu)
{
	if (!is_tickless(cpu) || is_waited_for(cpu))
		return;
	scx_bpf_task_set_slice(p, SCX_SLICE_INF);
	count(STAT_TICKLESS);
}

static int end_slices(void *map, u32 *key, struct slice_timer *timer)
{
	u64 now_ns = scx_bpf_now();
	u32 cpu;

	bpf_for (cpu, 0, cpu_id_cnt) {
		u64 run_start_ns = *(volatile u64 *)&get_cpu_ctx(cpu)->run_start_ns;

		if (is_tickless(cpu) && run_start_ns &&
		    policy_delta_ns(now_ns, run_start_ns) >= (s64)slice_ns && is_waited_for(cpu))
			scx_bpf_kick_cpu(cpu, SCX_KICK_PREEMPT);
	}
	bpf_timer_start(&timer->timer, TICKLESS_LOOK_NS, 0);
	return 0;
}

static __always_inline s32 start_slice_timer(void)
{
	struct slice_timer *timer;
	u32 key = 0;

	if (!tickless)
		return 0;
	timer = bpf_map_lookup_elem(&slice_timers, &key);
	if (!timer)
		return -ENOENT;
	return bpf_timer_init(&timer->timer, &slice_timers, CLOCK_MONOTONIC)
		   ?: bpf_timer_set_callback(&timer->timer, end_slices)
			      ?: bpf_timer_start(&timer->timer, TICKLESS_LOOK_NS, 0);
}

#endif
