/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory behind the cookie of an open: what is accepted is written the
 * same way, and nothing before it is lost. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "lib/opens/where.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct csv_fhandle dir;
	uint8_t again[CSV_WHERE_MAX];
	size_t rest, n;

	if (!csv_where_pull(data, size, &dir, &rest)) {
		return rest == size && dir.length == 0 ? 0 : (abort(), 1);
	}
	n = csv_where_push(&dir, again);
	if (rest + n != size || memcmp(data + rest, again, n) != 0) {
		abort();
	}
	return 0;
}
