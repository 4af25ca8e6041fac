/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guard that takes the place of one that died, without a ctdbd, with a real
 * XFS: it forgets no mount that it cannot reach at once.
 */
#include "includes.h"
#include <setjmp.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "csvd/guard.h"
#include "loopfs.h"

struct bed {
	struct loopfs fs;
	struct guard_page *page;
	struct guard_slot *slot;
	pid_t guard;
};

static int setup(void **state)
{
	struct bed *bed = talloc_zero(NULL, struct bed);
	struct stat st = {};

	assert_int_equal(loopfs_create(&bed->fs, ""), 0);
	assert_true(bed->fs.mounted);
	assert_int_equal(stat(bed->fs.mnt, &st), 0);
	bed->page = guard_page_create();
	bed->page->limits = (struct guard_limits){
		.csvd_ms = 60000, .main_ms = 60000, .ctdbd_ms = 60000};
	strlcpy(bed->page->ctdbd, "/nowhere", sizeof(bed->page->ctdbd));
	bed->slot = &bed->page->slots[0];
	bed->slot->state = GUARD_HELD;
	bed->slot->can = true;
	bed->slot->epoch = 7;
	bed->slot->dev = st.st_dev;
	strlcpy(bed->slot->name, "vol1", sizeof(bed->slot->name));
	strlcpy(bed->slot->device, bed->fs.loop, sizeof(bed->slot->device));
	snprintf(bed->slot->path,
		 sizeof(bed->slot->path),
		 "%s/point",
		 bed->fs.dir);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	kill(bed->guard, SIGKILL);
	waitpid(bed->guard, NULL, 0);
	unlink(bed->slot->path);
	loopfs_remove(&bed->fs);
	talloc_free(bed);
	return 0;
}

static void begin(struct bed *bed)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	bed->guard = fork();
	if (bed->guard == 0) {
		close(fds[0]);
		guard_run(bed->page, fds[1]);
	}
	close(fds[1]);
}

static void await_state(const struct bed *bed, uint32_t state)
{
	unsigned i;

	for (i = 0; i < 1000 && bed->slot->state != state; i++) {
		usleep(10000);
	}
	assert_int_equal(bed->slot->state, state);
}

static void point_to(const struct bed *bed, const char *target)
{
	(void)unlink(bed->slot->path);
	assert_int_equal(symlink(target, bed->slot->path), 0);
}

static void what_cannot_be_shut_down_is_not_forgotten(void **state)
{
	struct bed *bed = *state;
	char path[PATH_MAX + 16];
	unsigned i;

	point_to(bed, "point"); /* ELOOP */
	begin(bed);
	for (i = 0; i < 1000 && bed->page->reason != GUARD_CTDBD_GONE; i++) {
		usleep(10000);
	}
	assert_int_equal(bed->page->reason, GUARD_CTDBD_GONE);
	usleep(500000);
	assert_int_equal(bed->slot->state, GUARD_HELD);
	point_to(bed, bed->fs.mnt);
	await_state(bed, GUARD_SHUT);
	snprintf(path, sizeof(path), "%s/new", bed->fs.mnt);
	assert_int_equal(open(path, O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EIO);
}

static void what_was_unmounted_is_let_go(void **state)
{
	struct bed *bed = *state;

	point_to(bed, bed->fs.dir); /* another file system */
	begin(bed);
	await_state(bed, GUARD_FREE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(what_cannot_be_shut_down_is_not_forgotten),
		T(what_was_unmounted_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
