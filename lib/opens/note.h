/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the record of a persistent open lacks for those who look at it: vfs_ca
 * puts it behind smbd's cookie in that record, sofs reads it. Nothing in here
 * is needed to give the handle back.
 *
 * Little endian, at the end of the cookie: three strings without a NUL
 * (client, volume, share), their lengths (8 bits each), the dialect (16 bits),
 * the version (8 bits), the magic.
 */
#ifndef _LIB_OPENS_NOTE_H_
#define _LIB_OPENS_NOTE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSV_NOTE_STRING 128
#define CSV_NOTE_MAX (3 * CSV_NOTE_STRING + 16)

struct csv_note {
	char client[CSV_NOTE_STRING]; /* its address */
	char volume[CSV_NOTE_STRING]; /* "": a local file system */
	char share[CSV_NOTE_STRING];
	uint16_t dialect;	      /* as in NEGOTIATE, 0x0311 */
};

/* Bytes put into buf; what is too long is cut. */
size_t csv_note_push(const struct csv_note *note, uint8_t buf[CSV_NOTE_MAX]);

/*
 * false: there is none at the end of data, or it is no good. *rest is the
 * length of what is before it, all of the data if there is none.
 */
bool csv_note_pull(const uint8_t *data,
		   size_t length,
		   struct csv_note *note,
		   size_t *rest);

#endif /* _LIB_OPENS_NOTE_H_ */
