/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the third vote notes: written for good before it is granted, kept by
 * every later write, looked at by the others. Two nodes on one made-up disk.
 */
#include "replace.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "quorum/third/serve.c"

#define LEASE 2000
#define BOTH 3
#define ONLY(node) (1U << (node))

static uint8_t disk[QUORUM_AREA_BLOCKS * QUORUM_SLOT_BLOCK];
static const uint8_t uuid[QUORUM_SLOT_UUID] = "of this cluster";
static int write_error, sync_error;
static unsigned syncs;

static int memory_read(struct third_place *place, uint8_t *buf, unsigned blocks)
{
	memcpy(buf, disk, blocks * QUORUM_SLOT_BLOCK);
	return 0;
}

static int memory_write(struct third_place *place,
			unsigned block,
			const uint8_t *buf)
{
	if (write_error == 0) {
		memcpy(disk + block * QUORUM_SLOT_BLOCK,
		       buf,
		       QUORUM_SLOT_BLOCK);
	}
	return write_error;
}

static int memory_write_through(struct third_place *place,
				unsigned block,
				const uint8_t *buf)
{
	int ret = memory_write(place, block, buf);

	syncs++;
	return ret != 0 ? ret : sync_error;
}

static const struct third_place_ops memory_ops = {
	.read = memory_read,
	.write = memory_write,
	.write_through = memory_write_through,
};

static uint8_t *slot_of(unsigned node)
{
	return disk + (node + 1) * QUORUM_SLOT_BLOCK;
}

/* An area as csv_quorum_helper --init of before there were notes made it. */
static int setup(void **state)
{
	struct quorum_slot slot = {};

	memset(disk, 0, sizeof(disk));
	quorum_area_push(uuid, disk);
	for (slot.node = 0; slot.node < 2; slot.node++) {
		quorum_slot_push(&slot, uuid, slot_of(slot.node));
	}
	write_error = 0;
	sync_error = 0;
	syncs = 0;
	*state = talloc_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	talloc_free(*state);
	return 0;
}

/* A process that starts on a node, some time after its last one. */
static struct third *start(void **state, unsigned node)
{
	static uint64_t run;
	struct third *t = talloc_zero(*state, struct third);

	t->place = talloc_zero(t, struct third_place);
	t->place->ops = &memory_ops;
	t->place->where = "memory";
	memcpy(t->place->uuid, uuid, sizeof(uuid));
	t->buf = talloc_zero_size(t, sizeof(disk));
	quorum_slots_init(&t->slots, node, ++run, 2, LEASE);
	quorum_lease_init(&t->lease, third_now() - LEASE, LEASE);
	return t;
}

static enum quorum_verdict vote(struct third *t, enum quorum_type type)
{
	struct quorum_message m = {.type = type,
				   .target = QUORUM_TARGET_THIRD,
				   .node = t->slots.node,
				   .instance = 5,
				   .phase = QUORUM_HOLDER,
				   .lease_ms = LEASE};
	struct quorum_message answer = {};

	if (type == QUORUM_VOTE) {
		third_vote(t, &m, &answer);
	} else {
		third_tell(t, &m, &answer);
		(void)third_leave(t);
	}
	return answer.verdict;
}

static struct quorum_message note(struct third *t,
				  uint64_t in_view,
				  uint64_t have,
				  uint64_t number)
{
	struct quorum_message m = {.type = QUORUM_NOTE,
				   .target = QUORUM_TARGET_THIRD,
				   .node = t->slots.node,
				   .instance = in_view,
				   .who.instance = have,
				   .number = number};
	struct quorum_message answer = {};

	third_note(t, &m, &answer);
	assert_int_equal(answer.type, QUORUM_NOTE | QUORUM_ANSWER);
	return answer;
}

static uint64_t noted(unsigned node)
{
	return quorum_note_pull(slot_of(node), node, uuid);
}

static void who_has_less_is_told(void **state)
{
	struct third *zero = start(state, 0), *one = start(state, 1);
	struct quorum_message a = note(one, ONLY(1), 10, 0);

	assert_int_equal(a.verdict, QUORUM_TOLD);
	assert_int_equal(a.number, 0);
	assert_int_equal(a.who.node, QUORUM_NO_NODE);
	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	a = note(zero, ONLY(0), 10, 14);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	assert_int_equal(a.number, 14);
	assert_int_equal(noted(0), 14);
	assert_int_equal(syncs, 1);

	assert_int_equal(vote(zero, QUORUM_RELEASE), QUORUM_TOLD);
	assert_int_equal(vote(one, QUORUM_VOTE), QUORUM_GRANTED);
	a = note(one, ONLY(1), 13, 17);
	assert_int_equal(a.verdict, QUORUM_HELD);
	assert_int_equal(a.who.node, 0);
	assert_int_equal(a.who.phase, QUORUM_NONE);
	assert_int_equal(a.who.instance, 14);
	assert_int_equal(noted(1), 0);
	/* with node 0 in view it is not another's */
	a = note(one, BOTH, 13, 17);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	/* nor when everything of it arrived here */
	a = note(one, ONLY(1), 14, 18);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	assert_int_equal(noted(1), 18);
	/* who noted it goes on itself */
	assert_int_equal(vote(one, QUORUM_RELEASE), QUORUM_TOLD);
	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	a = note(zero, ONLY(0), 12, 13);
	assert_int_equal(a.verdict, QUORUM_HELD);
	a = note(zero, ONLY(0), 18, 19);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	assert_int_equal(noted(0), 19);
}

static void only_who_has_the_vote_notes(void **state)
{
	struct third *zero = start(state, 0), *one = start(state, 1);
	struct quorum_message a;

	a = note(zero, ONLY(0), 1, 2);
	assert_int_equal(a.verdict, QUORUM_QUIET);
	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	a = note(one, ONLY(1), 1, 2);
	assert_int_equal(a.verdict, QUORUM_HELD);
	assert_int_equal(a.who.node, 0);
	assert_int_equal(a.who.phase, QUORUM_HOLDER);
	assert_int_equal(noted(0), 0);
	assert_int_equal(noted(1), 0);
	/* another node of one's own half has it */
	a = note(one, BOTH, 1, 2);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	/* ... whose vote this writer did not touch */
	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
}

static void a_note_outlives_votes_and_restarts(void **state)
{
	struct third *zero = start(state, 0);
	struct quorum_message a;
	unsigned i;

	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	a = note(zero, ONLY(0), 5, 7);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	for (i = 0; i < 3; i++) {
		assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
		assert_int_equal(noted(0), 7);
	}
	assert_int_equal(vote(zero, QUORUM_RELEASE), QUORUM_TOLD);
	assert_int_equal(noted(0), 7);
	zero = start(state, 0);
	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	assert_int_equal(noted(0), 7);
	/* it never gets smaller */
	a = note(zero, ONLY(0), 2, 3);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	assert_int_equal(a.number, 7);
	assert_int_equal(noted(0), 7);
}

static void what_is_not_for_good_is_not_granted(void **state)
{
	struct third *zero = start(state, 0);
	struct quorum_message a;

	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	write_error = EIO;
	a = note(zero, ONLY(0), 5, 7);
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	assert_int_equal(noted(0), 0);
	write_error = 0;
	sync_error = EIO;
	a = note(zero, ONLY(0), 5, 7);
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	/* and again, although it can be read by now */
	a = note(zero, ONLY(0), 5, 7);
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	sync_error = 0;
	a = note(zero, ONLY(0), 5, 7);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
}

static void a_damaged_note_is_the_highest(void **state)
{
	struct third *zero = start(state, 0), *one = start(state, 1);
	struct quorum_message a;

	quorum_note_push(9, 0, uuid, slot_of(0));
	slot_of(0)[512 + 35] ^= 1;
	assert_int_equal(vote(one, QUORUM_VOTE), QUORUM_GRANTED);
	a = note(one, ONLY(1), UINT64_MAX - 9, UINT64_MAX - 8);
	assert_int_equal(a.verdict, QUORUM_HELD);
	assert_true(a.who.instance == QUORUM_NOTE_BROKEN);
	assert_int_equal(vote(one, QUORUM_RELEASE), QUORUM_TOLD);
	/* votes do not mend it, a new note of that node does */
	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	assert_true(noted(0) == QUORUM_NOTE_BROKEN);
	a = note(zero, ONLY(0), 20, 21);
	assert_int_equal(a.verdict, QUORUM_GRANTED);
	assert_int_equal(noted(0), 21);
}

static void numbers_that_make_no_sense_are_not_noted(void **state)
{
	struct third *zero = start(state, 0);
	struct quorum_message a;

	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	a = note(zero, ONLY(0), 5, UINT64_MAX);
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	a = note(zero, ONLY(0), 5, 6 + THIRD_NOTE_AHEAD);
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	a = note(zero, ONLY(0), 5, 4);
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	assert_int_equal(noted(0), 0);
}

static void nothing_is_noted_in_another_area(void **state)
{
	static const uint8_t other[QUORUM_SLOT_UUID] = "another one's";
	struct third *zero = start(state, 0);
	struct quorum_message a;

	assert_int_equal(vote(zero, QUORUM_VOTE), QUORUM_GRANTED);
	quorum_area_push(other, disk);
	a = note(zero, ONLY(0), 5, 6);
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	assert_int_equal(noted(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(who_has_less_is_told),
		T(only_who_has_the_vote_notes),
		T(a_note_outlives_votes_and_restarts),
		T(what_is_not_for_good_is_not_granted),
		T(a_damaged_note_is_the_highest),
		T(numbers_that_make_no_sense_are_not_noted),
		T(nothing_is_noted_in_another_area),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
