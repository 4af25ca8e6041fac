/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The voters' messages, and the blocks of a third vote's place. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "lib/quorum/message.h"
#include "lib/quorum/slots.h"

static void fuzz_message(const uint8_t *data)
{
	struct quorum_message m = {}, again = {};
	uint8_t buf[QUORUM_MESSAGE_SIZE], back[QUORUM_MESSAGE_SIZE];

	if (quorum_message_pull(data, &m) != 0) {
		return;
	}
	quorum_message_push(&m, buf);
	if (quorum_message_pull(buf, &again) != 0) {
		abort();
	}
	quorum_message_push(&again, back);
	if (memcmp(buf, back, sizeof(buf)) != 0) {
		abort();
	}
}

static void fuzz_block(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[QUORUM_SLOT_UUID];
	uint8_t block[QUORUM_SLOT_BLOCK] = {};
	uint8_t found[QUORUM_SLOT_UUID];
	struct quorum_slot slot;

	memcpy(block, data, size < sizeof(block) ? size : sizeof(block));
	(void)quorum_area_pull(block, found);
	(void)quorum_slot_pull(block, uuid, &slot);
	(void)quorum_note_pull(block, 1, uuid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= QUORUM_MESSAGE_SIZE) {
		fuzz_message(data);
	}
	fuzz_block(data, size);
	return 0;
}
