/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cluster: its nodes and their addresses, from CTDB, and what each node's
 * csvd says of itself and its volumes (MSG_CSV_NODE).
 *
 * A node is being drained when its csvd says that it is leaving
 * (csv_node_info.leaving, which `sofs node drain` sets and `sofs node resume`
 * takes back): that is all that sofs_witness needs to be told to move every
 * client away from it.
 */
#ifndef _WITNESS_CLUSTER_H_
#define _WITNESS_CLUSTER_H_

#include "witness/context.h"

/* 0 or errno. */
int witness_cluster_start(struct witness_context *w);

/*
 * Ask CTDB again for what it says without a message: the nodes' flags, from
 * this node's ctdbd; after a recovery, or when public addresses were given
 * out, all addresses, which blocks until every active node has answered.
 */
void witness_cluster_tick(struct witness_context *w);

/*
 * The nodes, a child of mem_ctx, valid until the next message; clients is 0
 * in each.
 */
struct witness_node *witness_cluster_nodes(TALLOC_CTX *mem_ctx,
					   struct witness_context *w,
					   size_t *num);

/* Is this node banned or stopped, and so outside the cluster? */
bool witness_cluster_outside(const struct witness_context *w);

/* Which node has the address now; WITNESS_NO_NODE: none, as far as known. */
uint32_t witness_cluster_node_of(const struct witness_context *w,
				 const struct sockaddr_storage *address);

#endif /* _WITNESS_CLUSTER_H_ */
