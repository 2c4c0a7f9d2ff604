/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GPU interrupt detector: which CPUs serve the interrupts of GPUs and displays, and which threads,
 * where the kernel gives an interrupt one. The daemon says which numbers these interrupts have.
 *
 * In the handler of an interrupt nobody is named: whoever is current was only interrupted. In the
 * functions that an interrupt's thread runs, the current task is that thread.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "marks.bpf.h"

char _license[] SEC("license") = "GPL";

/* By interrupt number: 1 if it is of a GPU or a display. Written by the daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GPU_IRQ_MAX);
	__type(key, u32);
	__type(value, u8);
} gpu_irqs SEC(".maps");

static __always_inline bool is_gpu_irq(u32 irq)
{
	u8 *is_gpu = bpf_map_lookup_elem(&gpu_irqs, &irq);

	return is_gpu && *is_gpu;
}

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(irq_entry, int irq)
{
	u32 cpu = bpf_get_smp_processor_id();
	u64 *cnt;

	if (!is_gpu_irq(irq))
		return 0;
	cnt = bpf_map_lookup_elem(&gpu_irq_cnt, &cpu);
	if (cnt)
		++*cnt;
	return 0;
}

static __always_inline int mark_irq_thread(struct irqaction *action)
{
	u64 now_ns;

	if (!is_gpu_irq(BPF_CORE_READ(action, irq)))
		return 0;
	now_ns = bpf_ktime_get_ns();
	if (take_event(now_ns))
		mark_task(bpf_get_current_task_btf(), EVIDENCE_GPU_IRQ, SOURCE_IRQ_THREAD, now_ns);
	return 0;
}

/* irq_thread_fn(): a thread that the driver asked for. */
SEC("?fentry")
int BPF_PROG(own_fentry, struct irq_desc *desc, struct irqaction *action)
{
	return mark_irq_thread(action);
}

SEC("?kprobe")
int BPF_KPROBE(own_kprobe, struct irq_desc *desc, struct irqaction *action)
{
	return mark_irq_thread(action);
}

/* irq_forced_thread_fn(): `threadirqs` on the kernel's command line makes a thread of each handler. */
SEC("?fentry")
int BPF_PROG(forced_fentry, struct irq_desc *desc, struct irqaction *action)
{
	return mark_irq_thread(action);
}

SEC("?kprobe")
int BPF_KPROBE(forced_kprobe, struct irq_desc *desc, struct irqaction *action)
{
	return mark_irq_thread(action);
}
