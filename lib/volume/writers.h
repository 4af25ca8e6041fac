/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file that more than one process has open for writing takes stable writes
 * only, and the copies that redirected clients keep of earlier unstable ones
 * (unstable.c) must never be written again over somebody else's later data.
 * This is the mark that says so, an extended attribute of the file: the
 * epochs in which all that was unstable was flushed because a second writer
 * came. Copies made in such an epoch are void.
 *
 * The codec, pure. Who writes and reads the mark: local_writers.c, csvd, and
 * unstable.c in the client.
 */
#ifndef _CSV_VOLUME_WRITERS_H_
#define _CSV_VOLUME_WRITERS_H_

#include "replace.h"

/* "security.": anybody may read it, only root may change it. */
#define CSV_WRITERS_XATTR "security.csv.writers"
#define CSV_WRITERS_EPOCHS 16 /* the latest ones are kept */
#define CSV_WRITERS_MAX (8 * (2 + CSV_WRITERS_EPOCHS))

struct csv_writers {
	uint64_t ino;	  /* of the file that was marked, not of its copies */
	uint64_t pending; /* 0, or the epoch whose flush is running */
	unsigned num;
	uint64_t epochs[CSV_WRITERS_EPOCHS]; /* newest first */
};

/* Numbers of 8 bytes, little-endian: ino, pending, epochs. Its length. */
size_t csv_writers_push(const struct csv_writers *w,
			uint8_t buf[CSV_WRITERS_MAX]);
/* False: malformed. */
bool csv_writers_pull(const uint8_t *buf, size_t len, struct csv_writers *w);
/* Was everything flushed in this epoch of this file? */
bool csv_writers_has(const struct csv_writers *w, uint64_t ino, uint64_t epoch);
/* Add it in front; the oldest one makes room. */
void csv_writers_add(struct csv_writers *w, uint64_t epoch);

#endif /* _CSV_VOLUME_WRITERS_H_ */
