/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mark of a file's CREATE: what is accepted is written the same way. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "lib/opens/made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[CSV_MADE_SIZE];
	struct csv_made made;

	if (!csv_made_pull(data, size, &made)) {
		return 0;
	}
	csv_made_push(&made, again);
	if (size != sizeof(again) || memcmp(data, again, size) != 0) {
		abort();
	}
	return 0;
}
