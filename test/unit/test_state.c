/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every state with every event, and walks that happen to real volumes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/volume/state.h"

struct row {
	enum csv_state state;
	enum csv_event event;
	int next; /* -1: cannot happen */
};

static const struct row rows[] = {
	{CSV_STATE_INIT, CSV_EVENT_DRAIN, -1},
	{CSV_STATE_INIT, CSV_EVENT_DRAINED, -1},
	{CSV_STATE_INIT, CSV_EVENT_LOST, CSV_STATE_PAUSED},
	{CSV_STATE_INIT, CSV_EVENT_TARGET, CSV_STATE_SET_DOWN_LEVEL},
	{CSV_STATE_INIT, CSV_EVENT_READY, -1},
	{CSV_STATE_INIT, CSV_EVENT_FAILED, CSV_STATE_INIT},

	{CSV_STATE_PAUSED, CSV_EVENT_DRAIN, CSV_STATE_DRAINING},
	{CSV_STATE_PAUSED, CSV_EVENT_DRAINED, CSV_STATE_PAUSED},
	{CSV_STATE_PAUSED, CSV_EVENT_LOST, CSV_STATE_PAUSED},
	{CSV_STATE_PAUSED, CSV_EVENT_TARGET, CSV_STATE_SET_DOWN_LEVEL},
	{CSV_STATE_PAUSED, CSV_EVENT_READY, -1},
	{CSV_STATE_PAUSED, CSV_EVENT_FAILED, CSV_STATE_INIT},

	{CSV_STATE_DRAINING, CSV_EVENT_DRAIN, CSV_STATE_DRAINING},
	{CSV_STATE_DRAINING, CSV_EVENT_DRAINED, CSV_STATE_PAUSED},
	{CSV_STATE_DRAINING, CSV_EVENT_LOST, CSV_STATE_PAUSED},
	{CSV_STATE_DRAINING, CSV_EVENT_TARGET, CSV_STATE_SET_DOWN_LEVEL},
	{CSV_STATE_DRAINING, CSV_EVENT_READY, -1},
	{CSV_STATE_DRAINING, CSV_EVENT_FAILED, CSV_STATE_INIT},

	{CSV_STATE_SET_DOWN_LEVEL, CSV_EVENT_DRAIN, CSV_STATE_DRAINING},
	{CSV_STATE_SET_DOWN_LEVEL, CSV_EVENT_DRAINED, -1},
	{CSV_STATE_SET_DOWN_LEVEL, CSV_EVENT_LOST, CSV_STATE_PAUSED},
	{CSV_STATE_SET_DOWN_LEVEL, CSV_EVENT_TARGET, CSV_STATE_SET_DOWN_LEVEL},
	{CSV_STATE_SET_DOWN_LEVEL, CSV_EVENT_READY, CSV_STATE_ACTIVE},
	{CSV_STATE_SET_DOWN_LEVEL, CSV_EVENT_FAILED, CSV_STATE_INIT},

	{CSV_STATE_ACTIVE, CSV_EVENT_DRAIN, CSV_STATE_DRAINING},
	{CSV_STATE_ACTIVE, CSV_EVENT_DRAINED, -1},
	{CSV_STATE_ACTIVE, CSV_EVENT_LOST, CSV_STATE_PAUSED},
	{CSV_STATE_ACTIVE, CSV_EVENT_TARGET, CSV_STATE_SET_DOWN_LEVEL},
	{CSV_STATE_ACTIVE, CSV_EVENT_READY, -1},
	{CSV_STATE_ACTIVE, CSV_EVENT_FAILED, CSV_STATE_INIT},
};

static void every_pair_is_as_written(void **state)
{
	size_t i;

	assert_int_equal(sizeof(rows) / sizeof(rows[0]),
			 CSV_NUM_STATES * CSV_NUM_EVENTS);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum csv_state next = (enum csv_state)77;
		bool ok = csv_state_next(rows[i].state, rows[i].event, &next);
		int want = rows[i].next == -1 ? 77 : rows[i].next;

		assert_int_equal(ok, rows[i].next != -1);
		assert_int_equal(next, want);
	}
	(void)state;
}

static void every_pair_is_named_once(void **state)
{
	bool seen[CSV_NUM_STATES][CSV_NUM_EVENTS] = {};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_false(seen[rows[i].state][rows[i].event]);
		seen[rows[i].state][rows[i].event] = true;
	}
	(void)state;
}

static void walk(enum csv_state from,
		 const enum csv_event *events,
		 size_t num,
		 enum csv_state to)
{
	enum csv_state s = from;
	size_t i;

	for (i = 0; i < num; i++) {
		assert_true(csv_state_next(s, events[i], &s));
	}
	assert_int_equal(s, to);
}

static void planned_move_ends_active(void **state)
{
	const enum csv_event events[] = {
		CSV_EVENT_TARGET, CSV_EVENT_READY, CSV_EVENT_DRAIN,
		CSV_EVENT_DRAINED, CSV_EVENT_TARGET, CSV_EVENT_READY,
	};

	walk(CSV_STATE_INIT, events, 6, CSV_STATE_ACTIVE);
	(void)state;
}

static void owner_that_dies_while_reopening_pauses(void **state)
{
	const enum csv_event events[] = {
		CSV_EVENT_LOST, CSV_EVENT_TARGET, CSV_EVENT_LOST,
	};

	walk(CSV_STATE_ACTIVE, events, 3, CSV_STATE_PAUSED);
	(void)state;
}

static void failed_everywhere_can_come_back(void **state)
{
	const enum csv_event events[] = {
		CSV_EVENT_LOST, CSV_EVENT_FAILED, CSV_EVENT_TARGET,
		CSV_EVENT_READY,
	};

	walk(CSV_STATE_ACTIVE, events, 4, CSV_STATE_ACTIVE);
	(void)state;
}

static void only_ready_leads_to_active(void **state)
{
	int s, e;

	for (s = 0; s < CSV_NUM_STATES; s++) {
		for (e = 0; e < CSV_NUM_EVENTS; e++) {
			enum csv_state next = CSV_STATE_INIT;

			if (csv_state_next((enum csv_state)s,
					   (enum csv_event)e,
					   &next) &&
			    next == CSV_STATE_ACTIVE)
			{
				assert_int_equal(e, CSV_EVENT_READY);
			}
		}
	}
	(void)state;
}

static void numbers_outside_are_refused(void **state)
{
	enum csv_state next = CSV_STATE_PAUSED;

	assert_false(csv_state_next((enum csv_state)5,
				    CSV_EVENT_LOST,
				    &next));
	assert_false(csv_state_next((enum csv_state)-1,
				    CSV_EVENT_LOST,
				    &next));
	assert_false(csv_state_next(CSV_STATE_ACTIVE,
				    (enum csv_event)6,
				    &next));
	assert_int_equal(next, CSV_STATE_PAUSED);
	assert_string_equal(csv_state_str((enum csv_state)5), "unknown");
	assert_string_equal(csv_event_str((enum csv_event)6), "unknown");
	(void)state;
}

static void names_are_windows(void **state)
{
	assert_string_equal(csv_state_str(CSV_STATE_INIT), "Init");
	assert_string_equal(csv_state_str(CSV_STATE_PAUSED), "Paused");
	assert_string_equal(csv_state_str(CSV_STATE_DRAINING), "Draining");
	assert_string_equal(csv_state_str(CSV_STATE_SET_DOWN_LEVEL),
			    "SetDownLevel");
	assert_string_equal(csv_state_str(CSV_STATE_ACTIVE), "Active");
	assert_string_equal(csv_event_str(CSV_EVENT_DRAIN), "drain");
	assert_string_equal(csv_event_str(CSV_EVENT_DRAINED), "drained");
	assert_string_equal(csv_event_str(CSV_EVENT_LOST), "lost");
	assert_string_equal(csv_event_str(CSV_EVENT_TARGET), "target");
	assert_string_equal(csv_event_str(CSV_EVENT_READY), "ready");
	assert_string_equal(csv_event_str(CSV_EVENT_FAILED), "failed");
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_is_as_written),
		cmocka_unit_test(every_pair_is_named_once),
		cmocka_unit_test(planned_move_ends_active),
		cmocka_unit_test(owner_that_dies_while_reopening_pauses),
		cmocka_unit_test(failed_everywhere_can_come_back),
		cmocka_unit_test(only_ready_leads_to_active),
		cmocka_unit_test(numbers_outside_are_refused),
		cmocka_unit_test(names_are_windows),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
