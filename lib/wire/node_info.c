/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "includes.h"
#include "lib/wire/message.h"
#include "lib/wire/node_info.h"

/* Room for all fields that came after the first version. */
#define NODE_INFO_NEWER 64

bool csv_node_info_read(TALLOC_CTX *mem_ctx,
			const DATA_BLOB *data,
			struct csv_node_info *info)
{
	DATA_BLOB blob = data_blob_talloc_zero(mem_ctx,
					       data->length + NODE_INFO_NEWER);

	*info = (struct csv_node_info){};
	if (blob.data == NULL) {
		return false;
	}
	if (data->length > 0) {
		memcpy(blob.data, data->data, data->length);
	}
	return csv_message_read(mem_ctx,
				&blob,
				info,
				(ndr_pull_flags_fn_t)ndr_pull_csv_node_info);
}
