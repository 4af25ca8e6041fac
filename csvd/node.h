/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records of all nodes (lib/node/node.h): read here, and written as far
 * as they say what this node's smbd is.
 */
#ifndef _CSVD_NODE_H_
#define _CSVD_NODE_H_

#include "csvd/context.h"
#include "lib/node/node.h"

/* Read them again. What cannot be read stays as it was. */
void csvd_nodes_load(struct csvd_context *csvd);

/*
 * Write ours if it is not what it should be (at most once a second; blocks on
 * CTDB), and tell processes and others what follows from all of them.
 */
void csvd_nodes_check(struct csvd_context *csvd);

/* CSV_NODE_UP also for a node without a record. */
enum csv_node_drain csvd_node_drain(struct csvd_context *csvd, uint32_t node);

/*
 * Drain a node (DRAINING; its volumes go to target, or wherever is best;
 * its clients may stay for grace_s seconds), or take that back (UP). Errors as
 * of csvd_record.h's writes; blocks on CTDB.
 */
struct csvd_node_order {
	enum csv_node_drain drain;
	uint32_t target;
	uint32_t grace_s;
};
int csvd_node_order(struct csvd_context *csvd,
		    uint32_t node,
		    const struct csvd_node_order *order);
/* This node was DRAINING and is DRAINED now; EAGAIN: it was not, any more. */
int csvd_node_drained(struct csvd_context *csvd);

#endif /* _CSVD_NODE_H_ */
