/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which CREATE has made a file: vfs_ca keeps it with the file.
 *
 * Little endian: version, 0 (32 bits each), when, the open (64 bits each), the
 * CREATE.
 */
#ifndef _LIB_OPENS_MADE_H_
#define _LIB_OPENS_MADE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSV_MADE_BY 16
#define CSV_MADE_SIZE (24 + CSV_MADE_BY)

struct csv_made {
	uint64_t when; /* seconds since 1970 */
	uint64_t open; /* persistent id */
	uint8_t by[CSV_MADE_BY]; /* the same for the same CREATE only */
};

void csv_made_push(const struct csv_made *made, uint8_t buf[CSV_MADE_SIZE]);

/* false: it is no good, or of another version. */
bool csv_made_pull(const uint8_t *data, size_t length, struct csv_made *made);

#endif /* _LIB_OPENS_MADE_H_ */
