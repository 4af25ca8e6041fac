/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The witness registrations of this node's rpcd_witness, as a copy of our
 * own: the database of rpcd_witness is frozen just when it matters, while
 * CTDB recovers from a node's death.
 */
#ifndef _WITNESS_REGISTRY_H_
#define _WITNESS_REGISTRY_H_

#include "witness/context.h"

struct csv_ltdb_image;

/* What was sent to a client (computer and share), whatever its handles. */
struct witness_peer {
	struct witness_peer *prev, *next;
	char *key;
	unsigned registrations;
	uint64_t unused_since; /* witness_now(); of no meaning while in use */
	struct witness_past past;
	unsigned round; /* in which it was last looked at */
};

struct witness_registration {
	struct witness_registration *prev, *next;
	struct policy_handle handle;
	struct server_id server;
	enum witness_version version;
	const char *computer;
	const char *share; /* NULL: for the net name only */
	struct sockaddr_storage address; /* of its data */
	struct sockaddr_storage client;	 /* from where it registered */
	NTTIME since;
	uint64_t added; /* witness_now() */
	struct witness_peer *peer;
	unsigned seen; /* in which reading */
	bool ended; /* its server was told to end */

	/* shares.h */
	const char **volumes; /* of its shares, without doubles */
	size_t num_volumes;
	int *snums; /* of its shares */
	bool all_known; /* all its shares are on volumes */
	uint64_t looked; /* witness_now(); 0: never */
};

struct witness_registry {
	struct witness_registration *list; /* newest first */
	struct witness_peer *peers;
	char *path;
	unsigned readings;
	struct csv_ltdb_image *image; /* of the last reading */
};

/* Blocks until ctdbd has told where the database is. 0 or errno. */
int witness_registry_start(struct witness_context *w);

/*
 * What is known of a client, made if need be; forgotten when it has not
 * registered for a while. share NULL: without one. NULL: no memory.
 */
struct witness_peer *witness_registry_peer(struct witness_registry *r,
					   const char *computer,
					   const char *share);

/* Read the database: never blocks on CTDB. True: something changed. */
bool witness_registry_read(struct witness_context *w);

#endif /* _WITNESS_REGISTRY_H_ */
