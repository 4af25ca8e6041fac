/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd asks the third vote before it changes the database with half of the
 * nodes in view, and does not change it without a yes. The voter is played
 * here, on a socket as csvd expects it.
 */
#include "includes.h"
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "lib/util/dlinklist.h"
#include "ctdb/include/ctdb_protocol.h"
#include "csvd/note.h"
#include "csvd/record.h"
#include "lib/quorum/message.h"
#include "lib/quorum/slots.h"

#define LOCK "!/x/csv_quorum_helper --third disk:/dev/x,uuid=0 --run-dir ."

struct bed {
	struct csvd_context *csvd;
	struct csvd_member members[2];
	int voter; /* listens */
	int client;
};

static int voter_listen(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX,
				  .sun_path = "./quorum.sock"};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)unlink(sun.sun_path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    listen(fd, 4) != 0)
	{
		return -1;
	}
	return fd;
}

/* Node 1 of two; node 0 is dead. */
static int setup(void **state)
{
	struct bed *bed = talloc_zero(NULL, struct bed);
	struct csvd_context *csvd = talloc_zero(bed, struct csvd_context);
	uint32_t i;

	bed->csvd = csvd;
	csvd->ev = tevent_context_init(csvd);
	csvd->soon = tevent_create_immediate(csvd);
	csvd->node = 1;
	csvd->num_nodes = 2;
	for (i = 0; i < 2; i++) {
		bed->members[i].pnn = i;
		bed->members[i].recovered = i == 1;
		bed->members[i].flags = i == 0 ? NODE_FLAGS_DISCONNECTED : 0;
		DLIST_ADD_END(csvd->members, &bed->members[i]);
	}
	bed->voter = voter_listen();
	bed->client = -1;
	*state = bed;
	return bed->voter == -1 ? -1 : csvd_note_start(csvd, LOCK);
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	close(bed->voter);
	if (bed->client != -1) {
		close(bed->client);
	}
	(void)unlink("quorum.sock");
	talloc_free(bed);
	return 0;
}

/* The question, as the voter gets it. */
static struct quorum_message asked(struct bed *bed)
{
	uint8_t buf[QUORUM_MESSAGE_SIZE];
	struct quorum_message m = {};

	if (bed->client != -1) {
		close(bed->client);
	}
	bed->client = accept(bed->voter, NULL, NULL);
	assert_true(bed->client != -1);
	assert_int_equal(recv(bed->client, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(quorum_message_pull(buf, &m), 0);
	assert_int_equal(m.type, QUORUM_NOTE);
	assert_int_equal(m.target, QUORUM_TARGET_THIRD);
	assert_int_equal(m.node, 1);
	return m;
}

static void turn(struct bed *bed)
{
	do {
		assert_int_equal(tevent_loop_once(bed->csvd->ev), 0);
	} while (bed->csvd->soon_pending);
}

static void answer(struct bed *bed,
		   struct quorum_message m,
		   enum quorum_verdict verdict,
		   uint64_t others)
{
	uint8_t buf[QUORUM_MESSAGE_SIZE];

	m.type |= QUORUM_ANSWER;
	m.verdict = verdict;
	m.who = (struct quorum_who){.node = others != 0 ? 0 : QUORUM_NO_NODE,
				    .instance = others};
	quorum_message_push(&m, buf);
	assert_int_equal(send(bed->client, buf, sizeof(buf), 0), sizeof(buf));
	turn(bed);
}

static void commits_wait_for_the_note(void **state)
{
	struct bed *bed = *state;
	struct quorum_message m;

	assert_int_equal(csvd_note_ready(bed->csvd, 10, 2), EINPROGRESS);
	/* one question at a time */
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 2), EINPROGRESS);
	assert_string_equal(csvd_note_why(bed->csvd), "asking the third vote");
	m = asked(bed);
	assert_int_equal(m.instance, 2);
	assert_int_equal(m.who.instance, 10);
	assert_true(m.number >= 12);
	answer(bed, m, QUORUM_GRANTED, 10);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 2), 0);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 0), 0);
	assert_int_equal(csvd_note_ready(bed->csvd, m.number - 1, 1), 0);
	/* no further than what is noted */
	assert_int_equal(csvd_note_ready(bed->csvd, m.number - 1, 2),
			 EINPROGRESS);
	m = asked(bed);
	assert_true(m.number >= m.who.instance + 2);
	answer(bed, m, QUORUM_GRANTED, 0);
	assert_int_equal(csvd_note_ready(bed->csvd, m.who.instance, 2), 0);
}

static void whoever_is_newer_is_waited_for(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(csvd_note_ready(bed->csvd, 10, 2), EINPROGRESS);
	answer(bed, asked(bed), QUORUM_HELD, 12);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 2), ENOLCK);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 0), ENOLCK);
	assert_non_null(strstr(csvd_note_why(bed->csvd),
			       "waiting for node 0"));
	assert_non_null(strstr(csvd_note_why(bed->csvd), "change 12"));
}

static void to_look_notes_nothing(void **state)
{
	struct bed *bed = *state;
	struct quorum_message m;

	assert_int_equal(csvd_note_ready(bed->csvd, 10, 0), EINPROGRESS);
	m = asked(bed);
	assert_int_equal(m.number, 0);
	answer(bed, m, QUORUM_TOLD, 10);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 0), 0);
	/* ... and allows no change */
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), EINPROGRESS);
	answer(bed, asked(bed), QUORUM_REFUSED, 0);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), ENOLCK);
	assert_non_null(strstr(csvd_note_why(bed->csvd), "cannot be reached"));
}

static void told_of_newer_ones_is_no_yes(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(csvd_note_ready(bed->csvd, 10, 0), EINPROGRESS);
	answer(bed, asked(bed), QUORUM_TOLD, 11);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 0), ENOLCK);
}

static void without_an_answer_nothing_is_written(void **state)
{
	struct bed *bed = *state;
	struct quorum_message m;
	uint8_t junk[QUORUM_MESSAGE_SIZE] = "no message";

	/* it hangs up, as a voter does that knows no notes */
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), EINPROGRESS);
	m = asked(bed);
	close(bed->client);
	bed->client = -1;
	turn(bed);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), ENOLCK);
	assert_non_null(strstr(csvd_note_why(bed->csvd), "cannot be asked"));

	/* junk, half a message, and the answer to something else */
	poll(NULL, 0, 1010);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), EINPROGRESS);
	m = asked(bed);
	assert_int_equal(send(bed->client, junk, sizeof(junk), 0),
			 sizeof(junk));
	turn(bed);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), ENOLCK);
	poll(NULL, 0, 1010);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), EINPROGRESS);
	m = asked(bed);
	m.serial--;
	answer(bed, m, QUORUM_GRANTED, 0);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), ENOLCK);

	/* no voter at all */
	close(bed->voter);
	(void)unlink("quorum.sock");
	poll(NULL, 0, 1010);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), ENOLCK);
	bed->voter = voter_listen();
}

static void a_yes_ends_with_the_view(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), EINPROGRESS);
	answer(bed, asked(bed), QUORUM_GRANTED, 0);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), 0);
	/* both in view: no note is needed */
	bed->members[0].flags = 0;
	assert_int_equal(csvd_note_ready(bed->csvd, 99, 1), 0);
	/* only the other one (this node was banned, say) */
	bed->members[1].flags = NODE_FLAGS_BANNED;
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), EINPROGRESS);
	answer(bed, asked(bed), QUORUM_QUIET, 0);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), ENOLCK);
}

static void a_lock_without_a_third_vote(void **state)
{
	struct bed *bed = *state;

	TALLOC_FREE(bed->csvd->note);
	assert_int_equal(csvd_note_start(bed->csvd, "!/x/csv_quorum_helper"),
			 0);
	assert_int_equal(csvd_note_ready(bed->csvd, 10, 1), ENOLCK);
	assert_non_null(strstr(csvd_note_why(bed->csvd), "no third vote"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(commits_wait_for_the_note),
		T(whoever_is_newer_is_waited_for),
		T(to_look_notes_nothing),
		T(told_of_newer_ones_is_no_yes),
		T(without_an_answer_nothing_is_written),
		T(a_yes_ends_with_the_view),
		T(a_lock_without_a_third_vote),
	};
	TALLOC_CTX *frame = talloc_stackframe();
	int ret = cmocka_run_group_tests(tests, NULL, NULL);

	TALLOC_FREE(frame);
	return ret;
}
