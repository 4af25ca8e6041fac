/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CTDB's cluster lock: whether there is one that a minority cannot have, and
 * who leads the cluster by it.
 */
#ifndef _CSVD_QUORUM_H_
#define _CSVD_QUORUM_H_

#include "csvd/context.h"

/* Ask ctdbd for its cluster lock, listen for leaders. Blocks on CTDB. */
int csvd_quorum_start(struct csvd_context *csvd);

/* Who leads CTDB's cluster and is in view; CSVD_NO_NODE: nobody known. */
uint32_t csvd_quorum_leader(struct csvd_context *csvd);

/* Why no volume of one mount may be owned here; NULL: it may. */
const char *csvd_quorum_missing(struct csvd_context *csvd);

/*
 * Does this node see the part of the cluster that may write owner records?
 * That is the majority of the nodes, as active members; or half of them, if
 * one of them leads by CTDB's cluster lock, and with it a third vote. And
 * CTDB's last recovery was with exactly these: before it, a commit goes to
 * some of the nodes, and the recovery may take it back.
 */
bool csvd_quorum_in_view(struct csvd_context *csvd);
/*
 * Is it no more than half of the nodes that this one sees? Then a note of the
 * third vote is needed for each change, see note.h. *in_view: the nodes in
 * view, a bit each.
 */
bool csvd_quorum_half(struct csvd_context *csvd, uint64_t *in_view);
#define CSVD_NO_MAJORITY \
	"no majority of the nodes is in view, or CTDB has yet to recover"

/*
 * CTDB lost its connection to this node. If it was the leader, have a new one
 * elected now: CTDB itself waits for three seconds of missing broadcasts, and
 * three more when the first attempt met the dead node.
 */
void csvd_quorum_node_dead(struct csvd_context *csvd, uint32_t pnn);

#endif /* _CSVD_QUORUM_H_ */
