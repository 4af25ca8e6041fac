/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See where.h.
 */
#include "replace.h"
#include "lib/util/bytearray.h"
#include "lib/opens/where.h"

#define MAGIC "csv-dir1"
#define MAGIC_SIZE 8
#define TAIL (8 + MAGIC_SIZE)

size_t csv_where_push(const struct csv_fhandle *dir,
		      uint8_t buf[CSV_WHERE_MAX])
{
	uint8_t *tail = buf + dir->length;

	memcpy(buf, dir->data, dir->length);
	PUSH_LE_U32(tail, 0, dir->type);
	PUSH_LE_U32(tail, 4, dir->length);
	memcpy(tail + 8, MAGIC, MAGIC_SIZE);
	return dir->length + TAIL;
}

bool csv_where_pull(const uint8_t *data,
		    size_t length,
		    struct csv_fhandle *dir,
		    size_t *rest)
{
	const uint8_t *tail = NULL;
	uint32_t n;

	*dir = (struct csv_fhandle) {};
	*rest = length;
	if (length < TAIL) {
		return false;
	}
	tail = data + length - TAIL;
	n = PULL_LE_U32(tail, 4);
	if (memcmp(tail + 8, MAGIC, MAGIC_SIZE) != 0 || n > CSV_MAX_FHANDLE ||
	    n > length - TAIL)
	{
		return false;
	}
	dir->type = PULL_LE_U32(tail, 0);
	dir->length = n;
	memcpy(dir->data, tail - n, n);
	*rest = length - TAIL - n;
	return true;
}
