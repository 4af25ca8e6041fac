/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records of persistent opens, read from this node's copy of the database:
 * smbd stores each of them on every node.
 */
#ifndef _TOOLS_OPEN_READ_H_
#define _TOOLS_OPEN_READ_H_

#include <stdbool.h>
#include <jansson.h>

/* What CTDB says: this node, and which others are connected. */
struct open_cluster {
	char path[4096]; /* of the database */
	int node;	 /* -1: CTDB does not answer */
	bool *connected; /* by node */
	int num;
};

/* Asks ctdbd twice, 5 s at most each. false: it does not answer, node is -1. */
bool open_cluster_ask(struct open_cluster *cluster);

/*
 * Reads the database at cluster->path without a lock: nobody waits for it. An
 * object per open is appended to opens; *damaged counts records that cannot be
 * read. 0 or errno.
 */
int open_read(const struct open_cluster *cluster,
	      json_t *opens,
	      unsigned *damaged);

#endif /* _TOOLS_OPEN_READ_H_ */
