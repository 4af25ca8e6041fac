/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The way from a volume to an owner elsewhere: made by the event loop, which
 * is never kept from its other work by an owner that does not answer, or by
 * the synchronous operation that waits for it.
 */
#include "replace.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/util/time.h"
#include "lib/volume/volume.h"
#include "lib/wire/transport.h"
#include "wirebed.h"

#define LATE_MS 300 /* a loop later than this, load or not, was blocked */

struct fixture {
	char dir[64];
	struct wirebed bed;
	struct tevent_context *ev;
	struct csv_volume *vol;
	unsigned drained;
	uint64_t latest_ms; /* the longest time between two ticks */
	uint64_t last_tick;
	bool over;
};

static void fixture_drained(struct csv_volume *vol, void *private_data)
{
	struct fixture *f = private_data;

	(void)vol;
	f->drained += 1;
}

static int setup(void **state)
{
	struct fixture *f = talloc_zero(NULL, struct fixture);
	struct csv_volume_params params = {
		.name = "vol",
		.uuid = { 1, 2, 3 },
		.wait_limit_s = 20,
		.drained_fn = fixture_drained,
		.private_data = f,
		.wake_fd = -1,
	};

	strlcpy(f->dir, "/tmp/csv-test-connect-XXXXXX", sizeof(f->dir));
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(wirebed_fork(&f->bed, f->dir, false), 0);
	f->ev = tevent_context_init(f);
	params.ev = f->ev;
	assert_int_equal(csv_volume_create(f, &params, &f->vol), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char *cmd = talloc_asprintf(f, "rm -rf %s", f->dir);

	TALLOC_FREE(f->vol);
	wirebed_end_fork(&f->bed);
	assert_int_equal(system(cmd), 0);
	talloc_free(f);
	return 0;
}

/* The owner is said to be at this port, and ready. */
static void owner_is_at(struct fixture *f, uint16_t port)
{
	char identity[CSV_PSK_IDENTITY_MAX];
	struct csv_target t = {
		.access = CSV_ACCESS_REDIRECTED,
		.epoch = 1,
		.owner = BED_SERVER,
		.rootfd = -1,
		.address = "127.0.0.1",
		.port = port,
		.local_node = BED_CLIENT,
		.psk_identity = identity,
	};
	uint64_t began = csv_now_ms();

	wirebed_key(&f->bed, t.psk, identity);
	assert_int_equal(csv_volume_event(f->vol, CSV_EVENT_TARGET, &t), 0);
	assert_int_equal(csv_volume_event(f->vol, CSV_EVENT_READY, NULL), 0);
	assert_in_range(csv_now_ms() - began, 0, LATE_MS);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_SET_DOWN_LEVEL);
}

static void stop_owner(struct fixture *f)
{
	int status = 0;

	assert_int_equal(kill(f->bed.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(f->bed.pid, &status, WUNTRACED), f->bed.pid);
	assert_true(WIFSTOPPED(status));
}

static void tick(struct tevent_context *ev,
		 struct tevent_timer *te,
		 struct timeval now,
		 void *private_data)
{
	struct fixture *f = private_data;
	uint64_t t = csv_now_ms();

	(void)te;
	(void)now;
	f->latest_ms = MAX(f->latest_ms, t - f->last_tick);
	f->last_tick = t;
	tevent_add_timer(ev, f->ev, timeval_current_ofs_msec(10), tick, f);
}

static void time_is_over(struct tevent_context *ev,
			 struct tevent_timer *te,
			 struct timeval now,
			 void *private_data)
{
	struct fixture *f = private_data;

	(void)ev;
	(void)te;
	(void)now;
	f->over = true;
}

/* Runs the loop, with a tick each 10 ms, until Active or time is over. */
static void run_loop(struct fixture *f, unsigned ms)
{
	TALLOC_CTX *mem = talloc_new(f);

	f->over = false;
	f->latest_ms = 0;
	f->last_tick = csv_now_ms();
	tick(f->ev, NULL, timeval_zero(), f);
	tevent_add_timer(f->ev,
			 mem,
			 timeval_current_ofs_msec(ms),
			 time_is_over,
			 f);
	while (!f->over && csv_volume_state(f->vol) != CSV_STATE_ACTIVE) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
	}
	talloc_free(mem);
}

static void assert_works(struct fixture *f)
{
	struct csv_statfs sfs = {};

	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_ACTIVE);
	assert_int_equal(csv_statfs(f->vol, NULL, &sfs), 0);
}

static void the_loop_connects(void **state)
{
	struct fixture *f = *state;

	owner_is_at(f, f->bed.port);
	run_loop(f, 10000);
	assert_works(f);
	assert_int_equal(csv_volume_access(f->vol), CSV_ACCESS_REDIRECTED);
}

/* It takes the connection and says nothing. */
static void a_stopped_owner_blocks_nobody(void **state)
{
	struct fixture *f = *state;

	stop_owner(f);
	owner_is_at(f, f->bed.port);
	run_loop(f, 4000);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_SET_DOWN_LEVEL);
	assert_in_range(f->latest_ms, 0, LATE_MS);
	assert_int_equal(kill(f->bed.pid, SIGCONT), 0);
	run_loop(f, 10000);
	assert_works(f);
}

/* Nobody listens: tried again each second. */
static void an_absent_owner_is_tried_again(void **state)
{
	struct fixture *f = *state;
	int fd = -1;
	uint16_t port;

	assert_int_equal(csv_tcp_listen("127.0.0.1", 0, &fd), 0);
	port = csv_tcp_port(fd);
	close(fd);
	owner_is_at(f, port);
	run_loop(f, 2500);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_SET_DOWN_LEVEL);
	assert_in_range(f->latest_ms, 0, LATE_MS);
	/* csvd says that it is elsewhere */
	owner_is_at(f, f->bed.port);
	run_loop(f, 10000);
	assert_works(f);
}

/* The loop does not run at all. */
static void an_operation_connects_by_itself(void **state)
{
	struct fixture *f = *state;
	struct csv_statfs sfs = {};

	owner_is_at(f, f->bed.port);
	assert_int_equal(csv_statfs(f->vol, NULL, &sfs), 0);
	assert_works(f);
}

static bool more(void)
{
	return true;
}

/* Nobody comes to send what the loop holds back for its next requests. */
static void an_operation_sends_what_is_held_back(void **state)
{
	struct fixture *f = *state;
	struct csv_statfs sfs = {};

	csv_conn_set_more_fn(more);
	owner_is_at(f, f->bed.port);
	assert_int_equal(csv_volume_wait(f->vol, 5000), 0);
	csv_conn_set_more_fn(NULL);
	assert_int_equal(csv_statfs(f->vol, NULL, &sfs), 0);
	assert_works(f);
}

/* An operation that began to wait goes on with the loop's attempt. */
static void an_operation_takes_the_attempt_over(void **state)
{
	struct fixture *f = *state;
	struct csv_statfs sfs = {};

	stop_owner(f);
	owner_is_at(f, f->bed.port);
	run_loop(f, 500);
	assert_int_equal(csv_volume_wait(f->vol, 300), ETIMEDOUT);
	assert_int_equal(kill(f->bed.pid, SIGCONT), 0);
	assert_int_equal(csv_statfs(f->vol, NULL, &sfs), 0);
	assert_works(f);
}

/* Nothing of an attempt is left when the owner leaves meanwhile. */
static void an_attempt_is_given_up(void **state)
{
	struct fixture *f = *state;

	stop_owner(f);
	owner_is_at(f, f->bed.port);
	run_loop(f, 200);
	assert_int_equal(csv_volume_event(f->vol, CSV_EVENT_DRAIN, NULL), 0);
	assert_int_equal(f->drained, 1);
	assert_int_equal(kill(f->bed.pid, SIGCONT), 0);
	run_loop(f, 500);
	assert_int_equal(csv_volume_access(f->vol), CSV_ACCESS_NONE);
	owner_is_at(f, f->bed.port);
	run_loop(f, 10000);
	assert_works(f);
}

/* Freed in the middle: ASan and the destructors' asserts judge. */
static void freed_while_connecting(void **state)
{
	struct fixture *f = *state;

	stop_owner(f);
	owner_is_at(f, f->bed.port);
	run_loop(f, 200);
	TALLOC_FREE(f->vol);
}

/* A refused key is no connection, and no crash. */
static void a_wrong_key_is_never_active(void **state)
{
	struct fixture *f = *state;

	f->bed.secret[0] ^= 1;
	owner_is_at(f, f->bed.port);
	run_loop(f, 2500);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_SET_DOWN_LEVEL);
	assert_in_range(f->latest_ms, 0, LATE_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_loop_connects,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stopped_owner_blocks_nobody,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_absent_owner_is_tried_again,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_operation_connects_by_itself,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			an_operation_sends_what_is_held_back,
			setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			an_operation_takes_the_attempt_over,
			setup,
			teardown),
		cmocka_unit_test_setup_teardown(an_attempt_is_given_up,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(freed_while_connecting,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_wrong_key_is_never_active,
						setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
