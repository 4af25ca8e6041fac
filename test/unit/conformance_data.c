/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data: synchronous, asynchronous, sparse, far out, stable. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "conformance_private.h"

#define BLOCK 65536
#define RW (CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT)

struct outcome {
	unsigned done; /* requests */
	int err;       /* of the last */
	size_t n;      /* of the last */
};

static void told(struct tevent_req *req)
{
	struct outcome *o = tevent_req_callback_data_void(req);
	const struct csv_backend_ops *ops = NULL;

	ops = ((struct conf *)talloc_parent(req))->b->ops;
	o->err = ops->recv(req, &o->n);
	o->done++;
	talloc_free(req);
}

static void watch(struct tevent_req *req, struct outcome *o)
{
	assert_non_null(req);
	tevent_req_set_callback(req, told, o);
}

static void wait_for(struct conf *t, struct outcome *o, unsigned done)
{
	while (o->done < done) {
		ok(tevent_loop_once(t->ev));
	}
	assert_int_equal(o->done, done);
}

static int async_write(struct conf *t,
		       struct csv_file *f,
		       const void *buf,
		       size_t n,
		       int64_t off,
		       uint32_t flags,
		       size_t *written)
{
	struct outcome o = {};

	watch(t->b->ops->pwrite_send(t, t->ev, f, buf, n, off, flags), &o);
	assert_int_equal(o.done, 0);
	wait_for(t, &o, 1);
	*written = o.n;
	return o.err;
}

static int async_read(struct conf *t,
		      struct csv_file *f,
		      void *buf,
		      size_t n,
		      int64_t off,
		      size_t *nread)
{
	struct outcome o = {};

	watch(t->b->ops->pread_send(t, t->ev, f, buf, n, off), &o);
	assert_int_equal(o.done, 0);
	wait_for(t, &o, 1);
	*nread = o.n;
	return o.err;
}

static int async_sync(struct conf *t, struct csv_file *f, uint32_t flags)
{
	struct outcome o = {};

	watch(t->b->ops->fsync_send(t, t->ev, f, flags), &o);
	assert_int_equal(o.done, 0);
	wait_for(t, &o, 1);
	return o.err;
}

static void fill(char *buf, size_t n, unsigned seed)
{
	size_t i;

	for (i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		buf[i] = (char)(seed >> 16);
	}
}

static void read_and_write(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = conf_open(t, "f", RW);
	char buf[16];
	size_t n = 77;

	ok(ops->pread(f, buf, sizeof(buf), 0, &n));
	assert_int_equal(n, 0);
	ok(ops->pwrite(f, "hello", 5, 3, 0, &n));
	assert_int_equal(n, 5);
	ok(ops->pread(f, buf, sizeof(buf), 0, &n));
	assert_int_equal(n, 8);
	assert_memory_equal(buf, "\0\0\0hello", 8);
	ok(ops->pread(f, buf, 2, 4, &n));
	assert_int_equal(n, 2);
	assert_memory_equal(buf, "el", 2);
	ok(ops->pread(f, buf, 2, 100, &n));
	assert_int_equal(n, 0);
	ok(ops->pwrite(f, "x", 0, 500, 0, &n));
	assert_int_equal(n, 0);
	ok(ops->pwrite(f, "stable", 6, 0, CSV_F_STABLE, &n));
	assert_int_equal(n, 6);
	ok(ops->fsync(f, 0));
	ok(ops->fsync(f, CSV_F_DATASYNC));
	conf_expect(f, "stablelo");
	talloc_free(f);
}

static void handles_do_only_what_they_may(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL;
	char c = 'c';
	size_t n = 0;

	conf_file(t, "f", "content");
	f = conf_open(t, "f", CSV_O_READ);
	fails(t->b->ops->pwrite(f, &c, 1, 0, 0, &n), EBADF);
	fails(async_write(t, f, &c, 1, 0, 0, &n), EBADF);
	fails(async_write(t, f, &c, 1, 0, CSV_F_STABLE, &n), EBADF);
	talloc_free(f);
	f = conf_open(t, "f", CSV_O_WRITE);
	fails(t->b->ops->pread(f, &c, 1, 0, &n), EBADF);
	fails(async_read(t, f, &c, 1, 0, &n), EBADF);
	talloc_free(f);
	f = conf_open(t, "f", CSV_O_PATH);
	fails(t->b->ops->pread(f, &c, 1, 0, &n), EBADF);
	fails(t->b->ops->pwrite(f, &c, 1, 0, 0, &n), EBADF);
	talloc_free(f);
	f = conf_open(t, ".", CSV_O_READ | CSV_O_DIRECTORY);
	fails(t->b->ops->pread(f, &c, 1, 0, &n), EISDIR);
	ok(t->b->ops->fsync(f, 0));
	talloc_free(f);
	f = conf_open(t, "f", CSV_O_WRITE | CSV_O_TRUNC);
	talloc_free(f);
	assert_int_equal(conf_stat(t, "f").size, 0);
}

static void appending_goes_to_the_end(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL;
	size_t n = 0;

	conf_file(t, "f", "abc");
	f = conf_open(t, "f", CSV_O_READ | CSV_O_WRITE | CSV_O_APPEND);
	ok(t->b->ops->pwrite(f, "d", 1, 0, 0, &n));
	ok(async_write(t, f, "e", 1, 0, 0, &n));
	ok(async_write(t, f, "f", 1, 0, CSV_F_STABLE, &n));
	conf_expect(f, "abcdef");
	talloc_free(f);
}

static void far_offsets(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = conf_open(t, "f", RW);
	struct csv_setattr a = {.mask = CSV_ATTR_SIZE};
	struct csv_stat st;
	char c = 'c';
	size_t n = 0;
	int ret;

	fails(ops->pwrite(f, &c, 1, -1, 0, &n), EINVAL);
	fails(async_write(t, f, &c, 1, -1, 0, &n), EINVAL);
	fails(ops->pread(f, &c, 1, -1, &n), EINVAL);
	fails(async_read(t, f, &c, 1, -1, &n), EINVAL);
	ret = ops->pwrite(f, &c, 1, INT64_MAX, 0, &n);
	assert_true(ret == EFBIG || ret == EINVAL);
	ret = async_write(t, f, &c, 1, INT64_MAX, 0, &n);
	assert_true(ret == EFBIG || ret == EINVAL);
	ret = ops->pread(f, &c, 1, INT64_MAX, &n);
	assert_true(ret == EINVAL || (ret == 0 && n == 0));
	ok(ops->pread(f, &c, 1, INT64_MAX - 1, &n));
	assert_int_equal(n, 0);

	/* the last byte a file can have, where the file system has it */
	ret = ops->pwrite(f, &c, 1, INT64_MAX - 1, 0, &n);
	assert_true(ret == 0 || ret == EFBIG);
	if (ret == 0) {
		ok(ops->fstat(f, &st));
		assert_int_equal(st.size, INT64_MAX);
		c = 0;
		ok(async_read(t, f, &c, 1, INT64_MAX - 1, &n));
		assert_int_equal(n, 1);
		assert_int_equal(c, 'c');
	}
	a.size = INT64_MAX;
	ret = ops->setattr(f, &conf_root, NULL, &a, 0);
	assert_true(ret == 0 || ret == EFBIG);
	a.size = (int64_t)1 << 40;
	ok(ops->setattr(f, &conf_root, NULL, &a, 0));
	ok(ops->pwrite(f, "end", 3, a.size, 0, &n));
	ok(ops->fstat(f, &st));
	assert_int_equal(st.size, a.size + 3);
	assert_true(st.blocks < 1000);
	talloc_free(f);
}

static void holes_stay_holes(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = conf_open(t, "f", RW);
	char buf[BLOCK];
	int64_t pos = 0;
	struct csv_stat st;
	size_t n = 0;

	fill(buf, sizeof(buf), 1);
	ok(ops->pwrite(f, buf, BLOCK, 0, 0, &n));
	ok(ops->pwrite(f, buf, BLOCK, 16 * BLOCK, 0, &n));
	ok(ops->seek(f, 0, SEEK_DATA, &pos));
	assert_int_equal(pos, 0);
	ok(ops->seek(f, 0, SEEK_HOLE, &pos));
	assert_int_equal(pos, BLOCK);
	ok(ops->seek(f, BLOCK, SEEK_DATA, &pos));
	assert_int_equal(pos, 16 * BLOCK);
	ok(ops->seek(f, 16 * BLOCK, SEEK_HOLE, &pos));
	assert_int_equal(pos, 17 * BLOCK);
	fails(ops->seek(f, 17 * BLOCK, SEEK_DATA, &pos), ENXIO);
	fails(ops->seek(f, 0, SEEK_CUR, &pos), EINVAL);
	ok(ops->pread(f, buf, BLOCK, 5 * BLOCK, &n));
	assert_int_equal(n, BLOCK);
	assert_true(buf[0] == 0 && memcmp(buf, buf + 1, BLOCK - 1) == 0);

	ok(ops->fallocate(f,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  0,
			  BLOCK));
	ok(ops->seek(f, 0, SEEK_DATA, &pos));
	assert_int_equal(pos, 16 * BLOCK);
	ok(ops->fallocate(f, FALLOC_FL_KEEP_SIZE, 20 * BLOCK, BLOCK));
	ok(ops->fstat(f, &st));
	assert_int_equal(st.size, 17 * BLOCK);
	ok(ops->fallocate(f, 0, 20 * BLOCK, BLOCK));
	ok(ops->fstat(f, &st));
	assert_int_equal(st.size, 21 * BLOCK);
	fails(ops->fallocate(f, 0, 0, 0), EINVAL);
	fails(ops->fallocate(f, 0x40000000, 0, BLOCK), EOPNOTSUPP);
	talloc_free(f);
}

static void ranges_are_copied(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *a = conf_open(t, "a", RW);
	struct csv_file *b = conf_open(t, "b", RW);
	char buf[4 * BLOCK], got[4 * BLOCK];
	uint64_t copied = 0, off = 0;
	size_t n = 0;

	fill(buf, sizeof(buf), 2);
	ok(ops->pwrite(a, buf, sizeof(buf), 0, 0, &n));
	while (off < sizeof(buf)) {
		ok(ops->copy_range(a,
				   (int64_t)off,
				   b,
				   (int64_t)off + 7,
				   sizeof(buf) - off,
				   CSV_F_STABLE,
				   &copied));
		assert_true(copied > 0);
		off += copied;
	}
	assert_int_equal(off, sizeof(buf));
	ok(ops->pread(b, got, sizeof(got), 7, &n));
	assert_memory_equal(got, buf, sizeof(buf));
	ok(ops->copy_range(a, sizeof(buf), b, 0, 100, 0, &copied));
	assert_int_equal(copied, 0);
	fails(ops->copy_range(a, -1, b, 0, 100, 0, &copied), EINVAL);
	talloc_free(b);
	b = conf_open(t, "b", CSV_O_READ);
	fails(ops->copy_range(a, 0, b, 0, 100, 0, &copied), EBADF);
	talloc_free(b);
	talloc_free(a);
}

static void big_and_too_big(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = conf_open(t, "f", RW);
	char *buf = talloc_array(t, char, CSV_MAX_DATA + 1);
	char *got = talloc_array(t, char, CSV_MAX_DATA + 1);
	size_t n = 0;

	fill(buf, CSV_MAX_DATA + 1, 3);
	fails(ops->pwrite(f, buf, CSV_MAX_DATA + 1, 0, 0, &n), EINVAL);
	fails(async_write(t, f, buf, CSV_MAX_DATA + 1, 0, 0, &n), EINVAL);
	fails(ops->pread(f, got, CSV_MAX_DATA + 1, 0, &n), EINVAL);
	fails(async_read(t, f, got, CSV_MAX_DATA + 1, 0, &n), EINVAL);
	ok(async_write(t, f, buf, CSV_MAX_DATA, 1, CSV_F_STABLE, &n));
	assert_int_equal(n, CSV_MAX_DATA);
	ok(async_read(t, f, got, CSV_MAX_DATA, 1, &n));
	assert_int_equal(n, CSV_MAX_DATA);
	assert_memory_equal(got, buf, CSV_MAX_DATA);
	ok(ops->pwrite(f, got, CSV_MAX_DATA, 0, 0, &n));
	assert_int_equal(n, CSV_MAX_DATA);
	ok(ops->pread(f, got, CSV_MAX_DATA, 0, &n));
	assert_int_equal(n, CSV_MAX_DATA);
	assert_memory_equal(got, buf, CSV_MAX_DATA);
	talloc_free(buf);
	talloc_free(got);
	talloc_free(f);
}

/* Two pieces with a hole between them, and no round size. */
enum { LARGE_A = 1 << 20, LARGE_B = 3 << 19, LARGE_SIZE = (5 << 19) + 123 };

static struct csv_file *large_file(struct conf *t, char *data)
{
	struct csv_file *f = conf_open(t, "f", RW);
	size_t n = 0;
	size_t at;

	memset(data, 0, LARGE_SIZE);
	fill(data, LARGE_A, 5);
	fill(data + LARGE_B, LARGE_SIZE - LARGE_B, 6);
	ok(t->b->ops->pwrite(f, data, LARGE_A, 0, 0, &n));
	assert_int_equal(n, LARGE_A);
	for (at = LARGE_B; at < LARGE_SIZE; at += n) {
		ok(t->b->ops->pwrite(f,
				     data + at,
				     LARGE_SIZE - at < LARGE_A ? LARGE_SIZE - at
							       : LARGE_A,
				     at,
				     0,
				     &n));
	}
	return f;
}

/* Also where data go another way than small ones (csvd/serve_pipe.c). */
static void large_reads(void **state)
{
	static const struct {
		size_t n;
		int64_t off;
		size_t got;
	} reads[] = {
		{1 << 20, 0, 1 << 20},
		{1 << 20, 1, 1 << 20},
		{(1 << 20) - 4095, 4095, (1 << 20) - 4095},
		{1 << 20, 1 << 19, 1 << 20}, /* half of it is the hole */
		{1 << 19, LARGE_A, 1 << 19}, /* nothing but the hole */
		{1 << 18, LARGE_SIZE - (1 << 18), 1 << 18},
		{1 << 20, LARGE_SIZE - 100, 100},
		{1 << 20, LARGE_SIZE - 300000, 300000},
		{1 << 20, LARGE_SIZE, 0},
		{1 << 20, 10 * (int64_t)LARGE_SIZE, 0},
		{(1 << 18) + 1, 777, (1 << 18) + 1},
		{(1 << 18) - 1, 777, (1 << 18) - 1},
	};
	struct conf *t = conf_get(state);
	char *data = talloc_array(t, char, LARGE_SIZE);
	const size_t num = sizeof(reads) / sizeof(reads[0]);
	char *got = talloc_array(t, char, num << 20);
	struct csv_file *f = large_file(t, data);
	struct outcome o = {};
	size_t n = 0;
	size_t i;

	for (i = 0; i < num; i++) {
		ok(t->b->ops->pread(f, got, reads[i].n, reads[i].off, &n));
		assert_int_equal(n, reads[i].got);
		assert_memory_equal(got, data + reads[i].off % LARGE_SIZE, n);
		memset(got, 1, reads[i].n);
		ok(async_read(t, f, got, reads[i].n, reads[i].off, &n));
		assert_int_equal(n, reads[i].got);
		assert_memory_equal(got, data + reads[i].off % LARGE_SIZE, n);
	}
	memset(got, 1, num << 20);
	for (i = 0; i < num; i++) {
		watch(t->b->ops->pread_send(t,
					    t->ev,
					    f,
					    got + (i << 20),
					    reads[i].n,
					    reads[i].off),
		      &o);
	}
	wait_for(t, &o, num);
	for (i = 0; i < num; i++) {
		assert_memory_equal(got + (i << 20),
				    data + reads[i].off % LARGE_SIZE,
				    reads[i].got);
	}
	talloc_free(f);
	talloc_free(got);
	talloc_free(data);
}

/* Onto, across and behind what is there. */
static void large_writes(void **state)
{
	static const struct {
		size_t n;
		int64_t off;
	} writes[] = {
		{1 << 20, 0},
		{1 << 20, 1},
		{(1 << 20) - 4095, 4095},
		{1 << 18, LARGE_SIZE - 100},
		{(1 << 18) + 1, 777},
		{(1 << 18) - 1, 778},
		{(1 << 19) + 9, LARGE_SIZE + 5000}, /* behind a hole */
	};
	const size_t num = sizeof(writes) / sizeof(writes[0]);
	const size_t all = LARGE_SIZE + (1 << 20);
	struct conf *t = conf_get(state);
	char *data = talloc_zero_array(t, char, all);
	char *got = talloc_zero_array(t, char, all);
	struct csv_file *f = large_file(t, data);
	size_t n = 0;
	size_t at;
	size_t i;

	for (i = 0; i < 2 * num; i++) {
		size_t len = writes[i / 2].n;
		int64_t off = writes[i / 2].off;

		fill(data + off, len, (unsigned)i);
		if (i % 2 == 0) {
			ok(t->b->ops->pwrite(f, data + off, len, off, 0, &n));
		} else {
			ok(async_write(t, f, data + off, len, off, 0, &n));
		}
		assert_int_equal(n, len);
	}
	for (at = 0, n = 1; n > 0; at += n) {
		ok(t->b->ops->pread(f, got + at, 1 << 18, (int64_t)at, &n));
	}
	assert_int_equal(at, LARGE_SIZE + 5000 + (1 << 19) + 9);
	assert_memory_equal(got, data, at);
	talloc_free(f);
	talloc_free(got);
	talloc_free(data);
}

static void async_ends_of_files(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL;
	char buf[100] = "";
	size_t n = 0;

	conf_file(t, "f", "0123456789");
	f = conf_open(t, "f", CSV_O_READ | CSV_O_WRITE | CSV_O_SYNC);
	ok(async_read(t, f, buf, sizeof(buf), 0, &n));
	assert_int_equal(n, 10);
	ok(async_read(t, f, buf, sizeof(buf), 10, &n));
	assert_int_equal(n, 0);
	ok(async_read(t, f, buf, 0, 0, &n));
	assert_int_equal(n, 0);
	ok(async_write(t, f, "", 0, 5, 0, &n));
	assert_int_equal(n, 0);
	ok(async_write(t, f, "abc", 3, 9, 0, &n));
	assert_int_equal(n, 3);
	ok(async_sync(t, f, 0));
	ok(async_sync(t, f, CSV_F_DATASYNC));
	conf_expect(f, "012345678abc");
	talloc_free(f);
}

/* Many at once, stable and not, reads after all of them. */
static void many_in_flight(void **state)
{
	enum { NUM = 300 };
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = conf_open(t, "f", RW);
	char *buf = talloc_array(t, char, NUM * 4096);
	char *got = talloc_zero_array(t, char, NUM * 4096);
	struct outcome o = {};
	unsigned i;

	fill(buf, NUM * 4096, 4);
	for (i = 0; i < NUM; i++) {
		watch(ops->pwrite_send(t,
				       t->ev,
				       f,
				       buf + i * 4096,
				       4096,
				       i * 4096,
				       i % 3 == 0 ? CSV_F_STABLE : 0),
		      &o);
		assert_int_equal(o.done, 0);
	}
	wait_for(t, &o, NUM);
	assert_int_equal(o.err, 0);
	o.done = 0;
	for (i = 0; i < NUM; i++) {
		watch(ops->pread_send(t,
				      t->ev,
				      f,
				      got + i * 4096,
				      4096,
				      i * 4096),
		      &o);
		if (i % 7 == 0) {
			watch(ops->fsync_send(t, t->ev, f, 0), &o);
		}
		assert_int_equal(o.done, 0);
	}
	wait_for(t, &o, NUM + (NUM + 6) / 7);
	assert_int_equal(o.err, 0);
	assert_memory_equal(got, buf, NUM * 4096);
	talloc_free(buf);
	talloc_free(got);
	talloc_free(f);
}

/* Freed requests let go of their buffers; others are not disturbed. */
static void freed_requests_are_cancelled(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = conf_open(t, "f", RW);
	struct tevent_req *reqs[16];
	struct outcome o = {}, none = {};
	char *buf = NULL;
	size_t n = 0;
	unsigned i;

	for (i = 0; i < 16; i++) {
		buf = talloc_zero_size(t, BLOCK);
		reqs[i] = ops->pwrite_send(t,
					   t->ev,
					   f,
					   buf,
					   BLOCK,
					   i * BLOCK,
					   CSV_F_STABLE);
		watch(reqs[i], i % 2 ? &o : &none);
		talloc_steal(reqs[i], buf);
	}
	for (i = 0; i < 16; i += 2) {
		talloc_free(reqs[i]);
	}
	wait_for(t, &o, 8);
	assert_int_equal(o.err, 0);
	assert_int_equal(none.done, 0);
	ok(async_write(t, f, "still", 5, 0, 0, &n));
	assert_int_equal(n, 5);
	talloc_free(f);
}

/* A synchronous call between sending and telling loses nothing. */
static void sync_between_async(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_backend_ops *ops = t->b->ops;
	struct csv_file *f = conf_open(t, "f", RW);
	struct outcome o = {};
	char buf[8] = "";
	size_t n = 0;
	unsigned i;

	for (i = 0; i < 8; i++) {
		watch(ops->pwrite_send(t,
				       t->ev,
				       f,
				       "abcdefgh" + i,
				       1,
				       i,
				       CSV_F_STABLE),
		      &o);
		ok(ops->pwrite(f, "x", 1, 100 + i, 0, &n));
		assert_int_equal(o.done, 0);
	}
	wait_for(t, &o, 8);
	ok(ops->pread(f, buf, 8, 0, &n));
	assert_memory_equal(buf, "abcdefgh", 8);
	talloc_free(f);
}

const struct CMUnitTest conf_data_tests[] = {
	CONF_TEST(read_and_write),
	CONF_TEST(handles_do_only_what_they_may),
	CONF_TEST(appending_goes_to_the_end),
	CONF_TEST(far_offsets),
	CONF_TEST(holes_stay_holes),
	CONF_TEST(ranges_are_copied),
	CONF_TEST(big_and_too_big),
	CONF_TEST(large_reads),
	CONF_TEST(large_writes),
	CONF_TEST(async_ends_of_files),
	CONF_TEST(many_in_flight),
	CONF_TEST(freed_requests_are_cancelled),
	CONF_TEST(sync_between_async),
};
const size_t conf_num_data_tests =
	sizeof(conf_data_tests) / sizeof(conf_data_tests[0]);
