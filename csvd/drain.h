/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a node does while it is to be empty (lib/node/node.h): gives its
 * volumes away one by one, waits for its clients, has itself disabled in CTDB.
 */
#ifndef _CSVD_DRAIN_H_
#define _CSVD_DRAIN_H_

#include "csvd/context.h"

/* One look, as csvd_owner_evaluate() is one. */
void csvd_drain_check(struct csvd_context *csvd);

#endif /* _CSVD_DRAIN_H_ */
