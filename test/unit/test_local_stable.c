/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the local backend calls stable survives a power cut: the file system
 * is shut down without flushing its log right after the answer, then mounted
 * again. Each test ends with something that was not made stable and is gone,
 * which shows that the cut cuts.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "conformance_private.h"
#include "lib/volume/local.h"
#include "loopfs.h"

#define RW (CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT)
#define DATA "data that must be there afterwards"

struct stable {
	struct loopfs fs;
	const char *options;
	struct tevent_context *ev;
	struct csv_backend *b;
	struct csv_file *root;
};

static struct stable s;

static void attach(void)
{
	struct csv_local_params params = {.epoch = 1};

	params.rootfd = open(s.fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(params.rootfd, -1);
	ok(csv_local_create(NULL, &params, &s.b));
	close(params.rootfd);
	s.root = s.b->ops->root(s.b);
}

static void detach(void)
{
	assert_int_equal(s.b->num_files, 0);
	TALLOC_FREE(s.b);
}

static struct csv_file *open_how(const char *name, uint32_t how)
{
	struct csv_file *f = NULL;

	ok(s.b->ops->open(s.b,
			  NULL,
			  &conf_root,
			  s.root,
			  name,
			  how,
			  0644,
			  &f,
			  NULL,
			  NULL));
	return f;
}

static int stat_err(const char *name, struct csv_stat *st)
{
	return s.b->ops->statat(s.root, &conf_root, name, 0, st, NULL);
}

/* A file that is on storage, with content, before the test begins. */
static void make(const char *name, const char *content)
{
	struct csv_file *f = open_how(name, RW | CSV_O_STABLE);
	size_t n = 0;

	ok(s.b->ops->pwrite(f,
			    content,
			    strlen(content),
			    0,
			    CSV_F_STABLE,
			    &n));
	talloc_free(f);
}

/* The cut; before it, something that must not survive it. */
static void power_cut(void)
{
	struct csv_file *f = NULL;
	struct csv_stat st;
	bool wsync = s.options != NULL;
	size_t n = 0;

	f = open_how("unstable", RW);
	ok(s.b->ops->pwrite(f, "gone", 4, 0, 0, &n));
	ok(loopfs_shutdown(&s.fs));
	/* what a dead file system says is passed on */
	fails(s.b->ops->fsync(f, 0), EIO);
	fails(s.b->ops->mkdir(s.root, &conf_root, "x", 0755, 0), EIO);
	talloc_free(f);
	detach();
	ok(loopfs_umount(&s.fs));
	ok(loopfs_mount(&s.fs, s.options));
	attach();
	if (wsync) {
		/* its name is, the data are not */
		ok(stat_err("unstable", &st));
		assert_int_equal(st.size, 0);
		ok(s.b->ops->unlink(s.root, &conf_root, "unstable", 0));
	} else {
		fails(stat_err("unstable", &st), ENOENT);
	}
}

static void expect(const char *name, const char *content)
{
	struct csv_file *f = open_how(name, CSV_O_READ);

	conf_expect(f, content);
	talloc_free(f);
}

static void told(struct tevent_req *req)
{
	int *err = tevent_req_callback_data_void(req);

	*err = s.b->ops->recv(req, NULL);
	talloc_free(req);
}

static void async(struct tevent_req *req)
{
	int err = -1;

	assert_non_null(req);
	tevent_req_set_callback(req, told, &err);
	while (err == -1) {
		ok(tevent_loop_once(s.ev));
	}
	ok(err);
}

static void writes(void **state)
{
	const struct csv_backend_ops *ops = s.b->ops;
	struct csv_file *a = open_how("sync", RW | CSV_O_STABLE);
	struct csv_file *b = open_how("async", RW | CSV_O_STABLE);
	struct csv_file *c = open_how("through", RW | CSV_O_SYNC);
	struct csv_file *d = open_how("flushed", RW | CSV_O_STABLE);
	struct csv_file *e = open_how("copied", RW | CSV_O_STABLE);
	size_t n = 0, len = strlen(DATA);
	uint64_t copied = 0;

	ok(ops->fsync(c, 0));
	ok(ops->pwrite(a, DATA, len, 0, CSV_F_STABLE, &n));
	async(ops->pwrite_send(NULL, s.ev, b, DATA, len, 0, CSV_F_STABLE));
	async(ops->pwrite_send(NULL, s.ev, c, DATA, len, 0, 0));
	ok(ops->pwrite(d, DATA, len, 0, 0, &n));
	async(ops->fsync_send(NULL, s.ev, d, CSV_F_DATASYNC));
	ok(ops->copy_range(d, 0, e, 0, len, CSV_F_STABLE, &copied));
	talloc_free(a);
	talloc_free(b);
	talloc_free(c);
	talloc_free(d);
	talloc_free(e);
	power_cut();
	expect("sync", DATA);
	expect("async", DATA);
	expect("through", DATA);
	expect("flushed", DATA);
	expect("copied", DATA);
	(void)state;
}

/* One by one: a later one must not make an earlier one stable. */
static void each_change_of_names(void **state)
{
	const struct csv_backend_ops *ops = s.b->ops;
	const struct csv_cred *r = &conf_root;
	struct csv_stat st;

	make("src", "src");
	ok(ops->mkdir(s.root, r, "d1", 0755, CSV_F_STABLE));
	power_cut();
	ok(stat_err("d1", &st));

	ok(ops->mkdir(s.root, r, "d1/d2", 0755, CSV_F_STABLE));
	power_cut();
	ok(stat_err("d1/d2", &st));

	ok(ops->symlink(s.root, r, "d1/link", "to", CSV_F_STABLE));
	power_cut();
	ok(stat_err("d1/link", &st));

	ok(ops->mknod(s.root, r, "d1/fifo", S_IFIFO | 0644, 0, CSV_F_STABLE));
	power_cut();
	ok(stat_err("d1/fifo", &st));

	ok(ops->link(s.root, "src", s.root, "d1/hard", r, CSV_F_STABLE));
	power_cut();
	expect("d1/hard", "src");

	ok(ops->rename(s.root, "src", s.root, "d1/d2/moved", r, CSV_F_STABLE));
	power_cut();
	expect("d1/d2/moved", "src");
	fails(stat_err("src", &st), ENOENT);

	make("victim", "victim");
	ok(ops->rename(s.root, "d1/hard", s.root, "victim", r, CSV_F_STABLE));
	power_cut();
	expect("victim", "src");
	fails(stat_err("d1/hard", &st), ENOENT);

	ok(ops->unlink(s.root, r, "d1/fifo", CSV_F_STABLE));
	power_cut();
	fails(stat_err("d1/fifo", &st), ENOENT);

	ok(ops->mkdir(s.root, r, "empty", 0755, CSV_F_STABLE));
	ok(ops->unlink(s.root, r, "empty", CSV_F_RMDIR | CSV_F_STABLE));
	power_cut();
	fails(stat_err("empty", &st), ENOENT);

	talloc_free(open_how("d1/new",
			     RW | CSV_O_EXCL | CSV_O_STABLE));
	power_cut();
	ok(stat_err("d1/new", &st));
	talloc_free(open_how("d1/new2", RW | CSV_O_STABLE));
	power_cut();
	ok(stat_err("d1/new2", &st));
	(void)state;
}

static void each_change_of_attributes(void **state)
{
	const struct csv_backend_ops *ops = s.b->ops;
	struct csv_setattr a = {
		.mask = CSV_ATTR_MODE | CSV_ATTR_UID | CSV_ATTR_MTIME,
		.mode = 0123,
		.uid = 4711,
		.mtime = {.tv_sec = 1234567890},
	};
	struct csv_file *f = NULL;
	struct csv_stat st;
	char value[8] = "";
	size_t n = sizeof(value);

	make("attr", "0123456789");
	ok(ops->setattr(s.root, &conf_root, "attr", &a, CSV_F_STABLE));
	power_cut();
	ok(stat_err("attr", &st));
	assert_int_equal(st.mode & 07777, 0123);
	assert_int_equal(st.uid, 4711);
	assert_int_equal(st.mtime.tv_sec, 1234567890);

	a = (struct csv_setattr){.mask = CSV_ATTR_SIZE, .size = 5};
	f = open_how("attr", CSV_O_WRITE | CSV_O_SYNC);
	ok(ops->setattr(f, &conf_root, NULL, &a, 0));
	talloc_free(f);
	power_cut();
	expect("attr", "01234");

	f = open_how("attr", CSV_O_PATH);
	ok(ops->setxattr(f, &conf_root, "user.x", "y", 1, CSV_F_STABLE));
	talloc_free(f);
	power_cut();
	f = open_how("attr", CSV_O_PATH);
	ok(ops->getxattr(f, &conf_root, "user.x", value, &n));
	ok(ops->removexattr(f, &conf_root, "user.x", CSV_F_STABLE));
	talloc_free(f);
	power_cut();
	f = open_how("attr", CSV_O_PATH);
	n = sizeof(value);
	fails(ops->getxattr(f, &conf_root, "user.x", value, &n), ENODATA);
	talloc_free(f);
	talloc_free(open_how("attr",
			     CSV_O_WRITE | CSV_O_TRUNC | CSV_O_STABLE));
	power_cut();
	ok(stat_err("attr", &st));
	assert_int_equal(st.size, 0);
	(void)state;
}

/* Flushes that the device has done. */
static unsigned long flushes(void)
{
	unsigned long stat[17] = {};
	char path[96];
	FILE *f = NULL;
	int i;

	snprintf(path,
		 sizeof(path),
		 "/sys/block/%s/stat",
		 s.fs.loop + strlen("/dev/"));
	f = fopen(path, "re");
	assert_non_null(f);
	for (i = 0; i < 17 && fscanf(f, "%lu", &stat[i]) == 1; i++) {
	}
	fclose(f);
	assert_int_equal(i, 17);
	return stat[15];
}

static unsigned long flushed_since(unsigned long *before)
{
	unsigned long now = flushes(), n = now - *before;

	*before = now;
	return n;
}

/*
 * A write of the log that must be stable is two flushes on a device without
 * forced unit access (before and after), so a change of names costs two; a
 * write into allocated space one.
 */
static void no_flush_missing_none_too_many(void **state)
{
	const struct csv_backend_ops *ops = s.b->ops;
	struct csv_file *f = NULL;
	unsigned long before, n;
	size_t got = 0;

	make("sync", DATA);
	ok(ops->mkdir(s.root, &conf_root, "f1", 0755, CSV_F_STABLE));
	f = open_how("sync", CSV_O_READ | CSV_O_WRITE);
	before = flushes();
	ok(ops->pwrite(f, "x", 1, 0, 0, &got));
	assert_int_equal(flushed_since(&before), 0);
	ok(ops->pwrite(f, "x", 1, 0, CSV_F_STABLE, &got));
	n = flushed_since(&before);
	assert_in_range(n, 1, 2);
	async(ops->pwrite_send(NULL, s.ev, f, "y", 1, 0, CSV_F_STABLE));
	n = flushed_since(&before);
	assert_in_range(n, 1, 2);
	talloc_free(f);
	talloc_free(open_how("f1/new", RW | CSV_O_EXCL | CSV_O_STABLE));
	n = flushed_since(&before);
	assert_in_range(n, 1, 2);
	ok(ops->mkdir(s.root, &conf_root, "f1/f2", 0755, CSV_F_STABLE));
	n = flushed_since(&before);
	assert_in_range(n, 1, 2);
	ok(ops->rename(s.root,
		       "f1/new",
		       s.root,
		       "f1/f2/moved",
		       &conf_root,
		       CSV_F_STABLE));
	n = flushed_since(&before);
	assert_in_range(n, 1, 2);
	(void)state;
}

/* The owner loses power: who had a deleted file open can open it again. */
static void deleted_while_open(void **state)
{
	const struct csv_backend_ops *ops = s.b->ops;
	struct csv_fhandle fh = {};
	struct csv_file *f = NULL;
	struct csv_stat st;

	make("open", "still here");
	ok(ops->statat(s.root, &conf_root, "open", 0, &st, &fh));
	f = open_how("open", CSV_O_READ);
	ok(ops->unlink(s.root, &conf_root, "open", CSV_F_STABLE));
	/* nothing of a crash: the kernel just closes what was open */
	f->keep = true;
	talloc_free(f);
	power_cut();
	fails(stat_err("open", &st), ENOENT);
	ok(s.b->ops->open_fh(s.b, NULL, &fh, CSV_O_READ, &f, NULL));
	conf_expect(f, "still here");
	talloc_free(f);
	fails(s.b->ops->open_fh(s.b, NULL, &fh, CSV_O_READ, &f, NULL), ESTALE);
	(void)state;
}

static int setup(void **state)
{
	(void)state;
	if (!s.fs.mounted) {
		return 0;
	}
	if (loopfs_umount(&s.fs) != 0 || loopfs_mount(&s.fs, s.options) != 0) {
		return -1;
	}
	attach();
	s.ev = tevent_context_init(NULL);
	return 0;
}

static int teardown(void **state)
{
	const char *const names[] = {
		"sync", "async", "through", "flushed", "copied", "attr",
		"f1/f2/moved", "d1/link", "d1/d2/moved", "d1/new", "d1/new2", "victim",
	};
	size_t i;

	(void)state;
	if (s.b == NULL) {
		return 0;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		s.b->ops->unlink(s.root, &conf_root, names[i], 0);
	}
	s.b->ops->unlink(s.root, &conf_root, "f1/f2", CSV_F_RMDIR);
	s.b->ops->unlink(s.root, &conf_root, "f1", CSV_F_RMDIR);
	s.b->ops->unlink(s.root, &conf_root, "d1/d2", CSV_F_RMDIR);
	s.b->ops->unlink(s.root, &conf_root, "d1", CSV_F_RMDIR);
	TALLOC_FREE(s.ev);
	detach();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes),
		cmocka_unit_test(each_change_of_names),
		cmocka_unit_test(each_change_of_attributes),
		cmocka_unit_test(deleted_while_open),
		cmocka_unit_test(no_flush_missing_none_too_many),
	};
	int failed;

	if (loopfs_create(&s.fs, NULL) != 0 || !s.fs.mounted) {
		fprintf(stderr, "needs root and loop devices\n");
		loopfs_remove(&s.fs);
		return 1;
	}
	failed = cmocka_run_group_tests_name("stable", tests, setup, teardown);
	loopfs_remove(&s.fs);
	if (loopfs_create(&s.fs, NULL) != 0) {
		return 1;
	}
	s.options = "wsync";
	failed |= cmocka_run_group_tests_name("stable, wsync",
					      tests,
					      setup,
					      teardown);
	loopfs_remove(&s.fs);
	return failed != 0;
}
