/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file system is shut down under running writes, as a guard or a test's
 * power cut does: what the backend called stable before, at that moment or
 * after it must be on the disk. XFS may call a flush a success that the
 * shutdown aborted.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/volume/backend.h"
#include "loopfs.h"

#define ROUNDS 150
#define THREADS 4
#define BLOCK 4096
#define MOUNT "wsync"

struct writer {
	pthread_t thread;
	struct csv_backend *b;
	unsigned number;
	unsigned written; /* blocks that were called stable */
	unsigned made;	  /* names that were */
};

static const struct csv_cred root_cred = {};

static void name_of(char name[32], const struct writer *w, unsigned made)
{
	snprintf(name, 32, "w%u-%u", w->number, made);
}

/* Appends blocks and makes names until the file system says no. */
static void *write_until_error(void *private_data)
{
	struct writer *w = private_data;
	const struct csv_backend_ops *ops = w->b->ops;
	struct csv_file *root = ops->root(w->b);
	struct csv_file *file = NULL;
	static const char block[BLOCK] = "x";
	TALLOC_CTX *mem = talloc_new(NULL);
	struct csv_fhandle fh;
	struct csv_stat st;
	char name[32];
	size_t n = 0;
	int ret;

	snprintf(name, sizeof(name), "data%u", w->number);
	ret = ops->open(w->b, mem, &root_cred, root, name,
			CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT | CSV_O_STABLE,
			0600, &file, &st, &fh);
	while (ret == 0) {
		ret = ops->pwrite(file, block, BLOCK,
				  (int64_t)w->written * BLOCK, CSV_F_STABLE,
				  &n);
		if (ret != 0) {
			break;
		}
		w->written++;
		name_of(name, w, w->made);
		ret = ops->mkdir(root, &root_cred, name, 0755, CSV_F_STABLE);
		w->made += ret == 0 ? 1 : 0;
	}
	talloc_free(mem);
	return NULL;
}

static unsigned missing(const struct loopfs *fs, const struct writer *w)
{
	char path[PATH_MAX + 64], name[32];
	unsigned i, lost = 0;
	struct stat st = {};

	snprintf(path, sizeof(path), "%s/data%u", fs->mnt, w->number);
	if (w->written > 0 && (stat(path, &st) != 0 ||
			       st.st_size < (off_t)w->written * BLOCK))
	{
		print_message("%u blocks, %lld bytes\n", w->written,
			      (long long)st.st_size);
		lost++;
	}
	for (i = 0; i < w->made; i++) {
		name_of(name, w, i);
		snprintf(path, sizeof(path), "%s/%s", fs->mnt, name);
		if (stat(path, &st) != 0) {
			print_message("%s is missing\n", name);
			lost++;
		}
	}
	return lost;
}

static unsigned one_round(struct loopfs *fs, unsigned first)
{
	struct csv_local_params params = { .cred_mode = CSV_CRED_AMBIENT };
	struct timespec pause = { .tv_nsec = 1000000 + random() % 9000000 };
	struct csv_backend *b = NULL;
	struct writer w[THREADS] = {};
	unsigned i, lost = 0;

	params.rootfd = open(fs->mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(csv_local_create(NULL, &params, &b), 0);
	close(params.rootfd);
	for (i = 0; i < THREADS; i++) {
		w[i].b = b;
		w[i].number = first + i;
		assert_int_equal(pthread_create(&w[i].thread, NULL,
						write_until_error, &w[i]),
				 0);
	}
	nanosleep(&pause, NULL);
	assert_int_equal(loopfs_shutdown(fs), 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
	}
	talloc_free(b);
	assert_int_equal(loopfs_umount(fs), 0);
	assert_int_equal(loopfs_mount(fs, MOUNT), 0);
	for (i = 0; i < THREADS; i++) {
		lost += missing(fs, &w[i]);
	}
	return lost;
}

static void nothing_stable_is_lost(void **state)
{
	struct loopfs fs = {};
	unsigned round, lost = 0;

	assert_int_equal(loopfs_create(&fs, MOUNT), 0);
	assert_true(fs.mounted);
	srandom(4711);
	for (round = 0; round < ROUNDS; round++) {
		lost += one_round(&fs, round * THREADS);
	}
	loopfs_remove(&fs);
	assert_int_equal(lost, 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_stable_is_lost),
	};

	return cmocka_run_group_tests_name("shutdown", tests, NULL, NULL);
}
