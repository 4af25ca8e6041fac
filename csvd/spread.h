/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which node a volume should be on: the one with the fewest volumes. For a
 * drained node's volumes, and to even out what is uneven.
 */
#ifndef _CSVD_SPREAD_H_
#define _CSVD_SPREAD_H_

#include "csvd/context.h"

struct csvd_spread;

/*
 * How many volumes each node owns, as the records say, without those that are
 * shared. Child of mem_ctx; NULL: no memory.
 */
struct csvd_spread *csvd_spread_count(TALLOC_CTX *mem_ctx,
				      struct csvd_context *csvd);

/*
 * Who shall take a volume from its owner, who is left out: its first preferred
 * node that can, else of the others the one with the fewest volumes, of those
 * the lowest number. CSVD_NO_NODE: nobody.
 */
uint32_t csvd_spread_target(const struct csvd_spread *spread,
			    struct csvd_volume *v);
/* It is planned: count the volume there and not here. */
void csvd_spread_moved(struct csvd_spread *spread, uint32_t from, uint32_t to);

/*
 * A volume whose move makes the numbers more even, and where to: from a node
 * that owns at least two more than the other; only to preferred nodes where
 * some are given; of those that could go, the one that stayed longest. NULL:
 * it is as even as can be.
 */
struct csvd_volume *csvd_spread_uneven(const struct csvd_spread *spread,
				       uint32_t *target);

/*
 * The leader moves one volume if `csv:spread interval` is set, the numbers are
 * uneven, and nothing at all has changed for that long. Cheap.
 */
void csvd_spread_check(struct csvd_context *csvd);

#endif /* _CSVD_SPREAD_H_ */
