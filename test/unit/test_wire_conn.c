/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What happens on a connection: a silent peer, a slow disk, loss, cancel,
 * credits, drains, replays.
 */
#include "replace.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "csvd/serve_private.h"
#include "wirefixture.h"

/* The gate: requests of one kind wait in a worker until it opens. */
static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_shut;
static enum csv_op gate_op;
static enum serve_fault gate_point;
static unsigned gate_waiting;

static void gate(enum serve_fault point, enum csv_op op)
{
	pthread_mutex_lock(&gate_mutex);
	if (gate_shut && op == gate_op && point == gate_point) {
		gate_waiting++;
		pthread_cond_broadcast(&gate_cond);
		while (gate_shut) {
			pthread_cond_wait(&gate_cond, &gate_mutex);
		}
		gate_waiting--;
	}
	pthread_mutex_unlock(&gate_mutex);
}

static void shut_gate(enum serve_fault point, enum csv_op op)
{
	pthread_mutex_lock(&gate_mutex);
	gate_shut = true;
	gate_op = op;
	gate_point = point;
	pthread_mutex_unlock(&gate_mutex);
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate_mutex);
	gate_shut = false;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&gate_mutex);
}

static void wait_at_gate(unsigned num)
{
	pthread_mutex_lock(&gate_mutex);
	while (gate_waiting < num) {
		pthread_cond_wait(&gate_cond, &gate_mutex);
	}
	pthread_mutex_unlock(&gate_mutex);
}

static int setup(void **state)
{
	serve_fault_fn = gate;
	return wirefixture_setup(state);
}

static int teardown(void **state)
{
	open_gate();
	return wirefixture_teardown(state);
}

static uint64_t now_ms(void)
{
	return csv_now_ms();
}

static void stop_server(struct wirefixture *f)
{
	int status = 0;

	kill(f->bed.pid, SIGSTOP);
	assert_int_equal(waitpid(f->bed.pid, &status, WUNTRACED), f->bed.pid);
	assert_true(WIFSTOPPED(status));
}

/* csvd is stopped: about 2 s, synchronously and in the event loop. */
static void silent_peer_is_lost(void **state)
{
	struct wirefixture *f = *state;
	struct tevent_req *req = NULL;
	uint64_t start;
	char buf[10];
	size_t n;

	stop_server(f);
	start = now_ms();
	assert_int_equal(f->b->ops->pread(f->f, buf, sizeof(buf), 0, &n),
			 CSV_E_LOST);
	assert_in_range(now_ms() - start, 1500, 4000);
	kill(f->bed.pid, SIGCONT);
	TALLOC_FREE(f->f);
	TALLOC_FREE(f->b);

	assert_int_equal(wirebed_remote(&f->bed, f, f->ev, 1, &f->b), 0);
	assert_int_equal(wirefixture_open(f), 0);
	stop_server(f);
	start = now_ms();
	req = f->b->ops->pread_send(f, f->ev, f->f, buf, sizeof(buf), 0);
	assert_true(tevent_req_poll(req, f->ev));
	assert_int_equal(f->b->ops->recv(req, &n), CSV_E_LOST);
	assert_in_range(now_ms() - start, 1500, 4000);
	talloc_free(req);
}

static void lost(void *private_data)
{
	*(bool *)private_data = true;
}

/* csvd dies: noticed at once, also without a request in flight. */
static void dead_peer_is_lost(void **state)
{
	struct wirefixture *f = *state;
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	struct csv_conn *conn = NULL;
	bool told = false;
	struct csv_conn_params p = {
		.ev = f->ev, .address = "127.0.0.1", .port = f->bed.port,
		.local_node = BED_CLIENT, .remote_node = BED_SERVER,
		.psk = psk, .psk_identity = identity, .wake_fd = -1,
		.lost_fn = lost, .private_data = &told,
	};
	char buf[10];
	size_t n;

	wirebed_key(&f->bed, psk, identity);
	assert_int_equal(csv_conn_connect(f, &p, 2000, &conn), 0);
	kill(f->bed.pid, SIGKILL);
	while (!told) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
	}
	assert_true(csv_conn_is_lost(conn));
	assert_int_equal(f->b->ops->pread(f->f, buf, sizeof(buf), 0, &n),
			 CSV_E_LOST);
	talloc_free(conn);
}

static void open_later(struct tevent_context *ev,
		       struct tevent_timer *te,
		       struct timeval t,
		       void *private_data)
{
	open_gate();
}

struct many {
	unsigned done;
};

static void many_done(struct tevent_req *req)
{
	struct many *m = tevent_req_callback_data(req, struct many);

	m->done++;
}

/*
 * 5 s in storage, more than twice what a silent peer is given, and every
 * credit in use: no loss.
 */
static void slow_disk_is_not_silence(void **state)
{
	struct wirefixture *f = *state;
	struct many *m = talloc_zero(f, struct many);
	unsigned num = 2 * SERVE_CREDITS;
	struct tevent_req **reqs = talloc_array(f, struct tevent_req *, num);
	uint64_t start = now_ms();
	unsigned i;
	size_t n;

	shut_gate(SERVE_FAULT_BEFORE_OP, CSV_OP_FSYNC);
	for (i = 0; i < num; i++) {
		reqs[i] = f->b->ops->fsync_send(reqs, f->ev, f->f, 0);
		tevent_req_set_callback(reqs[i], many_done, m);
	}
	assert_non_null(tevent_add_timer(f->ev, reqs,
					 tevent_timeval_current_ofs(5, 0),
					 open_later, NULL));
	while (m->done < num) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
	}
	for (i = 0; i < num; i++) {
		assert_int_equal(f->b->ops->recv(reqs[i], &n), 0);
	}
	assert_true(now_ms() - start >= 5000);
	talloc_free(reqs);
}

/*
 * A freed request's buffer is nobody's any more: the answer that comes late
 * must not write there (ASan looks), the connection lives on.
 */
static void cancelled_reads_touch_nothing(void **state)
{
	struct wirefixture *f = *state;
	struct tevent_req *req = NULL;
	size_t size = 1 << 20;
	char *data = talloc_array(f, char, size);
	char *buf = NULL;
	unsigned i;
	size_t n;

	memset(data, 'x', size);
	assert_int_equal(f->b->ops->pwrite(f->f, data, size, 0, 0, &n), 0);
	for (i = 0; i < 20; i++) {
		buf = talloc_array(f, char, size);
		req = f->b->ops->pread_send(f, f->ev, f->f, buf, size, 0);
		if (i % 2 == 1) {
			tevent_loop_once(f->ev); /* half of it is there */
		}
		talloc_free(req);
		talloc_free(buf);
	}
	for (i = 0; i < 20; i++) {
		buf = talloc_array(f, char, size);
		memset(buf, 'y', size);
		req = f->b->ops->pwrite_send(f, f->ev, f->f, buf, size, 0, 0);
		talloc_free(req);
		memset(buf, 'z', size);
		talloc_free(buf);
	}
	assert_int_equal(f->b->ops->pread(f->f, data, size, 0, &n), 0);
	assert_int_equal(n, size);
	for (n = 0; n < size; n++) {
		assert_true(data[n] == 'x' || data[n] == 'y');
	}
}

/*
 * Far more requests than credits, storage stands still: the server never has
 * more than its credits, the rest waits here; then all are done.
 */
static void credits_hold(void **state)
{
	struct wirefixture *f = *state;
	struct csv_serve_counters c;
	struct many *m = talloc_zero(f, struct many);
	unsigned num = 5 * SERVE_CREDITS;
	struct tevent_req **reqs = talloc_array(f, struct tevent_req *, num);
	unsigned i;
	size_t n;

	shut_gate(SERVE_FAULT_BEFORE_OP, CSV_OP_FSYNC);
	for (i = 0; i < num; i++) {
		reqs[i] = f->b->ops->fsync_send(reqs, f->ev, f->f, 0);
		tevent_req_set_callback(reqs[i], many_done, m);
	}
	wait_at_gate(SERVE_WORKERS);
	csv_serve_counters(f->bed.serve, "vol", &c);
	assert_in_range(c.requests, SERVE_WORKERS, SERVE_CREDITS + 1);
	assert_int_equal(m->done, 0);
	open_gate();
	while (m->done < num) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
	}
	for (i = 0; i < num; i++) {
		assert_int_equal(f->b->ops->recv(reqs[i], &n), 0);
	}
	talloc_free(reqs);
}

/* A synchronous call receives other answers, but runs no callback. */
static void sync_defers_callbacks(void **state)
{
	struct wirefixture *f = *state;
	struct many *m = talloc_zero(f, struct many);
	struct tevent_req *req = NULL;
	struct csv_stat st;
	unsigned i;

	req = f->b->ops->fsync_send(f, f->ev, f->f, 0);
	tevent_req_set_callback(req, many_done, m);
	for (i = 0; i < 50; i++) {
		assert_int_equal(f->b->ops->fstat(f->f, &st), 0);
		assert_int_equal(m->done, 0);
	}
	while (m->done == 0) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
	}
	talloc_free(req);
}

/* smbd waits for single requests in a loop of their own. */
static void other_event_context(void **state)
{
	struct wirefixture *f = *state;
	struct tevent_context *ev = tevent_context_init(f);
	struct tevent_req *mine = NULL;
	struct tevent_req *req = NULL;
	struct many *m = talloc_zero(f, struct many);
	size_t n;

	mine = f->b->ops->fsync_send(f, f->ev, f->f, 0);
	tevent_req_set_callback(mine, many_done, m);
	req = f->b->ops->fsync_send(f, ev, f->f, 0);
	assert_true(tevent_req_poll(req, ev));
	assert_int_equal(f->b->ops->recv(req, &n), 0);
	assert_int_equal(m->done, 0);
	talloc_free(req);
	talloc_free(ev);
	while (m->done == 0) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
	}
	talloc_free(mine);
}

struct stopper {
	struct wirefixture *f;
	unsigned timeout_ms;
	int ret;
};

static void *stop_thread(void *p)
{
	struct stopper *s = p;

	s->ret = csv_serve_stop(s->f->bed.serve, "vol", s->timeout_ms);
	return NULL;
}

static unsigned fds_in(const char *dir)
{
	char path[300];
	char target[300];
	unsigned found = 0;
	ssize_t n;
	int i;

	for (i = 3; i < 1024; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			found += strncmp(target, dir, strlen(dir)) == 0;
		}
	}
	return found;
}

/* Ends what runs, answers the rest as stale, keeps no descriptor. */
static void stop_drains(void **state)
{
	struct wirefixture *f = *state;
	struct stopper s = { f, 200, -1 };
	struct tevent_req *req = NULL;
	struct csv_stat st;
	pthread_t thread;
	size_t n;

	shut_gate(SERVE_FAULT_BEFORE_OP, CSV_OP_FSYNC);
	req = f->b->ops->fsync_send(f, f->ev, f->f, 0);
	wait_at_gate(1);
	assert_int_equal(csv_serve_stop(f->bed.serve, "vol", 200), ETIMEDOUT);
	assert_int_equal(f->b->ops->fstat(f->f, &st), CSV_E_STALE);
	s.timeout_ms = 10000;
	assert_int_equal(pthread_create(&thread, NULL, stop_thread, &s), 0);
	open_gate();
	pthread_join(thread, NULL);
	assert_int_equal(s.ret, 0);
	assert_true(tevent_req_poll(req, f->ev));
	assert_int_equal(f->b->ops->recv(req, &n), 0);
	talloc_free(req);
	assert_int_equal(fds_in(f->dir), 1); /* our own rootfd */
	assert_int_equal(f->b->ops->fstat(f->f, &st), CSV_E_STALE);
	assert_int_equal(csv_serve_stop(f->bed.serve, "vol", 200), ENOENT);
	/* the next epoch, here again */
	assert_int_equal(csv_serve_start(f->bed.serve, "vol", f->rootfd, 2),
			 0);
	assert_int_equal(f->b->ops->fstat(f->f, &st), CSV_E_STALE);
	TALLOC_FREE(f->f);
	TALLOC_FREE(f->b);
	assert_int_equal(wirebed_remote(&f->bed, f, f->ev, 1, &f->b),
			 CSV_E_STALE);
	assert_int_equal(wirebed_remote(&f->bed, f, f->ev, 2, &f->b), 0);
	assert_int_equal(wirefixture_open(f), 0);
}

static atomic_uint quiet_wakes;

/* Called when the descriptor is readable, and when nothing has come. */
static bool end_wait(void *private_data)
{
	struct pollfd pfd = { .fd = *(int *)private_data, .events = POLLIN };

	if (poll(&pfd, 1, 0) == 1) {
		return true;
	}
	atomic_fetch_add(&quiet_wakes, 1);
	return false;
}

/* A backend whose synchronous waits end when a descriptor is readable. */
static int
remote_with_wake(struct wirefixture *f, int *fd, struct csv_backend **b)
{
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	struct csv_remote_params p = {
		.ev = f->ev, .volume = "vol", .address = "127.0.0.1",
		.port = f->bed.port, .epoch = 1, .local_node = BED_CLIENT,
		.remote_node = BED_SERVER, .psk = psk,
		.psk_identity = identity, .wake_fd = *fd, .wake_fn = end_wait,
		.private_data = fd,
	};

	wirebed_key(&f->bed, psk, identity);
	return csv_remote_create(f, &p, 2000, b);
}

/* Wake it up, but not before it has looked by itself (at most 5 s). */
static void *wake_thread(void *p)
{
	unsigned i;

	wait_at_gate(1);
	for (i = 0; i < 500 && atomic_load(&quiet_wakes) == 0; i++) {
		usleep(10000);
	}
	if (write(*(int *)p, "x", 1) != 1) {
		abort();
	}
	return NULL;
}

struct replay_case {
	enum csv_op op;
	int (*run)(struct csv_backend *b, bool replay);
};

static int do_mkdir(struct csv_backend *b, bool replay)
{
	return b->ops->mkdir(b->ops->root(b), &wirefixture_root, "d", 0755,
			     replay ? CSV_F_REPLAY : 0);
}

static int do_unlink(struct csv_backend *b, bool replay)
{
	return b->ops->unlink(b->ops->root(b), &wirefixture_root, "gone",
			      replay ? CSV_F_REPLAY : 0);
}

static int do_rename(struct csv_backend *b, bool replay)
{
	struct csv_file *root = b->ops->root(b);

	return b->ops->rename(root, "from", root, "to", &wirefixture_root,
			      replay ? CSV_F_REPLAY : 0);
}

static int do_create(struct csv_backend *b, bool replay)
{
	struct csv_file *file = NULL;
	int ret;

	ret = b->ops->open(b, NULL, &wirefixture_root, b->ops->root(b), "excl",
			   CSV_O_WRITE | CSV_O_CREAT | CSV_O_EXCL |
				   (replay ? CSV_O_REPLAY : 0),
			   0600, &file, NULL, NULL);
	talloc_free(file);
	return ret;
}

static const struct replay_case replay_cases[] = {
	{ CSV_OP_MKDIR, do_mkdir },
	{ CSV_OP_UNLINK, do_unlink },
	{ CSV_OP_RENAME, do_rename },
	{ CSV_OP_OPEN, do_create },
};

static void touch(struct wirefixture *f, const char *name)
{
	int fd = openat(f->rootfd, name, O_CREAT | O_WRONLY, 0644);

	assert_int_not_equal(fd, -1);
	close(fd);
}

/* Done, but the answer is lost; sent again with the same token. */
static void replay_one(struct wirefixture *f, const struct replay_case *c)
{
	struct csv_backend *first = NULL;
	pthread_t thread;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(remote_with_wake(f, &pipes[0], &first), 0);
	shut_gate(SERVE_FAULT_AFTER_OP, c->op);
	atomic_store(&quiet_wakes, 0);
	assert_int_equal(pthread_create(&thread, NULL, wake_thread, &pipes[1]),
			 0);
	first->token = 77;
	assert_int_equal(c->run(first, false), CSV_E_LOST);
	pthread_join(thread, NULL);
	assert_int_not_equal(atomic_load(&quiet_wakes), 0);
	talloc_free(first);
	open_gate();
	f->b->token = 77;
	assert_int_equal(c->run(f->b, true), 0);
	close(pipes[0]);
	close(pipes[1]);
}

static void answers_are_remembered(void **state)
{
	struct wirefixture *f = *state;
	unsigned i;

	touch(f, "gone");
	touch(f, "from");
	for (i = 0; i < ARRAY_SIZE(replay_cases); i++) {
		replay_one(f, &replay_cases[i]);
	}
	/* another client's own attempt, not a replay: fails as it must */
	assert_int_equal(do_mkdir(f->b, false), EEXIST);
	assert_int_equal(do_create(f->b, false), EEXIST);
	assert_int_equal(do_unlink(f->b, false), ENOENT);
}

static void next_owner(struct wirefixture *f, uint64_t epoch)
{
	TALLOC_FREE(f->b);
	assert_int_equal(csv_serve_stop(f->bed.serve, "vol", 5000), 0);
	assert_int_equal(csv_serve_start(f->bed.serve, "vol", f->rootfd,
					 epoch),
			 0);
	assert_int_equal(wirebed_remote(&f->bed, f, f->ev, epoch, &f->b), 0);
}

/* The owner is new: what the former one recorded decides, nothing else. */
static void records_decide(void **state)
{
	struct wirefixture *f = *state;
	unsigned i;

	touch(f, "gone");
	touch(f, "from");
	TALLOC_FREE(f->f);
	for (i = 0; i < ARRAY_SIZE(replay_cases); i++) {
		f->b->token = 1000 + i;
		assert_int_equal(replay_cases[i].run(f->b, false), 0);
		next_owner(f, 2 + i);
		f->b->token = 1000 + i;
		assert_int_equal(replay_cases[i].run(f->b, true), 0);
	}
	/* it never got here before, however new the directory is */
	f->b->token = 2000;
	assert_int_equal(do_mkdir(f->b, true), EEXIST);
}

/* What an owner has served is known when it is the owner no more. */
static void counters_outlive_an_ownership(void **state)
{
	struct wirefixture *f = *state;
	struct csv_serve_counters c;
	char data[300] = {};
	unsigned epoch;
	size_t n;

	for (epoch = 2; epoch < 4; epoch++) {
		assert_int_equal(
			f->b->ops->pwrite(f->f, data, sizeof(data), 0, 0, &n),
			0);
		TALLOC_FREE(f->f);
		TALLOC_FREE(f->b);
		assert_int_equal(csv_serve_stop(f->bed.serve, "vol", 5000),
				 0);
		assert_int_equal(
			csv_serve_counters(f->bed.serve, "vol", &c), 0);
		assert_int_equal(c.write_bytes, (epoch - 1) * sizeof(data));
		assert_int_equal(c.handles, 0);
		assert_int_equal(csv_serve_start(f->bed.serve,
						 "vol",
						 f->rootfd,
						 epoch),
				 0);
		assert_int_equal(
			wirebed_remote(&f->bed, f, f->ev, epoch, &f->b), 0);
		assert_int_equal(wirefixture_open(f), 0);
	}
	assert_int_equal(csv_serve_counters(f->bed.serve, "other", &c),
			 ENOENT);
}

/* When something waits for it, grace ends. */
static void *end_grace(void *private_data)
{
	struct csv_serve *serve = private_data;
	struct csv_serve_counters c = {};
	struct timespec pause = { .tv_nsec = 1000000 };

	while (c.waited == 0) {
		nanosleep(&pause, NULL);
		assert_int_equal(csv_serve_counters(serve, "vol", &c), 0);
	}
	assert_int_equal(csv_serve_open(serve, "vol"), 0);
	return NULL;
}

/* While the owner waits for replays, nothing else is done. */
static void grace_lets_replays_pass(void **state)
{
	struct wirefixture *f = *state;
	struct csv_serve_counters c = {};
	pthread_t thread;

	TALLOC_FREE(f->f);
	TALLOC_FREE(f->b);
	assert_int_equal(csv_serve_stop(f->bed.serve, "vol", 5000), 0);
	assert_int_equal(csv_serve_start_grace(f->bed.serve, "vol", f->rootfd,
					       2, 600000),
			 0);
	assert_int_equal(wirebed_remote(&f->bed, f, f->ev, 2, &f->b), 0);
	f->b->token = 5;
	assert_int_equal(do_mkdir(f->b, true), 0);
	assert_int_equal(pthread_create(&thread, NULL, end_grace,
					f->bed.serve),
			 0);
	f->b->token = 6;
	assert_int_equal(do_unlink(f->b, false), ENOENT);
	pthread_join(thread, NULL);
	assert_int_equal(csv_serve_counters(f->bed.serve, "vol", &c), 0);
	assert_int_equal(c.waited, 1);
	assert_int_equal(do_unlink(f->b, false), ENOENT);
	assert_int_equal(csv_serve_counters(f->bed.serve, "vol", &c), 0);
	assert_int_equal(c.waited, 1);
}

/* Who never reports is not waited for, nor is the end of serving. */
static void grace_ends(void **state)
{
	struct wirefixture *f = *state;
	uint64_t began;

	TALLOC_FREE(f->f);
	TALLOC_FREE(f->b);
	assert_int_equal(csv_serve_stop(f->bed.serve, "vol", 5000), 0);
	assert_int_equal(csv_serve_start_grace(f->bed.serve, "vol", f->rootfd,
					       2, 300),
			 0);
	began = now_ms();
	assert_int_equal(wirebed_remote(&f->bed, f, f->ev, 2, &f->b), 0);
	assert_int_equal(do_unlink(f->b, false), ENOENT);
	assert_in_range(now_ms() - began, 200, 5000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_FORK(name) \
	cmocka_unit_test_setup_teardown(name, wirefixture_setup_fork, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_FORK(silent_peer_is_lost),
		TEST_FORK(dead_peer_is_lost),
		TEST(slow_disk_is_not_silence),
		TEST(cancelled_reads_touch_nothing),
		TEST(credits_hold),
		TEST(counters_outlive_an_ownership),
		TEST(sync_defers_callbacks),
		TEST(other_event_context),
		TEST(stop_drains),
		TEST(answers_are_remembered),
		TEST(records_decide),
		TEST(grace_lets_replays_pass),
		TEST(grace_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
