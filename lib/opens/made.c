/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See made.h.
 */
#include "replace.h"
#include "lib/util/bytearray.h"
#include "lib/opens/made.h"

#define VERSION 1

void csv_made_push(const struct csv_made *made, uint8_t buf[CSV_MADE_SIZE])
{
	PUSH_LE_U32(buf, 0, VERSION);
	PUSH_LE_U32(buf, 4, 0);
	PUSH_LE_U64(buf, 8, made->when);
	PUSH_LE_U64(buf, 16, made->open);
	memcpy(buf + 24, made->by, CSV_MADE_BY);
}

bool csv_made_pull(const uint8_t *data, size_t length, struct csv_made *made)
{
	*made = (struct csv_made) {};
	if (length != CSV_MADE_SIZE || PULL_LE_U32(data, 0) != VERSION ||
	    PULL_LE_U32(data, 4) != 0)
	{
		return false;
	}
	made->when = PULL_LE_U64(data, 8);
	made->open = PULL_LE_U64(data, 16);
	memcpy(made->by, data + 24, CSV_MADE_BY);
	return true;
}
