/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules of the slots, and their bytes.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/util/bytearray.h"
#include "lib/quorum/slots.h"

#define SLOT_MAGIC 0x43535653 /* CSVS */
#define AREA_MAGIC 0x43535641 /* CSVA */
#define SLOT_VERSION 1
#define SLOT_SUM_AT 504 /* inside the first sector: written as one */
#define NOTE_MAGIC 0x4353564e /* CSVN */
#define NOTE_AT 512 /* the second sector, of the same form */
#define NOTE_SIZE 512

void quorum_slots_init(struct quorum_slots *s,
		       uint32_t node,
		       uint64_t run,
		       unsigned num,
		       uint32_t lease_ms)
{
	*s = (struct quorum_slots){
		.node = node,
		.run = run,
		.num = MIN(num, QUORUM_MAX_NODES),
		.lease_ms = lease_ms,
		.mine = {.node = node, .run = run},
	};
}

static bool slot_same(const struct quorum_slot *a, const struct quorum_slot *b)
{
	return a->taken == b->taken && a->node == b->node &&
	       a->run == b->run && a->serial == b->serial &&
	       a->instance == b->instance && a->phase == b->phase;
}

void quorum_slots_saw(struct quorum_slots *s,
		      unsigned i,
		      const struct quorum_slot *slot,
		      uint64_t began,
		      uint64_t ended)
{
	struct quorum_slot_seen *seen = &s->seen[i];
	struct quorum_slot broken = {.taken = true, .node = i};
	bool is_broken = slot == NULL;

	if (is_broken) {
		slot = &broken;
	}
	if (!seen->known || seen->broken != is_broken ||
	    !slot_same(&seen->slot, slot))
	{
		seen->slot = *slot;
		seen->broken = is_broken;
		seen->known = true;
		seen->since = ended;
	}
	seen->confirmed = MAX(began, seen->since);
}

/* Unchanged for a lease, by a clock that may be a little fast. */
static bool slot_over(const struct quorum_slots *s,
		      const struct quorum_slot_seen *seen)
{
	return seen->confirmed - seen->since >=
	       s->lease_ms + s->lease_ms / 20;
}

static bool slot_free(const struct quorum_slots *s, unsigned i)
{
	const struct quorum_slot_seen *seen = &s->seen[i];

	if (!seen->known) {
		return false;
	}
	if (i == s->node && seen->slot.run == s->run) {
		return true; /* ours; an earlier run's counts as another's */
	}
	return !seen->slot.taken || slot_over(s, seen);
}

int quorum_slots_rival(const struct quorum_slots *s)
{
	unsigned i;

	for (i = 0; i < s->num; i++) {
		if (!slot_free(s, i)) {
			return (int)i;
		}
	}
	return -1;
}

static bool slot_in(uint64_t set, unsigned i)
{
	return (set >> i & 1) != 0;
}

uint32_t quorum_slots_newest(const struct quorum_slots *s,
			     uint64_t in_view,
			     uint64_t *number)
{
	uint32_t node = QUORUM_NO_NODE;
	unsigned i;

	*number = 0;
	for (i = 0; i < s->num; i++) {
		if (!slot_in(in_view, i) && s->notes[i] > *number) {
			*number = s->notes[i];
			node = i;
		}
	}
	return node;
}

int quorum_slots_voted(const struct quorum_slots *s, uint64_t in_view)
{
	int voted = -1;
	unsigned i;

	for (i = 0; i < s->num; i++) {
		const struct quorum_slot_seen *seen = &s->seen[i];

		if (!slot_in(in_view, i) && !slot_free(s, i)) {
			return (int)i;
		}
		if (slot_in(in_view, i) && seen->known && !seen->broken &&
		    seen->slot.taken && !slot_over(s, seen))
		{
			voted = (int)i;
		}
	}
	return voted;
}

void quorum_slots_next(struct quorum_slots *s,
		       bool taken,
		       uint64_t instance,
		       enum quorum_phase phase)
{
	s->mine.taken = taken;
	s->mine.instance = taken ? instance : 0;
	s->mine.phase = taken ? phase : QUORUM_NONE;
	s->mine.serial++;
}

bool quorum_slots_intact(const struct quorum_slots *s)
{
	const struct quorum_slot_seen *seen = &s->seen[s->node];

	return seen->known && slot_same(&seen->slot, &s->mine);
}

struct quorum_who quorum_slots_who(const struct quorum_slots *s,
				   unsigned i,
				   uint64_t now)
{
	const struct quorum_slot_seen *seen = &s->seen[i];
	uint32_t wait_ms = s->lease_ms + s->lease_ms / 20;
	uint64_t age = now - seen->since;

	if (!seen->known || !seen->slot.taken) {
		return (struct quorum_who){.node = QUORUM_NO_NODE};
	}
	return (struct quorum_who){
		.node = i,
		.instance = seen->slot.instance,
		.phase = seen->slot.phase,
		.connected = true,
		.age_ms = MIN(age, UINT32_MAX),
		.left_ms = age < wait_ms ? wait_ms - age : 0,
	};
}

/* Not against an enemy, who may write the whole block: against halves. */
static uint64_t slot_sum(const uint8_t *sector)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	size_t i;

	for (i = 0; i < SLOT_SUM_AT; i++) {
		hash = (hash ^ sector[i]) * 0x100000001b3ULL;
	}
	return hash;
}

static void block_begin(uint8_t *block, uint32_t magic, const uint8_t *uuid)
{
	memset(block, 0, QUORUM_SLOT_BLOCK);
	PUSH_BE_U32(block, 0, magic);
	PUSH_BE_U32(block, 4, SLOT_VERSION);
	memcpy(block + 8, uuid, QUORUM_SLOT_UUID);
}

static bool block_sane(const uint8_t *block, uint32_t magic)
{
	return PULL_BE_U32(block, 0) == magic &&
	       PULL_BE_U32(block, 4) == SLOT_VERSION &&
	       PULL_BE_U64(block, SLOT_SUM_AT) == slot_sum(block);
}

void quorum_area_push(const uint8_t uuid[QUORUM_SLOT_UUID],
		      uint8_t block[QUORUM_SLOT_BLOCK])
{
	block_begin(block, AREA_MAGIC, uuid);
	PUSH_BE_U64(block, SLOT_SUM_AT, slot_sum(block));
}

int quorum_area_pull(const uint8_t block[QUORUM_SLOT_BLOCK],
		     uint8_t uuid[QUORUM_SLOT_UUID])
{
	static const uint8_t zero[QUORUM_SLOT_BLOCK];

	if (memcmp(block, zero, sizeof(zero)) == 0) {
		return ENODATA;
	}
	if (!block_sane(block, AREA_MAGIC)) {
		return EILSEQ;
	}
	memcpy(uuid, block + 8, QUORUM_SLOT_UUID);
	return 0;
}

void quorum_slot_push(const struct quorum_slot *slot,
		      const uint8_t uuid[QUORUM_SLOT_UUID],
		      uint8_t block[QUORUM_SLOT_BLOCK])
{
	block_begin(block, SLOT_MAGIC, uuid);
	PUSH_BE_U32(block, 24, slot->node);
	PUSH_BE_U8(block, 28, slot->taken);
	PUSH_BE_U8(block, 29, slot->phase);
	PUSH_BE_U64(block, 32, slot->run);
	PUSH_BE_U64(block, 40, slot->serial);
	PUSH_BE_U64(block, 48, slot->instance);
	PUSH_BE_U64(block, SLOT_SUM_AT, slot_sum(block));
}

int quorum_slot_pull(const uint8_t block[QUORUM_SLOT_BLOCK],
		     const uint8_t uuid[QUORUM_SLOT_UUID],
		     struct quorum_slot *slot)
{
	if (!block_sane(block, SLOT_MAGIC) ||
	    memcmp(block + 8, uuid, QUORUM_SLOT_UUID) != 0 ||
	    PULL_BE_U8(block, 28) > 1 ||
	    PULL_BE_U8(block, 29) > QUORUM_HOLDER)
	{
		return EILSEQ;
	}
	*slot = (struct quorum_slot){
		.node = PULL_BE_U32(block, 24),
		.taken = PULL_BE_U8(block, 28),
		.phase = PULL_BE_U8(block, 29),
		.run = PULL_BE_U64(block, 32),
		.serial = PULL_BE_U64(block, 40),
		.instance = PULL_BE_U64(block, 48),
	};
	return 0;
}

void quorum_note_push(uint64_t number,
		      uint32_t node,
		      const uint8_t uuid[QUORUM_SLOT_UUID],
		      uint8_t block[QUORUM_SLOT_BLOCK])
{
	uint8_t *sector = block + NOTE_AT;

	memset(sector, 0, NOTE_SIZE);
	if (number == 0) {
		return;
	}
	PUSH_BE_U32(sector, 0, NOTE_MAGIC);
	PUSH_BE_U32(sector, 4, SLOT_VERSION);
	memcpy(sector + 8, uuid, QUORUM_SLOT_UUID);
	PUSH_BE_U32(sector, 24, node);
	PUSH_BE_U64(sector, 32, number);
	PUSH_BE_U64(sector, SLOT_SUM_AT, slot_sum(sector));
}

uint64_t quorum_note_pull(const uint8_t block[QUORUM_SLOT_BLOCK],
			  uint32_t node,
			  const uint8_t uuid[QUORUM_SLOT_UUID])
{
	static const uint8_t zero[NOTE_SIZE];
	const uint8_t *sector = block + NOTE_AT;

	if (memcmp(sector, zero, NOTE_SIZE) == 0) {
		return 0;
	}
	if (!block_sane(sector, NOTE_MAGIC) ||
	    memcmp(sector + 8, uuid, QUORUM_SLOT_UUID) != 0 ||
	    PULL_BE_U32(sector, 24) != node)
	{
		return QUORUM_NOTE_BROKEN;
	}
	return PULL_BE_U64(sector, 32);
}
