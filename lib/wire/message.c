/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "includes.h"
#include "lib/wire/message.h"

bool csv_message_read(TALLOC_CTX *mem_ctx,
		      const DATA_BLOB *data,
		      void *p,
		      ndr_pull_flags_fn_t pull)
{
	enum ndr_err_code err = ndr_pull_struct_blob(data, mem_ctx, p, pull);

	return NDR_ERR_CODE_IS_SUCCESS(err) &&
	       *(const uint16_t *)p == CSV_EVENT_VERSION;
}

int csv_message_send(struct messaging_context *msg,
		     const struct server_id *to,
		     uint32_t type,
		     const void *p,
		     ndr_push_flags_fn_t push)
{
	NTSTATUS status = NT_STATUS_OK;
	enum ndr_err_code err;
	DATA_BLOB blob = {};

	err = ndr_push_struct_blob(&blob, msg, p, push);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		DBG_ERR("message 0x%x does not marshal: %s\n",
			type,
			ndr_map_error2string(err));
		return EINVAL;
	}
	if (to != NULL) {
		status = messaging_send(msg, *to, type, &blob);
	} else {
		messaging_send_all(msg, type, blob.data, blob.length);
	}
	data_blob_free(&blob);
	return NT_STATUS_IS_OK(status) ? 0 : EIO;
}
