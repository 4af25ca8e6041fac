/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Clients as csvd would rather not have them: they never read, keep many
 * handles, lie.
 */
#include "replace.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "csvd/serve_private.h"
#include "wirefixture.h"

static size_t rss_kib(pid_t pid)
{
	char path[64];
	char line[256];
	size_t kib = 0;
	FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "VmHWM: %zu", &kib) == 1) {
			break;
		}
	}
	fclose(file);
	return kib;
}

/* The raw end of an authenticated connection, to break the rules with. */
static struct csv_transport *raw(struct wirefixture *f, uint64_t *handle)
{
	const struct csv_body *attach = csv_body_of(CSV_OP_ATTACH, false);
	const struct csv_body *hello = csv_body_of(CSV_OP_HELLO, false);
	const struct csv_body *open_b = csv_body_of(CSV_OP_OPEN, false);
	struct csv_hello_req h = { .node = BED_CLIENT };
	struct csv_attach_req a = { .id = 1, .name = csv_bytes_of("vol") };
	struct csv_open_req o = { .how = CSV_O_READ | CSV_O_WRITE,
				  .name = csv_bytes_of("f") };
	struct csv_setcred_req s = { .id = 1 };
	struct csv_header hdr = { .version_min = 1, .version_max = 1,
				  .volume = 1, .epoch = 1, .cred = 1 };
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	struct csv_tls *tls = NULL;
	struct csv_transport *t = NULL;
	uint8_t buf[4096];
	uint8_t head[CSV_WIRE_HEADER];
	struct iovec iov[2] = { { head, sizeof(head) } };
	short events = 0;
	int fd = -1;
	unsigned i;
	const struct {
		enum csv_op op;
		const struct csv_body *body;
		void *r;
		bool answer;
	} steps[] = {
		{ CSV_OP_HELLO, hello, &h, true },
		{ CSV_OP_SETCRED, csv_body_of(CSV_OP_SETCRED, false), &s,
		  false },
		{ CSV_OP_ATTACH, attach, &a, true },
		{ CSV_OP_OPEN, open_b, &o, true },
	};

	wirebed_key(&f->bed, psk, identity);
	assert_int_equal(csv_tcp_begin("127.0.0.1", f->bed.port, &fd), 0);
	assert_int_equal(csv_tcp_connected(fd, 2000), 0);
	assert_int_equal(csv_tls_client(f, fd, identity, psk, true, &tls), 0);
	while (csv_tls_handshake(tls, &events) == EAGAIN) {
	}
	t = csv_tls_transport(tls);
	for (i = 0; i < 4; i++) {
		uint8_t *body = NULL;
		size_t len = 0;
		ssize_t n;

		csv_body_push(steps[i].body, f, steps[i].r, &body, &len);
		hdr.op = steps[i].op;
		hdr.body_length = (uint32_t)len;
		hdr.length = (uint32_t)(CSV_WIRE_HEADER + len);
		csv_header_push(&hdr, head);
		iov[0].iov_base = head;
		iov[0].iov_len = sizeof(head);
		iov[1].iov_base = body;
		iov[1].iov_len = len;
		assert_int_equal(t->ops->writev(t, iov, 2), hdr.length);
		if (!steps[i].answer) {
			continue;
		}
		iov[0].iov_base = buf;
		iov[0].iov_len = sizeof(buf);
		do {
			n = t->ops->readv(t, iov, 1);
		} while (n == -EAGAIN);
		assert_true(n > CSV_WIRE_HEADER);
		assert_int_equal(buf[12] | buf[13] << 8, 0);
		o.dir = *(uint64_t *)(buf + CSV_WIRE_HEADER);
	}
	*handle = o.dir;
	return t;
}

/*
 * 8192 reads of 1 MiB asked for at once, no answer ever read: the server
 * stops to listen and keeps to a bound.
 */
static void client_that_never_reads(void **state)
{
	struct wirefixture *f = *state;
	size_t size = 1 << 20;
	char *data = talloc_zero_array(f, char, size);
	struct csv_header hdr = { .version_min = 1, .version_max = 1,
				  .volume = 1, .epoch = 1, .op = CSV_OP_READ,
				  .length = CSV_WIRE_HEADER + CSV_IO_REQ_LEN,
				  .body_length = CSV_IO_REQ_LEN };
	struct csv_io_req io = { .length = (uint32_t)size };
	uint8_t buf[CSV_WIRE_HEADER + CSV_IO_REQ_LEN];
	struct iovec iov = { buf, sizeof(buf) };
	struct csv_transport *t = NULL;
	struct csv_stat st;
	size_t n;
	unsigned i;

	assert_int_equal(f->b->ops->pwrite(f->f, data, size, 0, 0, &n), 0);
	t = raw(f, &io.handle);
	for (i = 0; i < 8192; i++) {
		hdr.request_id = i;
		csv_header_push(&hdr, buf);
		csv_io_req_push(&io, buf + CSV_WIRE_HEADER);
		if (t->ops->writev(t, &iov, 1) != sizeof(buf)) {
			break;
		}
	}
	assert_true(i > 500);
	/* others are served meanwhile */
	for (i = 0; i < 100; i++) {
		assert_int_equal(f->b->ops->fstat(f->f, &st), 0);
	}
	print_message("peak of the server: %zu KiB\n", rss_kib(f->bed.pid));
	assert_in_range(rss_kib(f->bed.pid), 1, 150 * 1024);
	talloc_free(t);
}

/* 100 clients with 100 open files each: at most 200 MiB in the server. */
static void many_handles_take_little(void **state)
{
	struct wirefixture *f = *state;
	struct csv_backend *b = NULL;
	struct csv_file *file = NULL;
	TALLOC_CTX *files = talloc_new(f);
	struct csv_backend *backends[100];
	unsigned i, j;

	for (i = 0; i < 100; i++) {
		assert_int_equal(wirebed_remote(&f->bed, f, f->ev, 1, &b), 0);
		backends[i] = b;
		for (j = 0; j < 100; j++) {
			assert_int_equal(
				b->ops->open(b, files, &wirefixture_root,
					     b->ops->root(b), "f", CSV_O_READ,
					     0, &file, NULL, NULL),
				0);
		}
	}
	print_message("peak of the server: %zu KiB\n", rss_kib(f->bed.pid));
	assert_in_range(rss_kib(f->bed.pid), 1, 200 * 1024);
	talloc_free(files);
	for (i = 0; i < 100; i++) {
		talloc_free(backends[i]);
	}
}

/* A message that lies about its length ends its connection, no other. */
static void liars_are_cut_off(void **state)
{
	struct wirefixture *f = *state;
	struct csv_header hdr = { .version_min = 1, .version_max = 1,
				  .op = CSV_OP_WRITE, .volume = 1, .epoch = 1,
				  .length = CSV_WIRE_HEADER + 1,
				  .body_length = CSV_WIRE_MAX_BODY + 1 };
	uint8_t buf[CSV_WIRE_HEADER];
	struct iovec iov = { buf, sizeof(buf) };
	struct csv_transport *t = NULL;
	struct csv_stat st;
	uint64_t handle;
	ssize_t n;

	t = raw(f, &handle);
	csv_header_push(&hdr, buf);
	assert_int_equal(t->ops->writev(t, &iov, 1), sizeof(buf));
	do {
		n = t->ops->readv(t, &iov, 1);
	} while (n == -EAGAIN);
	assert_true(n == 0 || n == -ECONNRESET);
	assert_int_equal(f->b->ops->fstat(f->f, &st), 0);
	talloc_free(t);
}

#define TEST_FORK(name) \
	cmocka_unit_test_setup_teardown( \
		name, wirefixture_setup_fork, wirefixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_FORK(client_that_never_reads),
		TEST_FORK(many_handles_take_little),
		TEST_FORK(liars_are_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
