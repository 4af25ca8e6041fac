/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "includes.h"
#include "lib/wire/node_info.h"

/* Room for all fields that came after the first version. */
#define NODE_INFO_NEWER 64

bool csv_node_info_read(TALLOC_CTX *mem_ctx,
			const DATA_BLOB *data,
			struct csv_node_info *info)
{
	DATA_BLOB blob = data_blob_talloc_zero(mem_ctx,
					       data->length + NODE_INFO_NEWER);
	enum ndr_err_code err;

	*info = (struct csv_node_info){};
	if (blob.data == NULL) {
		return false;
	}
	if (data->length > 0) {
		memcpy(blob.data, data->data, data->length);
	}
	err = ndr_pull_struct_blob(&blob,
				   mem_ctx,
				   info,
				   (ndr_pull_flags_fn_t)ndr_pull_csv_node_info);
	return NDR_ERR_CODE_IS_SUCCESS(err) &&
	       info->version == CSV_EVENT_VERSION;
}
