/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fencing: the only proof that a node that did not let go in order has no
 * access to the storage any more. Here: calling a volume's fence agent, for
 * another node, or for the own node where an agent cuts nodes off the storage
 * and has to let them on again.
 */
#ifndef _CSVD_FENCE_H_
#define _CSVD_FENCE_H_

#include "csvd/context.h"

/*
 * Runs the volume's fence agent for a node, once; action: "off" or
 * "status". The agent gets its options as key=value lines on stdin: "action",
 * the volume's fence parameters, "nodename" and "plug" (the node's host name
 * as its csvd told it, else its CTDB address), "port" the same unless given,
 * "pnn". In the values, %n is the node number, %a its address, %h its host
 * name, %k its key.
 *
 * With unfencing, "off" is three calls: "on" for the own node, which must be
 * let on to fence others, and sees to a reservation, without which "off" would
 * be no proof; "off"; and "status", which has to say off. Not while
 * csvd_fence_hindered(). One time limit holds for all of them.
 */
struct tevent_req *csvd_fence_send(TALLOC_CTX *mem_ctx,
				   struct csvd_volume *v,
				   uint32_t node,
				   const char *action);

/*
 * Lets the own node on the volume's storage: "on", and "status", which has to
 * say on. Only while nothing of an earlier ownership is mounted here.
 */
struct tevent_req *csvd_unfence_send(TALLOC_CTX *mem_ctx,
				     struct csvd_volume *v);

/*
 * Both. 0: it succeeded ("off": proven; "status": on or off), *why is the last
 * line that it printed. Anything else: nothing is known; *why says why.
 */
int csvd_fence_recv(struct tevent_req *req, TALLOC_CTX *mem_ctx, char **why);

/* Declared with unfencing: the own node is let on before its storage starts. */
bool csvd_fence_unfences(const struct csvd_volume *v);
/*
 * Why "off" must not be called now: it would let the own node on, too, and
 * what is left here of an earlier ownership must stay cut off. NULL: it may.
 */
const char *csvd_fence_hindered(const struct csvd_volume *v);
/* False: of the parameters that are csvd's own ("csv:..."), one is wrong. */
bool csvd_fence_params_good(const struct csv_volume_record *config);

#endif /* _CSVD_FENCE_H_ */
