/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Proof that a dead owner has no access to the storage any more: by its
 * guard, by a fence agent, by time. Of the nodes that could call the agent
 * one does: each tells the others what it is about (csv_node_fence).
 */
#ifndef _CSVD_FENCE_OWNER_H_
#define _CSVD_FENCE_OWNER_H_

#include "csvd/context.h"

/*
 * See that v->proven_epoch becomes v->rec's epoch: fences v->rec->owner, again
 * and again with a growing pause, until it succeeds or the record changes.
 * Calls csvd_evaluate_soon() whenever something changed; to be called again
 * for each look at the record. No fence agent: says so as the volume's reason.
 */
void csvd_fence_owner(struct csvd_volume *v);

/* Another node says that the owner of this epoch is gone: believed. */
bool csvd_fence_told(struct csvd_volume *v);

/*
 * Whom we wait for: a node that has called the agent, one with a lower number
 * that wants to, or one that may have the guard's answer. CSVD_NO_NODE: nobody.
 */
uint32_t csvd_fence_rival(struct csvd_volume *v);

/*
 * All members that can be asked say that they do not see the owner either,
 * and they and this node are a majority. Else seen_by is one that sees it, or
 * CSVD_NO_NODE: not all have said yet, or there are too few.
 */
bool csvd_fence_agreed(struct csvd_volume *v, uint32_t *seen_by);

/* What this node does (csv_fence_state), to tell the others; 0: nothing. */
uint16_t csvd_fence_doing(const struct csvd_volume *v);

#endif /* _CSVD_FENCE_OWNER_H_ */
