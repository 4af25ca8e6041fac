/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where volumes go when their node is drained, and which one moves when they
 * are uneven: from members and records as csvd has them in memory.
 */
#include "includes.h"
#include <setjmp.h>
#include <cmocka.h>
#include "lib/util/dlinklist.h"
#include "ctdb/include/ctdb_protocol.h"
#include "csvd/spread.h"
#include "lib/node/node.h"

#define VOLUMES 6
#define NODES 4

struct bed {
	struct csvd_context csvd;
	struct csvd_volume v[VOLUMES];
	struct csv_volume_record config[VOLUMES];
	struct csv_owner_record rec[VOLUMES];
	struct csvd_member members[NODES];
	struct csv_node_info info[NODES];
	struct csv_node_record record[NODES];
};

/* Four nodes, all well; six volumes, owned as a string of digits says. */
static struct bed *make(void **state, const char *owners)
{
	struct bed *bed = talloc_zero(NULL, struct bed);
	size_t i;

	bed->csvd.node = 1;
	bed->csvd.active = true;
	for (i = 0; i < NODES; i++) {
		bed->members[i].pnn = i;
		bed->members[i].info = &bed->info[i];
		bed->members[i].record = &bed->record[i];
		DLIST_ADD_END(bed->csvd.members, &bed->members[i]);
	}
	for (i = 0; i < strlen(owners); i++) {
		bed->v[i].csvd = &bed->csvd;
		bed->v[i].name = "v";
		bed->v[i].config = &bed->config[i];
		bed->v[i].rec = &bed->rec[i];
		bed->rec[i].owner = owners[i] - '0';
		bed->rec[i].changed = 100 + i;
		DLIST_ADD_END(bed->csvd.volumes, &bed->v[i]);
	}
	*state = bed;
	return bed;
}

static int teardown(void **state)
{
	talloc_free(*state);
	return 0;
}

/* All targets of node 0's volumes, one after the other, as digits. */
static const char *plan(struct bed *bed)
{
	static char text[VOLUMES + 1];
	struct csvd_spread *spread = csvd_spread_count(bed, &bed->csvd);
	struct csvd_volume *v = NULL;
	uint32_t to;
	size_t n = 0;

	for (v = bed->csvd.volumes; v != NULL; v = v->next) {
		if (v->rec->owner == 0) {
			to = csvd_spread_target(spread, v);
			csvd_spread_moved(spread, 0, to);
			text[n++] = to == CSVD_NO_NODE ? '-' : '0' + to;
		}
	}
	text[n] = '\0';
	return text;
}

static void prefer(struct bed *bed, size_t i, uint32_t *nodes, uint32_t num)
{
	bed->config[i].preferred = nodes;
	bed->config[i].num_preferred = num;
}

static void test_fewest(void **state)
{
	struct bed *bed = make(state, "000112");

	assert_string_equal(plan(bed), "323");
}

static void test_preferred_first(void **state)
{
	struct bed *bed = make(state, "000112");
	uint32_t nodes[] = {0, 1, 3};

	prefer(bed, 0, nodes, 3);
	prefer(bed, 1, nodes, 3);
	assert_string_equal(plan(bed), "113");
	bed->record[1].drain = CSV_NODE_DRAINING;
	assert_string_equal(plan(bed), "332");
}

static void test_nobody(void **state)
{
	struct bed *bed = make(state, "00");
	uint32_t failed = 3;

	bed->members[1].flags = NODE_FLAGS_DISCONNECTED;
	bed->csvd.leaving = true;
	bed->info[2].leaving = true;
	bed->rec[0].failed = &failed;
	bed->rec[0].num_failed = 1;
	assert_string_equal(plan(bed), "-3");
	bed->members[3].info = NULL;
	assert_string_equal(plan(bed), "--");
}

/* Which volume goes where: "5>2", or "-". */
static const char *uneven(struct bed *bed)
{
	static char text[8];
	struct csvd_spread *spread = csvd_spread_count(bed, &bed->csvd);
	uint32_t to = CSVD_NO_NODE;
	struct csvd_volume *v = csvd_spread_uneven(spread, &to);

	if (v == NULL) {
		return "-";
	}
	snprintf(text, sizeof(text), "%u>%u", (unsigned)(v - bed->v),
		 (unsigned)to);
	return text;
}

static void test_uneven(void **state)
{
	struct bed *bed = make(state, "000112");

	assert_string_equal(uneven(bed), "0>3");
	bed->rec[1].changed = 1; /* it stayed longest */
	assert_string_equal(uneven(bed), "1>3");
	bed->rec[1].owner = 3;
	/* 2, 2, 1, 1: as even as can be */
	assert_string_equal(uneven(bed), "-");
}

static void test_uneven_within_limits(void **state)
{
	struct bed *bed = make(state, "000000");
	uint32_t nodes[] = {0, 2};
	size_t i;

	for (i = 0; i < VOLUMES; i++) {
		prefer(bed, i, nodes, 2);
	}
	assert_string_equal(uneven(bed), "0>2");
	bed->record[2].drain = CSV_NODE_DRAINED;
	assert_string_equal(uneven(bed), "-");
	prefer(bed, 4, NULL, 0);
	assert_string_equal(uneven(bed), "4>1");
	bed->config[4].shared = true;
	assert_string_equal(uneven(bed), "-");
	bed->config[4].shared = false;
	bed->rec[4].clean = true; /* nobody's just now */
	assert_string_equal(uneven(bed), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_fewest, teardown),
		cmocka_unit_test_teardown(test_preferred_first, teardown),
		cmocka_unit_test_teardown(test_nobody, teardown),
		cmocka_unit_test_teardown(test_uneven, teardown),
		cmocka_unit_test_teardown(test_uneven_within_limits, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
