/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locks: who holds the one that a task is about to wait for, and whether that is believed.
 *
 * In two steps, with a look at the task that is named between them. policy_lock_claim() says
 * what kind of lock the waiter's memory looks like and which id it names as the owner's.
 * policy_lock_outcome() says what comes of it, from what is known of the task with that id. The
 * memory belongs to programs and may hold anything; so a claim is only ever believed for a task of
 * the waiter's own process, or, where more than one process can reach the lock, for one of the
 * game's family.
 */
#ifndef SCX_GAMER_POLICY_LOCK_H
#define SCX_GAMER_POLICY_LOCK_H

#include "policy_types.h"

/* What is known of a wait: the kind of the lock whose holder is known, or why none is. */
#define POLICY_LOCK_PI	    0 /* LOCK_PI: the word holds the owner's thread id */
#define POLICY_LOCK_GLIBC   1 /* a pthread mutex of glibc */
#define POLICY_LOCK_WINE    2 /* a mutex of Wine in shared memory ("fsync") */
#define POLICY_LOCK_NTSYNC  3 /* a mutex of /dev/ntsync */
#define POLICY_LOCK_SILENT  4 /* nothing says who holds it, if it is a lock at all */
#define POLICY_LOCK_REFUSED 5 /* something does, and is not believed */
#define POLICY_LOCK_CNT	    6

/* What is read from the waiter's memory: the word it waits on, and what follows. */
#define POLICY_LOCK_WORDS 5

/* include/uapi/linux/futex.h */
#define POLICY_FUTEX_TID_MASK	0x3fffffffU
#define POLICY_FUTEX_OWNER_DIED 0x40000000U

/* The word of a pthread mutex which somebody may wait for. */
#define POLICY_GLIBC_CONTENDED 2
/* Its kind: four types, "shared by processes", and two bits about lock elision. */
#define POLICY_GLIBC_KINDS  0x383U
#define POLICY_GLIBC_SHARED 0x80U

/* Wine counts its thread ids from 4 on in steps of 4, as Windows does. */
#define POLICY_WINE_TID_STEP 4
#define POLICY_WINE_TID_MAX  (1U << 24)

struct policy_lock_claim {
	u32 kind;  /* POLICY_LOCK_* */
	u32 owner; /* the id; of Wine's own counting for POLICY_LOCK_WINE; 0: none is named */
};

/* A PI futex, by its word. */
static __always_inline struct policy_lock_claim policy_lock_claim_pi(u32 word)
{
	struct policy_lock_claim claim = { POLICY_LOCK_PI, word & POLICY_FUTEX_TID_MASK };

	if (word & POLICY_FUTEX_OWNER_DIED)
		claim.owner = 0;
	return claim;
}

/*
 * Any other futex, by its words and the value that the waiter expects in the first.
 * struct __pthread_mutex_s of 64-bit glibc begins with lock, count, owner, users, kind; Wine's
 * mutex with the owner and a count. @shared: the futex is not private to the process.
 */
static __always_inline struct policy_lock_claim
policy_lock_claim(const u32 words[POLICY_LOCK_WORDS], u32 expected, bool shared)
{
	struct policy_lock_claim claim = { POLICY_LOCK_SILENT, 0 };

	/* Somebody has changed it meanwhile: there will be no wait. */
	if (words[0] != expected)
		return claim;
	if (expected == POLICY_GLIBC_CONTENDED) {
		u32 kind = words[4];

		if (!words[3] || kind & ~POLICY_GLIBC_KINDS ||
		    !!(kind & POLICY_GLIBC_SHARED) != shared)
			return claim;
		claim.kind = POLICY_LOCK_GLIBC;
		claim.owner = words[2];
	} else if (shared && expected && expected < POLICY_WINE_TID_MAX &&
		   !(expected & (POLICY_WINE_TID_STEP - 1)) && words[1]) {
		claim.kind = POLICY_LOCK_WINE;
		claim.owner = expected;
	}
	if (!claim.owner)
		claim.kind = POLICY_LOCK_SILENT;
	return claim;
}

/* The task whose id is claimed to be the owner's. */
struct policy_lock_holder {
	bool is_alive;	     /* there is one, and it is not about to end */
	bool is_waiter;	     /* the waiter itself */
	bool in_process;     /* of the waiter's process */
	bool in_family;	     /* it and the waiter belong to the game's family */
	bool lock_is_shared; /* more than one process can reach the lock */
};

/* What is known of the wait, POLICY_LOCK_*. */
static __always_inline u32 policy_lock_outcome(const struct policy_lock_claim *claim,
					       const struct policy_lock_holder *holder)
{
	if (claim->kind >= POLICY_LOCK_SILENT || !claim->owner)
		return POLICY_LOCK_SILENT;
	if (!holder->is_alive || holder->is_waiter)
		return POLICY_LOCK_REFUSED;
	if (!holder->in_process && !(holder->lock_is_shared && holder->in_family))
		return POLICY_LOCK_REFUSED;
	return claim->kind;
}

#endif
