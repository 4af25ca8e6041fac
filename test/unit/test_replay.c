/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "Did it happen?" Two clients of an owner that loses power at a named point
 * of the first one's operation: before it, in the middle, or when it is done
 * and not answered, and then also after a later change of the second client
 * that was acknowledged. The first client repeats at the next owner and must
 * get the right answer; the second one's change must stay.
 *
 * A real XFS on a loop device, csvd's server in this process. A thread plays
 * the rest of the cluster, since the first client waits inside its call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "replace.h"
#include "replay_scenarios.h"

#define WAIT_MS 10000

static const struct moment moments[] = {
	{ "before", SERVE_FAULT_BEFORE_OP, true, false, false },
	{ "begun, on the disk", SERVE_FAULT_BEGUN, true, false, false },
	{ "made, on the disk", SERVE_FAULT_MADE, true, false, false },
	{ "made, not on the disk", SERVE_FAULT_MADE, false, false, false },
	{ "after", SERVE_FAULT_AFTER_OP, false, false, false },
	{ "after, and a second client", SERVE_FAULT_AFTER_OP, false, true,
	  false },
	{ "made, on the disk, owner next", SERVE_FAULT_MADE, true, false,
	  true },
	{ "after, and a second client, owner next", SERVE_FAULT_AFTER_OP,
	  false, true, true },
};

/* The point, and who waits there. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	enum serve_fault point;
	enum csv_op op;
	bool armed;
	bool waiting;
	unsigned hits;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
	   0, 0, false, false, 0 };

static void at_point(enum serve_fault point, enum csv_op op)
{
	pthread_mutex_lock(&gate.mutex);
	if (gate.armed && point == gate.point && op == gate.op) {
		gate.armed = false;
		gate.waiting = true;
		gate.hits++;
		pthread_cond_broadcast(&gate.cond);
		while (gate.waiting) {
			pthread_cond_wait(&gate.cond, &gate.mutex);
		}
	}
	pthread_mutex_unlock(&gate.mutex);
}

static void gate_arm(enum serve_fault point, enum csv_op op)
{
	pthread_mutex_lock(&gate.mutex);
	gate.armed = true;
	gate.point = point;
	gate.op = op;
	pthread_mutex_unlock(&gate.mutex);
}

static void gate_wait(void)
{
	pthread_mutex_lock(&gate.mutex);
	while (!gate.waiting) {
		pthread_cond_wait(&gate.cond, &gate.mutex);
	}
	pthread_mutex_unlock(&gate.mutex);
}

static void gate_open(void)
{
	pthread_mutex_lock(&gate.mutex);
	gate.waiting = false;
	pthread_cond_broadcast(&gate.cond);
	pthread_mutex_unlock(&gate.mutex);
}

static void serve_grace(struct world *w, unsigned grace_ms)
{
	int fd = open(w->fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	w->epoch += 1;
	assert_int_equal(csv_serve_start_grace(w->bed.serve, "vol", fd,
					       w->epoch, grace_ms),
			 0);
	close(fd);
}

static void serve(struct world *w)
{
	serve_grace(w, 0);
}

static void target(struct world *w, bool here)
{
	char identity[CSV_PSK_IDENTITY_MAX] = "";
	struct csv_target t;

	wirebed_target(&w->bed, w->epoch, identity, &t);
	if (here) {
		t.access = CSV_ACCESS_DIRECT;
		t.rootfd = open(w->fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	assert_int_equal(csv_volume_event(w->a, CSV_EVENT_TARGET, &t), 0);
	assert_int_equal(csv_volume_event(w->a, CSV_EVENT_READY, NULL), 0);
	if (here) {
		close(t.rootfd);
	}
}

/* The first client hears from its csvd, inside its call. */
static void woken(void *private_data)
{
	struct world *w = private_data;
	struct pollfd pfd = { .fd = w->wake[0], .events = POLLIN };
	char what = 0;

	if (poll(&pfd, 1, 0) != 1 || read(w->wake[0], &what, 1) != 1) {
		return;
	}
	if (what == 'l') {
		assert_int_equal(csv_volume_event(w->a, CSV_EVENT_LOST, NULL),
				 0);
		gate_open();
	} else {
		target(w, w->moment->here);
	}
}

static void sync_log(struct world *w)
{
	int fd = open(w->fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(syncfs(fd), 0);
	close(fd);
}

static int second_client(struct world *w)
{
	struct tevent_context *ev = tevent_context_init(NULL);
	struct csv_backend *b = NULL;
	int ret;

	ret = wirebed_remote(&w->bed, ev, ev, w->epoch, &b);
	if (ret == 0) {
		ret = w->scenario->second(b);
	}
	talloc_free(b);
	talloc_free(ev);
	return ret;
}

/* The second client, the power cut, and the next owner. */
static void *cluster(void *private_data)
{
	struct world *w = private_data;

	gate_wait();
	if (w->moment->log) {
		sync_log(w);
	}
	if (w->moment->second) {
		w->second = second_client(w);
	}
	assert_int_equal(loopfs_shutdown(&w->fs), 0);
	assert_int_equal(write(w->wake[1], "l", 1), 1);
	assert_int_equal(csv_serve_stop(w->bed.serve, "vol", WAIT_MS), 0);
	assert_int_equal(loopfs_umount(&w->fs), 0);
	assert_int_equal(loopfs_mount(&w->fs, NULL), 0);
	serve(w);
	assert_int_equal(write(w->wake[1], "t", 1), 1);
	return NULL;
}

static void play(struct world *w,
		 const struct scenario *s,
		 const struct moment *m)
{
	unsigned hits = gate.hits;
	pthread_t thread;

	print_message("  %s: %s\n", s->name, m->name);
	if (csv_volume_access(w->a) == CSV_ACCESS_DIRECT) {
		TALLOC_FREE(w->h);
		target(w, false);
	}
	furnish(w);
	w->scenario = s;
	w->moment = m;
	w->second = 0;
	gate_arm(m->point, s->op);
	assert_int_equal(pthread_create(&thread, NULL, cluster, w), 0);
	assert_int_equal(s->first(w), s->answer);
	pthread_join(thread, NULL);
	assert_int_equal(gate.hits, hits + 1);
	assert_int_equal(w->second, 0);
	s->check(w, m->second);
}

/* For quick runs the moments that differ most. */
static bool wanted(const struct moment *m)
{
	return getenv("SOFS_SOAK") != NULL || m->second ||
	       (m->point == SERVE_FAULT_MADE && m->log) ||
	       m->point == SERVE_FAULT_BEFORE_OP;
}

static void the_right_answer(void **state)
{
	struct world *w = *state;
	size_t i, k;

	for (i = 0; i < num_scenarios; i++) {
		for (k = 0; k < ARRAY_SIZE(moments); k++) {
			if (wanted(&moments[k])) {
				play(w, &scenarios[i], &moments[k]);
			}
		}
	}
}

static void *write_theirs(void *private_data)
{
	struct world *w = private_data;

	w->second = second_client(w);
	return NULL;
}

static uint64_t waited(const struct world *w)
{
	struct csv_serve_counters c = {};

	assert_int_equal(csv_serve_counters(w->bed.serve, "vol", &c), 0);
	return c.waited;
}

/*
 * An unstable write is repeated before the new write of another client, who
 * is faster at the new owner: his is the later one.
 */
static void replays_come_first(void **state)
{
	static const struct scenario s = { .second = write_f };
	struct timespec pause = { .tv_nsec = 1000000 };
	struct world *w = *state;
	unsigned replayed;
	pthread_t thread;
	size_t n = 0;

	furnish(w);
	w->scenario = &s;
	assert_int_equal(csv_pwrite(w->h, "unstable", 8, 0, 0, &n), 0);
	assert_int_equal(loopfs_shutdown(&w->fs), 0);
	assert_int_equal(csv_volume_event(w->a, CSV_EVENT_LOST, NULL), 0);
	assert_int_equal(csv_serve_stop(w->bed.serve, "vol", WAIT_MS), 0);
	assert_int_equal(loopfs_umount(&w->fs), 0);
	assert_int_equal(loopfs_mount(&w->fs, NULL), 0);
	serve_grace(w, 600000);
	assert_int_equal(pthread_create(&thread, NULL, write_theirs, w), 0);
	while (waited(w) == 0) {
		nanosleep(&pause, NULL);
	}
	replayed = w->replayed;
	target(w, false);
	assert_int_equal(csv_volume_wait(w->a, WAIT_MS), 0);
	assert_int_equal(w->replayed, replayed + 1);
	assert_int_equal(csv_serve_open(w->bed.serve, "vol"), 0);
	pthread_join(thread, NULL);
	assert_int_equal(w->second, 0);
	content(w, "f", "theirsle");
}

static unsigned long flushes(const struct world *w)
{
	char path[96];
	unsigned long v[17] = {};
	unsigned i;
	FILE *f = NULL;

	snprintf(path, sizeof(path), "/sys/block/%s/stat", w->fs.loop + 5);
	f = fopen(path, "r");
	assert_non_null(f);
	for (i = 0; i < 17; i++) {
		assert_int_equal(fscanf(f, "%lu", &v[i]), 1);
	}
	fclose(f);
	return v[15];
}

#define MKDIRS 100

static unsigned long flushes_with_records(struct world *w)
{
	unsigned long before = flushes(w);
	char name[16];
	unsigned i;

	for (i = 0; i < MKDIRS; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		assert_int_equal(csv_mkdir(w->a, &replay_cred, NULL, name, 0755,
					   CSV_F_STABLE),
				 0);
	}
	return flushes(w) - before;
}

static unsigned long flushes_without(struct world *w)
{
	struct csv_local_params params = { .cred_mode = CSV_CRED_AMBIENT };
	unsigned long before = flushes(w);
	struct csv_backend *b = NULL;
	char name[16];
	unsigned i;

	params.rootfd = open(w->fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(csv_local_create(NULL, &params, &b), 0);
	close(params.rootfd);
	for (i = 0; i < MKDIRS; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(b->ops->mkdir(b->ops->root(b), &replay_cred,
					       name, 0755, CSV_F_STABLE),
				 0);
	}
	talloc_free(b);
	return flushes(w) - before;
}

/* Each answer has a flush before it, and the records cost none of their own. */
static void records_cost_no_flush(void **state)
{
	struct world *w = *state;
	unsigned long with, without;

	furnish(w);
	sync_log(w);
	with = flushes_with_records(w);
	without = flushes_without(w);
	print_message("  %u mkdirs: %lu flushes with records, %lu without\n",
		      MKDIRS, with, without);
	assert_true(with >= MKDIRS);
	assert_in_range(with, 0, without + without / 10);
}

static void replayed(struct csv_volume *vol, void *private_data)
{
	struct world *w = private_data;

	(void)vol;
	w->replayed++;
}

static int setup(void **state)
{
	struct csv_volume_params params = {
		.name = "vol",
		.uuid = { 1 },
		.wait_limit_s = 30,
		.wake_fn = woken,
	};
	struct world *w = talloc_zero(NULL, struct world);

	if (loopfs_create(&w->fs, NULL) != 0 || !w->fs.mounted) {
		fprintf(stderr, "needs root and a loop device\n");
		return -1;
	}
	serve_fault_fn = at_point;
	w->ev = tevent_context_init(w);
	assert_int_equal(pipe2(w->wake, O_CLOEXEC), 0);
	assert_int_equal(wirebed_serve(&w->bed, w, true), 0);
	serve(w);
	params.ev = w->ev;
	params.wake_fd = w->wake[0];
	params.wake_private = w;
	params.replayed_fn = replayed;
	params.private_data = w;
	assert_int_equal(csv_volume_create(w->ev, &params, &w->a), 0);
	target(w, false);
	assert_int_equal(csv_volume_wait(w->a, WAIT_MS), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	TALLOC_FREE(w->a);
	serve_fault_fn = NULL;
	(void)csv_serve_stop(w->bed.serve, "vol", WAIT_MS);
	TALLOC_FREE(w->bed.serve);
	(void)loopfs_umount(&w->fs);
	loopfs_remove(&w->fs);
	close(w->wake[0]);
	close(w->wake[1]);
	talloc_free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_right_answer,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(replays_come_first,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(records_cost_no_flush,
						setup,
						teardown),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
