/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What csvd and sofs_witness send by Samba's messaging (csv.idl, MSG_CSV_*):
 * each begins with its version.
 */
#ifndef _CSV_WIRE_MESSAGE_H_
#define _CSV_WIRE_MESSAGE_H_

#include "includes.h"
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

#endif /* _CSV_WIRE_MESSAGE_H_ */
