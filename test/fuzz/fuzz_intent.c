/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intent records on a volume; what is accepted is written the same way. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "lib/volume/intent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[CSV_INTENT_MAX];
	struct csv_intent in;
	size_t len;

	if (!csv_intent_pull(data, size, &in)) {
		return 0;
	}
	len = csv_intent_push(&in, again);
	/* bytes 60 to 63 mean nothing */
	if (len != size || memcmp(data, again, 60) != 0 ||
	    memcmp(data + CSV_INTENT_FIXED, again + CSV_INTENT_FIXED,
		   size - CSV_INTENT_FIXED) != 0)
	{
		abort();
	}
	return 0;
}
