/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages between a process and the csvd of its node. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_ndr((ndr_push_flags_fn_t)ndr_push_csv_control_msg,
		 (ndr_pull_flags_fn_t)ndr_pull_csv_control_msg,
		 sizeof(struct csv_control_msg),
		 data,
		 size);
	return 0;
}
