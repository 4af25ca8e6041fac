/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Processes that create, open, replace, delete and close the same few files
 * at the same time: whoever has one open can open it again by handle until he
 * closes it, and when all have closed nothing is left in the hidden directory.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "conformance_private.h"
#include "lib/volume/local.h"
#include "loopfs.h"

#define NUM_PROCESSES 6
#define NUM_NAMES 4
#define NUM_HELD 4
#define NUM_STEPS 6000

struct held {
	struct csv_file *f;
	struct csv_fhandle fh;
	uint64_t ino;
};

struct player {
	struct csv_backend *b;
	struct csv_file *root;
	struct held held[NUM_HELD];
	unsigned seed;
	unsigned hidden; /* times a held file had no name any more */
};

static struct loopfs fs;

static struct csv_backend *attach(void)
{
	struct csv_local_params params = {.epoch = 1};
	struct csv_backend *b = NULL;

	params.rootfd = open(fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (params.rootfd == -1 || csv_local_create(NULL, &params, &b) != 0) {
		return NULL;
	}
	close(params.rootfd);
	return b;
}

static unsigned next(struct player *p, unsigned below)
{
	p->seed = p->seed * 1103515245 + 12345;
	return (p->seed >> 16) % below;
}

static const char *a_name(struct player *p, char *buf, size_t size)
{
	snprintf(buf, size, "f%u", next(p, NUM_NAMES));
	return buf;
}

static int step_open(struct player *p, struct held *h)
{
	struct csv_stat st = {};
	char name[8];
	int ret;

	ret = p->b->ops->open(p->b,
			      NULL,
			      &conf_root,
			      p->root,
			      a_name(p, name, sizeof(name)),
			      CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT |
				      CSV_O_NONBLOCK,
			      0644,
			      &h->f,
			      &st,
			      &h->fh);
	h->ino = st.ino;
	return ret;
}

static int step_check(struct player *p, struct held *h)
{
	struct csv_file *again = NULL;
	struct csv_stat st = {};
	int ret;

	ret = p->b->ops->open_fh(p->b,
				 NULL,
				 &h->fh,
				 CSV_O_READ | CSV_O_NONBLOCK,
				 &again,
				 &st);
	if (ret != 0) {
		fprintf(stderr, "inode %llu: %s\n",
			(unsigned long long)h->ino, strerror(ret));
		return ret;
	}
	talloc_free(again);
	p->hidden += st.nlink == 0;
	return st.ino == h->ino ? 0 : ESTALE;
}

static int step_change(struct player *p)
{
	char a[8], b[8];
	int ret;

	a_name(p, a, sizeof(a));
	a_name(p, b, sizeof(b));
	if (next(p, 2)) {
		ret = p->b->ops->unlink(p->root, &conf_root, a, 0);
	} else {
		ret = p->b->ops->rename(p->root, a, p->root, b, &conf_root, 0);
	}
	return ret == ENOENT ? 0 : ret;
}

static int step(struct player *p)
{
	struct held *h = &p->held[next(p, NUM_HELD)];

	switch (next(p, 4)) {
	case 0:
		TALLOC_FREE(h->f);
		return step_open(p, h);
	case 1:
		TALLOC_FREE(h->f);
		return 0;
	case 2:
		return h->f == NULL ? 0 : step_check(p, h);
	default:
		return step_change(p);
	}
}

/* In a process of its own; its exit status says how it went. */
static int play(unsigned nr)
{
	struct player p = {.b = attach(), .seed = nr + 1};
	int i, ret = 0;

	if (p.b == NULL) {
		return 1;
	}
	p.root = p.b->ops->root(p.b);
	for (i = 0; i < NUM_STEPS && ret == 0; i++) {
		ret = step(&p);
	}
	if (ret != 0) {
		fprintf(stderr, "process %u, step %d: %s\n", nr, i,
			strerror(ret));
		return 2;
	}
	for (i = 0; i < NUM_HELD; i++) {
		talloc_free(p.held[i].f);
	}
	talloc_free(p.b);
	/* a game in which nothing was ever hidden shows nothing */
	return p.hidden > 0 ? 0 : 3;
}

static void nobody_loses_what_he_has_open(void **state)
{
	struct csv_backend *b = NULL;
	pid_t pids[NUM_PROCESSES];
	unsigned i, removed = 0;
	int status = 0;

	for (i = 0; i < NUM_PROCESSES; i++) {
		pids[i] = fork();
		assert_int_not_equal(pids[i], -1);
		if (pids[i] == 0) {
			_exit(play(i));
		}
	}
	for (i = 0; i < NUM_PROCESSES; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	b = attach();
	assert_non_null(b);
	ok(csv_local_sweep(b, &removed));
	assert_int_equal(removed, 0);
	talloc_free(b);
	(void)state;
}

/* A process that dies cannot tidy up: the next sweep does. */
static void the_dead_leave_it_to_the_sweep(void **state)
{
	struct csv_backend *b = NULL;
	unsigned removed = 0;
	int status = 0;
	pid_t pid;

	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		struct player p = {.b = attach()};

		p.root = p.b->ops->root(p.b);
		status = step_open(&p, &p.held[0]);
		p.seed = 0;
		status |= p.b->ops->unlink(p.root, &conf_root, "f0", 0);
		_exit(status == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	b = attach();
	assert_non_null(b);
	ok(csv_local_sweep(b, &removed));
	assert_int_equal(removed, 1);
	talloc_free(b);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_dead_leave_it_to_the_sweep),
		cmocka_unit_test(nobody_loses_what_he_has_open),
	};
	int failed;

	if (loopfs_create(&fs, NULL) != 0) {
		perror("volume");
		return 1;
	}
	failed = cmocka_run_group_tests_name("hidden", tests, NULL, NULL);
	loopfs_remove(&fs);
	return failed != 0;
}
