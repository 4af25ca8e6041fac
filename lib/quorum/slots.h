/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One vote on a place that can only be read and written (a disk, a file): one
 * slot per node, written by that node only. Pure: the caller brings clock,
 * reading and writing.
 *
 * A node writes its slot as taken, then reads the others'. Of two that do so
 * at the same time at least one sees the other, and who sees another steps
 * back; so at most one goes on. A slot that is taken but did not change for a
 * whole lease of the reader's own clock belongs to somebody whose vote is
 * over: it counted from before its last write. Should that one write again
 * after all, it reads afterwards that somebody else has taken it.
 *
 * Beside its slot, in a sector of its own, each node keeps a note: the highest
 * number that it meant to give the database without the others (QUORUM_NOTE).
 * It writes the note, then reads the others', then changes the database; so of
 * two nodes at least one sees the other's note, whatever their clocks say.
 */
#ifndef _QUORUM_SLOTS_H_
#define _QUORUM_SLOTS_H_

#include "lib/quorum/tally.h"

#define QUORUM_SLOT_BLOCK 4096
#define QUORUM_SLOT_UUID 16
/* A note that cannot be read: nobody's database is as new as that. */
#define QUORUM_NOTE_BROKEN UINT64_MAX

struct quorum_slot {
	bool taken;
	uint32_t node;
	uint64_t run;	   /* of the writing process */
	uint64_t serial;   /* changes with each write */
	uint64_t instance; /* the candidate */
	enum quorum_phase phase;
};

struct quorum_slot_seen {
	struct quorum_slot slot;
	bool broken;	    /* no slot: counts as taken */
	bool known;
	uint64_t since;	    /* end of the first read of this content */
	uint64_t confirmed; /* begin of the last one */
};

struct quorum_slots {
	uint32_t node;
	uint64_t run;
	unsigned num;
	uint32_t lease_ms;
	struct quorum_slot mine; /* as last written, or tried */
	struct quorum_slot_seen seen[QUORUM_MAX_NODES];
	uint64_t notes[QUORUM_MAX_NODES]; /* as last read */
};

void quorum_slots_init(struct quorum_slots *s,
		       uint32_t node,
		       uint64_t run,
		       unsigned num,
		       uint32_t lease_ms);

/* Slot i was read between `began` and `ended`; NULL: its content is broken. */
void quorum_slots_saw(struct quorum_slots *s,
		      unsigned i,
		      const struct quorum_slot *slot,
		      uint64_t began,
		      uint64_t ended);

/* Who stands in the way, as far as was seen; -1: nobody. */
int quorum_slots_rival(const struct quorum_slots *s);

/* What to write into the own slot next. */
void quorum_slots_next(struct quorum_slots *s,
		       bool taken,
		       uint64_t instance,
		       enum quorum_phase phase);

/* The own slot, as read after a write, is what was written. */
bool quorum_slots_intact(const struct quorum_slots *s);

/*
 * Of the nodes out of view (whose bit is not set): who noted most? *number is
 * that; QUORUM_NO_NODE and 0: none noted anything.
 */
uint32_t quorum_slots_newest(const struct quorum_slots *s,
			     uint64_t in_view,
			     uint64_t *number);

/*
 * Has a node in view the vote, and nobody else? Its number, or -1: nobody has
 * it; or that of a node out of view that stands in the way.
 */
int quorum_slots_voted(const struct quorum_slots *s, uint64_t in_view);

/* For an answer: who has slot i, by the clock `now`. */
struct quorum_who quorum_slots_who(const struct quorum_slots *s,
				   unsigned i,
				   uint64_t now);

/* Blocks. The first one says what the area is. */
void quorum_area_push(const uint8_t uuid[QUORUM_SLOT_UUID],
		      uint8_t block[QUORUM_SLOT_BLOCK]);
/* 0; ENODATA: all zero; EILSEQ: something else is there. */
int quorum_area_pull(const uint8_t block[QUORUM_SLOT_BLOCK],
		     uint8_t uuid[QUORUM_SLOT_UUID]);
void quorum_slot_push(const struct quorum_slot *slot,
		      const uint8_t uuid[QUORUM_SLOT_UUID],
		      uint8_t block[QUORUM_SLOT_BLOCK]);
/* 0 or EILSEQ. */
int quorum_slot_pull(const uint8_t block[QUORUM_SLOT_BLOCK],
		     const uint8_t uuid[QUORUM_SLOT_UUID],
		     struct quorum_slot *slot);

/*
 * A note, into the block of a slot; pushing a slot removes it. Blocks from
 * before there were notes have none: 0.
 */
void quorum_note_push(uint64_t number,
		      uint32_t node,
		      const uint8_t uuid[QUORUM_SLOT_UUID],
		      uint8_t block[QUORUM_SLOT_BLOCK]);
/* The number, 0, or QUORUM_NOTE_BROKEN. */
uint64_t quorum_note_pull(const uint8_t block[QUORUM_SLOT_BLOCK],
			  uint32_t node,
			  const uint8_t uuid[QUORUM_SLOT_UUID]);

#endif /* _QUORUM_SLOTS_H_ */
