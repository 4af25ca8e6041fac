/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Serving the third vote: the voter's messages in, one answer to each. Between
 * two of them the slots are read, so that it is known for how long the others
 * did not change. One such process per node, by a file lock: a predecessor
 * that hangs in its I/O still has it, and may still write.
 *
 * A slot is never written before the own block was read: with it goes the
 * note that is there.
 */
#include "quorum/third/third.h"
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>

struct third {
	struct third_place *place;
	struct quorum_slots slots;
	struct quorum_lease lease; /* among this node's own candidates */
	uint8_t *buf;
	uint64_t read_at;
	bool failing;
};

static uint64_t third_now(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

#define THIRD_NOTE_AHEAD 4096 /* further ahead no node may note */

/* Once when it begins, once when it is over. */
static int third_say(struct third *t, const char *what, int error)
{
	if (error != 0 && !t->failing) {
		fprintf(stderr,
			"csv_quorum third vote: %s: %s: %s\n",
			t->place->where,
			what,
			error == EILSEQ ? "not this cluster's area"
					: strerror(error));
	} else if (error == 0 && t->failing) {
		fprintf(stderr,
			"csv_quorum third vote: %s: usable again\n",
			t->place->where);
	}
	t->failing = error != 0;
	return error;
}

/* The block of a node, as last read. */
static uint8_t *third_block(struct third *t, unsigned node)
{
	return t->buf + (node + 1) * QUORUM_SLOT_BLOCK;
}

static int third_read(struct third *t)
{
	uint8_t uuid[QUORUM_SLOT_UUID];
	struct quorum_slot slot;
	uint64_t began = third_now(), ended;
	unsigned i;
	int ret;

	ret = t->place->ops->read(t->place, t->buf, t->slots.num + 1);
	ended = third_now();
	if (ret == 0) {
		ret = quorum_area_pull(t->buf, uuid);
	}
	if (ret == 0 && memcmp(uuid, t->place->uuid, sizeof(uuid)) != 0) {
		ret = EILSEQ;
	}
	if (ret != 0) {
		return third_say(t, "read", ret == ENODATA ? EILSEQ : ret);
	}
	for (i = 0; i < t->slots.num; i++) {
		const uint8_t *block = third_block(t, i);

		ret = quorum_slot_pull(block, uuid, &slot);
		t->slots.notes[i] = quorum_note_pull(block, i, uuid);
		quorum_slots_saw(&t->slots,
				 i,
				 ret == 0 ? &slot : NULL,
				 began,
				 ended);
	}
	t->read_at = ended;
	return third_say(t, "read", 0);
}

static int third_write(struct third *t)
{
	uint8_t *block = t->buf;
	int ret;

	quorum_slot_push(&t->slots.mine, t->place->uuid, block);
	quorum_note_push(t->slots.notes[t->slots.node],
			 t->slots.node,
			 t->place->uuid,
			 block);
	ret = t->place->ops->write(t->place, t->slots.node + 1, block);
	return third_say(t, "write", ret);
}

static int third_leave(struct third *t)
{
	quorum_slots_next(&t->slots, false, 0, QUORUM_NONE);
	return third_write(t);
}

/* Take the slot, or go on having it. -1: it is ours; else who has it, or
   -2: the place cannot be used. */
static int third_take(struct third *t, const struct quorum_message *request)
{
	int rival = -1;

	if (!t->slots.mine.taken) {
		if (third_read(t) != 0) {
			return -2;
		}
		rival = quorum_slots_rival(&t->slots);
		if (rival != -1) {
			return rival;
		}
	}
	quorum_slots_next(&t->slots, true, request->instance, request->phase);
	if (third_write(t) != 0 || third_read(t) != 0) {
		return -2;
	}
	rival = quorum_slots_rival(&t->slots);
	if (rival == -1 && quorum_slots_intact(&t->slots)) {
		return -1;
	}
	(void)third_leave(t);
	return rival != -1 ? rival : -2;
}

static void third_vote(struct third *t,
		       const struct quorum_message *request,
		       struct quorum_message *answer)
{
	struct quorum_lease before = t->lease;
	uint64_t now = third_now();
	int rival;

	/* counted from before the first byte is written */
	if (!quorum_lease_decide(&t->lease, now, request, answer)) {
		return;
	}
	rival = third_take(t, request);
	if (rival == -1) {
		return;
	}
	t->lease = before;
	answer->verdict = rival == -2 ? QUORUM_REFUSED : QUORUM_HELD;
	answer->who = rival == -2 ? (struct quorum_who){.node = QUORUM_NO_NODE}
				  : quorum_slots_who(&t->slots,
						     rival,
						     third_now());
}

static void third_tell(struct third *t,
		       const struct quorum_message *request,
		       struct quorum_message *answer)
{
	int rival;

	(void)quorum_lease_decide(&t->lease, third_now(), request, answer);
	if (t->failing || t->read_at == 0) {
		answer->verdict = QUORUM_REFUSED;
		return;
	}
	rival = quorum_slots_rival(&t->slots);
	if (answer->who.node == QUORUM_NO_NODE && rival != -1) {
		answer->who = quorum_slots_who(&t->slots, rival, third_now());
	}
}

/* What is noted, as far as was read. */
static void third_tell_notes(struct third *t,
			     const struct quorum_message *request,
			     struct quorum_message *answer)
{
	answer->verdict = QUORUM_TOLD;
	answer->number = t->slots.notes[t->slots.node];
	answer->who = (struct quorum_who){};
	answer->who.node = quorum_slots_newest(&t->slots,
					       request->instance,
					       &answer->who.instance);
}

/* May it be noted? Else the answer says why not. */
static bool third_may_note(struct third *t,
			   const struct quorum_message *request,
			   struct quorum_message *answer)
{
	int voted = quorum_slots_voted(&t->slots, request->instance);

	third_tell_notes(t, request, answer);
	if (answer->who.instance > request->who.instance) {
		answer->verdict = QUORUM_HELD;
	} else if (voted == -1) {
		answer->verdict = QUORUM_QUIET;
	} else if ((request->instance >> voted & 1) == 0) {
		answer->verdict = QUORUM_HELD;
		answer->who = quorum_slots_who(&t->slots, voted, third_now());
	} else {
		answer->verdict = QUORUM_GRANTED;
	}
	return answer->verdict == QUORUM_GRANTED;
}

/* The block as it was just read, but for the note; for good. */
static int third_write_note(struct third *t, uint64_t number)
{
	uint64_t before = t->slots.notes[t->slots.node];
	uint8_t *block = third_block(t, t->slots.node);
	int ret;

	if (before != QUORUM_NOTE_BROKEN) {
		number = MAX(number, before);
	}
	quorum_note_push(number, t->slots.node, t->place->uuid, block);
	if (t->place->ops->write_through != NULL) {
		ret = t->place->ops->write_through(t->place,
						   t->slots.node + 1,
						   block);
	} else {
		ret = t->place->ops->write(t->place, t->slots.node + 1, block);
	}
	return third_say(t, "note", ret);
}

/*
 * Write, then look, as with the slots: of two nodes that note at the same time
 * at least one sees the other.
 */
static void third_note(struct third *t,
		       const struct quorum_message *request,
		       struct quorum_message *answer)
{
	uint64_t have = request->who.instance, number = request->number;

	*answer = *request;
	answer->type |= QUORUM_ANSWER;
	answer->verdict = QUORUM_REFUSED;
	answer->who = (struct quorum_who){.node = QUORUM_NO_NODE};
	answer->number = 0;
	if (third_read(t) != 0) {
		return;
	}
	if (number == 0) {
		third_tell_notes(t, request, answer);
		return;
	}
	if (number < have || number - have > THIRD_NOTE_AHEAD ||
	    !third_may_note(t, request, answer))
	{
		return;
	}
	if (third_write_note(t, number) != 0 || third_read(t) != 0 ||
	    t->slots.notes[t->slots.node] < number ||
	    t->slots.notes[t->slots.node] == QUORUM_NOTE_BROKEN)
	{
		answer->verdict = QUORUM_REFUSED;
		return;
	}
	(void)third_may_note(t, request, answer);
}

static void third_answer(struct third *t, const struct quorum_message *request)
{
	struct quorum_message answer = {};
	uint8_t buf[QUORUM_MESSAGE_SIZE];
	ssize_t n;

	if (request->type == QUORUM_VOTE) {
		third_vote(t, request, &answer);
	} else if (request->type == QUORUM_NOTE) {
		third_note(t, request, &answer);
	} else {
		third_tell(t, request, &answer);
		if (request->type == QUORUM_RELEASE && t->slots.mine.taken &&
		    t->slots.mine.instance == request->instance)
		{
			(void)third_leave(t);
		}
	}
	quorum_message_push(&answer, buf);
	n = send(STDIN_FILENO, buf, sizeof(buf), MSG_NOSIGNAL);
	if (n != sizeof(buf)) {
		exit(0); /* the voter is gone */
	}
}

static void third_loop(struct third *t)
{
	uint32_t every = quorum_renew_ms(t->slots.lease_ms);
	struct quorum_message request;
	uint8_t buf[QUORUM_MESSAGE_SIZE];
	ssize_t n;

	for (;;) {
		struct pollfd pfd = {.fd = STDIN_FILENO, .events = POLLIN};

		if (poll(&pfd, 1, (int)every) > 0) {
			n = recv(STDIN_FILENO, buf, sizeof(buf), 0);
			if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
				continue;
			}
			if (n != sizeof(buf) ||
			    quorum_message_pull(buf, &request) != 0) {
				return;
			}
			third_answer(t, &request);
		}
		if (third_now() - t->read_at >= every) {
			(void)third_read(t);
		}
	}
}

static bool third_alone(const char *run_dir)
{
	char *path = talloc_asprintf(NULL, "%s/quorum-third.lock", run_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool alone = fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (!alone) {
		fprintf(stderr,
			"csv_quorum third vote: %s: %s\n",
			path,
			strerror(errno));
	}
	talloc_free(path);
	return alone;
}

int third_serve(struct third_place *place,
		uint32_t node,
		unsigned slots,
		uint32_t lease_ms)
{
	struct third *t = talloc_zero(place, struct third);
	uint64_t run = 0;
	int ret;

	if (!place->has_uuid) {
		fprintf(stderr,
			"csv_quorum third vote: %s: no uuid= in its name; "
			"csv_quorum_helper --init prints it\n",
			place->where);
		return 1;
	}
	if (!third_alone(place->run_dir)) {
		return 1;
	}
	if (t == NULL ||
	    posix_memalign((void **)&t->buf,
			   QUORUM_SLOT_BLOCK,
			   QUORUM_AREA_BLOCKS * QUORUM_SLOT_BLOCK) != 0 ||
	    gnutls_rnd(GNUTLS_RND_NONCE, &run, sizeof(run)) != 0)
	{
		return 1;
	}
	t->place = place;
	place->timeout_ms = lease_ms;
	quorum_slots_init(&t->slots, node, run, slots, lease_ms);
	/* an earlier process' last write may be on its way: quiet at first */
	quorum_lease_init(&t->lease, third_now(), lease_ms);
	ret = place->ops->open(place, false);
	if (ret != 0) {
		(void)third_say(t, "open", ret);
		return 1;
	}
	third_loop(t);
	return 0;
}
