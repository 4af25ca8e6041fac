/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a volume remembers: only what is newer in both is noted.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>
#include "csvd/mark.h"
#include "loopfs.h"

static struct loopfs fs;
static int root;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(loopfs_create(&fs, "wsync"), 0);
	assert_true(fs.mounted);
	root = open(fs.mnt, O_RDONLY | O_DIRECTORY);
	return root != -1 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	close(root);
	loopfs_remove(&fs);
	return 0;
}

static int note(uint64_t epoch, uint64_t sequence, struct csvd_mark *found)
{
	struct csvd_mark now = {.epoch = epoch, .sequence = sequence};

	return csvd_mark_note(root, &now, found);
}

static void only_newer_ones(void **state)
{
	struct csvd_mark found = {};

	(void)state;
	assert_int_equal(note(1, 10, &found), 0);
	assert_int_equal(found.epoch, 0);
	assert_int_equal(note(1, 11, &found), EOVERFLOW);
	assert_int_equal(note(2, 10, &found), EOVERFLOW);
	assert_int_equal(found.epoch, 1);
	assert_int_equal(found.sequence, 10);
	assert_int_equal(note(UINT64_MAX - 1, UINT64_MAX - 1, &found), 0);
	assert_int_equal(note(UINT64_MAX - 1, UINT64_MAX, &found), EOVERFLOW);
	assert_true(found.epoch == UINT64_MAX - 1);
}

static void it_survives_a_power_cut(void **state)
{
	struct csvd_mark found = {};

	(void)state;
	assert_int_equal(note(7, 70, &found), 0);
	close(root);
	assert_int_equal(loopfs_shutdown(&fs), 0);
	assert_int_equal(loopfs_umount(&fs), 0);
	assert_int_equal(loopfs_mount(&fs, "wsync"), 0);
	root = open(fs.mnt, O_RDONLY | O_DIRECTORY);
	assert_int_equal(note(7, 71, &found), EOVERFLOW);
	assert_int_equal(found.sequence, 70);
}

static void what_is_no_mark_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "1", "1 5", "2 5 5", "1 5 5 ", "1 5 5x", "x",
		"1 5 55555555555555555555555555555555555555555555555555555555"
		"55555555555555555555",
	};
	struct csvd_mark found = {};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(fsetxattr(root,
					   CSVD_MARK_NAME,
					   bad[i],
					   strlen(bad[i]),
					   0),
				 0);
		assert_int_equal(note(9, 9, &found), EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(only_newer_ones),
		T(it_survives_a_power_cut),
		T(what_is_no_mark_is_refused),
	};

	return cmocka_run_group_tests_name("mark", tests, NULL, NULL);
}
