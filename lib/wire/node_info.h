/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MSG_CSV_NODE: what a node's csvd tells of itself (csv_node_info, csv.idl).
 * Fields are only ever added at its end, so an older csvd sends fewer.
 */
#ifndef _CSV_WIRE_NODE_INFO_H_
#define _CSV_WIRE_NODE_INFO_H_

#include "includes.h"
#include "gen_ndr/ndr_csv.h"

/*
 * Read a message; what it does not have is 0. The content belongs to mem_ctx.
 * False: it is none, or of another version, or memory is out.
 */
bool csv_node_info_read(TALLOC_CTX *mem_ctx,
			const DATA_BLOB *data,
			struct csv_node_info *info);

#endif /* _CSV_WIRE_NODE_INFO_H_ */
