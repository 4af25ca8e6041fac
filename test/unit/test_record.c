/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd's records: what is written is read again; what is damaged, truncated
 * or of another version is refused; and which changes of owner the database
 * takes. The database is a local TDB, the rest is what csvd runs.
 */
#include "includes.h"
#include <setjmp.h>
#include <cmocka.h>
#include "util_tdb.h"
#include "dbwrap/dbwrap.h"
#include "dbwrap/dbwrap_tdb.h"
#include "gen_ndr/ndr_csv.h"
#include "csvd/owner.h"
#include "csvd/record.h"

#define KEY "OWNER/vol1"

static int setup(void **state)
{
	struct csvd_context *csvd = talloc_zero(NULL, struct csvd_context);

	(void)unlink("test_record.tdb");
	csvd->db = db_open_tdb(csvd,
			       "test_record.tdb",
			       0,
			       TDB_NOSYNC,
			       O_RDWR | O_CREAT,
			       0600,
			       DBWRAP_LOCK_ORDER_1,
			       DBWRAP_FLAG_NONE);
	csvd->node = 1;
	csvd->num_nodes = 1;
	csvd->members = talloc_zero(csvd, struct csvd_member);
	csvd->members->pnn = 1;
	csvd->members->recovered = true;
	csvd->incarnation = 77;
	*state = csvd;
	return csvd->db != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	talloc_free(*state);
	(void)unlink("test_record.tdb");
	return 0;
}

static int add(struct csvd_context *csvd, const char *name)
{
	struct csv_volume_record config = {
		.version = CSV_RECORD_VERSION,
		.name = csvd_bytes(name),
		.mount_point = csvd_bytes("/csv/vol1"),
		.wait_limit_s = 60,
	};

	return csvd_record_add(csvd, &config);
}

static struct csv_owner_record *owner(struct csvd_context *csvd)
{
	struct csv_owner_record *rec = NULL;

	assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec), 0);
	return rec;
}

/* Node `node` takes the volume under the next epoch. */
static int take(struct csvd_context *csvd, uint32_t node)
{
	struct csv_owner_record *old = owner(csvd);
	struct csv_owner_record rec = *old;

	rec.epoch++;
	rec.owner = node;
	rec.incarnation = 77;
	rec.clean = false;
	return csvd_record_change(csvd, "vol1", old, &rec);
}

static int release(struct csvd_context *csvd)
{
	struct csv_owner_record *old = owner(csvd);
	struct csv_owner_record rec = *old;

	rec.owner = CSVD_NO_NODE;
	rec.clean = true;
	return csvd_record_change(csvd, "vol1", old, &rec);
}

static DATA_BLOB fetch(struct csvd_context *csvd)
{
	TDB_DATA value = {};
	NTSTATUS status;

	status = dbwrap_fetch_bystring(csvd->db, csvd, KEY, &value);
	assert_true(NT_STATUS_IS_OK(status));
	return data_blob_const(value.dptr, value.dsize);
}

static void store(struct csvd_context *csvd, const void *data, size_t length)
{
	TDB_DATA value = make_tdb_data(data, length);
	NTSTATUS status;

	status = dbwrap_store_bystring(csvd->db, KEY, value, TDB_REPLACE);
	assert_true(NT_STATUS_IS_OK(status));
}

static void a_new_volume_is_free(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *rec = NULL;
	char **names = NULL;

	assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec), ENOENT);
	assert_int_equal(add(csvd, "vol1"), 0);
	assert_int_equal(add(csvd, "vol1"), EEXIST);
	rec = owner(csvd);
	assert_int_equal(rec->epoch, 0);
	assert_int_equal(rec->owner, CSVD_NO_NODE);
	assert_true(rec->clean);
	assert_int_equal(csvd_record_names(csvd, csvd, &names), 0);
	assert_string_equal(names[0], "vol1");
	assert_null(names[1]);
}

static void every_field_is_read_as_written(void **state)
{
	struct csvd_context *csvd = *state;
	uint32_t failed[] = {0, 2, 0xFFFFFFFE};
	struct csv_owner_record rec = {
		.epoch = 1,
		.owner = 0xFFFFFFFE,
		.incarnation = UINT64_MAX - 1,
		.target = 3,
		.reason = csvd_bytes("why \x01\xff not"),
		.previous = 2,
		.num_failed = ARRAY_SIZE(failed),
		.failed = failed,
	};
	struct csv_owner_record *found = NULL;

	assert_int_equal(add(csvd, "vol1"), 0);
	assert_int_equal(csvd_record_change(csvd, "vol1", owner(csvd), &rec),
			 0);
	found = owner(csvd);
	assert_int_equal(found->version, CSV_RECORD_VERSION);
	assert_int_equal(found->epoch, rec.epoch);
	assert_int_equal(found->owner, rec.owner);
	assert_true(found->incarnation == rec.incarnation);
	assert_int_equal(found->target, rec.target);
	assert_false(found->clean);
	assert_false(found->previous_clean);
	assert_int_equal(found->previous, rec.previous);
	assert_true(csvd_bytes_equal(&found->reason, "why \x01\xff not"));
	assert_int_equal(found->num_failed, ARRAY_SIZE(failed));
	assert_memory_equal(found->failed, failed, sizeof(failed));
}

static void a_truncated_record_is_refused(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *rec = NULL;
	DATA_BLOB blob;
	size_t n;

	assert_int_equal(add(csvd, "vol1"), 0);
	blob = fetch(csvd);
	for (n = 1; n < blob.length; n++) {
		store(csvd, blob.data, n);
		assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec),
				 EILSEQ);
		assert_null(rec);
	}
	store(csvd, blob.data, 0);
	assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec), ENOENT);
}

static void another_version_is_refused(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *rec = NULL;
	DATA_BLOB blob;
	unsigned version;

	assert_int_equal(add(csvd, "vol1"), 0);
	blob = fetch(csvd);
	for (version = 0; version < 0x10000; version += 0xFF) {
		SSVAL(blob.data, 0, version);
		store(csvd, blob.data, blob.length);
		assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec),
				 version == CSV_RECORD_VERSION ? 0 : EILSEQ);
	}
}

/* No byte that is turned over may be taken for a record that owns nothing. */
static void damaged_lengths_are_refused(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *rec = NULL;
	DATA_BLOB blob;

	assert_int_equal(add(csvd, "vol1"), 0);
	blob = fetch(csvd);
	/* num_failed is the last word of a record without failed nodes */
	SIVAL(blob.data, blob.length - 4, 257);
	store(csvd, blob.data, blob.length);
	assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec), EILSEQ);
	SIVAL(blob.data, blob.length - 4, UINT32_MAX);
	store(csvd, blob.data, blob.length);
	assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec), EILSEQ);
	memset(blob.data, 0xFF, blob.length);
	store(csvd, blob.data, blob.length);
	assert_int_equal(csvd_record_owner(csvd, csvd, "vol1", &rec), EILSEQ);
}

static void a_damaged_record_is_not_changed(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *old = NULL;
	struct csv_owner_record rec;
	DATA_BLOB blob;

	assert_int_equal(add(csvd, "vol1"), 0);
	old = owner(csvd);
	rec = *old;
	blob = fetch(csvd);
	store(csvd, blob.data, blob.length - 1);
	assert_int_equal(csvd_record_change(csvd, "vol1", old, &rec), EILSEQ);
	/* nor forgotten by declaring the volume again: epochs would repeat */
	assert_int_equal(csvd_record_remove(csvd, "vol1"), 0);
	assert_int_equal(add(csvd, "vol1"), EILSEQ);
}

static void only_the_record_that_was_judged_is_changed(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *old = NULL;
	struct csv_owner_record rec;

	assert_int_equal(add(csvd, "vol1"), 0);
	old = owner(csvd);
	rec = *old;
	rec.epoch++;
	rec.owner = 2;
	rec.clean = false;
	assert_int_equal(take(csvd, 1), 0);
	/* node 2 judged the free one */
	assert_int_equal(csvd_record_change(csvd, "vol1", old, &rec), EAGAIN);
	assert_int_equal(owner(csvd)->owner, 1);

	/* same epoch, released meanwhile */
	old = owner(csvd);
	assert_int_equal(release(csvd), 0);
	rec = *old;
	assert_int_equal(csvd_record_change(csvd, "vol1", old, &rec), EAGAIN);
	assert_true(owner(csvd)->clean);

	/* the same node, started again */
	assert_int_equal(take(csvd, 1), 0);
	old = owner(csvd);
	rec = *old;
	old->incarnation++;
	assert_int_equal(csvd_record_change(csvd, "vol1", old, &rec), EAGAIN);
}

/* Or dbwrap would make nothing of the second commit of an ownership. */
static void no_write_is_the_same_again(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *rec = NULL;
	DATA_BLOB before, after;
	unsigned i;

	assert_int_equal(add(csvd, "vol1"), 0);
	assert_int_equal(take(csvd, 1), 0);
	for (i = 0; i < 1000; i++) {
		before = fetch(csvd);
		rec = owner(csvd);
		assert_int_equal(csvd_record_change(csvd, "vol1", rec, rec),
				 0);
		after = fetch(csvd);
		assert_int_not_equal(data_blob_cmp(&before, &after), 0);
	}
	/* nor when the clock goes back */
	rec = owner(csvd);
	rec->changed = INT64_MAX / 2;
	assert_int_equal(csvd_record_change(csvd, "vol1", rec, rec), 0);
	assert_true(owner(csvd)->changed == (uint64_t)INT64_MAX / 2 + 1);
}

static void a_minority_writes_none(void **state)
{
	struct csvd_context *csvd = *state;

	assert_int_equal(add(csvd, "vol1"), 0);
	csvd->num_nodes = 3;
	assert_int_equal(take(csvd, 1), EHOSTDOWN);
	assert_int_equal(owner(csvd)->epoch, 0);
	csvd->num_nodes = 1;
	assert_int_equal(take(csvd, 1), 0);
	csvd->num_nodes = 3;
	assert_int_equal(release(csvd), EHOSTDOWN);
	assert_false(owner(csvd)->clean);
}

static void an_epoch_grows_by_one_or_stays(void **state)
{
	static const int64_t refused[] = {-2, -1, 2, 3, INT32_MAX};
	struct csvd_context *csvd = *state;
	struct csv_owner_record *old = NULL;
	size_t i;

	assert_int_equal(add(csvd, "vol1"), 0);
	for (i = 0; i < 5; i++) {
		assert_int_equal(take(csvd, i % 3), 0);
		assert_int_equal(owner(csvd)->epoch, i + 1);
		assert_int_equal(release(csvd), 0);
		assert_int_equal(owner(csvd)->epoch, i + 1);
	}
	old = owner(csvd);
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		struct csv_owner_record rec = *old;

		rec.epoch += refused[i];
		assert_int_equal(csvd_record_change(csvd, "vol1", old, &rec),
				 EINVAL);
	}
	assert_int_equal(owner(csvd)->epoch, 5);
}

static void sequence(struct csvd_context *csvd, uint64_t n)
{
	NTSTATUS status;

	status = dbwrap_store_bystring(csvd->db,
				       "__db_sequence_number__",
				       make_tdb_data((uint8_t *)&n, sizeof(n)),
				       TDB_REPLACE);
	assert_true(NT_STATUS_IS_OK(status));
}

/* The volume knows of a later owner than a database put back from a copy. */
static void what_the_volume_remembers_is_overtaken(void **state)
{
	struct csvd_context *csvd = *state;
	struct csv_owner_record *rec = NULL;
	uint64_t seen = 0;

	assert_int_equal(csvd_record_sequence(csvd, &seen), 0);
	assert_int_equal(seen, 0);
	sequence(csvd, 100);
	assert_int_equal(csvd_record_sequence(csvd, &seen), 0);
	assert_int_equal(seen, 100);
	assert_int_equal(add(csvd, "vol1"), 0);
	assert_int_equal(take(csvd, 1), 0);
	rec = owner(csvd);
	assert_int_equal(csvd_record_overtake(csvd, "vol1", rec, 40, 99), 0);
	assert_int_equal(owner(csvd)->epoch, 41);
	assert_int_equal(owner(csvd)->owner, 1);
	assert_false(owner(csvd)->clean);
	/* only the database was older, or only the epoch */
	rec = owner(csvd);
	assert_int_equal(csvd_record_overtake(csvd, "vol1", rec, 7, 99), 0);
	assert_int_equal(owner(csvd)->epoch, 42);
	/* it does not get as new as it must */
	rec = owner(csvd);
	assert_int_equal(csvd_record_overtake(csvd, "vol1", rec, 7, 100),
			 EAGAIN);
	/* not what was judged */
	assert_int_equal(csvd_record_overtake(csvd, "vol1", rec, 90, 99),
			 EAGAIN);
	assert_int_equal(owner(csvd)->epoch, 43);
	csvd->num_nodes = 3;
	assert_int_equal(csvd_record_overtake(csvd, "vol1", owner(csvd), 90, 9),
			 EHOSTDOWN);
}

static void a_name_that_comes_again_keeps_its_epoch(void **state)
{
	struct csvd_context *csvd = *state;

	assert_int_equal(add(csvd, "vol1"), 0);
	assert_int_equal(take(csvd, 1), 0);
	assert_int_equal(csvd_record_remove(csvd, "vol1"), 0);
	/* its owner may still have it mounted, or died with it */
	assert_int_equal(add(csvd, "vol1"), EBUSY);
	assert_int_equal(owner(csvd)->owner, 1);
	assert_false(owner(csvd)->clean);
	assert_int_equal(release(csvd), 0);
	assert_int_equal(add(csvd, "vol1"), 0);
	assert_int_equal(owner(csvd)->epoch, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_new_volume_is_free),
		T(every_field_is_read_as_written),
		T(a_truncated_record_is_refused),
		T(another_version_is_refused),
		T(damaged_lengths_are_refused),
		T(a_damaged_record_is_not_changed),
		T(only_the_record_that_was_judged_is_changed),
		T(no_write_is_the_same_again),
		T(a_minority_writes_none),
		T(an_epoch_grows_by_one_or_stays),
		T(what_the_volume_remembers_is_overtaken),
		T(a_name_that_comes_again_keeps_its_epoch),
	};
	TALLOC_CTX *frame = talloc_stackframe();
	int ret = cmocka_run_group_tests(tests, NULL, NULL);

	TALLOC_FREE(frame);
	return ret;
}
