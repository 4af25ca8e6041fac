/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The conformance suite: fixture, helpers and the list of its parts. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "conformance_private.h"

const struct csv_cred conf_root = {.uid = 0, .gid = 0, .umask = 022};

static const struct conformance *params;
static unsigned num_dirs;

struct conf *conf_get(void **state)
{
	return *state;
}

struct csv_backend *conf_backend(struct conf *t)
{
	struct csv_backend *b = NULL;

	ok(t->c->create(t->c->private_data, t->mem, t->ev, &b));
	assert_non_null(b);
	return b;
}

static void attach(struct conf *t)
{
	t->b = conf_backend(t);
	t->root = t->b->ops->root(t->b);
	assert_non_null(t->root);
}

static void open_dir(struct conf *t)
{
	ok(t->b->ops->open(t->b,
			   t->mem,
			   &conf_root,
			   t->root,
			   t->dir_name,
			   CSV_O_PATH | CSV_O_DIRECTORY,
			   0,
			   &t->dir,
			   NULL,
			   NULL));
}

int conf_setup(void **state)
{
	struct conf *t = talloc_zero(NULL, struct conf);

	t->c = params;
	t->mem = t;
	t->ev = tevent_context_init(t);
	assert_non_null(t->ev);
	attach(t);
	snprintf(t->dir_name, sizeof(t->dir_name), "test%u", num_dirs++);
	ok(t->b->ops->mkdir(t->root, &conf_root, t->dir_name, 0755, 0));
	open_dir(t);
	*state = t;
	return 0;
}

int conf_teardown(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_backend *b = t->b;

	if (b == NULL) {
		return -1;
	}
	TALLOC_FREE(t->dir);
	if (b->num_files != 0) {
		/* the test failed half-way: its files still need the backend */
		print_error("%u files left open\n", b->num_files);
		return -1;
	}
	talloc_free(b);
	talloc_free(t);
	return 0;
}

void conf_move(struct conf *t)
{
	uint64_t epoch = t->b->epoch;

	TALLOC_FREE(t->dir);
	assert_int_equal(t->b->num_files, 0);
	TALLOC_FREE(t->b);
	ok(t->c->move(t->c->private_data));
	attach(t);
	assert_true(t->b->epoch > epoch);
	open_dir(t);
}

struct csv_file *conf_open(struct conf *t, const char *name, uint32_t how)
{
	struct csv_file *f = NULL;

	ok(t->b->ops->open(t->b,
			   t->mem,
			   &conf_root,
			   t->dir,
			   name,
			   how,
			   0644,
			   &f,
			   NULL,
			   NULL));
	assert_non_null(f);
	return f;
}

void conf_write(struct csv_file *f, const char *content)
{
	size_t n = 0;

	ok(f->backend->ops->pwrite(f, content, strlen(content), 0, 0, &n));
	assert_int_equal(n, strlen(content));
}

void conf_expect(struct csv_file *f, const char *content)
{
	char buf[256] = "";
	size_t n = 0;

	ok(f->backend->ops->pread(f, buf, sizeof(buf) - 1, 0, &n));
	assert_int_equal(n, strlen(content));
	assert_memory_equal(buf, content, n);
}

void conf_file(struct conf *t, const char *name, const char *content)
{
	struct csv_file *f = NULL;

	f = conf_open(t, name, CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT);
	conf_write(f, content);
	talloc_free(f);
}

void conf_mkdir(struct conf *t, const char *name, uint32_t mode)
{
	ok(t->b->ops->mkdir(t->dir, &conf_root, name, mode, 0));
	/* whatever the umask says */
	conf_chmod(t, name, mode);
}

struct csv_stat conf_stat(struct conf *t, const char *name)
{
	struct csv_stat st = {};

	ok(t->b->ops->statat(t->dir, &conf_root, name, 0, &st, NULL));
	return st;
}

void conf_chmod(struct conf *t, const char *name, uint32_t mode)
{
	struct csv_setattr a = {.mask = CSV_ATTR_MODE, .mode = mode};

	ok(t->b->ops->setattr(t->dir, &conf_root, name, &a, 0));
}

void conf_chown(struct conf *t, const char *name, uint32_t uid, uint32_t gid)
{
	struct csv_setattr a = {
		.mask = CSV_ATTR_UID | CSV_ATTR_GID,
		.uid = uid,
		.gid = gid,
	};

	ok(t->b->ops->setattr(t->dir, &conf_root, name, &a, 0));
}

struct csv_fhandle conf_fh(struct conf *t, const char *name)
{
	struct csv_fhandle fh = {};
	struct csv_stat st;

	ok(t->b->ops->statat(t->dir, &conf_root, name, 0, &st, &fh));
	assert_true(fh.length > 0 && fh.length <= CSV_MAX_FHANDLE);
	return fh;
}

int conformance_run(const struct conformance *c)
{
	const struct {
		const struct CMUnitTest *tests;
		size_t num;
	} parts[] = {
		{conf_name_tests, conf_num_name_tests},
		{conf_attr_tests, conf_num_attr_tests},
		{conf_data_tests, conf_num_data_tests},
		{conf_dir_tests, conf_num_dir_tests},
		{conf_open_tests, conf_num_open_tests},
		{conf_user_tests, conf_num_user_tests},
	};
	struct CMUnitTest all[200];
	size_t i, num = 0;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (num + parts[i].num > sizeof(all) / sizeof(all[0])) {
			return -1;
		}
		memcpy(all + num,
		       parts[i].tests,
		       parts[i].num * sizeof(all[0]));
		num += parts[i].num;
	}
	params = c;
	return _cmocka_run_group_tests(c->name, all, num, NULL, NULL);
}
