/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What sofs_witness knows. Private to it; one process, one thread.
 */
#ifndef _WITNESS_CONTEXT_H_
#define _WITNESS_CONTEXT_H_

#include "includes.h"
#include "messages.h"
#include "lib/util/server_id.h"
#include "librpc/gen_ndr/rpcd_witness.h"
#include "witness/plan.h"

struct witness_cluster;
struct witness_registry;
struct witness_tcons;

struct witness_context {
	struct tevent_context *ev;
	struct messaging_context *msg;
	uint32_t node;
	struct witness_cluster *cluster;
	struct witness_registry *registry;
	struct witness_tcons *tcons;
	struct witness_pace pace;
	uint64_t spread_ms; /* the last move that only evens out */
	struct tevent_immediate *soon;
	bool soon_pending;
	struct tevent_timer *later;
	unsigned ticks;
	unsigned rounds;
};

/* Look at every client again, from the event loop. Cheap, never fails. */
void witness_soon(struct witness_context *w);

/* Milliseconds of a clock that only grows. */
uint64_t witness_now(void);

#endif /* _WITNESS_CONTEXT_H_ */
