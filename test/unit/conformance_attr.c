/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes, extended attributes, ACLs, file handles. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "conformance_private.h"

static void attributes_are_set(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_setattr a = {
		.mask = CSV_ATTR_MODE | CSV_ATTR_SIZE | CSV_ATTR_ATIME |
			CSV_ATTR_MTIME,
		.mode = 06711,
		.size = 12345,
		.atime = {.tv_sec = 1000000000, .tv_nsec = 123456789},
		.mtime = {.tv_sec = 2000000000, .tv_nsec = 987654321},
	};
	struct csv_file *f = NULL;
	struct csv_stat st;

	conf_file(t, "file", "content");
	f = conf_open(t, "file", CSV_O_READ | CSV_O_WRITE);
	ok(ops->setattr(f, &conf_root, NULL, &a, CSV_F_STABLE));
	ok(ops->fstat(f, &st));
	assert_int_equal(st.mode, S_IFREG | 06711);
	assert_int_equal(st.size, 12345);
	assert_int_equal(st.atime.tv_sec, 1000000000);
	assert_int_equal(st.atime.tv_nsec, 123456789);
	assert_int_equal(st.mtime.tv_sec, 2000000000);
	assert_int_equal(st.mtime.tv_nsec, 987654321);
	assert_true(st.blksize > 0 && st.ino > 0 && st.ctime.tv_sec > 0);
	talloc_free(f);

	/* an O_PATH handle is enough where the user has the right */
	f = conf_open(t, "file", CSV_O_PATH);
	a.mask = CSV_ATTR_SIZE | CSV_ATTR_MODE;
	a.size = 3;
	a.mode = 0600;
	ok(ops->setattr(f, &conf_root, NULL, &a, 0));
	ok(ops->fstat(f, &st));
	assert_int_equal(st.size, 3);
	assert_int_equal(st.mode, S_IFREG | 0600);
	a.mask = CSV_ATTR_SIZE;
	a.size = -1;
	fails(ops->setattr(f, &conf_root, NULL, &a, 0), EINVAL);
	talloc_free(f);
	fails(ops->setattr(t->dir, &conf_root, "none", &a, 0), ENOENT);
}

static void setattr_by_name_follows_when_told(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_setattr a = {
		.mask = CSV_ATTR_MTIME,
		.mtime = {.tv_sec = 1111111111},
	};
	struct csv_stat st;

	conf_file(t, "file", "x");
	ok(ops->symlink(t->dir, &conf_root, "link", "file", 0));
	ok(ops->setattr(t->dir, &conf_root, "link", &a, 0));
	st = conf_stat(t, "link");
	assert_int_equal(st.mtime.tv_sec, 1111111111);
	st = conf_stat(t, "file");
	assert_int_not_equal(st.mtime.tv_sec, 1111111111);
	ok(ops->setattr(t->dir, &conf_root, "link", &a, CSV_F_FOLLOW));
	st = conf_stat(t, "file");
	assert_int_equal(st.mtime.tv_sec, 1111111111);
	a.mask = CSV_ATTR_MODE;
	a.mode = 0644;
	fails(ops->setattr(t->dir, &conf_root, "link", &a, 0), EOPNOTSUPP);
}

static void extended_attributes(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	char value[64] = "", list[256], *big = talloc_zero_array(t, char, 70000);
	struct csv_file *f = NULL;
	size_t n;

	conf_file(t, "file", "x");
	f = conf_open(t, "file", CSV_O_PATH);
	n = sizeof(value);
	fails(ops->getxattr(f, &conf_root, "user.a", value, &n), ENODATA);
	fails(ops->setxattr(f, &conf_root, "user.a", "v", 1, CSV_F_XREPLACE),
	      ENODATA);
	ok(ops->setxattr(f, &conf_root, "user.a", "v\0w", 3, CSV_F_XCREATE));
	fails(ops->setxattr(f, &conf_root, "user.a", "v", 1, CSV_F_XCREATE),
	      EEXIST);
	ok(ops->setxattr(f, &conf_root, "user.empty", "", 0, CSV_F_STABLE));
	n = 0;
	ok(ops->getxattr(f, &conf_root, "user.a", NULL, &n));
	assert_int_equal(n, 3);
	n = 2;
	fails(ops->getxattr(f, &conf_root, "user.a", value, &n), ERANGE);
	n = sizeof(value);
	ok(ops->getxattr(f, &conf_root, "user.a", value, &n));
	assert_int_equal(n, 3);
	assert_memory_equal(value, "v\0w", 3);
	n = sizeof(value);
	ok(ops->getxattr(f, &conf_root, "user.empty", value, &n));
	assert_int_equal(n, 0);
	n = 0;
	ok(ops->listxattr(f, &conf_root, NULL, &n));
	assert_true(n >= strlen("user.a") + strlen("user.empty") + 2);
	n = 3;
	fails(ops->listxattr(f, &conf_root, list, &n), ERANGE);
	n = sizeof(list);
	ok(ops->listxattr(f, &conf_root, list, &n));
	assert_non_null(memmem(list, n, "user.a", 7));
	assert_non_null(memmem(list, n, "user.empty", 11));
	ok(ops->removexattr(f, &conf_root, "user.a", CSV_F_STABLE));
	fails(ops->removexattr(f, &conf_root, "user.a", 0), ENODATA);
	fails(ops->setxattr(f, &conf_root, "user.b", big, 65537, 0), E2BIG);
	talloc_free(f);
	/* what the file system takes comes back whole */
	f = conf_open(t, "file", CSV_O_READ | CSV_O_WRITE);
	big[0] = 'b';
	big[2999] = 'e';
	ok(ops->setxattr(f, &conf_root, "user.big", big, 3000, 0));
	memset(big, 0, 3000);
	n = 70000 < CSV_MAX_XATTR ? 70000 : CSV_MAX_XATTR;
	ok(ops->getxattr(f, &conf_root, "user.big", big, &n));
	assert_int_equal(n, 3000);
	assert_true(big[0] == 'b' && big[2999] == 'e');
	talloc_free(f);
	talloc_free(big);
}

/* POSIX ACLs as the kernel has them: version 2, little endian. */
struct acl_entry {
	uint16_t tag;
	uint16_t perm;
	uint32_t id;
};
struct acl {
	uint32_t version;
	struct acl_entry e[5];
};

static const struct acl with_user = {
	.version = 2,
	.e = {
		{0x01, 7, UINT32_MAX}, /* owner */
		{0x02, 6, 20002},      /* this user */
		{0x04, 5, UINT32_MAX}, /* group */
		{0x10, 7, UINT32_MAX}, /* mask */
		{0x20, 0, UINT32_MAX}, /* others */
	},
};

static const struct csv_cred user1 = {.uid = 20001, .gid = 20001, .umask = 077};
static const struct csv_cred user2 = {.uid = 20002, .gid = 20002, .umask = 077};
static const struct csv_cred user3 = {.uid = 20003, .gid = 20003, .umask = 027};

static int open_as(struct conf *t,
		   const struct csv_cred *cred,
		   const char *name,
		   uint32_t how,
		   uint32_t mode,
		   struct csv_stat *st)
{
	struct csv_file *f = NULL;
	int ret;

	ret = t->b->ops->open(t->b,
			      t->mem,
			      cred,
			      t->dir,
			      name,
			      how,
			      mode,
			      &f,
			      st,
			      NULL);
	talloc_free(f);
	return ret;
}

static void acls_decide(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL;
	struct csv_stat st;
	struct acl got;
	size_t n = sizeof(got);

	if (!t->c->identity) {
		skip();
	}
	conf_file(t, "file", "x");
	conf_chmod(t, "file", 0600);
	fails(open_as(t, &user2, "file", CSV_O_READ, 0, &st), EACCES);
	f = conf_open(t, "file", CSV_O_PATH);
	ok(t->b->ops->setxattr(f,
			       &conf_root,
			       "system.posix_acl_access",
			       &with_user,
			       sizeof(with_user),
			       0));
	ok(t->b->ops->getxattr(f,
			       &conf_root,
			       "system.posix_acl_access",
			       &got,
			       &n));
	assert_int_equal(n, sizeof(got));
	assert_memory_equal(&got, &with_user, n);
	talloc_free(f);
	ok(open_as(t, &user2, "file", CSV_O_READ | CSV_O_WRITE, 0, &st));
	fails(open_as(t, &user3, "file", CSV_O_READ, 0, &st), EACCES);
}

static void default_acls_are_inherited(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL;
	struct csv_stat st;
	struct acl got;
	size_t n = sizeof(got);

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "d", 0777);
	f = conf_open(t, "d", CSV_O_PATH);
	ok(t->b->ops->setxattr(f,
			       &conf_root,
			       "system.posix_acl_default",
			       &with_user,
			       sizeof(with_user),
			       0));
	talloc_free(f);
	/* the umask 077 does not count where there is a default ACL */
	ok(open_as(t,
		   &user1,
		   "d/new",
		   CSV_O_WRITE | CSV_O_CREAT | CSV_O_STABLE,
		   0666,
		   &st));
	assert_int_equal(st.mode & 07777, 0660);
	assert_int_equal(st.uid, 20001);
	ok(open_as(t, &user2, "d/new", CSV_O_READ | CSV_O_WRITE, 0, &st));
	fails(open_as(t, &user3, "d/new", CSV_O_READ, 0, &st), EACCES);
	/* and directories pass it on */
	ok(t->b->ops->mkdir(t->dir, &user1, "d/sub", 0777, 0));
	f = conf_open(t, "d/sub", CSV_O_PATH);
	ok(t->b->ops->getxattr(f,
			       &conf_root,
			       "system.posix_acl_default",
			       &got,
			       &n));
	talloc_free(f);
}

static void umask_is_the_users(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_stat st;

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "d", 0777);
	ok(open_as(t, &user1, "d/1", CSV_O_WRITE | CSV_O_CREAT, 0666, &st));
	assert_int_equal(st.mode & 07777, 0600);
	ok(open_as(t, &user3, "d/3", CSV_O_WRITE | CSV_O_CREAT, 0666, &st));
	assert_int_equal(st.mode & 07777, 0640);
	ok(t->b->ops->mkdir(t->dir, &user3, "d/dir", 0777, 0));
	st = conf_stat(t, "d/dir");
	assert_int_equal(st.mode & 07777, 0750);
	ok(t->b->ops->mknod(t->dir, &user1, "d/fifo", S_IFIFO | 0666, 0, 0));
	st = conf_stat(t, "d/fifo");
	assert_int_equal(st.mode & 07777, 0600);
}

static void setgid_directories_give_their_group(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_stat st;

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "d", 0777);
	conf_chown(t, "d", 0, 30000);
	conf_chmod(t, "d", 02777);
	ok(open_as(t, &user1, "d/file", CSV_O_WRITE | CSV_O_CREAT, 0666, &st));
	assert_int_equal(st.uid, 20001);
	assert_int_equal(st.gid, 30000);
	ok(t->b->ops->mkdir(t->dir, &user1, "d/sub", 0755, 0));
	st = conf_stat(t, "d/sub");
	assert_int_equal(st.gid, 30000);
	assert_true(st.mode & S_ISGID);
}

static void users_have_no_capabilities(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_setattr own = {.mask = CSV_ATTR_UID, .uid = 0};
	struct csv_setattr mode = {.mask = CSV_ATTR_MODE, .mode = 0666};
	struct csv_file *f = NULL;
	struct csv_stat st;
	size_t n = 0;

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "d", 0777);
	ok(open_as(t, &user1, "d/f", CSV_O_WRITE | CSV_O_CREAT, 0666, &st));
	conf_file(t, "roots", "x");
	f = conf_open(t, "d/f", CSV_O_PATH);
	fails(ops->setxattr(f, &user1, "trusted.x", "v", 1, 0), EPERM);
	fails(ops->setxattr(f, &user1, "security.x", "v", 1, 0), EPERM);
	ok(ops->setxattr(f, &user1, "user.x", "v", 1, 0));
	fails(ops->setxattr(f, &user2, "user.x", "v", 1, 0), EACCES);
	ok(ops->setxattr(f, &conf_root, "trusted.x", "v", 1, 0));
	fails(ops->getxattr(f, &user1, "trusted.x", NULL, &n), ENODATA);
	fails(ops->setattr(f, &user1, NULL, &own, 0), EPERM);
	fails(ops->setattr(f, &user2, NULL, &mode, 0), EPERM);
	ok(ops->setattr(f, &user1, NULL, &mode, 0));
	talloc_free(f);
	fails(ops->setattr(t->dir, &user1, "roots", &mode, 0), EPERM);
	fails(ops->mknod(t->dir, &user1, "d/dev", S_IFCHR | 0666, 0x103, 0),
	      EPERM);
	fails(ops->unlink(t->dir, &user1, "roots", 0), EACCES);
	fails(ops->rename(t->dir, "d/f", t->dir, "f", &user1, 0), EACCES);
}

static void a_write_drops_set_id_bits(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL;
	struct csv_stat st;

	if (!t->c->identity) {
		skip();
	}
	conf_file(t, "file", "x");
	conf_chown(t, "file", 20001, 20001);
	f = conf_open(t, "file", CSV_O_WRITE);
	conf_chmod(t, "file", 06755);
	conf_write(f, "y");
	talloc_free(f);
	st = conf_stat(t, "file");
	assert_int_equal(st.mode & 07777, 0755);
}

static int open_fh(struct conf *t,
		   const struct csv_fhandle *fh,
		   uint32_t how,
		   struct csv_file **f)
{
	return t->b->ops->open_fh(t->b, t->mem, fh, how, f, NULL);
}

static void handles_survive_rename_and_move(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_fhandle fh, fh_open;
	struct csv_file *f = NULL;
	struct csv_stat st, st2;

	conf_mkdir(t, "d", 0755);
	ok(ops->open(t->b,
		     t->mem,
		     &conf_root,
		     t->dir,
		     "file",
		     CSV_O_WRITE | CSV_O_CREAT | CSV_O_EXCL | CSV_O_STABLE,
		     0644,
		     &f,
		     &st,
		     &fh_open));
	assert_int_equal(f->how & CSV_O_ONCE, 0);
	conf_write(f, "content");
	talloc_free(f);
	fh = conf_fh(t, "file");
	assert_int_equal(fh.length, fh_open.length);
	assert_memory_equal(fh.data, fh_open.data, fh.length);
	ok(ops->rename(t->dir, "file", t->dir, "d/other", &conf_root, 0));
	conf_move(t);
	ok(t->b->ops->open_fh(t->b, t->mem, &fh, CSV_O_READ, &f, &st2));
	assert_int_equal(st.ino, st2.ino);
	conf_expect(f, "content");
	talloc_free(f);
	/* directories too, and names below them */
	fh = conf_fh(t, "d");
	ok(open_fh(t, &fh, CSV_O_PATH | CSV_O_DIRECTORY, &f));
	ok(t->b->ops->statat(f, &conf_root, "other", 0, &st2, NULL));
	assert_int_equal(st.ino, st2.ino);
	talloc_free(f);
}

static void handles_of_nothing_are_stale(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_fhandle fh, bad;
	struct csv_file *f = NULL;
	int ret;

	conf_file(t, "file", "x");
	conf_mkdir(t, "d", 0755);
	fh = conf_fh(t, "file");
	fails(open_fh(t, &fh, CSV_O_WRITE | CSV_O_TRUNC, &f), EINVAL);
	fails(open_fh(t, &fh, CSV_O_WRITE | CSV_O_CREAT, &f), EINVAL);
	fails(open_fh(t, &fh, CSV_O_READ | CSV_O_DIRECTORY, &f), ENOTDIR);
	ok(t->b->ops->unlink(t->dir, &conf_root, "file", 0));
	fails(open_fh(t, &fh, CSV_O_READ, &f), ESTALE);
	fails(open_fh(t, &fh, CSV_O_PATH, &f), ESTALE);
	fh = conf_fh(t, "d");
	ok(t->b->ops->unlink(t->dir, &conf_root, "d", CSV_F_RMDIR));
	fails(open_fh(t, &fh, CSV_O_PATH, &f), ESTALE);
	bad = fh;
	memset(bad.data, 0xee, bad.length);
	fails(open_fh(t, &bad, CSV_O_READ, &f), ESTALE);
	bad.length = 0;
	ret = open_fh(t, &bad, CSV_O_READ, &f);
	assert_true(ret == ESTALE || ret == EINVAL);
	bad.length = CSV_MAX_FHANDLE + 1;
	fails(open_fh(t, &bad, CSV_O_READ, &f), EINVAL);
	conf_move(t);
	fails(open_fh(t, &fh, CSV_O_PATH, &f), ESTALE);
}

/* The mode is 000 by then: exactly what was granted, no less, no more. */
static void reopen_grants_what_was_granted(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_fhandle fh;
	struct csv_file *f = NULL;
	char c = 'z';
	size_t n = 0;

	conf_file(t, "file", "content");
	fh = conf_fh(t, "file");
	conf_chmod(t, "file", 0);
	conf_move(t);
	ok(open_fh(t, &fh, CSV_O_READ, &f));
	conf_expect(f, "content");
	fails(t->b->ops->pwrite(f, "x", 1, 0, 0, &n), EBADF);
	talloc_free(f);
	ok(open_fh(t, &fh, CSV_O_WRITE | CSV_O_SYNC, &f));
	fails(t->b->ops->pread(f, &c, 1, 0, &n), EBADF);
	conf_write(f, "C");
	talloc_free(f);
	ok(open_fh(t, &fh, CSV_O_READ | CSV_O_WRITE | CSV_O_APPEND, &f));
	ok(t->b->ops->pwrite(f, "+", 1, 0, 0, &n));
	conf_expect(f, "Content+");
	talloc_free(f);
	ok(open_fh(t, &fh, CSV_O_PATH, &f));
	fails(t->b->ops->pread(f, &c, 1, 0, &n), EBADF);
	talloc_free(f);
}

static void space_is_told(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_statfs sfs;

	ok(t->b->ops->statfs(t->root, &sfs));
	assert_true(sfs.bsize >= 512);
	assert_true(sfs.blocks > 0 && sfs.bfree <= sfs.blocks);
	assert_true(sfs.bavail <= sfs.bfree);
	assert_int_equal(sfs.namemax, 255);
}

const struct CMUnitTest conf_attr_tests[] = {
	CONF_TEST(attributes_are_set),
	CONF_TEST(setattr_by_name_follows_when_told),
	CONF_TEST(extended_attributes),
	CONF_TEST(acls_decide),
	CONF_TEST(default_acls_are_inherited),
	CONF_TEST(umask_is_the_users),
	CONF_TEST(setgid_directories_give_their_group),
	CONF_TEST(users_have_no_capabilities),
	CONF_TEST(a_write_drops_set_id_bits),
	CONF_TEST(handles_survive_rename_and_move),
	CONF_TEST(handles_of_nothing_are_stale),
	CONF_TEST(reopen_grants_what_was_granted),
	CONF_TEST(space_is_told),
};
const size_t conf_num_attr_tests =
	sizeof(conf_attr_tests) / sizeof(conf_attr_tests[0]);
