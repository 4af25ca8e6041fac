/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The shares that a client is concerned with, the one that it registered for
 * or those that it has connected to, and what smb.conf says of them.
 */
#ifndef _WITNESS_SHARES_H_
#define _WITNESS_SHARES_H_

#include "witness/registry.h"

/*
 * Sets volumes, snums and all_known of the registration, anew after some
 * seconds. Reads this node's copy of the registry, which waits while CTDB
 * recovers if it was never read before.
 *
 * Who registered for a share is concerned with that alone. Who did not is
 * looked up in tcons.h; a client that has gone from there keeps what it had:
 * its node may have died.
 */
void witness_shares_look(struct witness_context *w,
			 struct witness_registration *reg);

/* `csv:witness`: are clients of all those shares moved at all? */
bool witness_shares_move(const struct witness_registration *reg);

/* `csv:site affinity`: may they be sent from here to there? */
bool witness_shares_may_go(const struct witness_registration *reg,
			   uint32_t here,
			   uint32_t target);

#endif /* _WITNESS_SHARES_H_ */
