/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fencing: the only proof that a node that did not let go in order has no
 * access to the storage any more.
 */
#ifndef _CSVD_FENCE_H_
#define _CSVD_FENCE_H_

#include "csvd/context.h"

/*
 * Runs the volume's fence agent for a node, once; action: "off" or
 * "status". The agent gets its options as key=value lines on stdin: the
 * volume's fence parameters, "nodename" and "plug" (the node's host name as
 * its csvd told it, else its CTDB address), "port" the same unless given,
 * "pnn", "address". In the values, %n is the node number, %a its address, %h
 * its host name.
 */
struct tevent_req *csvd_fence_send(TALLOC_CTX *mem_ctx,
				   struct csvd_volume *v,
				   uint32_t node,
				   const char *action);

/*
 * 0: it succeeded ("off": proven; "status": on or off), *why is the last line
 * that it printed. Anything else: nothing is known; *why says why.
 */
int csvd_fence_recv(struct tevent_req *req, TALLOC_CTX *mem_ctx, char **why);

#endif /* _CSVD_FENCE_H_ */
