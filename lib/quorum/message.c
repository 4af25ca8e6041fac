/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The messages' bytes, in network order.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/util/bytearray.h"
#include "lib/quorum/message.h"

#define MESSAGE_MAGIC 0x43535651 /* CSVQ */
#define MESSAGE_VERSION 1
#define MESSAGE_CONNECTED 1

void quorum_message_push(const struct quorum_message *m,
			 uint8_t buf[QUORUM_MESSAGE_SIZE])
{
	memset(buf, 0, QUORUM_MESSAGE_SIZE);
	PUSH_BE_U32(buf, 0, MESSAGE_MAGIC);
	PUSH_BE_U16(buf, 4, MESSAGE_VERSION);
	PUSH_BE_U8(buf, 6, m->type);
	PUSH_BE_U8(buf, 7, m->target);
	PUSH_BE_U64(buf, 8, m->serial);
	PUSH_BE_U32(buf, 16, m->node);
	PUSH_BE_U32(buf, 20, m->lease_ms);
	PUSH_BE_U64(buf, 24, m->instance);
	PUSH_BE_U8(buf, 32, m->phase);
	PUSH_BE_U8(buf, 33, m->verdict);
	PUSH_BE_U8(buf, 34, m->who.phase);
	PUSH_BE_U8(buf, 35, m->who.connected ? MESSAGE_CONNECTED : 0);
	PUSH_BE_U32(buf, 36, m->who.node);
	PUSH_BE_U64(buf, 40, m->who.instance);
	PUSH_BE_U32(buf, 48, m->who.age_ms);
	PUSH_BE_U32(buf, 52, m->who.left_ms);
	PUSH_BE_U64(buf, 56, m->number);
}

static bool message_sane(const uint8_t *buf)
{
	uint8_t type = PULL_BE_U8(buf, 6) & (uint8_t)~QUORUM_ANSWER;

	return PULL_BE_U32(buf, 0) == MESSAGE_MAGIC &&
	       PULL_BE_U16(buf, 4) == MESSAGE_VERSION && type >= QUORUM_ASK &&
	       type <= QUORUM_NOTE &&
	       PULL_BE_U8(buf, 7) <= QUORUM_TARGET_THIRD &&
	       PULL_BE_U8(buf, 32) <= QUORUM_HOLDER &&
	       PULL_BE_U8(buf, 33) <= QUORUM_REFUSED &&
	       PULL_BE_U8(buf, 34) <= QUORUM_HOLDER;
}

int quorum_message_pull(const uint8_t buf[QUORUM_MESSAGE_SIZE],
			struct quorum_message *m)
{
	if (!message_sane(buf)) {
		return EINVAL;
	}
	*m = (struct quorum_message){
		.type = PULL_BE_U8(buf, 6),
		.target = PULL_BE_U8(buf, 7),
		.serial = PULL_BE_U64(buf, 8),
		.node = PULL_BE_U32(buf, 16),
		.lease_ms = PULL_BE_U32(buf, 20),
		.instance = PULL_BE_U64(buf, 24),
		.phase = PULL_BE_U8(buf, 32),
		.verdict = PULL_BE_U8(buf, 33),
		.who = {
			.phase = PULL_BE_U8(buf, 34),
			.connected = PULL_BE_U8(buf, 35) & MESSAGE_CONNECTED,
			.node = PULL_BE_U32(buf, 36),
			.instance = PULL_BE_U64(buf, 40),
			.age_ms = PULL_BE_U32(buf, 48),
			.left_ms = PULL_BE_U32(buf, 52),
		},
		.number = PULL_BE_U64(buf, 56),
	};
	return 0;
}
