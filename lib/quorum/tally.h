/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A candidate's view of the votes, and what follows from it. Pure: the caller
 * brings the clock.
 */
#ifndef _QUORUM_TALLY_H_
#define _QUORUM_TALLY_H_

#include "lib/quorum/message.h"

#define QUORUM_MAX_NODES 64
#define QUORUM_MAX_VOTES (QUORUM_MAX_NODES + 1)

struct quorum_vote {
	uint64_t until;	 /* mine up to then; 0: not mine */
	uint64_t seen;	 /* the last answer came then; 0: none */
	struct quorum_who who;
	/* of a third vote, where nobody sees a connection end: */
	bool third;
	uint64_t first;	 /* when it was renewed, as first told */
	bool alive;	 /* it was renewed again since */
};

struct quorum_tally {
	uint32_t node;
	uint64_t instance;
	uint32_t lease_ms;
	unsigned num;
	unsigned needed;
	struct quorum_vote votes[QUORUM_MAX_VOTES];
};

void quorum_tally_init(struct quorum_tally *tally,
		       uint32_t node,
		       uint64_t instance,
		       uint32_t lease_ms,
		       unsigned num);

/* The answer to what was sent at `sent` arrived from voter `i`. */
void quorum_tally_answer(struct quorum_tally *tally,
			 unsigned i,
			 uint64_t sent,
			 uint64_t now,
			 const struct quorum_message *answer);

/* Nothing is mine any more (it was, or will be, released). */
void quorum_tally_drop(struct quorum_tally *tally);

/* A majority is certainly mine up to then; 0: it is not. */
uint64_t quorum_tally_until(const struct quorum_tally *tally);

/* Another one holds the lock and is alive: there is nothing to wait for. */
bool quorum_tally_contention(const struct quorum_tally *tally, uint64_t now);

/* Another candidate goes first: two that wait for each other get nothing. */
bool quorum_tally_yield(const struct quorum_tally *tally, uint64_t now);

/* How often a vote is asked for again once it is mine. */
uint32_t quorum_renew_ms(uint32_t lease_ms);

#endif /* _QUORUM_TALLY_H_ */
