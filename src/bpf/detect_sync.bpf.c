/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sync detector: notes for which lock a thread is about to wait and, where that can be known,
 * who holds it. That one inherits the boost of who waits (inherit.bpf.h).
 *
 * Looked at are threads of the game's family and those with evidence of their own; all others leave
 * at once. What memory is read is the waiter's own. Whom to believe is in policy_lock.h; here
 * is where each kind of lock keeps its owner:
 *
 * - LOCK_PI and glibc's mutex: the thread id, as the waiter's pid namespace counts.
 * - A mutex of ntsync: the kernel's object, which holds an id of Wine's own counting. Who takes one
 *   has told his id in a wait before, so these are remembered, by device.
 * - A mutex of Wine in shared memory ("fsync"): the same id in the word. A thread's own stands in
 *   its thread block, where Wine's GS register points, and is remembered when it waits. Two prefixes
 *   count alike, so it counts within its process.
 *
 * Limits: a wait for one of several objects has no one holder. Condition variables, semaphores,
 * events and critical sections of Windows name nobody. glibc is read as 64-bit programs have it.
 * A kprobe may not ask for a task by its id.
 *
 * A program that is entered again on its CPU, because a thread was preempted in it, is left out
 * by the kernel; struct lock_wait says what that means for its reader.
 *
 * Each function is hooked at its entry and its exit. The daemon chooses those that are there
 * (detect/sync.rs has the table).
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "evidence.bpf.h"
#include "inherit.bpf.h"
#include "locks.bpf.h"

char _license[] SEC("license") = "GPL";

/* include/linux/sched.h */
#define PF_EXITING 0x00000004

/* kernel/futex/futex.h: the futex is not private to the process (since 6.7). */
#define FLAGS_SHARED 0x0010

/* include/uapi/linux/ntsync.h */
#define NTSYNC_IOC_WAIT_ANY 0xc0284e82
#define NTSYNC_IOC_WAIT_ALL 0xc0284e83

/* Where a thread block of 64-bit Windows has its own address and the thread's id. */
#define TEB_SELF 0x30
#define TEB_TID	 0x48

struct ntsync_wait_args___own {
	u64 timeout;
	u64 objs;
	u32 count;
	u32 index;
	u32 flags;
	u32 owner;
	u32 alert;
	u32 pad;
};
_Static_assert(sizeof(struct ntsync_wait_args___own) == (NTSYNC_IOC_WAIT_ANY >> 16 & 0x3fff),
	       "the command holds the size");

/* The parts of the module's own types that are read. */
enum ntsync_type___own { NTSYNC_TYPE_MUTEX___own = 1 };

struct ntsync_obj___own {
	enum ntsync_type___own type;
	struct file *file;
	struct ntsync_device *dev;
	union {
		struct {
			u32 count;
			pid_t owner;
		} mutex;
	} u;
} __attribute__((preserve_access_index));

/* A wait that begins. */
struct wait {
	struct task_struct *waiter;
	u64 lock;
	u64 scope; /* of ids of Wine's own counting, see struct wine_thread */
	struct policy_lock_claim claim;
	bool is_shared;
	bool in_family;
	bool may_ask; /* for a task by its id in a namespace */
};

static __always_inline struct lock_counters *get_counters(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&lock_counts, &key);
}

/* Whether a wait of the current task matters; begins to describe it. */
static __always_inline bool begin(struct wait *wait, u64 lock, u32 flags, bool may_ask)
{
	struct game_evidence *game = get_game();

	wait->waiter = bpf_get_current_task_btf();
	wait->in_family = game && is_family(game, wait->waiter->tgid);
	if (!wait->in_family && !bpf_task_storage_get(&task_evidence, wait->waiter, NULL, 0))
		return false;
	wait->lock = lock;
	wait->scope = wait->waiter->tgid;
	wait->is_shared = flags & FLAGS_SHARED;
	wait->claim.kind = POLICY_LOCK_SILENT;
	wait->may_ask = may_ask;
	return true;
}

/* The waiter says which thread of Wine it is. */
static __always_inline void remember_wine_thread(const struct wait *wait, u32 tid)
{
	struct wine_thread thread = { .scope = wait->scope, .tid = tid };
	struct wine_task *known = bpf_map_lookup_elem(&wine_threads, &thread);
	struct wine_task task = { .start_ns = wait->waiter->start_time, .pid = wait->waiter->pid };

	if (!known || known->pid != task.pid || known->start_ns != task.start_ns)
		bpf_map_update_elem(&wine_threads, &thread, &task, BPF_ANY);
}

/* Reads the waiter's id of Wine from its own thread block, if it has one. */
static __always_inline void learn_wine_thread(const struct wait *wait)
{
#ifdef bpf_target_x86
	u64 teb = wait->waiter->thread.gsbase;
	u64 words[(TEB_TID - TEB_SELF) / sizeof(u64) + 1];

	if (!teb || bpf_probe_read_user(words, sizeof(words), (void *)(teb + TEB_SELF)))
		return;
	if (words[0] == teb)
		remember_wine_thread(wait, words[(TEB_TID - TEB_SELF) / sizeof(u64)]);
#endif
}

/* The task by its id in the kernel; the caller releases it. */
static __always_inline struct task_struct *find_wine_thread(const struct wait *wait)
{
	struct wine_thread thread = { .scope = wait->scope, .tid = wait->claim.owner };
	struct wine_task *known = bpf_map_lookup_elem(&wine_threads, &thread);
	struct task_struct *task;

	if (!known)
		return NULL;
	task = bpf_task_from_pid(known->pid);
	/* Another task has its id by now. */
	if (task && task->start_time != known->start_ns) {
		bpf_task_release(task);
		return NULL;
	}
	return task;
}

/* The task that the claim names; the caller releases it. */
static __always_inline struct task_struct *find_owner(const struct wait *wait)
{
	if (!wait->may_ask || !wait->claim.owner)
		return NULL;
	if (wait->claim.kind == POLICY_LOCK_WINE || wait->claim.kind == POLICY_LOCK_NTSYNC)
		return find_wine_thread(wait);
	if (bpf_ksym_exists(bpf_task_from_vpid))
		return bpf_task_from_vpid(wait->claim.owner);
	return NULL;
}

static __always_inline bool is_alive(const struct task_struct *task)
{
	return !task->exit_state && !(task->flags & PF_EXITING);
}

/*
 * Hands the boost of the waiter on to the holder, and to whom that waits for itself. The last of them is left
 * for dispatch, which this CPU will ask as soon as the waiter sleeps.
 */
static __always_inline void inherit(const struct wait *wait, struct lock_wait *own,
				    struct lock_counters *counters)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, wait->waiter, NULL, 0);
	struct wait_link link = {
	    .lock = own->lock,
	    .waiter = wait->waiter->pid,
	    .holder = own->holder,
	};
	u32 key = 0, last;
	u32 *hurry = bpf_map_lookup_elem(&lock_hurry, &key);

	own->boost = 0;
	if (!tctx || !hurry || !own->holder)
		return;
	link.boost = policy_max(tctx->boost, tctx->inherited);
	if (!link.boost)
		return;
	own->boost = link.boost;
	counters->inherited_cnt++;
	for (u32 i = 0; i < POLICY_INHERIT_CHAIN_MAX; i++) {
		last = link.holder;
		if (!raise_next(&link))
			break;
	}
	*hurry = last;
}

/* The others who wait for the lock that the former holder had wait for its new one. */
static __always_inline void take_over(struct task_struct *heir, u64 lock, struct lock_hold *from)
{
	for (u32 i = 0; i < POLICY_WAITERS_MAX; i++) {
		struct wait_link link = {
		    .lock = lock,
		    .waiter = from->waiters[i].pid,
		    .boost = from->waiters[i].boost,
		};
		struct task_struct *waiter;
		struct lock_wait *wait;

		if (!link.waiter || from->waiters[i].lock != lock)
			continue;
		from->waiters[i].pid = 0;
		waiter = bpf_task_from_pid(link.waiter);
		if (!waiter)
			continue;
		wait = bpf_task_storage_get(&lock_waits, waiter, NULL, 0);
		if (wait && wait->since_ns && wait->lock == lock) {
			wait->holder = heir->pid;
			wait->holder_tgid = heir->tgid;
			raise(heir, &link);
		}
		bpf_task_release(waiter);
	}
}

/* @has_it: the wait has ended with the lock, or with an attempt at it that follows at once. */
static __always_inline void disinherit(struct task_struct *waiter, struct lock_wait *own, bool has_it)
{
	struct task_struct *holder = bpf_task_from_pid(own->holder);
	struct lock_hold *hold;

	if (!holder)
		return;
	hold = bpf_task_storage_get(&lock_holds, holder, NULL, 0);
	if (hold && has_it)
		take_over(waiter, own->lock, hold);
	take_out(holder, waiter->pid);
	bpf_task_release(holder);
}

/* Judges the claim and notes the wait. */
static __always_inline int note(struct wait *wait)
{
	struct policy_lock_holder facts = { .lock_is_shared = wait->is_shared };
	struct lock_counters *counters = get_counters();
	struct task_struct *owner = find_owner(wait);
	u32 tgid = wait->waiter->tgid;
	u32 owner_pid = 0, owner_tgid = 0;
	struct lock_wait *own;
	u32 kind;

	if (owner) {
		struct game_evidence *game = get_game();

		owner_pid = owner->pid;
		owner_tgid = owner->tgid;
		facts.is_alive = is_alive(owner);
		facts.is_waiter = owner_pid == (u32)wait->waiter->pid;
		facts.in_process = owner_tgid == tgid;
		facts.in_family = wait->in_family && game && is_family(game, owner_tgid);
		bpf_task_release(owner);
	}
	kind = policy_lock_outcome(&wait->claim, &facts);
	own = bpf_task_storage_get(&lock_waits, wait->waiter, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!own || !counters)
		return 0;
	/* The end of the last wait was missed. */
	if (wait->may_ask && own->since_ns && own->holder && own->boost)
		disinherit(wait->waiter, own, false);
	own->lock = wait->lock;
	own->kind = kind;
	own->holder = kind < POLICY_LOCK_SILENT ? owner_pid : 0;
	own->holder_tgid = kind < POLICY_LOCK_SILENT ? owner_tgid : 0;
	own->since_ns = bpf_ktime_get_ns();
	if (kind < POLICY_LOCK_CNT)
		counters->begun_cnt[kind]++;
	if (wait->may_ask)
		inherit(wait, own, counters);
	return 0;
}

static __always_inline int end_wait(bool may_ask, bool has_it)
{
	struct task_struct *waiter = bpf_get_current_task_btf();
	struct lock_wait *own = bpf_task_storage_get(&lock_waits, waiter, NULL, 0);
	struct lock_counters *counters = get_counters();

	if (!own || !own->since_ns || !counters)
		return 0;
	own->since_ns = 0;
	if (may_ask && own->holder && own->boost)
		disinherit(waiter, own, has_it);
	own->holder = 0;
	own->boost = 0;
	counters->ended_cnt++;
	return 0;
}

/* A futex other than PI, waited on while it holds @expected. */
static __always_inline void claim_by_words(struct wait *wait, u64 addr, u32 expected)
{
	u32 words[POLICY_LOCK_WORDS];

	if (wait->is_shared)
		learn_wine_thread(wait);
	/* Most waits are for a word of 0: no kind of lock that is known here. */
	if (expected && !bpf_probe_read_user(words, sizeof(words), (void *)addr))
		wait->claim = policy_lock_claim(words, expected, wait->is_shared);
}

static __always_inline int on_futex_wait(u64 addr, u32 flags, u32 expected, bool may_ask)
{
	struct wait wait = {};

	if (!begin(&wait, addr, flags, may_ask))
		return 0;
	claim_by_words(&wait, addr, expected);
	return note(&wait);
}

static __always_inline int on_lock_pi(u64 addr, u32 flags, int trylock, bool may_ask)
{
	struct wait wait = {};
	u32 word;

	if (trylock || !begin(&wait, addr, flags, may_ask))
		return 0;
	if (!bpf_probe_read_user(&word, sizeof(word), (void *)addr))
		wait.claim = policy_lock_claim_pi(word);
	return note(&wait);
}

static __always_inline int on_wait_multiple(struct futex_vector *vector, u32 count, bool may_ask)
{
	struct futex_waitv first = {};
	struct wait wait = {};

	if (!begin(&wait, 0, 0, may_ask))
		return 0;
	if (bpf_core_read(&first, sizeof(first), &vector->w))
		return 0;
	wait.lock = first.uaddr;
	wait.is_shared = first.flags & FLAGS_SHARED;
	if (count == 1)
		claim_by_words(&wait, first.uaddr, first.val);
	else if (wait.is_shared)
		learn_wine_thread(&wait);
	return note(&wait);
}

/* The object behind a descriptor of the current process, if it is one of this device's. */
static __always_inline struct ntsync_obj___own *find_object(const struct wait *wait, u32 fd)
{
	struct fdtable *table = wait->waiter->files->fdt;
	struct ntsync_obj___own *object;
	struct file *file = NULL;

	if (fd >= table->max_fds)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	object = BPF_CORE_READ(file, private_data);
	if (!object || BPF_CORE_READ(object, file) != file ||
	    (u64)BPF_CORE_READ(object, dev) != wait->scope)
		return NULL;
	return object;
}

static __always_inline int on_ntsync(struct file *file, u32 cmd, u64 argp, bool may_ask)
{
	struct ntsync_wait_args___own args;
	struct ntsync_obj___own *object;
	struct wait wait = {};
	u32 fd, owner;

	if (cmd != NTSYNC_IOC_WAIT_ANY && cmd != NTSYNC_IOC_WAIT_ALL)
		return 0;
	if (!begin(&wait, 0, FLAGS_SHARED, may_ask) ||
	    bpf_probe_read_user(&args, sizeof(args), (void *)argp))
		return 0;
	wait.scope = (u64)BPF_CORE_READ(file, private_data);
	if (args.owner)
		remember_wine_thread(&wait, args.owner);
	if (args.count != 1 || bpf_probe_read_user(&fd, sizeof(fd), (void *)args.objs))
		return note(&wait);
	object = find_object(&wait, fd);
	wait.lock = (u64)object;
	if (object && BPF_CORE_READ(object, type) == NTSYNC_TYPE_MUTEX___own) {
		owner = BPF_CORE_READ(object, u.mutex.owner);
		if (owner && owner != args.owner) {
			wait.claim.kind = POLICY_LOCK_NTSYNC;
			wait.claim.owner = owner;
		}
	}
	return note(&wait);
}

/* The end is hooked once for each function, as a program has one target. */
#define HOOK_END(name, function)                                                                   \
	SEC("?fexit/" function)                                                                    \
	int BPF_PROG(name##_fexit)                                                                 \
	{                                                                                          \
		u64 ret = -1ULL;                                                                   \
                                                                                                   \
		bpf_get_func_ret(ctx, &ret);                                                       \
		return end_wait(true, !(u32)ret);                                                  \
	}                                                                                          \
	SEC("?kretprobe/" function)                                                                \
	int BPF_KRETPROBE(name##_kretprobe)                                                        \
	{                                                                                          \
		return end_wait(false, false);                                                     \
	}

SEC("?fentry/futex_wait")
int BPF_PROG(wait_fentry, u32 *uaddr, unsigned int flags, u32 val)
{
	return on_futex_wait((u64)uaddr, flags, val, true);
}

SEC("?kprobe/futex_wait")
int BPF_KPROBE(wait_kprobe, u32 *uaddr, unsigned int flags, u32 val)
{
	return on_futex_wait((u64)uaddr, flags, val, false);
}

HOOK_END(wait, "futex_wait")

SEC("?fentry/futex_lock_pi")
int BPF_PROG(lock_pi_fentry, u32 *uaddr, unsigned int flags, ktime_t *time, int trylock)
{
	return on_lock_pi((u64)uaddr, flags, trylock, true);
}

SEC("?kprobe/futex_lock_pi")
int BPF_KPROBE(lock_pi_kprobe, u32 *uaddr, unsigned int flags, ktime_t *time, int trylock)
{
	return on_lock_pi((u64)uaddr, flags, trylock, false);
}

HOOK_END(lock_pi, "futex_lock_pi")

SEC("?fentry/futex_wait_multiple")
int BPF_PROG(multiple_fentry, struct futex_vector *vs, unsigned int count)
{
	return on_wait_multiple(vs, count, true);
}

SEC("?kprobe/futex_wait_multiple")
int BPF_KPROBE(multiple_kprobe, struct futex_vector *vs, unsigned int count)
{
	return on_wait_multiple(vs, count, false);
}

HOOK_END(multiple, "futex_wait_multiple")

SEC("?fentry/ntsync_char_ioctl")
int BPF_PROG(ntsync_fentry, struct file *file, unsigned int cmd, unsigned long parm)
{
	return on_ntsync(file, cmd, parm, true);
}

SEC("?kprobe/ntsync_char_ioctl")
int BPF_KPROBE(ntsync_kprobe, struct file *file, unsigned int cmd, unsigned long parm)
{
	return on_ntsync(file, cmd, parm, false);
}

HOOK_END(ntsync, "ntsync_char_ioctl")
