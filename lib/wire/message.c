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
