/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The codec: hand-written bytes equal NDR's, every message survives a round
 * trip, every truncation is refused or harmless, lengths are checked.
 */
#include "replace.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "lib/wire/codec.h"
#include "gen_ndr/ndr_csv.h"

static struct csv_header some_header(void)
{
	struct csv_header h = {
		.length = CSV_WIRE_HEADER + 24 + 4096,
		.version_min = CSV_WIRE_VERSION,
		.version_max = CSV_WIRE_VERSION + 3,
		.op = CSV_OP_WRITE,
		.flags = CSV_WIRE_REPLAY,
		.status = CSV_E_STALE,
		.request_id = 0x1122334455667788,
		.epoch = 0x99aabbccddeeff00,
		.body_length = 24,
		.data_length = 4096,
		.credits = 7,
		.volume = 0x1234,
		.cred = 0x89abcdef,
		.token = 0x0102030405060708,
	};

	return h;
}

static void header_is_ndr(void **state)
{
	struct csv_header h = some_header();
	uint8_t buf[CSV_WIRE_HEADER];
	uint8_t again[CSV_WIRE_HEADER];
	struct csv_header back;
	DATA_BLOB blob;

	csv_header_push(&h, buf);
	assert_int_equal(ndr_push_struct_blob(
				 &blob,
				 NULL,
				 &h,
				 (ndr_push_flags_fn_t)ndr_push_csv_header),
			 NDR_ERR_SUCCESS);
	assert_int_equal(blob.length, CSV_WIRE_HEADER);
	assert_memory_equal(blob.data, buf, CSV_WIRE_HEADER);
	assert_int_equal(csv_header_pull(buf, &back), 0);
	csv_header_push(&back, again);
	assert_memory_equal(again, buf, sizeof(buf));
	data_blob_free(&blob);
}

static int pull_changed(void (*change)(struct csv_header *h))
{
	struct csv_header h = some_header();
	uint8_t buf[CSV_WIRE_HEADER];

	change(&h);
	csv_header_push(&h, buf);
	return csv_header_pull(buf, &h);
}

static void longer(struct csv_header *h)
{
	h->length += 1;
}

static void wraps(struct csv_header *h)
{
	h->body_length = 0xfffffff0;
	h->data_length = 0x10 + 24;
	h->length = CSV_WIRE_HEADER + 24;
}

static void big_body(struct csv_header *h)
{
	h->body_length = CSV_WIRE_MAX_BODY + 1;
	h->length = CSV_WIRE_HEADER + h->body_length + h->data_length;
}

static void big_data(struct csv_header *h)
{
	h->data_length = CSV_WIRE_MAX_DATA + 1;
	h->length = CSV_WIRE_HEADER + h->body_length + h->data_length;
}

static void newer(struct csv_header *h)
{
	h->version_min = CSV_WIRE_VERSION + 1;
}

static void older(struct csv_header *h)
{
	h->version_min = 0;
	h->version_max = CSV_WIRE_VERSION - 1;
}

static void header_is_checked(void **state)
{
	assert_int_equal(pull_changed(longer), EBADMSG);
	assert_int_equal(pull_changed(wraps), EBADMSG);
	assert_int_equal(pull_changed(big_body), EBADMSG);
	assert_int_equal(pull_changed(big_data), EBADMSG);
	assert_int_equal(pull_changed(newer), EPROTONOSUPPORT);
	assert_int_equal(pull_changed(older), EPROTONOSUPPORT);
}

static void io_is_ndr(void **state)
{
	struct csv_io_req r = { .handle = 0x0123456789abcdef,
				.offset = INT64_MAX,
				.length = CSV_MAX_DATA,
				.flags = 5 };
	struct csv_io_req back;
	uint8_t buf[CSV_IO_REQ_LEN];
	uint8_t *ndr = NULL;
	uint32_t n = 0;
	size_t len = 0;
	size_t i;

	csv_io_req_push(&r, buf);
	assert_int_equal(csv_body_push(csv_body_of(CSV_OP_READ, false),
				       NULL, &r, &ndr, &len),
			 0);
	assert_int_equal(len, CSV_IO_REQ_LEN);
	assert_memory_equal(ndr, buf, len);
	TALLOC_FREE(ndr);
	for (i = 0; i < CSV_IO_REQ_LEN; i++) {
		assert_int_equal(csv_io_req_pull(buf, i, &back), EBADMSG);
	}
	assert_int_equal(csv_io_req_pull(buf, CSV_IO_REQ_LEN, &back), 0);
	assert_memory_equal(&back, &r, sizeof(r));
	r.length += 1;
	csv_io_req_push(&r, buf);
	assert_int_equal(csv_io_req_pull(buf, sizeof(buf), &back), EBADMSG);
	r.length = 1;
	r.offset += 1;
	csv_io_req_push(&r, buf);
	assert_int_equal(csv_io_req_pull(buf, sizeof(buf), &back), EBADMSG);
	csv_io_rep_push(77, buf);
	assert_int_equal(csv_io_rep_pull(buf, 3, &n), EBADMSG);
	assert_int_equal(csv_io_rep_pull(buf, 4, &n), 0);
	assert_int_equal(n, 77);
}

/* A valid structure of any kind: small numbers, short byte strings. */
union any {
	uint8_t bytes[512];
	struct csv_hello_req hello_req;
	struct csv_attach_req attach_req;
	struct csv_attach_rep attach_rep;
	struct csv_setcred_req setcred_req;
	struct csv_open_req open_req;
	struct csv_open_rep open_rep;
	struct csv_open_fh_req open_fh_req;
	struct csv_statat_req statat_req;
	struct csv_statat_rep statat_rep;
	struct csv_setattr_req setattr_req;
	struct csv_readdir_req readdir_req;
	struct csv_readdir_rep readdir_rep;
	struct csv_name_req name_req;
	struct csv_two_names_req two_names_req;
	struct csv_bytes_rep bytes_rep;
	struct csv_xattr_req xattr_req;
	struct csv_xattr_rep xattr_rep;
	struct csv_stat_rep stat_rep;
	struct csv_number_rep number_rep;
	struct csv_copy_req copy_req;
};

static uint8_t text[] = "some name";
static uint32_t groups[] = { 1, 2, 0xfffffffe };
static uint8_t list[] = "user.one";
static struct csv_wire_dirent entries[3];
static struct csv_wire_value values[2];
static struct csv_bytes wanted[2];

static void fill(const char *name, union any *a)
{
	struct csv_bytes b = { .length = 9, .data = text };
	struct csv_bytes names = { .length = 9, .data = list };
	struct csv_wire_fh fh = { .type = 1, .length = 9, .data = text };
	unsigned i;

	memset(a, 0, sizeof(*a));
	if (strcmp(name, "attach_req") == 0) {
		a->attach_req.id = 1;
		a->attach_req.name = b;
	} else if (strcmp(name, "attach_rep") == 0) {
		a->attach_rep.root = 5;
		a->attach_rep.fh = fh;
	} else if (strcmp(name, "setcred_req") == 0) {
		a->setcred_req.id = 64;
		a->setcred_req.num_groups = 3;
		a->setcred_req.groups = groups;
	} else if (strcmp(name, "open_req") == 0) {
		a->open_req.name = b;
	} else if (strcmp(name, "open_rep") == 0) {
		a->open_rep.fh = fh;
		a->open_rep.st.size = INT64_MAX;
	} else if (strcmp(name, "open_fh_req") == 0) {
		a->open_fh_req.fh = fh;
	} else if (strcmp(name, "statat_req") == 0) {
		a->statat_req.name = b;
	} else if (strcmp(name, "statat_rep") == 0) {
		a->statat_rep.fh = fh;
	} else if (strcmp(name, "setattr_req") == 0) {
		a->setattr_req.name = b;
	} else if (strcmp(name, "name_req") == 0) {
		a->name_req.name = b;
		a->name_req.target = b;
	} else if (strcmp(name, "two_names_req") == 0) {
		a->two_names_req.src_name = b;
		a->two_names_req.dst_name = b;
	} else if (strcmp(name, "bytes_rep") == 0) {
		a->bytes_rep.value = b;
	} else if (strcmp(name, "xattr_req") == 0) {
		a->xattr_req.name = b;
		a->xattr_req.value = b;
	} else if (strcmp(name, "xattr_rep") == 0) {
		a->xattr_rep.value = b;
	} else if (strcmp(name, "readdir_req") == 0) {
		a->readdir_req.want_extra = true;
		a->readdir_req.num_xattrs = 2;
		a->readdir_req.xattrs = wanted;
		wanted[0] = b;
		a->readdir_req.like = b;
	} else if (strcmp(name, "readdir_rep") == 0) {
		for (i = 0; i < 3; i++) {
			entries[i].cookie = i;
			entries[i].name = b;
			entries[i].has_extra = true;
			entries[i].fh = fh;
			entries[i].xattr_names = names;
			entries[i].num_values = 2;
			entries[i].values = values;
		}
		values[1].present = true;
		values[1].data = b;
		a->readdir_rep.num = 3;
		a->readdir_rep.entries = entries;
	}
}

/* The bytes after a second trip are the bytes after the first. */
static void round_trip(const struct csv_body *body)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	union any a;
	union any back;
	uint8_t *one = NULL;
	uint8_t *two = NULL;
	size_t len1 = 0;
	size_t len2 = 0;

	fill(csv_body_name(body), &a);
	assert_int_equal(csv_body_push(body, mem, &a, &one, &len1), 0);
	assert_int_equal(csv_body_pull(body, mem, one, len1, &back), 0);
	assert_int_equal(csv_body_push(body, mem, &back, &two, &len2), 0);
	assert_int_equal(len1, len2);
	assert_memory_equal(one, two, len1);
	talloc_free(mem);
}

/* Never more than the bytes is read (ASan), never accepted as the same. */
static void truncated(const struct csv_body *body)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	union any a;
	union any back;
	uint8_t *buf = NULL;
	uint8_t *part = NULL;
	size_t len = 0;
	size_t i;
	unsigned refused = 0;

	fill(csv_body_name(body), &a);
	assert_int_equal(csv_body_push(body, mem, &a, &buf, &len), 0);
	for (i = 0; i < len; i++) {
		part = talloc_memdup(mem, buf, i);
		if (csv_body_pull(body, mem, part, i, &back) != 0) {
			refused++;
		}
		talloc_free(part);
	}
	/* the padding at the end may be missing: less than 8 bytes */
	assert_in_range(refused, len > 7 ? len - 7 : 1, len);
	talloc_free(mem);
}

static void with_more_behind(const struct csv_body *body)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	union any a;
	union any back;
	uint8_t *buf = NULL;
	size_t len = 0;

	fill(csv_body_name(body), &a);
	assert_int_equal(csv_body_push(body, mem, &a, &buf, &len), 0);
	buf = talloc_realloc(mem, buf, uint8_t, len + 100);
	memset(buf + len, 0xff, 100);
	assert_int_equal(csv_body_pull(body, mem, buf, len + 100, &back), 0);
	talloc_free(mem);
}

static void every_body(void **state)
{
	const struct csv_body *body = NULL;
	unsigned i;

	for (i = 0; (body = csv_body_index(i)) != NULL; i++) {
		assert_true(csv_body_size(body) <= sizeof(union any));
		round_trip(body);
		truncated(body);
		with_more_behind(body);
	}
	assert_true(i > 20);
}

static void names_are_checked(void **state)
{
	const struct csv_body *body = csv_body_of(CSV_OP_OPEN, false);
	TALLOC_CTX *mem = talloc_new(NULL);
	struct csv_open_req r = {};
	uint8_t *buf = NULL;
	size_t len = 0;

	r.name.data = talloc_zero_array(mem, uint8_t, CSV_MAX_NAME + 1);
	memset(r.name.data, 'n', CSV_MAX_NAME + 1);
	r.name.length = CSV_MAX_NAME + 1;
	assert_int_equal(csv_body_push(body, mem, &r, &buf, &len), EINVAL);
	r.name.length = CSV_MAX_NAME;
	assert_int_equal(csv_body_push(body, mem, &r, &buf, &len), 0);
	assert_int_equal(csv_body_pull(body, mem, buf, len, &r), 0);
	/* a NUL within */
	buf[len - 1 - (len - CSV_MAX_NAME) % 8 - 5] = 0;
	assert_int_equal(csv_body_pull(body, mem, buf, len, &r), EBADMSG);
	talloc_free(mem);
}

/* 65536 entries claimed by 100 bytes are refused before memory is taken. */
static void many_entries_of_nothing(void **state)
{
	const struct csv_body *body = csv_body_of(CSV_OP_READDIR, true);
	TALLOC_CTX *mem = talloc_new(NULL);
	struct csv_readdir_rep r;
	uint8_t buf[100] = { 1, 0, 0, 0, 0, 0, 1, 0 };

	assert_int_equal(csv_body_pull(body, mem, buf, sizeof(buf), &r),
			 EBADMSG);
	assert_true(talloc_total_size(mem) < 4096);
	talloc_free(mem);
}

static int pull_entry(const struct csv_wire_dirent *e)
{
	const struct csv_body *body = csv_body_of(CSV_OP_READDIR, true);
	TALLOC_CTX *mem = talloc_new(NULL);
	struct csv_readdir_rep r = {
		.num = 1,
		.entries = discard_const_p(struct csv_wire_dirent, e),
	};
	DATA_BLOB blob;
	int ret;

	assert_int_equal(ndr_push_struct_blob(
				 &blob,
				 mem,
				 &r,
				 (ndr_push_flags_fn_t)ndr_push_csv_readdir_rep),
			 NDR_ERR_SUCCESS);
	ret = csv_body_pull(body, mem, blob.data, blob.length, &r);
	talloc_free(mem);
	return ret;
}

/* Names end with their NUL, nothing is longer than was said. */
static void extras_are_checked(void **state)
{
	struct csv_wire_value value = { .present = true };
	struct csv_wire_dirent e = { .has_extra = true };
	uint8_t *big = talloc_zero_array(NULL, uint8_t, 65536);

	e.xattr_names = (struct csv_bytes) { .length = 9, .data = list };
	e.num_values = 1;
	e.values = &value;
	assert_int_equal(pull_entry(&e), 0);
	e.xattr_names.length = 8;
	assert_int_equal(pull_entry(&e), EBADMSG);
	e.xattr_names.data = big;
	e.xattr_names.length = CSV_MAX_WANTED_NAMES + 1;
	assert_int_equal(pull_entry(&e), EBADMSG);
	e.xattr_names.length = CSV_MAX_WANTED_NAMES;
	assert_int_equal(pull_entry(&e), 0);
	value.data = (struct csv_bytes) { .length = CSV_MAX_WANTED_VALUE + 1,
					  .data = big };
	assert_int_equal(pull_entry(&e), EBADMSG);
	value.data.length = CSV_MAX_WANTED_VALUE;
	assert_int_equal(pull_entry(&e), 0);
	talloc_free(big);
}

static void unknown_operations_have_no_body(void **state)
{
	assert_null(csv_body_of(0, false));
	assert_null(csv_body_of(7, false));
	assert_null(csv_body_of(35, true));
	assert_null(csv_body_of(65535, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_ndr),
		cmocka_unit_test(header_is_checked),
		cmocka_unit_test(io_is_ndr),
		cmocka_unit_test(every_body),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(many_entries_of_nothing),
		cmocka_unit_test(extras_are_checked),
		cmocka_unit_test(unknown_operations_have_no_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
