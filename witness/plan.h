/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is moved where: from what is known of nodes, volumes and one client to
 * a move. Pure: no memory, no I/O, no clock but the one that is handed in.
 *
 * A client is where its data connection is. It may stay if that node has
 * direct access to the volumes of its shares; if not, it goes to a node that
 * has. While no node has (the volume is in flight), everybody stays. A node
 * that is being drained keeps nobody.
 *
 * Where several nodes have direct access, each draws clients from those that
 * have more, one at a time. Only the one that draws decides, so that no two
 * think that they have seen the same gap. It tells the others whom it has
 * drawn: they leave that one alone for a while, wherever it registers then.
 *
 * Times are milliseconds of any one clock that only grows.
 */
#ifndef _WITNESS_PLAN_H_
#define _WITNESS_PLAN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WITNESS_NO_NODE 0xFFFFFFFFU

/* No two moves of one client within this. */
#define WITNESS_PAUSE_MS 5000
/*
 * A client that is still where it was after a move to the same node gets
 * another one after twice the time, and so on up to this.
 */
#define WITNESS_PAUSE_MAX_MS 320000
/* To draw clients: a node that has been there for so long, ... */
#define WITNESS_STEADY_MS 10000
/* ... one in so long, what it has is known by then, ... */
#define WITNESS_SPREAD_MS 3000
/* ... and nobody who was moved, for whatever reason, within this. */
#define WITNESS_SPREAD_PAUSE_MS 60000
/* Volumes of a drained node move at once; so long their clients wait. */
#define WITNESS_DRAIN_WAIT_MS 3000

/* A volume as one node's csvd sees it. */
struct witness_volume {
	const char *name;
	bool direct; /* Active, with direct access */
	uint64_t epoch;
};

struct witness_node {
	uint32_t pnn;
	bool active;  /* a connected, healthy member */
	bool leaving; /* drained, or being drained */
	uint64_t leaving_ms; /* for so long */
	uint64_t steady_ms; /* active, not leaving and told, for so long */
	bool told;    /* its csvd has said the following */
	uint32_t processes; /* of its clients, as its csvd counts */
	const struct witness_volume *volumes;
	size_t num_volumes;
	uint32_t clients; /* registered ones that are there, as far as known */
};

struct witness_world {
	const struct witness_node *nodes;
	size_t num_nodes;
	uint32_t self; /* whose witness this is */
};

/* What was sent to a client before; zero: nothing. */
struct witness_past {
	bool anywhere; /* by whichever node's witness, */
	uint64_t anywhere_ms; /* last */
	bool moved; /* by this one */
	uint64_t moved_ms;
	uint32_t target;
	uint64_t pause_ms;
};

struct witness_client {
	bool share_known;	/* registered for a share: SHARE_MOVE */
	const char *const *volumes; /* of its shares, without doubles */
	size_t num_volumes;
	bool all_known;		/* no share of it is missing in volumes */
	uint32_t node;		/* of its data; WITNESS_NO_NODE: of none */
	/* `csv:site affinity`: may it be sent from node to target? */
	bool (*may_go)(const struct witness_client *client, uint32_t target);
	const void *private_data;
};

enum witness_action {
	WITNESS_STAY = 0,
	WITNESS_SHARE_MOVE,
	WITNESS_CLIENT_MOVE,
};

struct witness_move {
	enum witness_action action;
	uint32_t target;
	bool spread;	 /* it could as well stay */
	const char *why; /* constant text, for the log */
};

/* Where the client belongs now. Never NULL texts. */
struct witness_move witness_plan(const struct witness_world *world,
				 const struct witness_client *client);

/* May a move to target be sent now? */
bool witness_past_allows(const struct witness_past *past,
			 uint32_t target,
			 uint64_t now_ms);

/* May one be sent that only evens out? last_ms: of the last such; 0: none. */
bool witness_spread_allows(const struct witness_past *past,
			   uint64_t last_ms,
			   uint64_t now_ms);

/* Another node's witness has sent it somewhere. */
void witness_past_elsewhere(struct witness_past *past, uint64_t now_ms);

/* It was. */
void witness_past_moved(struct witness_past *past,
			uint32_t target,
			uint64_t now_ms);

/*
 * Tokens: at most `rate` moves a second, and not more at once than the tenth
 * part of that (at least one), so that clients come one after the other: each
 * is a new process for the node that it comes to.
 */
struct witness_pace {
	unsigned rate;
	uint64_t last_ms;
	uint64_t credit; /* thousandths of a move */
};

/* A move may be sent now, and is counted. */
bool witness_pace_take(struct witness_pace *pace, uint64_t now_ms);

#endif /* _WITNESS_PLAN_H_ */
