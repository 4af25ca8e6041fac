/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names: what they reach, what they must not, and what changes them. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "conformance_private.h"

static int stat_err(struct conf *t, const char *name, uint32_t flags)
{
	struct csv_stat st;

	return t->b->ops->statat(t->dir, &conf_root, name, flags, &st, NULL);
}

static int open_in(struct conf *t,
		   struct csv_file *dir,
		   const char *name,
		   uint32_t how)
{
	struct csv_file *f = NULL;
	int ret;

	ret = t->b->ops->open(t->b,
			      t->mem,
			      &conf_root,
			      dir,
			      name,
			      how,
			      0644,
			      &f,
			      NULL,
			      NULL);
	talloc_free(f);
	return ret;
}

static int open_err(struct conf *t, const char *name, uint32_t how)
{
	return open_in(t, t->dir, name, how);
}

static void link_to(struct conf *t, const char *name, const char *target)
{
	ok(t->b->ops->symlink(t->dir, &conf_root, name, target, 0));
}

static int unlink_err(struct conf *t, const char *name, uint32_t flags)
{
	return t->b->ops->unlink(t->dir, &conf_root, name, flags);
}

static int rename_err(struct conf *t, const char *a, const char *b, uint32_t f)
{
	return t->b->ops->rename(t->dir, a, t->dir, b, &conf_root, f);
}

static void missing_and_wrong_names(void **state)
{
	struct conf *t = conf_get(state);
	char longest[257], path[CSV_MAX_NAME + 10];
	size_t i;

	conf_file(t, "file", "x");
	fails(open_err(t, "none", CSV_O_READ), ENOENT);
	fails(open_err(t, "none/x", CSV_O_READ), ENOENT);
	fails(open_err(t, "file/x", CSV_O_READ), ENOTDIR);
	fails(open_err(t, "/file", CSV_O_READ), EINVAL);
	fails(open_err(t, "", CSV_O_READ | CSV_O_CREAT), ENOENT);
	fails(stat_err(t, "none", 0), ENOENT);
	fails(unlink_err(t, "none", 0), ENOENT);
	fails(rename_err(t, "none", "other", 0), ENOENT);
	fails(t->b->ops->mkdir(t->dir, &conf_root, "", 0755, 0), ENOENT);
	fails(t->b->ops->mkdir(t->dir, &conf_root, "/x", 0755, 0), EINVAL);

	memset(longest, 'n', 256);
	longest[256] = '\0';
	fails(open_err(t, longest, CSV_O_WRITE | CSV_O_CREAT), ENAMETOOLONG);
	fails(unlink_err(t, longest, 0), ENAMETOOLONG);
	longest[255] = '\0';
	conf_file(t, longest, "255");
	ok(unlink_err(t, longest, 0));

	for (i = 0; i + 1 < sizeof(path); i += 2) {
		memcpy(path + i, "./", 2);
	}
	path[CSV_MAX_NAME] = '\0';
	fails(stat_err(t, path, 0), ENAMETOOLONG);
	path[CSV_MAX_NAME - 2] = '\0';
	ok(stat_err(t, path, 0));
}

static void open_says_what_is_wrong(void **state)
{
	struct conf *t = conf_get(state);

	conf_file(t, "file", "x");
	conf_mkdir(t, "dir", 0755);
	link_to(t, "link", "file");
	fails(open_err(t, "file", 0), EINVAL);
	fails(open_err(t, "file", 0x80000000 | CSV_O_READ), EINVAL);
	fails(open_err(t, "file", CSV_O_PATH | CSV_O_WRITE), EINVAL);
	fails(open_err(t, "new", CSV_O_PATH | CSV_O_CREAT), EINVAL);
	fails(open_err(t, "dir", CSV_O_WRITE), EISDIR);
	fails(open_err(t, "dir", CSV_O_READ | CSV_O_CREAT), EISDIR);
	fails(open_err(t, "new/", CSV_O_WRITE | CSV_O_CREAT), EISDIR);
	fails(open_err(t, "file", CSV_O_READ | CSV_O_DIRECTORY), ENOTDIR);
	fails(open_err(t, "file/", CSV_O_READ), ENOTDIR);
	fails(open_err(t, "file", CSV_O_WRITE | CSV_O_CREAT | CSV_O_EXCL),
	      EEXIST);
	fails(open_err(t, "link", CSV_O_WRITE | CSV_O_CREAT | CSV_O_EXCL),
	      EEXIST);
	fails(open_err(t, "link", CSV_O_READ | CSV_O_NOFOLLOW), ELOOP);
	fails(open_err(t, "link", CSV_O_READ | CSV_O_NOSYMLINKS), ELOOP);
	ok(open_err(t, "link", CSV_O_READ));
	ok(open_err(t, "link", CSV_O_PATH | CSV_O_NOFOLLOW));
	ok(open_err(t, "dir/", CSV_O_READ));
	ok(open_err(t, "dir/../file", CSV_O_READ));
	ok(open_err(t, "dir/./../file", CSV_O_READ | CSV_O_NOSYMLINKS));
}

static void symlinks_lead_only_inside(void **state)
{
	struct conf *t = conf_get(state);
	char up[64];

	conf_file(t, "file", "target");
	conf_mkdir(t, "d", 0755);
	conf_mkdir(t, "d/e", 0755);
	link_to(t, "d/up", "../file");
	link_to(t, "d/e/upup", "../../file");
	link_to(t, "dirlink", "d");
	link_to(t, "chain", "dirlink/up");
	link_to(t, "abs", "/etc/passwd");
	link_to(t, "out", "../../etc/passwd");
	link_to(t, "loop1", "loop2");
	link_to(t, "loop2", "loop1");
	link_to(t, "dangling", "created");
	snprintf(up, sizeof(up), "../%s/file", t->dir_name);
	link_to(t, "round", up);

	ok(open_err(t, "d/up", CSV_O_READ));
	ok(open_err(t, "d/e/upup", CSV_O_READ));
	ok(open_err(t, "chain", CSV_O_READ));
	ok(open_err(t, "round", CSV_O_READ));
	ok(open_err(t, "dirlink/e", CSV_O_READ | CSV_O_DIRECTORY));
	ok(open_err(t, "dirlink/", CSV_O_PATH | CSV_O_NOFOLLOW));
	fails(open_err(t, "chain", CSV_O_READ | CSV_O_NOSYMLINKS), ELOOP);
	fails(open_err(t, "dirlink/e", CSV_O_READ | CSV_O_NOSYMLINKS), ELOOP);
	fails(open_err(t, "abs", CSV_O_READ), EXDEV);
	fails(open_err(t, "out", CSV_O_READ), EXDEV);
	fails(stat_err(t, "abs", CSV_F_FOLLOW), EXDEV);
	ok(stat_err(t, "abs", 0));
	fails(open_err(t, "loop1", CSV_O_READ), ELOOP);
	fails(open_err(t, "loop1/x", CSV_O_READ), ELOOP);
	fails(open_err(t, "dangling", CSV_O_READ), ENOENT);
	ok(open_err(t, "dangling", CSV_O_WRITE | CSV_O_CREAT));
	ok(stat_err(t, "created", 0));
	fails(open_err(t, "d/up/x", CSV_O_READ), ENOTDIR);
}

static void dotdot_stops_at_the_root(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_stat here, root, st;
	char back[64];

	here = conf_stat(t, ".");
	ok(t->b->ops->fstat(t->root, &root));
	ok(t->b->ops->statat(t->dir, &conf_root, "..", 0, &st, NULL));
	assert_int_equal(st.ino, root.ino);
	snprintf(back, sizeof(back), "../%s", t->dir_name);
	st = conf_stat(t, back);
	assert_int_equal(st.ino, here.ino);
	fails(stat_err(t, "../..", 0), EXDEV);
	fails(stat_err(t, "../../etc", 0), EXDEV);
	fails(open_err(t, "../../etc/passwd", CSV_O_READ), EXDEV);
	fails(open_in(t, t->root, "..", CSV_O_PATH), EXDEV);
	fails(open_in(t, t->root, "../x", CSV_O_WRITE | CSV_O_CREAT), EXDEV);
	fails(t->b->ops->mkdir(t->root, &conf_root, "../x", 0755, 0), EXDEV);
	fails(t->b->ops->unlink(t->root, &conf_root, "../x", 0), EXDEV);
}

static void hidden_directory_is_not_there(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_stat st;
	char name[64];

	fails(open_in(t, t->root, CSV_HIDDEN_DIR, CSV_O_PATH), ENOENT);
	fails(open_in(t, t->root, "./" CSV_HIDDEN_DIR "/", CSV_O_PATH), ENOENT);
	fails(open_in(t,
		      t->root,
		      CSV_HIDDEN_DIR,
		      CSV_O_WRITE | CSV_O_CREAT),
	      ENOENT);
	fails(open_in(t,
		      t->root,
		      CSV_HIDDEN_DIR "/x",
		      CSV_O_WRITE | CSV_O_CREAT),
	      ENOENT);
	fails(open_err(t, "../" CSV_HIDDEN_DIR, CSV_O_PATH), ENOENT);
	fails(ops->statat(t->root, &conf_root, CSV_HIDDEN_DIR, 0, &st, NULL),
	      ENOENT);
	fails(ops->mkdir(t->root, &conf_root, CSV_HIDDEN_DIR, 0755, 0), ENOENT);
	fails(ops->mkdir(t->root, &conf_root, CSV_HIDDEN_DIR "/d", 0755, 0),
	      ENOENT);
	fails(ops->unlink(t->root,
			  &conf_root,
			  CSV_HIDDEN_DIR,
			  CSV_F_RMDIR),
	      ENOENT);
	fails(ops->rename(t->root,
			  CSV_HIDDEN_DIR,
			  t->dir,
			  "x",
			  &conf_root,
			  0),
	      ENOENT);
	conf_mkdir(t, "d", 0755);
	fails(ops->rename(t->dir,
			  "d",
			  t->root,
			  CSV_HIDDEN_DIR,
			  &conf_root,
			  0),
	      ENOENT);
	fails(ops->symlink(t->root, &conf_root, CSV_HIDDEN_DIR, "x", 0),
	      ENOENT);
	link_to(t, "link", "../" CSV_HIDDEN_DIR);
	fails(open_err(t, "link", CSV_O_PATH), ENOENT);
	fails(open_err(t, "link/x", CSV_O_PATH), ENOENT);
	snprintf(name, sizeof(name), "%s/../%s", t->dir_name, CSV_HIDDEN_DIR);
	fails(open_in(t, t->root, name, CSV_O_PATH), ENOENT);
	/* only the root's is ours */
	conf_mkdir(t, CSV_HIDDEN_DIR, 0755);
	conf_file(t, CSV_HIDDEN_DIR "/x", "mine");
	ok(unlink_err(t, CSV_HIDDEN_DIR "/x", 0));
	ok(unlink_err(t, CSV_HIDDEN_DIR, CSV_F_RMDIR));
}

static void names_of_every_byte(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_dirlist *list = NULL;
	struct csv_file *d = NULL;
	bool seen[256] = {};
	char name[4] = "x_x";
	unsigned i;

	for (i = 1; i < 256; i++) {
		name[1] = (char)i;
		if (i != '/') {
			conf_file(t, name, "b");
		}
	}
	d = conf_open(t, ".", CSV_O_READ | CSV_O_DIRECTORY);
	ok(t->b->ops->readdir(d, t->mem, &conf_root, 0, 1 << 20, NULL, &list));
	for (i = 0; i < list->num; i++) {
		if (list->entries[i].name_len == 3) {
			seen[(uint8_t)list->entries[i].name[1]] = true;
		}
	}
	talloc_free(list);
	talloc_free(d);
	for (i = 1; i < 256; i++) {
		name[1] = (char)i;
		if (i != '/') {
			assert_true(seen[i]);
			ok(rename_err(t, name, "moved", 0));
			ok(unlink_err(t, "moved", 0));
		}
	}
	/* a single byte, and not UTF-8 */
	conf_file(t, "\xff", "b");
	ok(unlink_err(t, "\xff", 0));
}

static void rename_keeps_its_word(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_stat a, st;
	int ret;

	conf_file(t, "a", "a");
	conf_file(t, "b", "b");
	conf_mkdir(t, "d", 0755);
	conf_mkdir(t, "e", 0755);
	conf_file(t, "e/x", "x");
	a = conf_stat(t, "a");
	fails(rename_err(t, "a", "b", CSV_F_NOREPLACE), EEXIST);
	ok(rename_err(t, "a", "c", CSV_F_NOREPLACE));
	ok(rename_err(t, "c", "b", 0));
	st = conf_stat(t, "b");
	assert_int_equal(st.ino, a.ino);
	fails(stat_err(t, "c", 0), ENOENT);
	ok(rename_err(t, "b", "d/b", CSV_F_STABLE));
	ok(rename_err(t, "d/b", "b", CSV_F_STABLE));
	ok(rename_err(t, "b", "b", 0));
	fails(rename_err(t, "b", "d", 0), EISDIR);
	fails(rename_err(t, "d", "b", 0), ENOTDIR);
	ret = rename_err(t, "d", "e", 0);
	assert_true(ret == ENOTEMPTY || ret == EEXIST);
	fails(rename_err(t, "d", "d/sub", 0), EINVAL);
	fails(rename_err(t, "b", "c/", 0), ENOTDIR);
	ok(rename_err(t, "d", "f/", 0));
	ok(rename_err(t, "f/", "d", 0));
	ok(rename_err(t, "e", "g", 0));
	ok(rename_err(t, "d", "e", 0));
}

static void unlink_keeps_its_word(void **state)
{
	struct conf *t = conf_get(state);
	int ret;

	conf_file(t, "a", "a");
	conf_mkdir(t, "d", 0755);
	conf_file(t, "d/x", "x");
	link_to(t, "l", "a");
	fails(unlink_err(t, "d", CSV_F_RMDIR), ENOTEMPTY);
	fails(unlink_err(t, "d", 0), EISDIR);
	fails(unlink_err(t, "a", CSV_F_RMDIR), ENOTDIR);
	fails(unlink_err(t, "a/", 0), ENOTDIR);
	fails(unlink_err(t, "d/.", CSV_F_RMDIR), EINVAL);
	ret = unlink_err(t, "d/..", CSV_F_RMDIR);
	assert_true(ret == ENOTEMPTY || ret == EBUSY);
	ok(unlink_err(t, "l", 0));
	ok(stat_err(t, "a", 0));
	ok(unlink_err(t, "a", CSV_F_STABLE));
	ok(unlink_err(t, "d/x", 0));
	ok(unlink_err(t, "d/", CSV_F_RMDIR | CSV_F_STABLE));
	fails(stat_err(t, "d", 0), ENOENT);
}

static void links_are_counted(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = NULL;
	struct csv_stat st;

	conf_file(t, "a", "a");
	conf_mkdir(t, "d", 0755);
	ok(ops->link(t->dir, "a", t->dir, "d/b", &conf_root, 0));
	st = conf_stat(t, "a");
	assert_int_equal(st.nlink, 2);
	fails(ops->link(t->dir, "a", t->dir, "d/b", &conf_root, 0), EEXIST);
	fails(ops->link(t->dir, "none", t->dir, "c", &conf_root, 0), ENOENT);
	fails(ops->link(t->dir, "d", t->dir, "c", &conf_root, 0), EPERM);
	f = conf_open(t, "a", CSV_O_READ);
	ok(ops->link(f, "", t->dir, "c", &conf_root, CSV_F_STABLE));
	ok(ops->fstat(f, &st));
	assert_int_equal(st.nlink, 3);
	ok(unlink_err(t, "a", 0));
	ok(unlink_err(t, "d/b", 0));
	ok(ops->fstat(f, &st));
	assert_int_equal(st.nlink, 1);
	talloc_free(f);
	f = conf_open(t, "c", CSV_O_READ);
	conf_expect(f, "a");
	talloc_free(f);
}

static void symlinks_are_read(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	char target[CSV_MAX_NAME];
	struct csv_file *f = NULL;
	char *got = NULL;

	memset(target, 't', sizeof(target));
	target[1000] = '\0';
	link_to(t, "long", target);
	ok(ops->readlink(t->dir, t->mem, &conf_root, "long", &got));
	assert_string_equal(got, target);
	talloc_free(got);
	link_to(t, "l", "/no/\xffwhere");
	f = conf_open(t, "l", CSV_O_PATH | CSV_O_NOFOLLOW);
	ok(ops->readlink(f, t->mem, &conf_root, "", &got));
	assert_string_equal(got, "/no/\xffwhere");
	talloc_free(got);
	talloc_free(f);
	conf_file(t, "file", "x");
	fails(ops->readlink(t->dir, t->mem, &conf_root, "file", &got), EINVAL);
	fails(ops->readlink(t->dir, t->mem, &conf_root, "none", &got), ENOENT);
	fails(ops->symlink(t->dir, &conf_root, "l", "x", 0), EEXIST);
	ok(ops->symlink(t->dir, &conf_root, "stable", "x", CSV_F_STABLE));
	f = conf_open(t, "file", CSV_O_READ);
	fails(ops->readlink(f, t->mem, &conf_root, "", &got), EINVAL);
	talloc_free(f);
}

static void special_files_are_made(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_stat st;

	ok(ops->mknod(t->dir, &conf_root, "fifo", S_IFIFO | 0640, 0, 0));
	st = conf_stat(t, "fifo");
	assert_true(S_ISFIFO(st.mode));
	/* nobody reads: must not wait for somebody */
	fails(open_err(t, "fifo", CSV_O_WRITE | CSV_O_NONBLOCK), ENXIO);
	ok(open_err(t, "fifo", CSV_O_READ | CSV_O_NONBLOCK));
	ok(ops->mknod(t->dir,
		      &conf_root,
		      "reg",
		      S_IFREG | 0640,
		      0,
		      CSV_F_STABLE));
	st = conf_stat(t, "reg");
	assert_int_equal(st.mode, S_IFREG | 0640);
	fails(ops->mknod(t->dir, &conf_root, "reg", S_IFREG | 0640, 0, 0),
	      EEXIST);
	if (t->c->identity) {
		ok(ops->mknod(t->dir,
			      &conf_root,
			      "null",
			      S_IFCHR | 0640,
			      0x103,
			      0));
		st = conf_stat(t, "null");
		assert_true(S_ISCHR(st.mode));
		assert_int_equal(st.rdev, 0x103);
	}
}

static void mkdir_keeps_its_word(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_stat st;

	ok(ops->mkdir(t->dir, &conf_root, "d", 0750, CSV_F_STABLE));
	st = conf_stat(t, "d");
	assert_int_equal(st.mode, S_IFDIR | 0750);
	fails(ops->mkdir(t->dir, &conf_root, "d", 0750, 0), EEXIST);
	fails(ops->mkdir(t->dir, &conf_root, "none/d", 0750, 0), ENOENT);
	ok(ops->mkdir(t->dir, &conf_root, "d/e/", 0750, 0));
	fails(ops->mkdir(t->dir, &conf_root, "..", 0750, 0), EEXIST);
}

const struct CMUnitTest conf_name_tests[] = {
	CONF_TEST(missing_and_wrong_names),
	CONF_TEST(open_says_what_is_wrong),
	CONF_TEST(symlinks_lead_only_inside),
	CONF_TEST(dotdot_stops_at_the_root),
	CONF_TEST(hidden_directory_is_not_there),
	CONF_TEST(names_of_every_byte),
	CONF_TEST(rename_keeps_its_word),
	CONF_TEST(unlink_keeps_its_word),
	CONF_TEST(links_are_counted),
	CONF_TEST(symlinks_are_read),
	CONF_TEST(special_files_are_made),
	CONF_TEST(mkdir_keeps_its_word),
};
const size_t conf_num_name_tests =
	sizeof(conf_name_tests) / sizeof(conf_name_tests[0]);
