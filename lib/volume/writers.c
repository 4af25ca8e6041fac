/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mark of files with several writers: bytes and meaning. */
#include "writers.h"
#include <string.h>
#include "lib/util/bytearray.h"

#define FIXED (2 * sizeof(uint64_t))

size_t csv_writers_push(const struct csv_writers *w,
			uint8_t buf[CSV_WRITERS_MAX])
{
	unsigned i;

	PUSH_LE_U64(buf, 0, w->ino);
	PUSH_LE_U64(buf, 8, w->pending);
	for (i = 0; i < w->num; i++) {
		PUSH_LE_U64(buf, FIXED + i * sizeof(uint64_t), w->epochs[i]);
	}
	return FIXED + w->num * sizeof(uint64_t);
}

bool csv_writers_pull(const uint8_t *buf, size_t len, struct csv_writers *w)
{
	unsigned i;

	if (len < FIXED || len > CSV_WRITERS_MAX ||
	    len % sizeof(uint64_t) != 0)
	{
		return false;
	}
	*w = (struct csv_writers){
		.ino = PULL_LE_U64(buf, 0),
		.pending = PULL_LE_U64(buf, 8),
		.num = (len - FIXED) / sizeof(uint64_t),
	};
	for (i = 0; i < w->num; i++) {
		w->epochs[i] = PULL_LE_U64(buf, FIXED + i * sizeof(uint64_t));
	}
	return true;
}

bool csv_writers_has(const struct csv_writers *w, uint64_t ino, uint64_t epoch)
{
	unsigned i;

	for (i = 0; w->ino == ino && i < w->num; i++) {
		if (w->epochs[i] == epoch) {
			return true;
		}
	}
	return false;
}

void csv_writers_add(struct csv_writers *w, uint64_t epoch)
{
	if (w->num < CSV_WRITERS_EPOCHS) {
		w->num += 1;
	}
	memmove(&w->epochs[1], &w->epochs[0], (w->num - 1) * sizeof(uint64_t));
	w->epochs[0] = epoch;
}
