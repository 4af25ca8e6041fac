/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each operation that is not repeatable, as the first client of test_replay.c
 * does it, and a second client's change that would be undone by repeating it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "replace.h"
#include "replay_scenarios.h"

#define RW (CSV_O_READ | CSV_O_WRITE)
#define XATTR "user.test"

const struct csv_cred replay_cred = { .umask = 022 };

static struct csv_handle *open_file(struct world *w,
				    const char *name,
				    uint32_t how,
				    int *ret)
{
	struct csv_handle *h = NULL;
	struct csv_stat st = {};

	*ret = csv_open(w->a, w->a, &replay_cred, NULL, name, how, 0644, &h,
			&st);
	return h;
}

static int put(struct csv_backend *b, const char *name, uint32_t how,
	       const char *text)
{
	struct csv_file *f = NULL;
	size_t n = 0;
	int ret;

	ret = b->ops->open(b, b, &replay_cred, b->ops->root(b), name,
			   RW | how, 0600, &f, NULL, NULL);
	if (ret == 0) {
		ret = b->ops->pwrite(f, text, strlen(text), 0, CSV_F_STABLE,
				     &n);
	}
	talloc_free(f);
	return ret;
}

static int look(struct world *w, const char *name, struct csv_stat *st)
{
	return csv_statat(w->a, &replay_cred, NULL, name, 0, st, NULL);
}

static void is_there(struct world *w, const char *name, mode_t type)
{
	struct csv_stat st = {};

	assert_int_equal(look(w, name, &st), 0);
	assert_int_equal(st.mode & S_IFMT, type);
}

static void is_gone(struct world *w, const char *name)
{
	struct csv_stat st = {};

	assert_int_equal(look(w, name, &st), ENOENT);
}

void content(struct world *w, const char *name, const char *text)
{
	struct csv_handle *h = NULL;
	char buf[64] = "";
	size_t n = 0;
	int ret;

	h = open_file(w, name, CSV_O_READ, &ret);
	assert_int_equal(ret, 0);
	assert_int_equal(csv_pread(h, buf, sizeof(buf) - 1, 0, &n), 0);
	buf[n] = '\0';
	assert_string_equal(buf, text);
	talloc_free(h);
}

/* Each begins with: "f" with "content" and the xattr, w->h on it; "d/". */

static int do_create(struct world *w)
{
	struct csv_handle *h = NULL;
	size_t n = 0;
	int ret;

	h = open_file(w, "new", RW | CSV_O_CREAT | CSV_O_EXCL, &ret);
	if (ret == 0) {
		ret = csv_pwrite(h, "mine", 4, 0, CSV_F_STABLE, &n);
	}
	talloc_free(h);
	return ret;
}

static int move_away(struct csv_backend *b)
{
	struct csv_file *root = b->ops->root(b);

	return b->ops->rename(root, "new", root, "moved", &replay_cred, 0);
}

static void check_create(struct world *w, bool second)
{
	content(w, second ? "moved" : "new", "mine");
	is_gone(w, second ? "new" : "moved");
}

static int unlink_new(struct csv_backend *b)
{
	return b->ops->unlink(b->ops->root(b), &replay_cred, "new", 0);
}

static int rmdir_new(struct csv_backend *b)
{
	return b->ops->unlink(b->ops->root(b), &replay_cred, "new",
			      CSV_F_RMDIR);
}

static void check_deleted(struct world *w, bool second)
{
	if (second) {
		is_gone(w, "new");
	} else {
		content(w, "new", "mine");
	}
}

static int do_mkdir(struct world *w)
{
	return csv_mkdir(w->a, &replay_cred, NULL, "new", 0755, 0);
}

static void check_mkdir(struct world *w, bool second)
{
	if (second) {
		is_gone(w, "new");
	} else {
		is_there(w, "new", S_IFDIR);
	}
}

static int do_mkdir_again(struct world *w)
{
	return csv_mkdir(w->a, &replay_cred, NULL, "d", 0755, 0);
}

/* The name means another directory then. */
static int other_d(struct csv_backend *b)
{
	struct csv_file *root = b->ops->root(b);
	int ret;

	ret = b->ops->unlink(root, &replay_cred, "d", CSV_F_RMDIR);
	return ret != 0 ? ret
			: b->ops->mkdir(root, &replay_cred, "d", 0700, 0);
}

static void check_mkdir_again(struct world *w, bool second)
{
	struct csv_stat st = {};

	assert_int_equal(look(w, "d", &st), 0);
	assert_int_equal(st.mode & 07777, second ? 0700 : 0755);
}

static int do_mknod(struct world *w)
{
	return csv_mknod(w->a, &replay_cred, NULL, "new", S_IFIFO | 0600, 0, 0);
}

static void check_mknod(struct world *w, bool second)
{
	if (second) {
		is_gone(w, "new");
	} else {
		is_there(w, "new", S_IFIFO);
	}
}

static int do_symlink(struct world *w)
{
	return csv_symlink(w->a, &replay_cred, NULL, "new", "f", 0);
}

static void check_symlink(struct world *w, bool second)
{
	if (second) {
		is_gone(w, "new");
	} else {
		is_there(w, "new", S_IFLNK);
	}
}

static int do_link(struct world *w)
{
	return csv_link(w->a, &replay_cred, NULL, "f", NULL, "new", 0);
}

static void check_link(struct world *w, bool second)
{
	struct csv_stat st = {};

	assert_int_equal(look(w, "f", &st), 0);
	assert_int_equal(st.nlink, second ? 1 : 2);
	if (second) {
		is_gone(w, "new");
	} else {
		is_there(w, "new", S_IFREG);
	}
}

static int do_rename(struct world *w)
{
	return csv_rename(w->a, &replay_cred, NULL, "f", NULL, "new", 0);
}

static int rename_back(struct csv_backend *b)
{
	struct csv_file *root = b->ops->root(b);

	return b->ops->rename(root, "new", root, "f", &replay_cred, 0);
}

static void check_rename(struct world *w, bool second)
{
	content(w, second ? "f" : "new", "content");
	is_gone(w, second ? "new" : "f");
}

static int do_unlink(struct world *w)
{
	return csv_unlink(w->a, &replay_cred, NULL, "f", 0);
}

static int other_f(struct csv_backend *b)
{
	return put(b, "f", CSV_O_CREAT | CSV_O_EXCL, "theirs");
}

static void check_unlink(struct world *w, bool second)
{
	if (second) {
		content(w, "f", "theirs");
	} else {
		is_gone(w, "f");
	}
}

static int do_rmdir(struct world *w)
{
	return csv_unlink(w->a, &replay_cred, NULL, "d", CSV_F_RMDIR);
}

static int mkdir_d(struct csv_backend *b)
{
	return b->ops->mkdir(b->ops->root(b), &replay_cred, "d", 0700, 0);
}

static void check_rmdir(struct world *w, bool second)
{
	if (second) {
		is_there(w, "d", S_IFDIR);
	} else {
		is_gone(w, "d");
	}
}

static int do_truncate(struct world *w)
{
	struct csv_setattr empty = { .mask = CSV_ATTR_SIZE, .size = 0 };

	return csv_setattr(w->h, &replay_cred, NULL, &empty, 0);
}

static int do_open_truncate(struct world *w)
{
	int ret;

	talloc_free(open_file(w, "f", RW | CSV_O_TRUNC, &ret));
	return ret;
}

int write_f(struct csv_backend *b)
{
	return put(b, "f", 0, "theirs");
}

static void check_truncate(struct world *w, bool second)
{
	content(w, "f", second ? "theirs" : "");
}

static int do_chmod(struct world *w)
{
	struct csv_setattr mode = { .mask = CSV_ATTR_MODE, .mode = 0640 };

	return csv_setattr(w->h, &replay_cred, NULL, &mode, 0);
}

static int chmod_f(struct csv_backend *b)
{
	struct csv_setattr mode = { .mask = CSV_ATTR_MODE, .mode = 0604 };

	return b->ops->setattr(b->ops->root(b), &replay_cred, "f", &mode, 0);
}

static void check_chmod(struct world *w, bool second)
{
	struct csv_stat st = {};

	assert_int_equal(look(w, "f", &st), 0);
	assert_int_equal(st.mode & 07777, second ? 0604 : 0640);
}

static int do_setxattr(struct world *w)
{
	return csv_setxattr(w->h, &replay_cred, XATTR "2", "mine", 4,
			    CSV_F_XCREATE);
}

static int xattr_f(struct csv_backend *b, const char *name, const char *value)
{
	struct csv_file *f = NULL;
	int ret;

	ret = b->ops->open(b, b, &replay_cred, b->ops->root(b), "f", RW, 0, &f,
			   NULL, NULL);
	if (ret == 0 && value != NULL) {
		ret = b->ops->setxattr(f, &replay_cred, name, value,
				       strlen(value), 0);
	} else if (ret == 0) {
		ret = b->ops->removexattr(f, &replay_cred, name, 0);
	}
	talloc_free(f);
	return ret;
}

static int remove_xattr(struct csv_backend *b)
{
	return xattr_f(b, XATTR "2", NULL);
}

static void check_xattr(struct world *w, const char *name, const char *value)
{
	char buf[16] = "";
	size_t size = sizeof(buf) - 1;
	int ret = csv_getxattr(w->h, &replay_cred, name, buf, &size);

	if (value == NULL) {
		assert_int_equal(ret, ENODATA);
	} else {
		assert_int_equal(ret, 0);
		assert_string_equal(buf, value);
	}
}

static void check_setxattr(struct world *w, bool second)
{
	check_xattr(w, XATTR "2", second ? NULL : "mine");
}

static int do_removexattr(struct world *w)
{
	return csv_removexattr(w->h, &replay_cred, XATTR, 0);
}

static int set_xattr(struct csv_backend *b)
{
	return xattr_f(b, XATTR, "theirs");
}

static void check_removexattr(struct world *w, bool second)
{
	check_xattr(w, XATTR, second ? "theirs" : NULL);
}

const struct scenario scenarios[] = {
	{ "create, moved", CSV_OP_OPEN, 0, do_create, move_away,
	  check_create },
	{ "mkdir", CSV_OP_MKDIR, 0, do_mkdir, rmdir_new, check_mkdir },
	{ "mkdir of one that is there", CSV_OP_MKDIR, EEXIST, do_mkdir_again,
	  other_d, check_mkdir_again },
	{ "mknod", CSV_OP_MKNOD, 0, do_mknod, unlink_new, check_mknod },
	{ "symlink", CSV_OP_SYMLINK, 0, do_symlink, unlink_new,
	  check_symlink },
	{ "link", CSV_OP_LINK, 0, do_link, unlink_new, check_link },
	{ "rename", CSV_OP_RENAME, 0, do_rename, rename_back, check_rename },
	{ "unlink", CSV_OP_UNLINK, 0, do_unlink, other_f, check_unlink },
	{ "rmdir", CSV_OP_UNLINK, 0, do_rmdir, mkdir_d, check_rmdir },
	{ "truncate", CSV_OP_SETATTR, 0, do_truncate, write_f,
	  check_truncate },
	{ "chmod", CSV_OP_SETATTR, 0, do_chmod, chmod_f, check_chmod },
	{ "open with truncation", CSV_OP_OPEN, 0, do_open_truncate, write_f,
	  check_truncate },
	{ "setxattr", CSV_OP_SETXATTR, 0, do_setxattr, remove_xattr,
	  check_setxattr },
	{ "removexattr", CSV_OP_REMOVEXATTR, 0, do_removexattr, set_xattr,
	  check_removexattr },
	{ "create, deleted", CSV_OP_OPEN, 0, do_create, unlink_new,
	  check_deleted },
};

const size_t num_scenarios = ARRAY_SIZE(scenarios);

void furnish(struct world *w)
{
	size_t n = 0;
	int ret;

	TALLOC_FREE(w->h);
	(void)csv_unlink(w->a, &replay_cred, NULL, "new", 0);
	(void)csv_unlink(w->a, &replay_cred, NULL, "new", CSV_F_RMDIR);
	(void)csv_unlink(w->a, &replay_cred, NULL, "moved", 0);
	(void)csv_unlink(w->a, &replay_cred, NULL, "f", 0);
	(void)csv_unlink(w->a, &replay_cred, NULL, "d", CSV_F_RMDIR);
	assert_int_equal(csv_mkdir(w->a, &replay_cred, NULL, "d", 0755, 0), 0);
	w->h = open_file(w, "f", RW | CSV_O_CREAT | CSV_O_EXCL, &ret);
	assert_int_equal(ret, 0);
	assert_int_equal(csv_pwrite(w->h, "content", 7, 0, CSV_F_STABLE, &n),
			 0);
	assert_int_equal(csv_setxattr(w->h, &replay_cred, XATTR, "old", 3, 0),
			 0);
}
