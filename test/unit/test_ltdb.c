/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A database whose writers work through a mapping: did it change? */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "replace.h"
#include "system/filesys.h"
#include "lib/ltdb/image.h"
#include <tdb.h>

struct bed {
	char dir[64], path[96];
	struct tdb_context *tdb;
	struct csv_ltdb_image *image;
};

static int setup(void **state)
{
	struct bed *bed = talloc_zero(NULL, struct bed);

	assert_non_null(bed);
	strlcpy(bed->dir, "/tmp/test_ltdb.XXXXXX", sizeof(bed->dir));
	assert_non_null(mkdtemp(bed->dir));
	snprintf(bed->path, sizeof(bed->path), "%s/db.tdb", bed->dir);
	bed->tdb = tdb_open(bed->path, 0, 0, O_RDWR | O_CREAT, 0600);
	assert_non_null(bed->tdb);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	if (bed->tdb != NULL) {
		tdb_close(bed->tdb);
	}
	unlink(bed->path);
	assert_int_equal(rmdir(bed->dir), 0);
	talloc_free(bed);
	return 0;
}

static bool changed(struct bed *bed)
{
	bool yes = false;

	assert_int_equal(csv_ltdb_changed(bed, bed->path, &bed->image, &yes),
			 0);
	return yes;
}

static void store(struct bed *bed, const char *key, size_t size)
{
	uint8_t *value = talloc_zero_size(bed, size);
	TDB_DATA k = {discard_const_p(uint8_t, key), strlen(key)};
	TDB_DATA v = {value, size};

	assert_int_equal(tdb_store(bed->tdb, k, v, TDB_REPLACE), 0);
	talloc_free(value);
}

static void each_change_is_seen_once(void **state)
{
	struct bed *bed = *state;

	assert_true(changed(bed)); /* the first look */
	assert_false(changed(bed));
	store(bed, "one", 10);
	assert_true(changed(bed));
	assert_false(changed(bed));
	store(bed, "one", 11);
	assert_true(changed(bed));
	store(bed, "grows", 1 << 20);
	assert_true(changed(bed));
	assert_false(changed(bed));
	assert_int_equal(tdb_wipe_all(bed->tdb), 0);
	assert_true(changed(bed));
}

static void what_cannot_be_read_has_changed(void **state)
{
	struct bed *bed = *state;
	bool yes = false;

	assert_true(changed(bed));
	tdb_close(bed->tdb);
	bed->tdb = NULL;
	assert_int_equal(unlink(bed->path), 0);
	assert_int_equal(csv_ltdb_changed(bed, bed->path, &bed->image, &yes),
			 ENOENT);
	assert_true(yes);
	assert_null(bed->image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_change_is_seen_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_read_has_changed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
