/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a csvd tells of itself, also an older one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/wire/node_info.h"
#include <cmocka.h>

/* Behind the volumes: 2 bytes, 2 of alignment, four numbers of 4 bytes. */
#define NEWER 20

static struct csv_node_info told(void)
{
	static char vol1[] = "vol1";
	static struct csv_node_volume volume = {
		.name = {.length = 4, .data = (uint8_t *)vol1},
		.epoch = 7,
	};
	return (struct csv_node_info){
		.version = CSV_EVENT_VERSION,
		.node = 2,
		.leaving = true,
		.num_volumes = 1,
		.volumes = &volume,
		.guard_port = 4380,
		.promise_ms = 4000,
		.clients = 9,
	};
}

static DATA_BLOB pushed(TALLOC_CTX *mem_ctx, struct csv_node_info *info)
{
	DATA_BLOB blob = {};

	assert_true(NDR_ERR_CODE_IS_SUCCESS(ndr_push_struct_blob(
		&blob,
		mem_ctx,
		info,
		(ndr_push_flags_fn_t)ndr_push_csv_node_info)));
	return blob;
}

static void test_all_of_it(void **state)
{
	TALLOC_CTX *frame = talloc_new(NULL);
	struct csv_node_info info = told();
	DATA_BLOB blob = pushed(frame, &info);

	assert_true(csv_node_info_read(frame, &blob, &info));
	assert_int_equal(info.node, 2);
	assert_true(info.leaving);
	assert_int_equal(info.num_volumes, 1);
	assert_int_equal(info.volumes[0].epoch, 7);
	assert_int_equal(info.promise_ms, 4000);
	assert_int_equal(info.clients, 9);
	talloc_free(frame);
}

static void test_older_one(void **state)
{
	TALLOC_CTX *frame = talloc_new(NULL);
	struct csv_node_info info = told();
	DATA_BLOB blob = pushed(frame, &info);

	blob.length -= NEWER;
	assert_true(csv_node_info_read(frame, &blob, &info));
	assert_true(info.leaving);
	assert_int_equal(info.num_volumes, 1);
	assert_memory_equal(info.volumes[0].name.data, "vol1", 4);
	assert_int_equal(info.guard_port, 0);
	assert_int_equal(info.promise_ms, 0);
	assert_int_equal(info.clients, 0);
	talloc_free(frame);
}

static void test_nonsense(void **state)
{
	TALLOC_CTX *frame = talloc_new(NULL);
	struct csv_node_info info = told();
	DATA_BLOB blob = {};

	assert_false(csv_node_info_read(frame, &blob, &info));
	info = told();
	info.version += 1;
	blob = pushed(frame, &info);
	assert_false(csv_node_info_read(frame, &blob, &info));
	info = told();
	blob = pushed(frame, &info);
	memset(blob.data + 8, 0xff, blob.length - 8);
	assert_false(csv_node_info_read(frame, &blob, &info));
	talloc_free(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_it),
		cmocka_unit_test(test_older_one),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
