/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Audio detector: marks the threads that feed sound devices, learns the device's period, and
 * counts the times that one ran dry.
 *
 * Hooks: entry of a function of the sound core, which the daemon names. `pcm` goes to those that
 * system calls alone enter; the current task is the actor. `xrun` may run in an interrupt: it
 * counts, and names nobody. All get the substream as their first argument.
 *
 * Where the kernel has no BTF of the sound core the period stays unknown.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "marks.bpf.h"

char _license[] SEC("license") = "GPL";

enum { NS_PER_S = 1000 * 1000 * 1000 };

/* The sound core is a module: vmlinux.h does not have its types. */
struct snd_pcm_runtime___sound {
	unsigned int rate;	   /* in Hz */
	unsigned long period_size; /* in frames */
} __attribute__((preserve_access_index));

struct snd_pcm_substream___sound {
	struct snd_pcm_runtime___sound *runtime;
} __attribute__((preserve_access_index));

static __always_inline u64 read_period_ns(struct snd_pcm_substream___sound *substream)
{
	struct snd_pcm_runtime___sound *runtime;
	u64 frame_cnt;
	u32 rate_hz;

	if (!bpf_core_field_exists(struct snd_pcm_substream___sound, runtime) ||
	    !bpf_core_field_exists(struct snd_pcm_runtime___sound, period_size) ||
	    !bpf_core_field_exists(struct snd_pcm_runtime___sound, rate))
		return 0;
	runtime = BPF_CORE_READ(substream, runtime);
	frame_cnt = BPF_CORE_READ(runtime, period_size);
	rate_hz = BPF_CORE_READ(runtime, rate);
	return rate_hz ? frame_cnt * NS_PER_S / rate_hz : 0;
}

static __always_inline int serve_pcm(struct snd_pcm_substream___sound *substream)
{
	u64 now_ns = bpf_ktime_get_ns();
	struct task_evidence *own;

	if (!take_event(now_ns))
		return 0;
	own = mark_task(bpf_get_current_task_btf(), EVIDENCE_AUDIO, SOURCE_SOUND, now_ns);
	if (own)
		own->period_ns = read_period_ns(substream);
	return 0;
}

static __always_inline int count_xrun(void)
{
	struct evidence *shared = get_evidence();

	if (shared)
		__atomic_fetch_add(&shared->xrun_cnt, 1, __ATOMIC_RELAXED);
	return 0;
}

SEC("?fentry")
int BPF_PROG(pcm_fentry, struct snd_pcm_substream___sound *substream)
{
	return serve_pcm(substream);
}

SEC("?kprobe")
int BPF_KPROBE(pcm_kprobe, struct snd_pcm_substream___sound *substream)
{
	return serve_pcm(substream);
}

SEC("?fentry")
int BPF_PROG(xrun_fentry)
{
	return count_xrun();
}

SEC("?kprobe")
int BPF_KPROBE(xrun_kprobe)
{
	return count_xrun();
}
