/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network traffic of one task: is it the small, regular kind whose delay a player feels?
 *
 * Such traffic has a beat: small messages, 8 to 1,000 a second, on and on. A transfer has none: its
 * messages are large, or more than that. So beats are scored, a beat of datagrams higher than one
 * of a stream, as hardly anything but games, voice and name lookups sends datagrams to a beat;
 * and a bucket that leaks about 1 MB/s and runs over says "bulk", which takes all back at once.
 *
 * What is not seen: who is at the other end, and whether the game waits for it.
 */
#ifndef SCX_GAMER_POLICY_NET_H
#define SCX_GAMER_POLICY_NET_H

#include "policy_types.h"

/* A small message fits into one packet, whatever tunnel it takes. */
#define POLICY_NET_SMALL_BYTES_MAX 1400

/* Messages closer than this are one beat: a burst is no rhythm. 1,000 beats a second at most. */
#define POLICY_NET_GAP_NS_MIN (1000ULL * 1000)

/* Beats farther apart than this do not belong together: 8 a second at least. */
#define POLICY_NET_GAP_NS_MAX (125ULL * 1000 * 1000)

/*
 * The beats that convince, by their score: 4 of datagrams, 16 of a stream. A connection is set up
 * and a page asked for in fewer than 16; a name is looked up in fewer than 4.
 */
#define POLICY_NET_SCORE_DATAGRAM 4
#define POLICY_NET_SCORE_STREAM	  1
#define POLICY_NET_SCORE_MAX	  16

/*
 * And they have to span this: in that time a flow of 2.7 MB/s has filled the bucket, so no fast
 * transfer is ever believed, not even for its first moments. A game's 60 datagrams a second are
 * known with the fourth, 50 ms after the first; with the 50 ms that the scheduler may take until it
 * looks, that is within 100 ms.
 */
#define POLICY_NET_SPAN_NS_MIN (40ULL * 1000 * 1000)

/*
 * The bucket: one byte leaks every 2^10 ns (0.98 MB/s), so much is let through at once (what a game
 * gets when a level begins), and each message counts this much at least, so that more than 1,000
 * small ones a second overflow it as well.
 */
#define POLICY_NET_LEAK_SHIFT	     10
#define POLICY_NET_BURST_BYTES	     (64 * 1024)
#define POLICY_NET_MESSAGE_BYTES_MIN 1024

/* So many large messages with no small one between are a transfer, however slow. */
#define POLICY_NET_LARGE_RUN_MAX 8

/* Who was found to be transferring is not believed for this long. */
#define POLICY_NET_BULK_HOLD_NS (1000ULL * 1000 * 1000)

enum policy_net_verdict {
	POLICY_NET_NONE = 0,	    /* nothing to say about this message */
	POLICY_NET_LOW_LATENCY = 1, /* it belongs to low-latency traffic */
	POLICY_NET_BULK = 2,	    /* it belongs to a transfer: what was believed before is void */
};

/* What is known of one task's traffic; all zero at first. */
struct policy_net {
	u64 message_ns;	  /* the last message */
	u64 beat_ns;	  /* the last beat */
	u64 run_start_ns; /* the first of the beats that are scored */
	u64 bulk_ns;	  /* the last bulk verdict, if is_bulk */
	u64 level_bytes;  /* in the bucket, at message_ns */
	u32 score;	  /* 0: no beat */
	u16 large_run;
	bool is_bulk;
	u8 pad;
};

/* The bucket after a message of @bytes, @age_ns after the last one. */
static __always_inline u64 policy_net_level(u64 level_bytes, u64 age_ns, u32 bytes)
{
	u64 leaked_bytes = age_ns >> POLICY_NET_LEAK_SHIFT;

	level_bytes = level_bytes > leaked_bytes ? level_bytes - leaked_bytes : 0;
	return level_bytes +
	       (bytes > POLICY_NET_MESSAGE_BYTES_MIN ? bytes : POLICY_NET_MESSAGE_BYTES_MIN);
}

/* Scores a small message at @now_ns. */
static __always_inline void policy_net_beat(struct policy_net *s, u64 now_ns, u32 score)
{
	s64 gap_ns = policy_delta_ns(now_ns, s->beat_ns);

	if (s->score && gap_ns < (s64)POLICY_NET_GAP_NS_MIN)
		return;
	if (!s->score || gap_ns > (s64)POLICY_NET_GAP_NS_MAX) {
		s->score = 0;
		s->run_start_ns = now_ns;
	}
	s->beat_ns = now_ns;
	s->score += score;
	if (s->score > POLICY_NET_SCORE_MAX)
		s->score = POLICY_NET_SCORE_MAX;
}

/* The task has sent or received @bytes as one message at @now_ns (CLOCK_MONOTONIC). */
static __always_inline enum policy_net_verdict
policy_net_message(struct policy_net *s, u64 now_ns, u32 bytes, bool is_datagram)
{
	bool is_large = bytes > POLICY_NET_SMALL_BYTES_MAX;

	/* A clock that jumped back: begin anew. */
	if (policy_delta_ns(now_ns, s->message_ns) < 0)
		*s = (struct policy_net){ .message_ns = now_ns };
	s->level_bytes = policy_net_level(s->level_bytes, now_ns - s->message_ns, bytes);
	s->message_ns = now_ns;
	s->large_run = is_large ? s->large_run + 1 : 0;
	if (s->level_bytes > POLICY_NET_BURST_BYTES || s->large_run >= POLICY_NET_LARGE_RUN_MAX) {
		/* One huge message must not be remembered longer than a long transfer. */
		s->level_bytes = policy_min(s->level_bytes, POLICY_NET_BURST_BYTES);
		s->large_run = 0;
		s->score = 0;
		s->bulk_ns = now_ns;
		s->is_bulk = true;
		return POLICY_NET_BULK;
	}
	if (s->is_bulk && policy_delta_ns(now_ns, s->bulk_ns) < (s64)POLICY_NET_BULK_HOLD_NS)
		return POLICY_NET_NONE;
	s->is_bulk = false;
	if (is_large)
		return POLICY_NET_NONE;
	policy_net_beat(s, now_ns,
			is_datagram ? POLICY_NET_SCORE_DATAGRAM : POLICY_NET_SCORE_STREAM);
	if (s->score < POLICY_NET_SCORE_MAX ||
	    policy_delta_ns(now_ns, s->run_start_ns) < (s64)POLICY_NET_SPAN_NS_MIN)
		return POLICY_NET_NONE;
	return POLICY_NET_LOW_LATENCY;
}

#endif
