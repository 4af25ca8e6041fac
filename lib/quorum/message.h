/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What candidates for the cluster lock and voters say to each other: messages
 * of one fixed size, one answer to each request.
 */
#ifndef _QUORUM_MESSAGE_H_
#define _QUORUM_MESSAGE_H_

#include <stdbool.h>
#include <stdint.h>

#define QUORUM_MESSAGE_SIZE 64
#define QUORUM_NO_NODE 0xFFFFFFFFU

enum quorum_type {
	QUORUM_ASK = 1,	    /* only tell */
	QUORUM_VOTE = 2,    /* vote for me, or go on doing so */
	QUORUM_RELEASE = 3, /* I need your vote no more */
	QUORUM_NOTE = 4,    /* to a third vote: see struct quorum_message */
};
#define QUORUM_ANSWER 0x80 /* added to the type */

enum quorum_target {
	QUORUM_TARGET_VOTER = 0,
	QUORUM_TARGET_THIRD = 1, /* through the voter of one's own node */
};

enum quorum_phase {
	QUORUM_NONE = 0,
	QUORUM_CANDIDATE = 1,
	QUORUM_HOLDER = 2, /* had a majority */
};

enum quorum_verdict {
	QUORUM_TOLD = 0,
	QUORUM_GRANTED = 1,
	QUORUM_HELD = 2,    /* by somebody else */
	QUORUM_QUIET = 3,   /* started too short a time ago to know */
	QUORUM_REFUSED = 4, /* the request makes no sense, or no access */
};

/* Who has a vote, in an answer. */
struct quorum_who {
	uint32_t node; /* QUORUM_NO_NODE: nobody */
	uint64_t instance;
	enum quorum_phase phase;
	bool connected;	 /* what it asked through is still open */
	uint32_t age_ms; /* since it last asked */
	uint32_t left_ms; /* until somebody else may have the vote */
};

/*
 * A note is about a database: whoever changes it while only half of the nodes
 * are in view has the number of its change noted by the third vote before.
 * QUORUM_NOTE is csvd's request, with, instead of what the names say,
 *   instance      the nodes in view, a bit each
 *   who.instance  the number that the database has
 *   number        what to note; 0: nothing
 * and the answer's verdict is
 *   QUORUM_TOLD     nothing was to be noted
 *   QUORUM_GRANTED  it is noted, and no node out of view noted more than we have
 *   QUORUM_HELD     who.node did (who.phase is QUORUM_NONE), or has the vote
 *   QUORUM_QUIET    none of the nodes in view has the vote
 *   QUORUM_REFUSED  the place cannot be used
 * with, unless refused,
 *   number        this node's note
 *   who           the node out of view that noted most; who.instance: that
 */
struct quorum_message {
	uint8_t type;
	enum quorum_target target;
	uint64_t serial; /* an answer has its request's */
	/* a request's */
	uint32_t node;
	uint64_t instance; /* one run of a candidate */
	enum quorum_phase phase;
	uint32_t lease_ms;
	/* an answer's */
	enum quorum_verdict verdict;
	struct quorum_who who;
	uint64_t number; /* of QUORUM_NOTE; else 0 */
};

void quorum_message_push(const struct quorum_message *m,
			 uint8_t buf[QUORUM_MESSAGE_SIZE]);

/* 0, or EINVAL for anything that is no message of this version. */
int quorum_message_pull(const uint8_t buf[QUORUM_MESSAGE_SIZE],
			struct quorum_message *m);

#endif /* _QUORUM_MESSAGE_H_ */
