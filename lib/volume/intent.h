/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The intent record: what the volume itself knows of the last operation of a
 * client that is not repeatable. It is written before the operation (what the
 * names meant then) and again after it (the answer), so that a new owner can
 * tell a client whether it happened. local_intent.c keeps it.
 *
 * The codec, pure.
 */
#ifndef _CSV_VOLUME_INTENT_H_
#define _CSV_VOLUME_INTENT_H_

#include "replace.h"
#include "csv_file.h"

#define CSV_INTENT_XATTR "trusted.csv.intent"
#define CSV_INTENT_VERSION 1
#define CSV_INTENT_FIXED 64
#define CSV_INTENT_MAX (CSV_INTENT_FIXED + CSV_MAX_FHANDLE)

struct csv_intent {
	uint64_t token;
	uint32_t op; /* the caller's number of the operation */
	bool done;   /* false: begun, nothing is known of its end */
	uint32_t status; /* done: 0 or errno */
	/*
	 * The inodes that the names meant before, 0: none; of a change of a
	 * file's attributes only the first, with the file's ctime.
	 */
	uint64_t ino[2];
	struct timespec ctime; /* 0,0: does not matter */
	/* done, of an open: what was opened; length 0: nothing */
	struct csv_fhandle fh;
};

/* Its length. */
size_t csv_intent_push(const struct csv_intent *in,
		       uint8_t buf[CSV_INTENT_MAX]);
/* False: malformed, or of another version. */
bool csv_intent_pull(const uint8_t *buf, size_t len, struct csv_intent *in);

#endif /* _CSV_VOLUME_INTENT_H_ */
