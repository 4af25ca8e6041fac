/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Unstable writes when an owner loses power: what a lone writer was told is
 * there, in order; what a second writer wrote later is never overwritten.
 * A real XFS, csvd's server in this process, volumes as smbds have them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/volume/volume.h"
#include "lib/volume/writers.h"
#include "loopfs.h"
#include "wirebed.h"

#define HOW (CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT)
#define WAIT_MS 10000

struct world {
	struct loopfs fs;
	struct wirebed bed;
	uint64_t epoch;
	struct tevent_context *ev;
	struct csv_volume *a;	   /* redirected */
	struct csv_volume *second; /* another process */
	struct csv_handle *h;	   /* of a, on "file" */
};

static const struct csv_cred root_cred = {};

static void serve(struct world *w)
{
	int fd = open(w->fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	w->epoch += 1;
	assert_int_equal(csv_serve_start(w->bed.serve, "vol", fd, w->epoch),
			 0);
	close(fd);
}

static void target(struct world *w, struct csv_volume *vol, bool direct)
{
	char identity[CSV_PSK_IDENTITY_MAX] = "";
	struct csv_target t;

	wirebed_target(&w->bed, w->epoch, identity, &t);
	if (direct) {
		t.access = CSV_ACCESS_DIRECT;
		t.rootfd = open(w->fs.mnt, O_RDONLY | O_DIRECTORY);
	}
	assert_int_equal(csv_volume_event(vol, CSV_EVENT_TARGET, &t), 0);
	assert_int_equal(csv_volume_event(vol, CSV_EVENT_READY, NULL), 0);
	if (direct) {
		close(t.rootfd);
	}
	assert_int_equal(csv_volume_wait(vol, WAIT_MS), 0);
}

static struct csv_volume *volume(struct world *w, bool direct)
{
	struct csv_volume_params params = {
		.ev = w->ev,
		.name = "vol",
		.uuid = { 1 },
		.wait_limit_s = 20,
		.wake_fd = -1,
	};
	struct csv_volume *vol = NULL;

	assert_int_equal(csv_volume_create(w->ev, &params, &vol), 0);
	target(w, vol, direct);
	return vol;
}

static struct csv_handle *open_file(struct csv_volume *vol)
{
	struct csv_handle *h = NULL;
	struct csv_stat st = {};

	assert_int_equal(csv_open(vol, vol, &root_cred, NULL, "file", HOW,
				  0600, &h, &st),
			 0);
	return h;
}

static void put(struct csv_handle *h,
		const char *text,
		int64_t offset,
		uint32_t flags)
{
	size_t n = 0;

	assert_int_equal(csv_pwrite(h, text, strlen(text), offset, flags, &n),
			 0);
	assert_int_equal(n, strlen(text));
}

static void is(struct csv_handle *h, const char *text)
{
	char buf[64] = "";
	size_t n = 0;

	assert_int_equal(csv_pread(h, buf, sizeof(buf) - 1, 0, &n), 0);
	buf[n] = '\0';
	assert_string_equal(buf, text);
}

/* The owner loses power, another one starts, the first process goes on. */
static void crash(struct world *w)
{
	assert_int_equal(loopfs_shutdown(&w->fs), 0);
	TALLOC_FREE(w->second);
	assert_int_equal(csv_serve_stop(w->bed.serve, "vol", WAIT_MS), 0);
	assert_int_equal(csv_volume_event(w->a, CSV_EVENT_LOST, NULL), 0);
	assert_int_equal(loopfs_umount(&w->fs), 0);
	assert_int_equal(loopfs_mount(&w->fs, NULL), 0);
	serve(w);
	target(w, w->a, false);
}

static int setup(void **state)
{
	struct world *w = talloc_zero(NULL, struct world);
	struct csv_setattr empty = { .mask = CSV_ATTR_SIZE };

	if (loopfs_create(&w->fs, NULL) != 0 || !w->fs.mounted) {
		fprintf(stderr, "needs root and a loop device\n");
		return -1;
	}
	w->ev = tevent_context_init(w);
	assert_int_equal(wirebed_serve(&w->bed, w, false), 0);
	serve(w);
	w->a = volume(w, false);
	w->h = open_file(w->a);
	/* the file itself must be there after a crash */
	assert_int_equal(csv_setattr(w->h, &root_cred, NULL, &empty, 0), 0);
	assert_int_equal(csv_fsync(w->h, 0), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	TALLOC_FREE(w->second);
	TALLOC_FREE(w->a);
	(void)csv_serve_stop(w->bed.serve, "vol", WAIT_MS);
	TALLOC_FREE(w->bed.serve);
	(void)loopfs_umount(&w->fs);
	loopfs_remove(&w->fs);
	talloc_free(w);
	return 0;
}

static void lone_writer_keeps_what_it_was_told(void **state)
{
	struct world *w = *state;

	put(w->h, "told", 0, 0);
	crash(w);
	is(w->h, "told");
	put(w->h, "more", 4, 0);
	crash(w);
	is(w->h, "toldmore");
}

static void writes_are_repeated_in_their_order(void **state)
{
	struct world *w = *state;

	put(w->h, "aaaa", 0, 0);
	put(w->h, "bb", 1, CSV_F_STABLE);
	put(w->h, "c", 2, 0);
	crash(w);
	is(w->h, "abca");
}

static void stable_write_is_not_undone_by_an_earlier_one(void **state)
{
	struct world *w = *state;

	put(w->h, "old", 0, 0);
	put(w->h, "new", 0, CSV_F_STABLE);
	crash(w);
	is(w->h, "new");
}

static void truncated_data_do_not_return(void **state)
{
	struct world *w = *state;
	struct csv_setattr two = { .mask = CSV_ATTR_SIZE, .size = 2 };

	put(w->h, "12345678", 0, 0);
	assert_int_equal(csv_setattr(w->h, &root_cred, NULL, &two,
				     CSV_F_STABLE),
			 0);
	crash(w);
	is(w->h, "12");
}

/* A second process opens the file, writes over it, and closes it. */
static void write_by_second(struct world *w, bool direct)
{
	struct csv_handle *h = NULL;

	w->second = volume(w, direct);
	h = open_file(w->second);
	put(h, "theirs", 0, CSV_F_STABLE);
	TALLOC_FREE(h);
}

static void later_data_of_a_second_writer_stay(void **state, bool direct)
{
	struct world *w = *state;

	put(w->h, "ours, older", 0, 0);
	write_by_second(w, direct);
	crash(w);
	is(w->h, "theirsolder");
}

static void second_redirected_writer(void **state)
{
	later_data_of_a_second_writer_stay(state, false);
}

static void second_direct_writer(void **state)
{
	later_data_of_a_second_writer_stay(state, true);
}

/* After it had company a writer still loses nothing. */
static void company_that_left(void **state, bool direct)
{
	struct world *w = *state;

	put(w->h, "0", 0, 0);
	write_by_second(w, direct);
	put(w->h, "ours, newer", 0, 0);
	crash(w);
	is(w->h, "ours, newer");
	put(w->h, "X", 0, 0);
	crash(w);
	is(w->h, "Xurs, newer");
}

static void redirected_company_that_left(void **state)
{
	company_that_left(state, false);
}

static void direct_company_that_left(void **state)
{
	company_that_left(state, true);
}

static void readers_are_no_writers(void **state)
{
	struct world *w = *state;
	struct csv_handle *h = NULL;
	struct csv_stat st = {};
	char path[PATH_MAX + 8];
	char value[CSV_WRITERS_MAX];

	put(w->h, "x", 0, 0);
	w->second = volume(w, true);
	assert_int_equal(csv_open(w->second, w->second, &root_cred, NULL,
				  "file", CSV_O_READ, 0, &h, &st),
			 0);
	snprintf(path, sizeof(path), "%s/file", w->fs.mnt);
	assert_int_equal(getxattr(path, CSV_WRITERS_XATTR, value,
				  sizeof(value)),
			 -1);
	assert_int_equal(errno, ENODATA);
	TALLOC_FREE(h);
	h = open_file(w->second);
	assert_true(getxattr(path, CSV_WRITERS_XATTR, value, sizeof(value)) >
		    0);
}

static void direct_writers_need_no_mark(void **state)
{
	struct world *w = *state;
	struct csv_handle *h[2];
	struct csv_statfs sfs = {};
	char path[PATH_MAX + 8];
	char value[CSV_WRITERS_MAX];

	TALLOC_FREE(w->h);
	/* answered after the close */
	assert_int_equal(csv_statfs(w->a, NULL, &sfs), 0);
	w->second = volume(w, true);
	h[0] = open_file(w->second);
	h[1] = open_file(w->second);
	snprintf(path, sizeof(path), "%s/file", w->fs.mnt);
	assert_int_equal(getxattr(path, CSV_WRITERS_XATTR, value,
				  sizeof(value)),
			 -1);
	TALLOC_FREE(h[0]);
	TALLOC_FREE(h[1]);
}

static void mark_of_another_file_is_nothing(void **state)
{
	struct world *w = *state;
	struct csv_writers copied = { .ino = 1 };
	uint8_t value[CSV_WRITERS_MAX];
	char path[PATH_MAX + 8];
	size_t len;

	csv_writers_add(&copied, w->epoch);
	len = csv_writers_push(&copied, value);
	snprintf(path, sizeof(path), "%s/file", w->fs.mnt);
	assert_int_equal(setxattr(path, CSV_WRITERS_XATTR, value, len, 0), 0);
	assert_int_equal(csv_fsync(w->h, 0), 0);
	put(w->h, "mine", 0, 0);
	crash(w);
	is(w->h, "mine");
}

static void codec_keeps_the_newest(void **state)
{
	struct csv_writers w = { .ino = 7, .pending = 3 };
	struct csv_writers back;
	uint8_t buf[CSV_WRITERS_MAX];
	size_t len;
	uint64_t i;

	for (i = 1; i <= CSV_WRITERS_EPOCHS + 2; i++) {
		csv_writers_add(&w, i);
	}
	len = csv_writers_push(&w, buf);
	assert_int_equal(len, CSV_WRITERS_MAX);
	assert_true(csv_writers_pull(buf, len, &back));
	assert_int_equal(back.ino, 7);
	assert_int_equal(back.pending, 3);
	for (i = 1; i <= CSV_WRITERS_EPOCHS + 2; i++) {
		assert_int_equal(csv_writers_has(&back, 7, i), i > 2);
		assert_false(csv_writers_has(&back, 8, i));
	}
	(void)state;
}

static void codec_refuses_wrong_lengths(void **state)
{
	uint8_t buf[CSV_WRITERS_MAX + 8] = {};
	struct csv_writers w;
	size_t len;

	for (len = 0; len <= sizeof(buf); len++) {
		bool good = len >= 16 && len % 8 == 0 &&
			    len <= CSV_WRITERS_MAX;

		assert_int_equal(csv_writers_pull(buf, len, &w), good);
	}
	(void)state;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codec_keeps_the_newest),
		cmocka_unit_test(codec_refuses_wrong_lengths),
		T(lone_writer_keeps_what_it_was_told),
		T(writes_are_repeated_in_their_order),
		T(stable_write_is_not_undone_by_an_earlier_one),
		T(truncated_data_do_not_return),
		T(second_redirected_writer),
		T(second_direct_writer),
		T(redirected_company_that_left),
		T(direct_company_that_left),
		T(readers_are_no_writers),
		T(direct_writers_need_no_mark),
		T(mark_of_another_file_is_nothing),
	};

	return cmocka_run_group_tests_name("writers", tests, NULL, NULL);
}
