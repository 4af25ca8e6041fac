/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records of the clustered databases and messages between csvds: the first
 * byte says which.
 */
#include "fuzz.h"

#define KIND(type)                                               \
	{                                                        \
		(ndr_push_flags_fn_t)ndr_push_csv_##type,        \
		(ndr_pull_flags_fn_t)ndr_pull_csv_##type,        \
		sizeof(struct csv_##type)                        \
	}

static const struct {
	ndr_push_flags_fn_t push;
	ndr_pull_flags_fn_t pull;
	size_t size;
} kinds[] = {
	KIND(volume_record), KIND(owner_record),  KIND(volume_index),
	KIND(secret_record), KIND(volume_event),  KIND(node_info),
	KIND(move_request),  KIND(guard_question), KIND(guard_answer),
	KIND(node_record),   KIND(client_moved),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned kind;

	if (size > 0) {
		kind = data[0] % ARRAY_SIZE(kinds);
		fuzz_ndr(kinds[kind].push,
			 kinds[kind].pull,
			 kinds[kind].size,
			 data + 1,
			 size - 1);
	}
	return 0;
}
