/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Relay detector: who is handed input or sound by those who have it from the device.
 *
 * The compositor or the X server reads the mouse; the game gets it from there, over a Unix
 * stream socket. Inside, an input thread wakes the main one through an eventfd (compositors) or a
 * pipe (Xorg); a sound server wakes the threads of its clients through eventfds. So: a task that has lately been seen
 * reading input sends over such a channel; whoever receives from it carries input as well, and
 * may hand it on. The same for sound, over eventfds.
 *
 * Hooks: entry of send and receive, of system calls only; the current task is the actor. A receiver
 * that sleeps inside is known when it comes back for more. Nothing of what is sent is read.
 *
 * What it may get wrong: it does not look into messages, so all that a compositor sends within
 * RELAY_INPUT_NS of reading a device counts as input. Which roles come of that, see
 * policy_roles.h. Sound has to come regularly (RELAY_STEADY_NS), so that a word from the sound
 * server's thread to its own main thread makes no sound thread of that.
 *
 * Cost for who has nothing to hand on: a test of a bit for each send (had_parcel); for each receive one of
 * a word, which is old unless somebody hands something on, then of a bit (sent_to).
 *
 * The daemon loads this once for each kind of channel, so `channels` never mixes addresses.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "marks.bpf.h"

char _license[] SEC("license") = "GPL";

enum {
	/* What is sent so soon after the input was read or received is that input. */
	RELAY_INPUT_NS = 10 * 1000 * 1000,
	/* A sound server's thread asks the device, then wakes its clients: the same period. */
	RELAY_AUDIO_NS = 50 * 1000 * 1000,
	/* Sound that is received so long after the last one does not flow. */
	RELAY_STEADY_NS = 100 * 1000 * 1000,
};

/* Something on its way from who sent to who will receive. Sources: enum evidence_source; 0: none. */
struct channel {
	u64 input_ns; /* when input was sent; 0: never, or received */
	u64 audio_ns; /* when sound was sent; 0: never, or received */
	u64 audio_received_ns;
	u64 period_ns; /* of the sound */
	u32 tgid;      /* who sent last */
	u16 input_source;
	u16 audio_source;
};

/* By the address of what receives: never read through, only compared. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct channel);
} channels SEC(".maps");

/* When something was last put into `channels`. */
u64 last_sent_ns;

/* A bit for each channel that anything was ever put into: most never have. */
u64 sent_to[BIT_WORD_CNT];

/* The lowest bits of an address say little: what it is of is aligned. */
static __always_inline u64 bit_of_channel(u64 key)
{
	return key >> 6;
}

static __always_inline bool is_within(u64 now_ns, u64 then_ns, u64 within_ns)
{
	return then_ns && policy_delta_ns(now_ns, then_ns) < (s64)within_ns;
}

static __always_inline u32 get_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* What the current task has to hand on. */
struct parcel {
	u64 now_ns;
	u64 period_ns;
	u32 input_source;
	u32 audio_source;
};

static __always_inline u32 source_of(const struct task_evidence *own, u32 kind, u64 now_ns,
				     u64 within_ns)
{
	if (!is_within(now_ns, own->seen_ns[kind], within_ns))
		return 0;
	return policy_relay_next(own->source[kind]);
}

/* Whether there is anything. */
static __always_inline bool pack(struct parcel *parcel, bool with_audio)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct evidence *shared = get_evidence();
	struct task_evidence *own;

	if (!shared || !may_have(shared->had_parcel, task->tgid))
		return false;
	own = bpf_task_storage_get(&task_evidence, task, NULL, 0);
	if (!own)
		return false;
	if (!own->seen_ns[EVIDENCE_INPUT] && !(with_audio && own->seen_ns[EVIDENCE_AUDIO]))
		return false;
	parcel->now_ns = bpf_ktime_get_ns();
	parcel->input_source = source_of(own, EVIDENCE_INPUT, parcel->now_ns, RELAY_INPUT_NS);
	if (with_audio) {
		parcel->audio_source =
		    source_of(own, EVIDENCE_AUDIO, parcel->now_ns, RELAY_AUDIO_NS);
		parcel->period_ns = own->period_ns;
	}
	return (parcel->input_source || parcel->audio_source) && take_event(parcel->now_ns);
}

static __always_inline void send_to(u64 key, const struct parcel *parcel)
{
	struct channel *channel = bpf_map_lookup_elem(&channels, &key);
	struct channel none = {};

	if (!channel) {
		bpf_map_update_elem(&channels, &key, &none, BPF_NOEXIST);
		channel = bpf_map_lookup_elem(&channels, &key);
		if (!channel)
			return;
	}
	channel->tgid = get_tgid();
	if (parcel->input_source) {
		channel->input_source = parcel->input_source;
		channel->input_ns = parcel->now_ns;
	}
	if (parcel->audio_source) {
		channel->audio_source = parcel->audio_source;
		channel->period_ns = parcel->period_ns;
		channel->audio_ns = parcel->now_ns;
	}
	put_bit(sent_to, bit_of_channel(key));
	last_sent_ns = parcel->now_ns;
}

/*
 * Marks the current task, unless it lately had the same through fewer hands: a compositor that
 * reads the device is also sent something by its clients.
 */
static __always_inline struct task_evidence *mark_receiver(u32 kind, u32 source, u64 now_ns,
							    u64 within_ns)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_evidence *own = bpf_task_storage_get(&task_evidence, task, NULL, 0);

	if (own && is_within(now_ns, own->seen_ns[kind], within_ns) &&
	    policy_relay_hands(own->source[kind]) < policy_relay_hands(source))
		return NULL;
	return mark_task(task, kind, source, now_ns);
}

/* The current process was sent input by process @from. */
static __always_inline void note_processes(u32 from, u64 now_ns)
{
	struct process_evidence *sender, *receiver;
	struct game_evidence *game = get_game();
	u32 tgid = get_tgid();

	if (tgid == from)
		return;
	sender = make_process_evidence(from);
	if (!sender)
		return;
	if (game && is_family(game, tgid))
		sender->relay_ns = now_ns;
	if (is_within(now_ns, sender->display_ns, EVIDENCE_HOLD_NS)) {
		receiver = make_process_evidence(tgid);
		if (receiver)
			receiver->focus_ns = now_ns;
	}
}

static __always_inline void receive_input(struct channel *channel, u64 now_ns)
{
	u64 sent_ns = channel->input_ns;

	channel->input_ns = 0;
	if (!is_within(now_ns, sent_ns, RELAY_INPUT_NS))
		return;
	mark_receiver(EVIDENCE_INPUT, channel->input_source, now_ns, RELAY_INPUT_NS);
	note_processes(channel->tgid, now_ns);
}

static __always_inline void receive_audio(struct channel *channel, u64 now_ns)
{
	u64 last_ns = channel->audio_received_ns, sent_ns = channel->audio_ns;
	struct task_evidence *own;

	channel->audio_ns = 0;
	if (!is_within(now_ns, sent_ns, RELAY_AUDIO_NS))
		return;
	channel->audio_received_ns = now_ns;
	if (!is_within(now_ns, last_ns, RELAY_STEADY_NS))
		return;
	own = mark_receiver(EVIDENCE_AUDIO, channel->audio_source, now_ns, RELAY_AUDIO_NS);
	if (own)
		own->period_ns = channel->period_ns;
}

/* Whether anything may be waiting to be received; sets the time. */
static __always_inline bool may_receive(u64 *now_ns)
{
	u64 sent_ns = last_sent_ns;

	if (!sent_ns)
		return false;
	*now_ns = bpf_ktime_get_ns();
	return is_within(*now_ns, sent_ns, RELAY_AUDIO_NS);
}

static __always_inline void receive_from(u64 key, u64 now_ns)
{
	struct channel *channel;

	if (!may_have(sent_to, bit_of_channel(key)))
		return;
	channel = bpf_map_lookup_elem(&channels, &key);
	if (!channel)
		return;
	if (channel->input_ns)
		receive_input(channel, now_ns);
	if (channel->audio_ns)
		receive_audio(channel, now_ns);
}

/* Unix stream sockets: the receiving socket is the key. */
static __always_inline int send_unix(struct socket *sock)
{
	struct parcel parcel = {};
	struct unix_sock *unix_sk;

	if (!pack(&parcel, false))
		return 0;
	unix_sk = (struct unix_sock *)BPF_CORE_READ(sock, sk);
	send_to((u64)BPF_CORE_READ(unix_sk, peer), &parcel);
	return 0;
}

static __always_inline int receive_unix(struct socket *sock)
{
	u64 now_ns;

	if (may_receive(&now_ns))
		receive_from((u64)BPF_CORE_READ(sock, sk), now_ns);
	return 0;
}

/* Eventfds: however many descriptors there are, one has one file. */
static __always_inline int write_eventfd(u64 file)
{
	struct parcel parcel = {};

	if (pack(&parcel, true))
		send_to(file, &parcel);
	return 0;
}

static __always_inline int read_eventfd(struct kiocb *iocb)
{
	u64 now_ns;

	if (may_receive(&now_ns))
		receive_from((u64)BPF_CORE_READ(iocb, ki_filp), now_ns);
	return 0;
}

/* Pipes. */
static __always_inline u64 pipe_of(struct kiocb *iocb)
{
	struct file *file = BPF_CORE_READ(iocb, ki_filp);

	return (u64)BPF_CORE_READ(file, private_data);
}

static __always_inline int write_pipe(struct kiocb *iocb)
{
	struct parcel parcel = {};

	if (pack(&parcel, false))
		send_to(pipe_of(iocb), &parcel);
	return 0;
}

static __always_inline int read_pipe(struct kiocb *iocb)
{
	u64 now_ns;

	if (may_receive(&now_ns))
		receive_from(pipe_of(iocb), now_ns);
	return 0;
}

/*
 * Who reads one device and makes another of it (Steam does, for gamepads) hands on to whoever
 * reads that: the game.
 */
static __always_inline int write_uinput(void)
{
	struct game_evidence *game = get_game();
	struct process_evidence *process;
	struct parcel parcel = {};

	if (!game || !game->tgid || !pack(&parcel, false))
		return 0;
	process = make_process_evidence(get_tgid());
	if (process)
		process->relay_ns = parcel.now_ns;
	return 0;
}

SEC("?fentry")
int BPF_PROG(unix_send_fentry, struct socket *sock)
{
	return send_unix(sock);
}

SEC("?kprobe")
int BPF_KPROBE(unix_send_kprobe, struct socket *sock)
{
	return send_unix(sock);
}

SEC("?fentry")
int BPF_PROG(unix_recv_fentry, struct socket *sock)
{
	return receive_unix(sock);
}

SEC("?kprobe")
int BPF_KPROBE(unix_recv_kprobe, struct socket *sock)
{
	return receive_unix(sock);
}

SEC("?fentry")
int BPF_PROG(efd_write_fentry)
{
	u64 file = 0;

	/* As a number: of a pointer the verifier lets nobody take bits. */
	bpf_get_func_arg(ctx, 0, &file);
	return write_eventfd(file);
}

SEC("?kprobe")
int BPF_KPROBE(efd_write_kprobe, struct file *file)
{
	return write_eventfd((u64)file);
}

SEC("?fentry")
int BPF_PROG(efd_read_fentry, struct kiocb *iocb)
{
	return read_eventfd(iocb);
}

SEC("?kprobe")
int BPF_KPROBE(efd_read_kprobe, struct kiocb *iocb)
{
	return read_eventfd(iocb);
}

SEC("?fentry")
int BPF_PROG(pipe_write_fentry, struct kiocb *iocb)
{
	return write_pipe(iocb);
}

SEC("?kprobe")
int BPF_KPROBE(pipe_write_kprobe, struct kiocb *iocb)
{
	return write_pipe(iocb);
}

SEC("?fentry")
int BPF_PROG(pipe_read_fentry, struct kiocb *iocb)
{
	return read_pipe(iocb);
}

SEC("?kprobe")
int BPF_KPROBE(pipe_read_kprobe, struct kiocb *iocb)
{
	return read_pipe(iocb);
}

SEC("?fentry")
int BPF_PROG(uinput_fentry)
{
	return write_uinput();
}

SEC("?kprobe")
int BPF_KPROBE(uinput_kprobe)
{
	return write_uinput();
}
