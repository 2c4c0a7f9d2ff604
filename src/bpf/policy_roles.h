/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Roles from evidence: which of the things that a task was seen doing count for it.
 *
 * Reading a mouse, submitting to a GPU or sending datagrams does not make a task part of the
 * game's way from hand to eye: a browser submits, a hotkey daemon reads, a voice chat sends. While
 * a game is known, such evidence counts for the game's family, and (input and GPU) for who
 * stands between it and the devices: the owner of the display, and who hands input on to the
 * family. While none is known there is nobody to be preferred to, and reading and submitting
 * count for everyone. Flips, display interrupts and sound always count.
 */
#ifndef SCX_GAMER_POLICY_ROLES_H
#define SCX_GAMER_POLICY_ROLES_H

#include "policy_types.h"

/* As in enum evidence_kind, which asserts it. */
#define POLICY_KIND_INPUT   0
#define POLICY_KIND_GPU	    1
#define POLICY_KIND_NETWORK 5
#define POLICY_KIND_STORAGE 6

/* Evidence that speaks for the game's family alone. */
#define POLICY_KINDS_OF_FAMILY (1U << POLICY_KIND_NETWORK | 1U << POLICY_KIND_STORAGE)

/* Evidence that speaks for those between the game and its devices, too. */
#define POLICY_KINDS_OF_CHAIN (1U << POLICY_KIND_INPUT | 1U << POLICY_KIND_GPU)

struct policy_roles_in {
	u32 seen;	   /* bit (1 << kind): seen doing it lately */
	bool game_known;   /* there is a game */
	bool in_family;	   /* the task's process belongs to it */
	bool owns_display; /* the task's process flips pages */
	bool hands_input;  /* input that the task's process read has reached the family lately */
};

/* The part of @in->seen that counts. */
static __always_inline u32 policy_roles_of_evidence(const struct policy_roles_in *in)
{
	u32 counts = ~(POLICY_KINDS_OF_FAMILY | POLICY_KINDS_OF_CHAIN);

	if (in->in_family)
		counts |= POLICY_KINDS_OF_FAMILY | POLICY_KINDS_OF_CHAIN;
	if (!in->game_known || in->owns_display)
		counts |= POLICY_KINDS_OF_CHAIN;
	if (in->hands_input)
		counts |= 1U << POLICY_KIND_INPUT;
	return in->seen & counts;
}

#endif
