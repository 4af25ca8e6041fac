/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two members that do not see each other, while others see both. CTDB lives
 * with that as long as its leader sees both, but its databases do not, nor do
 * volumes between the two. So one of them is asked to ban itself: its guard
 * lets go of its volumes, its smbds end, so that their clients go elsewhere, and
 * nobody needs to be fenced. CTDB's leader stays, hence never both go.
 */
#ifndef _CSVD_MESH_H_
#define _CSVD_MESH_H_

#include "csvd/context.h"

/* Listen for such requests. 0 or errno. */
int csvd_mesh_start(struct csvd_context *csvd);

/* Is there such a pair, and who goes? To be called at each look. */
void csvd_mesh_check(struct csvd_context *csvd);

/* This node has just asked it to ban itself. */
bool csvd_mesh_asked(struct csvd_context *csvd, uint32_t pnn);

/*
 * Who of two that do not see each other goes, by this node's word; leader:
 * CTDB's. CSVD_NO_NODE: it is not for this node to say.
 */
uint32_t csvd_mesh_loser(struct csvd_context *csvd,
			 uint32_t a,
			 uint32_t b,
			 uint32_t leader);

#endif /* _CSVD_MESH_H_ */
