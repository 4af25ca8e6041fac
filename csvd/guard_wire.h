/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Question and answer between a csvd and another node's guard. These block
 * until a deadline (guard_now()): for threads and processes of their own.
 */
#ifndef _CSVD_GUARD_WIRE_H_
#define _CSVD_GUARD_WIRE_H_

#include "includes.h"
#include "gen_ndr/csv.h"
#include "lib/wire/tls.h"

/* 0, ETIMEDOUT, EACCES (the key was refused) or errno. */
int guard_wire_handshake(struct csv_tls *tls, uint64_t deadline);

int guard_wire_send(struct csv_tls *tls,
		    const void *p,
		    ndr_push_flags_fn_t push,
		    uint64_t deadline);

/* EPROTO: too long, or no such message. What p points to belongs to mem_ctx. */
int guard_wire_recv(TALLOC_CTX *mem_ctx,
		    struct csv_tls *tls,
		    void *p,
		    ndr_pull_flags_fn_t pull,
		    uint64_t deadline);

#endif /* _CSVD_GUARD_WIRE_H_ */
