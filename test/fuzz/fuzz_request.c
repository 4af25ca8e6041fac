/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bodies of all requests: the first byte is the operation. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0) {
		fuzz_body(csv_body_of(data[0], false), data + 1, size - 1);
	}
	return 0;
}
