/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The name of a key: what is accepted is exactly what we would write. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "lib/wire/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char buf[CSV_PSK_IDENTITY_MAX];
	uint32_t g, c, s;

	if (csv_psk_identity_pull((const char *)data, size, &g, &c, &s) != 0) {
		return 0;
	}
	if (csv_psk_identity_push(g, c, s, buf, sizeof(buf)) != 0 ||
	    strlen(buf) != size || memcmp(buf, data, size) != 0) {
		abort();
	}
	return 0;
}
