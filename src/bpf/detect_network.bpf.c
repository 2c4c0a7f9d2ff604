/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network detector: marks the threads of the game's family whose traffic is small and regular
 * (policy_net.h decides), and counts where the kernel polls network devices.
 *
 * The tracepoints at the end of each send and receive are the same on all supported kernels and
 * say how long the message was; at the entry of udp_recvmsg() only the room for it is known,
 * and its arguments differ between 6.18 and 7.3. Whoever is current there has made the system
 * call: sockets that the kernel holds for itself are left out, so nobody is blamed who only
 * was interrupted. Nothing of the message is read, and of the socket only which protocol it is.
 *
 * While there is no game the daemon takes these hooks out: they sit on busy system calls.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "marks.bpf.h"
#include "policy_net.h"

char _license[] SEC("license") = "GPL";

/* Macros of the kernel, which its BTF does not have. */
#define FAMILY_INET   2
#define FAMILY_INET6  10
#define FLAG_MSG_PEEK 2

/* Of tasks of the game's family only. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct policy_net);
} traffic SEC(".maps");

/* Whether a user's socket speaks UDP or TCP. */
static __always_inline bool is_of_interest(struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	if (family != FAMILY_INET && family != FAMILY_INET6)
		return false;
	if (sk->sk_protocol != IPPROTO_UDP && sk->sk_protocol != IPPROTO_TCP)
		return false;
	return !BPF_CORE_READ_BITFIELD(sk, sk_kern_sock);
}

static __always_inline int on_message(struct sock *sk, int bytes, int flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct game_evidence *game = get_game();
	struct task_evidence *own;
	struct policy_net *state;
	u64 now_ns;

	if (!game || !is_family(game, task->tgid))
		return 0;
	/* Errors, the end of a stream, and what will be received once more. */
	if (bytes <= 0 || flags & FLAG_MSG_PEEK || !is_of_interest(sk))
		return 0;
	now_ns = bpf_ktime_get_ns();
	if (!take_event(now_ns))
		return 0;
	state = bpf_task_storage_get(&traffic, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state)
		return 0;
	switch (policy_net_message(state, now_ns, bytes, sk->sk_protocol == IPPROTO_UDP)) {
	case POLICY_NET_LOW_LATENCY:
		mark_task(task, EVIDENCE_NETWORK, SOURCE_SOCKET, now_ns);
		break;
	case POLICY_NET_BULK:
		own = bpf_task_storage_get(&task_evidence, task, NULL, 0);
		if (own)
			own->seen_ns[EVIDENCE_NETWORK] = 0;
		break;
	default:
		break;
	}
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(network_send, struct sock *sk, int ret, int flags)
{
	return on_message(sk, ret, flags);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(network_receive, struct sock *sk, int ret, int flags)
{
	return on_message(sk, ret, flags);
}

/* In an interrupt or a kernel thread: says which CPU it is, and nothing about who runs there. */
SEC("tp_btf/napi_poll")
int BPF_PROG(network_poll, struct napi_struct *device, int work, int budget)
{
	struct napi_counters *counters;
	u32 key = 0;

	counters = bpf_map_lookup_elem(&napi, &key);
	if (counters) {
		counters->poll_cnt++;
		counters->packet_cnt += work;
	}
	return 0;
}
