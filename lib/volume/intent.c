/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The intent record: bytes and meaning. */
#include "intent.h"
#include <string.h>
#include "lib/util/bytearray.h"

/*
 * Little-endian: version (4 bytes), op (4), token (8), done (4), status (4),
 * two inodes (16), ctime (8 and 4), file handle: type (4), length (4), zero
 * (4), data.
 */
size_t csv_intent_push(const struct csv_intent *in,
		       uint8_t buf[CSV_INTENT_MAX])
{
	PUSH_LE_U32(buf, 0, CSV_INTENT_VERSION);
	PUSH_LE_U32(buf, 4, in->op);
	PUSH_LE_U64(buf, 8, in->token);
	PUSH_LE_U32(buf, 16, in->done ? 1 : 0);
	PUSH_LE_U32(buf, 20, in->status);
	PUSH_LE_U64(buf, 24, in->ino[0]);
	PUSH_LE_U64(buf, 32, in->ino[1]);
	PUSH_LE_U64(buf, 40, (uint64_t)in->ctime.tv_sec);
	PUSH_LE_U32(buf, 48, (uint32_t)in->ctime.tv_nsec);
	PUSH_LE_U32(buf, 52, in->fh.type);
	PUSH_LE_U32(buf, 56, in->fh.length);
	PUSH_LE_U32(buf, 60, 0);
	memcpy(buf + CSV_INTENT_FIXED, in->fh.data, in->fh.length);
	return CSV_INTENT_FIXED + in->fh.length;
}

bool csv_intent_pull(const uint8_t *buf, size_t len, struct csv_intent *in)
{
	uint32_t done, nsec;

	if (len < CSV_INTENT_FIXED || len > CSV_INTENT_MAX ||
	    PULL_LE_U32(buf, 0) != CSV_INTENT_VERSION ||
	    PULL_LE_U32(buf, 56) != len - CSV_INTENT_FIXED)
	{
		return false;
	}
	done = PULL_LE_U32(buf, 16);
	nsec = PULL_LE_U32(buf, 48);
	if (done > 1 || nsec >= 1000000000) {
		return false;
	}
	*in = (struct csv_intent){
		.op = PULL_LE_U32(buf, 4),
		.token = PULL_LE_U64(buf, 8),
		.done = done == 1,
		.status = PULL_LE_U32(buf, 20),
		.ino = {PULL_LE_U64(buf, 24), PULL_LE_U64(buf, 32)},
		.ctime = {
			.tv_sec = (time_t)PULL_LE_U64(buf, 40),
			.tv_nsec = nsec,
		},
		.fh = {
			.type = PULL_LE_U32(buf, 52),
			.length = PULL_LE_U32(buf, 56),
		},
	};
	memcpy(in->fh.data, buf + CSV_INTENT_FIXED, in->fh.length);
	return true;
}
