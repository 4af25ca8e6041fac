/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Votes, counting them, and a thousand clusters of them, with made-up clocks:
   there are never two holders, and soon one when a majority is there. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/quorum/lease.h"
#include "lib/quorum/slots.h"
#include "lib/quorum/tally.h"

#define LEASE 2000

static struct quorum_message vote(uint32_t node,
				  uint64_t instance,
				  enum quorum_phase phase)
{
	return (struct quorum_message){.type = QUORUM_VOTE,
				       .serial = 7,
				       .node = node,
				       .instance = instance,
				       .phase = phase,
				       .lease_ms = LEASE,
				       .who.node = QUORUM_NO_NODE};
}

static void a_message_survives_the_wire(void **state)
{
	struct quorum_message m = vote(3, 0x123456789abcdef0, QUORUM_HOLDER);
	struct quorum_message back = {};
	uint8_t buf[QUORUM_MESSAGE_SIZE];

	m.type |= QUORUM_ANSWER;
	m.target = QUORUM_TARGET_THIRD;
	m.verdict = QUORUM_HELD;
	m.who = (struct quorum_who){.node = 1,
				    .instance = 42,
				    .phase = QUORUM_CANDIDATE,
				    .connected = true,
				    .age_ms = 5,
				    .left_ms = 6};
	m.number = UINT64_MAX - 1;
	quorum_message_push(&m, buf);
	assert_int_equal(quorum_message_pull(buf, &back), 0);
	assert_true(back.number == m.number);
	assert_int_equal(back.type, m.type);
	assert_int_equal(back.target, m.target);
	assert_int_equal(back.serial, m.serial);
	assert_int_equal(back.instance, m.instance);
	assert_int_equal(back.lease_ms, m.lease_ms);
	assert_int_equal(back.verdict, m.verdict);
	assert_int_equal(back.who.instance, 42);
	assert_true(back.who.connected);
	assert_int_equal(back.who.left_ms, 6);
}

static void other_bytes_are_no_message(void **state)
{
	struct quorum_message m = vote(1, 1, QUORUM_HOLDER), back;
	static const unsigned places[] = {0, 3, 4, 6, 7, 32, 33, 34};
	uint8_t buf[QUORUM_MESSAGE_SIZE];
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		quorum_message_push(&m, buf);
		buf[places[i]] ^= 0x7f;
		assert_int_not_equal(quorum_message_pull(buf, &back), 0);
	}
}

static void a_new_voter_is_quiet_for_a_lease(void **state)
{
	struct quorum_message m = vote(1, 1, QUORUM_CANDIDATE), a;
	struct quorum_lease l;

	quorum_lease_init(&l, 1000, LEASE);
	assert_false(quorum_lease_decide(&l, 1000 + LEASE - 1, &m, &a));
	assert_int_equal(a.verdict, QUORUM_QUIET);
	assert_int_equal(a.who.left_ms, 1);
	assert_true(quorum_lease_decide(&l, 1000 + LEASE, &m, &a));
	assert_int_equal(a.verdict, QUORUM_GRANTED);
}

static struct quorum_lease lease_of_node1(void)
{
	struct quorum_message m = vote(1, 1, QUORUM_HOLDER), a;
	struct quorum_lease l;

	quorum_lease_init(&l, 0, LEASE);
	assert_true(quorum_lease_decide(&l, 10000, &m, &a));
	return l;
}

static void one_vote_at_a_time(void **state)
{
	struct quorum_lease l = lease_of_node1();
	struct quorum_message other = vote(2, 2, QUORUM_CANDIDATE), a;
	/* another run of the same node is another candidate */
	struct quorum_message again = vote(1, 2, QUORUM_CANDIDATE);

	assert_false(quorum_lease_decide(&l, 11999, &other, &a));
	assert_int_equal(a.verdict, QUORUM_HELD);
	assert_int_equal(a.who.node, 1);
	assert_int_equal(a.who.phase, QUORUM_HOLDER);
	assert_int_equal(a.who.age_ms, 1999);
	assert_int_equal(a.who.left_ms, 1);
	assert_false(quorum_lease_decide(&l, 11999, &again, &a));
	assert_true(quorum_lease_decide(&l, 12000, &other, &a));
	assert_false(quorum_lease_decide(&l, 12001, &again, &a));
}

static void only_its_owner_releases_it(void **state)
{
	struct quorum_lease l = lease_of_node1();
	struct quorum_message other = vote(2, 2, QUORUM_CANDIDATE), a;
	struct quorum_message release = vote(2, 1, QUORUM_NONE);

	release.type = QUORUM_RELEASE;
	quorum_lease_decide(&l, 10001, &release, &a);
	assert_false(quorum_lease_decide(&l, 10002, &other, &a));
	release.node = 1;
	quorum_lease_decide(&l, 10003, &release, &a);
	assert_true(quorum_lease_decide(&l, 10004, &other, &a));
}

static void a_closed_connection_ends_no_lease(void **state)
{
	struct quorum_lease l = lease_of_node1();
	struct quorum_message other = vote(2, 2, QUORUM_CANDIDATE), a;

	quorum_lease_closed(&l);
	assert_false(quorum_lease_decide(&l, 11000, &other, &a));
	assert_int_equal(a.verdict, QUORUM_HELD);
	assert_false(a.who.connected);
}

static void nonsense_is_refused(void **state)
{
	struct quorum_lease l;
	struct quorum_message m = vote(1, 1, QUORUM_HOLDER), a;

	quorum_lease_init(&l, 0, LEASE);
	m.lease_ms = LEASE + 1; /* longer than a new voter is quiet */
	assert_false(quorum_lease_decide(&l, 9000, &m, &a));
	assert_int_equal(a.verdict, QUORUM_REFUSED);
	m.lease_ms = 0;
	assert_false(quorum_lease_decide(&l, 9000, &m, &a));
	m = vote(1, 1, QUORUM_NONE);
	assert_false(quorum_lease_decide(&l, 9000, &m, &a));
	m = vote(QUORUM_NO_NODE, 1, QUORUM_HOLDER);
	assert_false(quorum_lease_decide(&l, 9000, &m, &a));
}

static void granted(struct quorum_tally *t, unsigned i, uint64_t sent)
{
	struct quorum_message a = vote(t->node, t->instance, QUORUM_HOLDER);

	a.verdict = QUORUM_GRANTED;
	a.who = (struct quorum_who){.node = t->node,
				    .instance = t->instance,
				    .phase = QUORUM_HOLDER,
				    .connected = true};
	quorum_tally_answer(t, i, sent, sent + 3, &a);
}

static void a_majority_lasts_as_long_as_its_shortest(void **state)
{
	struct quorum_tally t;

	quorum_tally_init(&t, 1, 1, LEASE, 3);
	assert_int_equal(t.needed, 2);
	assert_int_equal(quorum_tally_until(&t), 0);
	granted(&t, 0, 5000);
	assert_int_equal(quorum_tally_until(&t), 0);
	granted(&t, 2, 5100);
	/* from when it was asked for, less what clocks may differ */
	assert_int_equal(quorum_tally_until(&t), 5000 + LEASE - LEASE / 20);
	granted(&t, 1, 5200);
	assert_int_equal(quorum_tally_until(&t), 5100 + LEASE - LEASE / 20);
	quorum_tally_drop(&t);
	assert_int_equal(quorum_tally_until(&t), 0);
	quorum_tally_init(&t, 1, 1, LEASE, 2);
	assert_int_equal(t.needed, 2); /* one of two is no majority */
	quorum_tally_init(&t, 1, 1, LEASE, 4);
	assert_int_equal(t.needed, 3);
}

static void held(struct quorum_tally *t, unsigned i, uint64_t now,
		 struct quorum_who who)
{
	struct quorum_message a = vote(t->node, t->instance, QUORUM_CANDIDATE);

	a.verdict = QUORUM_HELD;
	a.who = who;
	quorum_tally_answer(t, i, now, now, &a);
}

static void a_live_holder_is_told_from_a_dead_one(void **state)
{
	struct quorum_who who = {.node = 2, .instance = 9,
				 .phase = QUORUM_HOLDER, .connected = true,
				 .age_ms = 100};
	struct quorum_tally t;

	quorum_tally_init(&t, 1, 1, LEASE, 3);
	held(&t, 1, 5000, who);
	assert_true(quorum_tally_contention(&t, 5001));
	assert_false(quorum_tally_contention(&t, 6000)); /* old news */
	who.age_ms = 700; /* did not renew */
	held(&t, 1, 5000, who);
	assert_false(quorum_tally_contention(&t, 5001));
	who.age_ms = 100;
	who.connected = false; /* its process is gone */
	held(&t, 1, 5000, who);
	assert_false(quorum_tally_contention(&t, 5001));
	who.connected = true;
	who.phase = QUORUM_CANDIDATE;
	held(&t, 1, 5000, who);
	assert_false(quorum_tally_contention(&t, 5001));
}

static void held_third(struct quorum_tally *t, uint64_t now, uint32_t age)
{
	struct quorum_message a = vote(t->node, t->instance, QUORUM_CANDIDATE);

	a.target = QUORUM_TARGET_THIRD;
	a.verdict = QUORUM_HELD;
	a.who = (struct quorum_who){.node = 2, .instance = 9,
				    .phase = QUORUM_HOLDER, .connected = true,
				    .age_ms = age};
	quorum_tally_answer(t, 2, now, now, &a);
}

static void a_third_vote_must_be_seen_to_move(void **state)
{
	struct quorum_tally t;

	quorum_tally_init(&t, 1, 1, LEASE, 3);
	held_third(&t, 5000, 100);
	assert_false(quorum_tally_contention(&t, 5000));
	held_third(&t, 5200, 300); /* the same renewal */
	assert_false(quorum_tally_contention(&t, 5200));
	held_third(&t, 5400, 50);
	assert_true(quorum_tally_contention(&t, 5400));
}

static void the_lower_number_goes_first(void **state)
{
	struct quorum_who who = {.node = 2, .instance = 9,
				 .phase = QUORUM_CANDIDATE, .connected = true};
	struct quorum_tally t;

	quorum_tally_init(&t, 1, 1, LEASE, 3);
	held(&t, 1, 5000, who);
	assert_false(quorum_tally_yield(&t, 5001));
	who.node = 0;
	held(&t, 1, 5000, who);
	assert_true(quorum_tally_yield(&t, 5001));
}

/*
 * Clusters whose messages take random time or are lost, whose candidates and
 * voters stop and start, whose clocks run differently.
 */
#define WORLD_NODES 3
#define WORLD_MESSAGES 64

struct world_message {
	uint64_t due; /* 0: none */
	bool answer;
	unsigned from, to; /* candidate, voter */
	uint64_t sent;	   /* by the candidate's clock */
	struct quorum_message m;
};

struct world {
	uint64_t now;
	struct quorum_lease voters[WORLD_NODES];
	struct quorum_tally candidates[WORLD_NODES];
	bool holder[WORLD_NODES];
	uint64_t paused[WORLD_NODES]; /* stopped until then */
	uint64_t ask[WORLD_NODES][WORLD_NODES];
	bool cut[WORLD_NODES][WORLD_NODES];
	struct world_message messages[WORLD_MESSAGES];
	uint64_t instances;
	unsigned changes;
};

/* Three clocks that differ by an hour and by 2 percent of speed. */
static uint64_t clock_of(const struct world *w, unsigned node)
{
	return 3600000 * (node + 1) + w->now * (99 + node) / 100;
}

static void world_new_candidate(struct world *w, unsigned c)
{
	quorum_tally_init(&w->candidates[c],
			  c,
			  ++w->instances,
			  LEASE,
			  WORLD_NODES);
	w->holder[c] = false;
}

static void world_post(struct world *w, struct world_message m)
{
	unsigned i;

	if (w->cut[m.from][m.to] || rand() % 50 == 0) {
		return; /* lost */
	}
	for (i = 0; i < WORLD_MESSAGES; i++) {
		if (w->messages[i].due == 0) {
			m.due = w->now + 1 + rand() % 30;
			if (rand() % 20 == 0) {
				m.due += rand() % 3000; /* late */
			}
			w->messages[i] = m;
			return;
		}
	}
}

static void world_deliver(struct world *w, struct world_message m)
{
	struct quorum_message answer;

	if (m.answer) {
		if (w->candidates[m.from].instance == m.m.instance) {
			quorum_tally_answer(&w->candidates[m.from],
					    m.to,
					    m.sent,
					    clock_of(w, m.from),
					    &m.m);
		}
		return;
	}
	quorum_lease_decide(&w->voters[m.to], clock_of(w, m.to), &m.m,
			    &answer);
	m.m = answer;
	m.answer = true;
	world_post(w, m);
}

static void world_fault(struct world *w)
{
	unsigned a = rand() % WORLD_NODES, b = rand() % WORLD_NODES;

	switch (rand() % 2000) {
	case 0:
		w->paused[a] = w->now + rand() % 6000;
		break;
	case 1:
		w->cut[a][b] = true;
		break;
	case 2:
	case 3:
		memset(w->cut, 0, sizeof(w->cut));
		break;
	case 4:
		quorum_lease_init(&w->voters[a], clock_of(w, a), LEASE);
		break;
	case 5:
		world_new_candidate(w, a);
		break;
	}
}

static void world_candidate(struct world *w, unsigned c)
{
	struct quorum_tally *t = &w->candidates[c];
	uint64_t now = clock_of(w, c);
	bool majority = quorum_tally_until(t) > now;
	unsigned i;

	if (w->paused[c] > w->now) {
		return; /* its lock is what its votes' time says, not more */
	}
	if (w->holder[c] && !majority) {
		world_new_candidate(w, c); /* the helper exits */
		return;
	}
	if (majority && !w->holder[c]) {
		w->holder[c] = true;
		w->changes++;
	}
	for (i = 0; i < WORLD_NODES; i++) {
		if (w->now < w->ask[c][i]) {
			continue;
		}
		w->ask[c][i] = w->now + (majority ? 400 : 50 + rand() % 100);
		world_post(w, (struct world_message){
				      .from = c,
				      .to = i,
				      .sent = now,
				      .m = vote(c,
						t->instance,
						majority ? QUORUM_HOLDER
							 : QUORUM_CANDIDATE)});
	}
}

static void world_step(struct world *w)
{
	unsigned i, holders = 0;

	w->now++;
	world_fault(w);
	for (i = 0; i < WORLD_MESSAGES; i++) {
		struct world_message m = w->messages[i];

		if (m.due != 0 && m.due <= w->now &&
		    w->paused[m.answer ? m.from : m.to] <= w->now)
		{
			w->messages[i].due = 0;
			world_deliver(w, m);
		}
	}
	for (i = 0; i < WORLD_NODES; i++) {
		world_candidate(w, i);
		holders += w->holder[i] &&
			   quorum_tally_until(&w->candidates[i]) >
				   clock_of(w, i);
	}
	assert_in_range(holders, 0, 1);
}

static void never_two_holders(void **state)
{
	unsigned seed, i, changes = 0;

	for (seed = 1; seed <= 200; seed++) {
		struct world w = {};

		srand(seed);
		for (i = 0; i < WORLD_NODES; i++) {
			quorum_lease_init(&w.voters[i], clock_of(&w, i), LEASE);
			world_new_candidate(&w, i);
		}
		for (i = 0; i < 20000; i++) {
			world_step(&w);
		}
		changes += w.changes;
	}
	/* it did go on: a world in which nobody ever holds proves nothing */
	assert_true(changes > 400);
}

static void a_slot_survives_the_disk(void **state)
{
	uint8_t uuid[QUORUM_SLOT_UUID] = "0123456789abcde", other[16] = "x";
	uint8_t block[QUORUM_SLOT_BLOCK];
	struct quorum_slot slot = {.taken = true,
				   .node = 3,
				   .run = 4,
				   .serial = 5,
				   .instance = 6,
				   .phase = QUORUM_HOLDER};
	struct quorum_slot back;

	quorum_slot_push(&slot, uuid, block);
	assert_int_equal(quorum_slot_pull(block, uuid, &back), 0);
	assert_true(back.taken);
	assert_int_equal(back.node, 3);
	assert_int_equal(back.run, 4);
	assert_int_equal(back.serial, 5);
	assert_int_equal(back.instance, 6);
	assert_int_equal(back.phase, QUORUM_HOLDER);
	assert_int_equal(quorum_slot_pull(block, other, &back), EILSEQ);
	block[40] ^= 1;
	assert_int_equal(quorum_slot_pull(block, uuid, &back), EILSEQ);
	assert_int_equal(quorum_area_pull(block, other), EILSEQ);
	memset(block, 0, sizeof(block));
	assert_int_equal(quorum_area_pull(block, other), ENODATA);
	quorum_area_push(uuid, block);
	assert_int_equal(quorum_area_pull(block, other), 0);
	assert_memory_equal(uuid, other, sizeof(uuid));
}

static void a_note_survives_the_disk(void **state)
{
	uint8_t uuid[QUORUM_SLOT_UUID] = "0123456789abcde", other[16] = "x";
	uint8_t block[QUORUM_SLOT_BLOCK];
	struct quorum_slot slot = {.taken = true, .node = 3}, back;
	size_t i;

	quorum_slot_push(&slot, uuid, block);
	/* as it was before there were notes */
	assert_int_equal(quorum_note_pull(block, 3, uuid), 0);
	quorum_note_push(UINT64_MAX - 1, 3, uuid, block);
	assert_true(quorum_note_pull(block, 3, uuid) == UINT64_MAX - 1);
	assert_int_equal(quorum_slot_pull(block, uuid, &back), 0);
	/* another node's, another cluster's */
	assert_true(quorum_note_pull(block, 2, uuid) == QUORUM_NOTE_BROKEN);
	assert_true(quorum_note_pull(block, 3, other) == QUORUM_NOTE_BROKEN);
	for (i = 512; i < 1024; i++) {
		block[i] ^= 0x10;
		assert_true(quorum_note_pull(block, 3, uuid) ==
			    QUORUM_NOTE_BROKEN);
		assert_int_equal(quorum_slot_pull(block, uuid, &back), 0);
		block[i] ^= 0x10;
	}
	/* a slot that is broken leaves the note */
	block[40] ^= 1;
	assert_int_equal(quorum_slot_pull(block, uuid, &back), EILSEQ);
	assert_true(quorum_note_pull(block, 3, uuid) == UINT64_MAX - 1);
	quorum_note_push(0, 3, uuid, block);
	assert_int_equal(quorum_note_pull(block, 3, uuid), 0);
}

static void see(struct quorum_slots *s, unsigned i, uint64_t when,
		const struct quorum_slot *slot)
{
	quorum_slots_saw(s, i, slot, when - 5, when);
}

static void a_slot_is_free_when_left_or_silent(void **state)
{
	struct quorum_slot mine = {.node = 0, .run = 7};
	struct quorum_slot other = {.taken = true, .node = 1, .run = 8};
	struct quorum_slots s;

	quorum_slots_init(&s, 0, 7, 2, LEASE);
	assert_int_equal(quorum_slots_rival(&s), 0); /* nothing was read */
	see(&s, 0, 1000, &mine);
	see(&s, 1, 1000, &other);
	assert_int_equal(quorum_slots_rival(&s), 1);
	see(&s, 1, 1000 + LEASE, &other);
	assert_int_equal(quorum_slots_rival(&s), 1); /* clocks differ */
	see(&s, 1, 1005 + LEASE + LEASE / 20, &other);
	assert_int_equal(quorum_slots_rival(&s), -1);
	other.serial++; /* it lives */
	see(&s, 1, 5000, &other);
	assert_int_equal(quorum_slots_rival(&s), 1);
	other.taken = false;
	see(&s, 1, 5001, &other);
	assert_int_equal(quorum_slots_rival(&s), -1);
	see(&s, 1, 5002, NULL); /* half written */
	assert_int_equal(quorum_slots_rival(&s), 1);
	see(&s, 1, 5003, &other);
	mine.taken = true;
	mine.run = 6; /* what an earlier process of this node wrote */
	see(&s, 0, 5003, &mine);
	assert_int_equal(quorum_slots_rival(&s), 0);
}

/* Nodes that follow serve.c on one disk; each step takes random time, reads
   and writes happen somewhere inside of it, some hang. */
enum disk_step { DISK_REST, DISK_LOOK, DISK_WRITE, DISK_CHECK, DISK_LEAVE };

struct disk_node {
	struct quorum_slots s;
	enum disk_step step;
	uint64_t began, at, ends; /* of the I/O; `at`: where it happens */
	struct quorum_slot view[WORLD_NODES];
	uint64_t asked, until; /* by its own clock */
	bool wants;
};

struct disk_world {
	uint64_t now;
	struct quorum_slot disk[WORLD_NODES];
	struct disk_node n[WORLD_NODES];
	unsigned grants;
};

static uint64_t disk_clock(const struct disk_world *w, unsigned i)
{
	return 3600000 * (i + 1) + w->now * (99 + i) / 100;
}

static void disk_begin(struct disk_world *w, unsigned i, enum disk_step step)
{
	struct disk_node *n = &w->n[i];
	uint64_t takes = 1 + rand() % 10;

	if (rand() % 150 == 0) {
		takes += rand() % 6000; /* hangs */
	}
	n->step = step;
	n->began = disk_clock(w, i);
	n->at = w->now + 1 + rand() % takes;
	n->ends = w->now + takes;
}

static void disk_happens(struct disk_world *w, unsigned i)
{
	struct disk_node *n = &w->n[i];

	if (n->step == DISK_WRITE || n->step == DISK_LEAVE) {
		w->disk[i] = n->s.mine;
	} else {
		memcpy(n->view, w->disk, sizeof(w->disk));
	}
}

static void disk_ended(struct disk_world *w, unsigned i)
{
	struct disk_node *n = &w->n[i];
	enum disk_step was = n->step;
	unsigned j;

	n->step = DISK_REST;
	if (was == DISK_LOOK || was == DISK_CHECK) {
		for (j = 0; j < WORLD_NODES; j++) {
			quorum_slots_saw(&n->s, j, &n->view[j], n->began,
					 disk_clock(w, i));
		}
	}
	if (was == DISK_WRITE) {
		disk_begin(w, i, DISK_CHECK);
	} else if (was == DISK_LOOK && n->wants &&
		   quorum_slots_rival(&n->s) == -1) {
		quorum_slots_next(&n->s, true, 1, QUORUM_HOLDER);
		disk_begin(w, i, DISK_WRITE);
	} else if (was == DISK_CHECK) {
		if (quorum_slots_rival(&n->s) == -1 &&
		    quorum_slots_intact(&n->s)) {
			n->until = n->asked + LEASE - LEASE / 20;
			w->grants++;
			return;
		}
		n->until = 0;
		quorum_slots_next(&n->s, false, 0, QUORUM_NONE);
		disk_begin(w, i, DISK_LEAVE);
	}
}

static void disk_node(struct disk_world *w, unsigned i)
{
	struct disk_node *n = &w->n[i];

	if (n->step != DISK_REST) {
		if (w->now == n->at) {
			disk_happens(w, i);
		}
		if (w->now == n->ends) {
			disk_ended(w, i);
		}
		return;
	}
	if (rand() % 3000 == 0) {
		n->wants = !n->wants;
	}
	if (rand() % 200 != 0) {
		return;
	}
	n->asked = disk_clock(w, i);
	if (n->s.mine.taken && n->wants) {
		quorum_slots_next(&n->s, true, 1, QUORUM_HOLDER);
		disk_begin(w, i, DISK_WRITE);
	} else {
		disk_begin(w, i, DISK_LOOK);
	}
}

static void a_disk_has_one_holder(void **state)
{
	unsigned seed, i, step, grants = 0;

	for (seed = 1; seed <= 150; seed++) {
		struct disk_world w = {};

		srand(seed);
		for (i = 0; i < WORLD_NODES; i++) {
			quorum_slots_init(&w.n[i].s, i, i + 1, WORLD_NODES,
					  LEASE);
			w.n[i].wants = true;
			w.disk[i] = w.n[i].s.mine;
		}
		for (step = 0; step < 40000; step++) {
			unsigned holders = 0;

			w.now++;
			for (i = 0; i < WORLD_NODES; i++) {
				disk_node(&w, i);
				holders += w.n[i].until > disk_clock(&w, i);
			}
			assert_in_range(holders, 0, 1);
		}
		grants += w.grants;
	}
	assert_true(grants > 150 * 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_survives_the_wire),
		cmocka_unit_test(other_bytes_are_no_message),
		cmocka_unit_test(a_new_voter_is_quiet_for_a_lease),
		cmocka_unit_test(one_vote_at_a_time),
		cmocka_unit_test(only_its_owner_releases_it),
		cmocka_unit_test(a_closed_connection_ends_no_lease),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_majority_lasts_as_long_as_its_shortest),
		cmocka_unit_test(a_live_holder_is_told_from_a_dead_one),
		cmocka_unit_test(a_third_vote_must_be_seen_to_move),
		cmocka_unit_test(the_lower_number_goes_first),
		cmocka_unit_test(never_two_holders),
		cmocka_unit_test(a_slot_survives_the_disk),
		cmocka_unit_test(a_note_survives_the_disk),
		cmocka_unit_test(a_slot_is_free_when_left_or_silent),
		cmocka_unit_test(a_disk_has_one_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
