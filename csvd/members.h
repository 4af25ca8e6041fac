/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is in the cluster: CTDB's node map, and what the other csvds told.
 */
#ifndef _CSVD_MEMBERS_H_
#define _CSVD_MEMBERS_H_

#include "csvd/context.h"

/* Reads the node map and watches it from now on. 0 or errno. */
int csvd_members_start(struct csvd_context *csvd);

/* CTDB finished something (a message, SIGUSR1): look again now. */
void csvd_members_refresh(struct csvd_context *csvd);

struct csvd_member *csvd_member_find(struct csvd_context *csvd, uint32_t pnn);

/* Not a connected, active member (any more): it cannot own a volume. */
bool csvd_member_dead(struct csvd_context *csvd, uint32_t pnn);

/* It is alive, not drained, and its csvd can be told to own a volume. */
bool csvd_member_usable(struct csvd_context *csvd, uint32_t pnn);

/* Its csvd was heard of, but not for some seconds. */
bool csvd_member_silent(struct csvd_context *csvd, uint32_t pnn);

/* Its csvd says that it does not see that node as an active member. */
bool csvd_member_misses(const struct csvd_member *m, uint32_t pnn);

/* This node sees more than half of all nodes. */
bool csvd_members_majority(struct csvd_context *csvd);

/* What that node's csvd last said of the volume; NULL: nothing. */
const struct csv_node_volume *csvd_member_volume(const struct csvd_member *m,
						 const char *name);

/* A tunable of this node's ctdbd. 0 or errno. Blocks on CTDB. */
int csvd_members_tunable(const char *name, uint32_t *value);

/* A node number, a host name or an address; CSVD_NO_NODE: none such. */
uint32_t csvd_member_by_name(struct csvd_context *csvd, const char *name);

#endif /* _CSVD_MEMBERS_H_ */
