/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guard's view of ctdbd: a socket of its own, never waited for.
 */
#ifndef _CSVD_GUARD_CTDB_H_
#define _CSVD_GUARD_CTDB_H_

#include "csvd/guard_limits.h"

struct guard_ctdb {
	const char *path;
	int fd;	   /* -1 */
	int pidfd; /* ctdbd's; -1: not known */
	int64_t node; /* this node's number; -1: not known */
	uint64_t asked;
	size_t have;
	/* reply to the node map: a few thousand nodes */
	uint8_t buf[128 * 1024] __attribute__((aligned(8)));
};

void guard_ctdb_init(struct guard_ctdb *c, const char *path);

/*
 * Ask, and take in what has been answered: answered, gone, flags, active,
 * total and recovery of s.
 */
void guard_ctdb_look(struct guard_ctdb *c, struct guard_sight *s);

/*
 * "The leader is unknown", as CTDB's nodes tell each other at the begin of an
 * election. A leader that was banned lets go of the cluster lock by it, and
 * the others try to take that.
 */
void guard_ctdb_elect(struct guard_ctdb *c);

/*
 * Ends a ctdbd that does not answer: its node is lost to the cluster in any
 * case, and the cluster lock that it holds would keep the others from the
 * databases.
 */
void guard_ctdb_end(struct guard_ctdb *c);

#endif /* _CSVD_GUARD_CTDB_H_ */
