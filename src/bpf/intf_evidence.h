/* SPDX-License-Identifier: GPL-2.0-only */
/* What the detectors saw: the half of intf.h that outlives restarts of the scheduler. */
#ifndef SCX_GAMER_INTF_EVIDENCE_H
#define SCX_GAMER_INTF_EVIDENCE_H

#include "intf_layout.h"
#include "policy_frame.h"
#include "policy_inherit.h"
#include "policy_lock.h"
#include "policy_relay.h"
#include "policy_roles.h"
#include "policy_types.h"

/* What a task can be seen doing in the kernel. */
enum evidence_kind {
	EVIDENCE_INPUT = 0,   /* reads an input device */
	EVIDENCE_GPU = 1,     /* submits work to a GPU */
	EVIDENCE_DISPLAY = 2, /* flips the pages of a display */
	EVIDENCE_GPU_IRQ = 3, /* serves the interrupts of a GPU or a display */
	EVIDENCE_AUDIO = 4,   /* meets the period of a sound device */
	EVIDENCE_NETWORK = 5, /* sends or receives small messages, often */
	EVIDENCE_STORAGE = 6, /* waits for reads of a block device */
	EVIDENCE_KIND_CNT = 7,
	EVIDENCE_SLOT_CNT = 8, /* a power of two, so that a mask bounds an index */
};

/*
 * What a thread is for, by urgency. A task holds a set of roles: bit (1 << role). What it was
 * seen doing comes first and in the order of enum evidence_kind.
 */
enum role {
	ROLE_INPUT = EVIDENCE_INPUT,
	ROLE_GPU = EVIDENCE_GPU,
	ROLE_COMPOSITOR = EVIDENCE_DISPLAY,
	ROLE_GPU_IRQ = EVIDENCE_GPU_IRQ,
	ROLE_AUDIO = EVIDENCE_AUDIO,
	ROLE_NETWORK = EVIDENCE_NETWORK,
	ROLE_STORAGE = EVIDENCE_STORAGE,
	ROLE_GAME = 7,	     /* a thread of the game's family */
	ROLE_BACKGROUND = 8, /* nice 10 and up, SCHED_BATCH, SCHED_IDLE */
	ROLE_NORMAL = 9,     /* none of the above */
	ROLE_CNT = 10,
	ROLE_SLOT_CNT = 16, /* a power of two, so that a mask bounds an index */
};
_Static_assert(ROLE_CNT <= ROLE_SLOT_CNT && ROLE_SLOT_CNT <= 16, "a set of roles is a u16");
_Static_assert((int)EVIDENCE_INPUT == POLICY_KIND_INPUT && (int)EVIDENCE_GPU == POLICY_KIND_GPU &&
		   (int)EVIDENCE_NETWORK == POLICY_KIND_NETWORK &&
		   (int)EVIDENCE_STORAGE == POLICY_KIND_STORAGE,
	       "policy_roles.h knows the kinds by these numbers");

enum device_class {
	DEVICE_OTHER = 0,
	DEVICE_KEYBOARD = 1,
	DEVICE_MOUSE = 2,
	DEVICE_GAMEPAD = 3,
	DEVICE_CLASS_CNT = 4,
};

enum { INPUT_RING_CNT = 16 };

/*
 * One input event. By design there is no key code and no value: the daemon can count
 * events and time them, and could not log keys if it wanted to.
 */
struct input_record {
	u64 time_ns;   /* CLOCK_MONOTONIC */
	u32 device_id; /* the N of /sys/class/input/inputN; ~0 if unknown */
	u16 cpu;
	u8 device_class; /* enum device_class */
	u8 pad;
};
ASSERT_LAYOUT(struct input_record, 16);

/* Written by the input detector on each CPU; drops are never silent. */
struct input_counters {
	u64 event_cnt[DEVICE_CLASS_CNT];
	u64 dropped_cnt;
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct input_counters, 64);

enum process_event_kind {
	PROCESS_EXEC = 0,
	PROCESS_EXIT = 1,
	PROCESS_FORK = 2, /* by the game's family only */
};

/* A process (not a thread) has begun a new program, has ended, or was made. */
struct process_event {
	u32 tgid;
	u32 kind;     /* enum process_event_kind */
	u32 parent;   /* PROCESS_FORK: the process that made it; else 0 */
	u32 pad;
	u64 start_ns; /* PROCESS_FORK: CLOCK_BOOTTIME, when it was made; else 0 */
};
ASSERT_LAYOUT(struct process_event, 24);

/* Words of a set of bits that says of most keys that they were never put into it, see marks.bpf.h. */
#define BIT_WORD_CNT 4

/*
 * What the detectors share with the scheduler; outlives restarts of the scheduler. Written
 * by BPF programs only. Its times are those of bpf_ktime_get_ns(), which every program may
 * read; scx_bpf_now() is another clock, 20 ms away in a guest that was just booted.
 */
struct evidence {
	u64 input_event_ns; /* CLOCK_MONOTONIC; the last real input event; 0: none yet */
	u64 window_end_ns;  /* the same clock; when the input window ends; 0: none is open */
	u64 actor_cnt;	    /* how often a thread was newly seen doing something; 0: none ever */
	u64 xrun_cnt;	    /* how often a sound device ran out of samples, or of room for them */
	/*
	 * A bit for each process that ever had input or sound to hand on: most
	 * never have, and one load says so.
	 */
	u64 had_parcel[BIT_WORD_CNT];
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct evidence, 64);

/* The game, written by the daemon only. The other processes of its family are in `family`. */
struct game_evidence {
	u32 tgid;	/* 0: no game */
	u32 family_cnt; /* processes in `family` */
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct game_evidence, 64);

/*
 * What the detectors saw one task do (task storage, shared like `evidence`), by enum
 * evidence_kind. CLOCK_MONOTONIC; 0: never.
 */
struct task_evidence {
	u64 seen_ns[EVIDENCE_SLOT_CNT];	  /* the last time */
	u64 since_ns[EVIDENCE_SLOT_CNT];  /* the first time after a pause of EVIDENCE_HOLD_NS */
	u32 event_cnt[EVIDENCE_SLOT_CNT]; /* since then; wraps */
	u8 source[EVIDENCE_SLOT_CNT];	  /* what said so: enum evidence_source */
	u64 period_ns;			  /* of the sound device that the task serves; 0: unknown */
};
ASSERT_LAYOUT(struct task_evidence, 176);

/* What a mark in task_evidence comes from. Below 64: a row of HOOKS in detect/actor.rs. */
enum evidence_source {
	SOURCE_SOUND = 64,	/* feeds a sound device, or asks how far it has got */
	SOURCE_IRQ_THREAD = 65, /* is the interrupt's thread */
	SOURCE_SOCKET = 66,	/* sends to or receives from the network */
	SOURCE_BLOCK = 67,	/* reads a block device */
	SOURCE_RELAY = 96,	/* was sent something by a task that has the role */
	SOURCE_RELAY_LAST = 99, /* the same, through as many hands as count */
};
_Static_assert((int)SOURCE_RELAY == POLICY_RELAY_SOURCE &&
		   SOURCE_RELAY_LAST == POLICY_RELAY_SOURCE + POLICY_RELAY_HANDS_MAX - 1,
	       "policy_relay.h knows relays by these numbers");

enum { DISPLAY_CNT = 4 };

/*
 * The flips of one display (`display_evidence`). A place belongs to the display that took it until
 * that has not flipped for EVIDENCE_HOLD_NS and another needs one.
 */
struct display_evidence {
	struct policy_frame clock;
	u32 refresh_ns; /* of the display's mode, as the kernel computed it; 0: unknown */
	u32 owner_tgid; /* the process that asked for the last flip; 0: unknown */
	u32 card_idx;	/* of the N in /dev/dri/cardN */
	u32 crtc_idx;	/* on that card */
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct display_evidence, 64);

/* Interrupts with higher numbers are not looked at. */
enum { GPU_IRQ_MAX = 4096 };

/*
 * What one process as a whole was seen doing (`process_evidence`, by tgid). CLOCK_MONOTONIC;
 * 0: never.
 */
struct process_evidence {
	u64 display_ns; /* one of its threads flipped pages */
	u64 relay_ns;	/* input that it read has reached the game's family */
	u64 focus_ns;	/* it received input from the owner of a display: its window has the focus */
};
ASSERT_LAYOUT(struct process_evidence, 24);

/* Most processes of which something is remembered; the longest unseen is forgotten first. */
#define PROCESS_EVIDENCE_MAX 1024

/* Most processes of a game's family. */
#define FAMILY_MAX 1024

/* Written by the network detector on each CPU, while there is a game. */
struct napi_counters {
	u64 poll_cnt;	/* the kernel looked for packets of a network device there */
	u64 packet_cnt; /* and found so many */
};
ASSERT_LAYOUT(struct napi_counters, 16);

/*
 * The wait of one task for a lock (`lock_waits`, task storage). It counts only while the task
 * sleeps: the kernel leaves out a hook while another task, preempted in the same, holds the CPU, so
 * that the end of a wait can be missed; then the next one notes it.
 */
struct lock_wait {
	u64 since_ns;	 /* CLOCK_MONOTONIC; 0: does not wait */
	u64 lock;	 /* address in the waiter's memory, or of the object in the kernel */
	u32 holder;	 /* the thread's id in the kernel (init namespace); 0: unknown */
	u32 holder_tgid; /* its process */
	u32 kind;	 /* POLICY_LOCK_* */
	u32 boost;	 /* that the holder has inherited from it; 0: none */
};
ASSERT_LAYOUT(struct lock_wait, 32);

/* Who waits for what one task holds (`lock_holds`, task storage). */
struct lock_hold {
	struct policy_waiter waiters[POLICY_WAITERS_MAX];
};
ASSERT_LAYOUT(struct lock_hold, 64);

/* Waits of the tasks that the sync detector looks at, on each CPU. */
struct lock_counters {
	u64 begun_cnt[POLICY_LOCK_CNT]; /* by what is known of them, POLICY_LOCK_* */
	u64 ended_cnt;
	u64 inherited_cnt; /* of those begun, the holder has inherited the waiter's boost */
} CACHE_ALIGNED;
ASSERT_LAYOUT(struct lock_counters, 64);

/* A thread of Wine: its id there, and where that counts: a device of ntsync, or a process. */
struct wine_thread {
	u64 scope;
	u64 tid;
};
ASSERT_LAYOUT(struct wine_thread, 16);

/* The task that has said to be that thread. */
struct wine_task {
	u64 start_ns;
	u64 pid;
};
ASSERT_LAYOUT(struct wine_task, 16);

/* Most threads of Wine whose ids are remembered; the longest unseen is forgotten first. */
#define WINE_THREADS_MAX 4096

/* What was seen this long ago still counts. */
#define EVIDENCE_HOLD_NS (2ULL * 1000 * 1000 * 1000)

#endif
