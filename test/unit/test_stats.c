/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csvd/stats.c: the counters' files of dead processes go, no other. */
#include "csvd/stats.h"
#include <sys/wait.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#define AGE_S 100

struct dir {
	char path[64];
	pid_t dead;
};

/* A process that has been, and is waited for. */
static pid_t dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static int setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	strlcpy(d->path, "/tmp/csv-stats-XXXXXX", sizeof(d->path));
	assert_non_null(mkdtemp(d->path));
	d->dead = dead_pid();
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dir *d = *state;
	int ret = rmdir(d->path);

	free(d);
	return ret;
}

static char *file_path(struct dir *d, const char *name, char path[256])
{
	snprintf(path, 256, "%s/%s", d->path, name);
	return path;
}

/* A file last written so many seconds ago. */
static void make(struct dir *d, const char *name, time_t ago_s)
{
	struct timespec times[2] = {};
	char path[256];
	int fd = open(file_path(d, name, path), O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	times[0].tv_sec = times[1].tv_sec = time(NULL) - ago_s;
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

/* Was it there? It is not any more. */
static bool take(struct dir *d, const char *name)
{
	char path[256];

	return unlink(file_path(d, name, path)) == 0;
}

static void old_files_of_dead_processes_go(void **state)
{
	struct dir *d = *state;
	char old[64], fresh[64], alive[64];

	snprintf(old, sizeof(old), "%d.vol1.json", (int)d->dead);
	snprintf(fresh, sizeof(fresh), "%d.vol2.json", (int)d->dead);
	snprintf(alive, sizeof(alive), "%d.vol1.json", (int)getpid());
	make(d, old, AGE_S + 10);
	make(d, fresh, AGE_S - 50);
	make(d, alive, AGE_S + 10);
	assert_int_equal(csvd_stats_sweep(d->path, AGE_S), 1);
	assert_false(take(d, old));
	assert_true(take(d, fresh));
	assert_true(take(d, alive));
}

static void other_files_stay(void **state)
{
	static const char *const names[] = {
		"README", "x.json", "-5.vol1.json", "0.vol1.json",
		"99999999999999999999.vol1.json",
	};
	struct dir *d = *state;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		make(d, names[i], AGE_S + 10);
	}
	assert_int_equal(csvd_stats_sweep(d->path, AGE_S), 0);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		assert_true(take(d, names[i]));
	}
}

static void no_directory_is_no_work(void **state)
{
	assert_int_equal(csvd_stats_sweep("/nonexistent/stats", 0), 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(old_files_of_dead_processes_go,
						setup,
						teardown),
		cmocka_unit_test_setup_teardown(other_files_stay,
						setup,
						teardown),
		cmocka_unit_test(no_directory_is_no_work),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
