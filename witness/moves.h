/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Moving clients: what plan.h says, sent to rpcd_witness.
 */
#ifndef _WITNESS_MOVES_H_
#define _WITNESS_MOVES_H_

#include "witness/context.h"

/* Hear what the other nodes' witnesses do. 0 or errno. */
int witness_moves_start(struct witness_context *w);

/*
 * Look at every registration and send the moves that are due; those that the
 * pace holds back come later, by themselves.
 */
void witness_moves_due(struct witness_context *w);

#endif /* _WITNESS_MOVES_H_ */
