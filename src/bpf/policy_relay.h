/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Relays: what is known of a task because another one handed it something. Input goes from the
 * compositor's input thread to its main thread, to Xwayland, to the game; sound from the sound
 * server to one client after the other. A mark says through how many hands that went, so that it
 * ends somewhere: without a limit, one key would mark the whole desktop.
 */
#ifndef SCX_GAMER_POLICY_RELAY_H
#define SCX_GAMER_POLICY_RELAY_H

#include "policy_types.h"

/* As in enum evidence_source, which asserts it: what has gone through one hand. */
#define POLICY_RELAY_SOURCE 96

/* After so many hands it ends: input thread, compositor, gamescope, its Xwayland, game. */
#define POLICY_RELAY_HANDS_MAX 4

/* Through how many hands went what a mark with @source (enum evidence_source) says. */
static __always_inline u32 policy_relay_hands(u32 source)
{
	return source < POLICY_RELAY_SOURCE ? 0 : source - POLICY_RELAY_SOURCE + 1;
}

/* The source of the receiver's mark, if the sender's has @source; 0: no mark any more. */
static __always_inline u32 policy_relay_next(u32 source)
{
	u32 hands = policy_relay_hands(source);

	return hands < POLICY_RELAY_HANDS_MAX ? POLICY_RELAY_SOURCE + hands : 0;
}

#endif
