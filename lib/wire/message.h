/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What csvd and sofs_witness send by Samba's messaging (csv.idl, MSG_CSV_*):
 * each begins with its version.
 */
#ifndef _CSV_WIRE_MESSAGE_H_
#define _CSV_WIRE_MESSAGE_H_

#include "includes.h"
#include "messages.h"
#include "gen_ndr/ndr_csv.h"

/*
 * Read one into the struct at p, of the kind that pull reads; what it points
 * to belongs to mem_ctx. False: it is none, of another version, or memory is
 * out; then p is void.
 */
bool csv_message_read(TALLOC_CTX *mem_ctx,
		      const DATA_BLOB *data,
		      void *p,
		      ndr_pull_flags_fn_t pull);

/*
 * Send the struct at p, of the kind that push writes, to one process, or with
 * NULL to all of the cluster: who does not know the type ignores it. 0, EINVAL
 * (it does not marshal, which is logged) or EIO. Does not wait for anybody.
 */
int csv_message_send(struct messaging_context *msg,
		     const struct server_id *to,
		     uint32_t type,
		     const void *p,
		     ndr_push_flags_fn_t push);

#endif /* _CSV_WIRE_MESSAGE_H_ */
