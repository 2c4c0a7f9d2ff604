/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Storage detector: marks the threads of the game's family that ask a block device for data,
 * as those do that load assets. Whoever writes is not marked: writes end in the page cache, nobody
 * waits for them, and it is not the writer who sends them to the device.
 *
 * block_bio_queue fires once for each request, before it may be split, merged or queued, in
 * submit_bio_noacct(). That function may sleep, so it is never called in an interrupt. Current
 * there is who reads (directly, into the page cache, by a page fault, or ahead for itself), or a
 * kernel thread that writes back, retries or was held up by a cgroup's limit: those belong to
 * no game's family, and what they submit names nobody.
 *
 * Not seen: reads that the page cache answers, and files on a network or another machine (9p).
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "marks.bpf.h"

char _license[] SEC("license") = "GPL";

/* The operation within bi_opf, a macro of the kernel. */
#define OP_MASK 0xff

/* Metadata is read by who only writes, too: where is there room? */
static __always_inline bool is_data_read(u32 opf)
{
	u32 metadata_bit = bpf_core_enum_value(enum req_flag_bits, __REQ_META);

	return (opf & OP_MASK) == REQ_OP_READ && !(opf & 1U << (metadata_bit & 31));
}

SEC("tp_btf/block_bio_queue")
int BPF_PROG(storage_request, struct bio *bio)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct game_evidence *game = get_game();
	u64 now_ns;

	if (!game || !is_family(game, task->tgid) || !is_data_read(bio->bi_opf))
		return 0;
	now_ns = bpf_ktime_get_ns();
	if (take_event(now_ns))
		mark_task(task, EVIDENCE_STORAGE, SOURCE_BLOCK, now_ns);
	return 0;
}
