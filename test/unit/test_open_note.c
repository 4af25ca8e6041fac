/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/opens/note.c: what vfs_ca writes is what sofs reads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "lib/opens/note.h"

static const struct csv_note example = {
	.client = "2001:db8::1",
	.volume = "vol1",
	.share = "vms",
	.dialect = 0x0311,
};

static void same(const struct csv_note *a, const struct csv_note *b)
{
	assert_string_equal(a->client, b->client);
	assert_string_equal(a->volume, b->volume);
	assert_string_equal(a->share, b->share);
	assert_int_equal(a->dialect, b->dialect);
}

static void test_there_and_back(void **state)
{
	uint8_t buf[3 + CSV_NOTE_MAX] = "abc";
	struct csv_note got = {};
	size_t rest = 0;
	size_t n = csv_note_push(&example, buf + 3);

	assert_true(csv_note_pull(buf, 3 + n, &got, &rest));
	assert_int_equal(rest, 3);
	same(&got, &example);
}

static void test_longest(void **state)
{
	uint8_t buf[CSV_NOTE_MAX];
	struct csv_note note = {}, got = {};
	size_t rest = 1;
	size_t n;

	memset(note.client, 'c', sizeof(note.client) - 1);
	memset(note.volume, 'v', sizeof(note.volume) - 1);
	memset(note.share, 's', sizeof(note.share) - 1);
	n = csv_note_push(&note, buf);
	assert_true(n <= sizeof(buf));
	assert_true(csv_note_pull(buf, n, &got, &rest));
	assert_int_equal(rest, 0);
	same(&got, &note);
}

/* Each way of being no note leaves the data whole. */
static void test_no_note(void **state)
{
	uint8_t buf[CSV_NOTE_MAX];
	struct csv_note got;
	size_t n = csv_note_push(&example, buf);
	size_t tail = n - 13;
	size_t rest = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		assert_false(csv_note_pull(buf, i, &got, &rest));
		assert_int_equal(rest, i);
	}
	for (i = tail + 5; i < n; i++) {
		buf[i] ^= 1;
		assert_false(csv_note_pull(buf, n, &got, &rest));
		assert_int_equal(rest, n);
		buf[i] ^= 1;
	}
	for (i = tail; i < tail + 3; i++) {
		uint8_t was = buf[i];

		buf[i] = CSV_NOTE_STRING;
		assert_false(csv_note_pull(buf, n, &got, &rest));
		assert_int_equal(rest, n);
		buf[i] = (uint8_t)(was + 1); /* more than there is */
		assert_false(csv_note_pull(buf, n, &got, &rest));
		buf[i] = was;
	}
	assert_true(csv_note_pull(buf, n, &got, &rest));
}

static void test_nothing_for_a_terminal(void **state)
{
	struct csv_note note = example, got = {};
	uint8_t buf[CSV_NOTE_MAX];
	size_t rest;

	strcpy(note.client, "\033[2J\n\177");
	assert_true(csv_note_pull(
		buf, csv_note_push(&note, buf), &got, &rest));
	assert_string_equal(got.client, "?[2J??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_no_note),
		cmocka_unit_test(test_nothing_for_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
