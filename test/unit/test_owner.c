/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who shall own a volume: the line of candidates and the refusals of moves and
 * confirmed fencings, from members and record as csvd has them in memory.
 */
#include "includes.h"
#include <setjmp.h>
#include <cmocka.h>
#include "lib/util/dlinklist.h"
#include "ctdb/include/ctdb_protocol.h"
#include "csvd/clock.h"
#include "csvd/fence_owner.h"
#include "csvd/fence_test.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/mesh.h"
#include "csvd/owner.h"
#include "csvd/quorum.h"

#define ME 1

struct bed {
	struct csvd_context csvd;
	struct csvd_volume v;
	struct csv_volume_record config;
	struct csv_owner_record rec;
	struct csvd_member members[4];
	struct csv_node_info info[4];
};

/* Four nodes, all well; this one is node 1; nobody owns the volume. */
static int setup(void **state)
{
	struct bed *bed = talloc_zero(NULL, struct bed);
	uint32_t i;

	bed->csvd.node = ME;
	bed->csvd.active = true;
	bed->csvd.num_nodes = ARRAY_SIZE(bed->members);
	bed->csvd.started = (struct timeval){.tv_sec = 1};
	bed->v.csvd = &bed->csvd;
	bed->v.name = "vol1";
	bed->v.config = &bed->config;
	bed->v.rec = &bed->rec;
	bed->rec.owner = CSVD_NO_NODE;
	bed->rec.target = CSVD_NO_NODE;
	bed->rec.clean = true;
	for (i = 0; i < ARRAY_SIZE(bed->members); i++) {
		bed->members[i].pnn = i;
		bed->members[i].info = &bed->info[i];
		DLIST_ADD_END(bed->csvd.members, &bed->members[i]);
	}
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	talloc_free(*state);
	return 0;
}

/* The whole line as digits. */
static const char *line(struct bed *bed)
{
	static char text[16];
	uint32_t pnn;
	size_t i;

	for (i = 0; i + 1 < sizeof(text); i++) {
		/* its memory context is the volume, which is talloc's here */
		struct csvd_volume *v = talloc(bed, struct csvd_volume);

		*v = bed->v;
		pnn = csvd_owner_candidate(v, i);
		talloc_free(v);
		if (pnn == CSVD_NO_NODE) {
			break;
		}
		text[i] = '0' + pnn;
	}
	text[i] = '\0';
	return text;
}

static void by_number_when_nothing_is_said(void **state)
{
	assert_string_equal(line(*state), "0123");
}

static void target_then_preferred_then_the_others(void **state)
{
	struct bed *bed = *state;
	uint32_t preferred[] = {3, 1, 9, 3};

	bed->config.num_preferred = ARRAY_SIZE(preferred);
	bed->config.preferred = preferred;
	assert_string_equal(line(bed), "3102");
	bed->rec.target = 2;
	assert_string_equal(line(bed), "2310");
	bed->rec.target = 77; /* no such node */
	assert_string_equal(line(bed), "3102");
}

static void who_cannot_is_not_in_the_line(void **state)
{
	struct bed *bed = *state;
	uint32_t failed[] = {0};

	bed->rec.num_failed = 1;
	bed->rec.failed = failed;
	assert_string_equal(line(bed), "123");
	bed->members[2].flags = NODE_FLAGS_BANNED;
	assert_string_equal(line(bed), "13");
	bed->info[3].leaving = true;
	assert_string_equal(line(bed), "1");
	bed->info[3].leaving = false;
	bed->members[3].info = NULL; /* its csvd was not heard of */
	assert_string_equal(line(bed), "1");
	bed->csvd.leaving = true;
	assert_string_equal(line(bed), "");
	bed->csvd.leaving = false;
	bed->csvd.active = false;
	assert_string_equal(line(bed), "");
}

/* Right after our start, who was not heard of yet is waited for. */
static void a_start_waits_for_the_preferred(void **state)
{
	struct bed *bed = *state;
	uint32_t preferred[] = {3};

	bed->config.num_preferred = 1;
	bed->config.preferred = preferred;
	bed->members[3].info = NULL;
	assert_string_equal(line(bed), "012");
	bed->csvd.started = csvd_clock();
	assert_string_equal(line(bed), "3012");
}

static void inactive_is_dead_and_unknown_too(void **state)
{
	static const uint32_t flags[] = {NODE_FLAGS_DISCONNECTED,
					 NODE_FLAGS_BANNED,
					 NODE_FLAGS_STOPPED,
					 NODE_FLAGS_DELETED};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		bed->members[2].flags = flags[i];
		assert_true(csvd_member_dead(&bed->csvd, 2));
		assert_false(csvd_member_usable(&bed->csvd, 2));
	}
	bed->members[2].flags = NODE_FLAGS_UNHEALTHY;
	assert_false(csvd_member_dead(&bed->csvd, 2));
	assert_true(csvd_member_dead(&bed->csvd, 42));
}

static void half_is_no_majority(void **state)
{
	struct bed *bed = *state;

	assert_true(csvd_members_majority(&bed->csvd));
	bed->members[0].flags = NODE_FLAGS_DISCONNECTED;
	assert_true(csvd_members_majority(&bed->csvd));
	bed->members[2].flags = NODE_FLAGS_STOPPED;
	assert_false(csvd_members_majority(&bed->csvd));
}

static void records_are_the_majoritys(void **state)
{
	struct bed *bed = *state;
	size_t i;

	assert_false(csvd_quorum_in_view(&bed->csvd)); /* no recovery yet */
	for (i = 0; i < ARRAY_SIZE(bed->members); i++) {
		bed->members[i].recovered = true;
	}
	assert_true(csvd_quorum_in_view(&bed->csvd));
	/* one is gone, the recovery without it has not been */
	bed->members[0].flags = NODE_FLAGS_DISCONNECTED;
	assert_false(csvd_quorum_in_view(&bed->csvd));
	bed->members[0].recovered = false;
	assert_true(csvd_quorum_in_view(&bed->csvd));
	/* it is back, and has no part in the databases yet */
	bed->members[0].flags = 0;
	assert_false(csvd_quorum_in_view(&bed->csvd));
	bed->members[0].settled = true; /* in no map, but recovered */
	assert_true(csvd_quorum_in_view(&bed->csvd));
	/* half of the nodes, of which none is known to lead */
	bed->members[0].flags = NODE_FLAGS_DISCONNECTED;
	bed->members[2].flags = NODE_FLAGS_BANNED;
	bed->members[2].recovered = false;
	assert_false(csvd_quorum_in_view(&bed->csvd));
}

static void tells(struct bed *bed,
		  uint32_t pnn,
		  struct csv_node_fence *fence,
		  enum csv_fence_state state)
{
	*fence = (struct csv_node_fence){
		.volume = csvd_bytes("vol1"), .epoch = 5, .state = state};
	bed->info[pnn].num_fences = 1;
	bed->info[pnn].fences = fence;
}

static void one_node_fences(void **state)
{
	struct bed *bed = *state;
	struct csv_node_fence fences[4];

	bed->rec.clean = false;
	bed->rec.owner = 3;
	bed->rec.epoch = 5;
	bed->members[3].flags = NODE_FLAGS_DISCONNECTED;
	assert_int_equal(csvd_fence_rival(&bed->v), CSVD_NO_NODE);
	/* of two that want to, the one with the lower number */
	tells(bed, 2, &fences[2], CSV_FENCE_WANTS);
	assert_int_equal(csvd_fence_rival(&bed->v), CSVD_NO_NODE);
	tells(bed, 0, &fences[0], CSV_FENCE_WANTS);
	assert_int_equal(csvd_fence_rival(&bed->v), 0);
	/* who has begun is waited for, as long as it lives and speaks */
	bed->info[0].num_fences = 0;
	fences[2].state = CSV_FENCE_RUNS;
	assert_int_equal(csvd_fence_rival(&bed->v), 2);
	bed->members[2].heard = guard_now() - 60000;
	assert_int_equal(csvd_fence_rival(&bed->v), CSVD_NO_NODE);
	bed->members[2].heard = guard_now();
	assert_int_equal(csvd_fence_rival(&bed->v), 2);
	/* so is who may have an answer of the owner's guard */
	fences[2].state = CSV_FENCE_ASKS;
	assert_int_equal(csvd_fence_rival(&bed->v), 2);
	bed->members[2].flags = NODE_FLAGS_DISCONNECTED;
	assert_int_equal(csvd_fence_rival(&bed->v), CSVD_NO_NODE);
	/* another ownership, another volume */
	bed->members[2].flags = 0;
	fences[2].epoch = 4;
	assert_int_equal(csvd_fence_rival(&bed->v), CSVD_NO_NODE);
	fences[2].epoch = 5;
	fences[2].volume = csvd_bytes("vol11");
	assert_int_equal(csvd_fence_rival(&bed->v), CSVD_NO_NODE);
}

static void who_was_fenced_is_not_fenced_again(void **state)
{
	struct bed *bed = *state;
	struct csv_node_fence fence;

	bed->rec.clean = false;
	bed->rec.owner = 3;
	bed->rec.epoch = 5;
	tells(bed, 2, &fence, CSV_FENCE_RUNS);
	assert_false(csvd_fence_told(&bed->v));
	assert_int_equal(csvd_fence_doing(&bed->v), 0);
	fence.epoch = 4;
	fence.state = CSV_FENCE_DONE;
	assert_false(csvd_fence_told(&bed->v));
	fence.epoch = 5;
	assert_true(csvd_fence_told(&bed->v));
	assert_int_equal(bed->v.proven_epoch, 5);
	/* and says so itself */
	assert_int_equal(csvd_fence_doing(&bed->v), CSV_FENCE_DONE);
	bed->rec.clean = true;
	assert_int_equal(csvd_fence_doing(&bed->v), 0);
}

static void misses(struct bed *bed, uint32_t pnn, uint32_t *whom, uint32_t num)
{
	bed->info[pnn].inactive = whom;
	bed->info[pnn].num_inactive = num;
}

/* Node 3 owns it, and this node does not see it. */
static void the_others_must_miss_it_too(void **state)
{
	struct bed *bed = *state;
	uint32_t gone = 3, self = 2, seen_by = 0;
	uint32_t i;

	bed->rec.clean = false;
	bed->rec.owner = 3;
	bed->members[3].flags = NODE_FLAGS_DISCONNECTED;
	bed->members[3].died = guard_now() - 100;
	for (i = 0; i < 3; i++) {
		bed->members[i].heard = bed->members[3].died - 50;
	}
	/* they have said nothing since */
	assert_false(csvd_fence_agreed(&bed->v, &seen_by));
	assert_int_equal(seen_by, CSVD_NO_NODE);
	for (i = 0; i < 3; i++) {
		bed->members[i].heard = guard_now();
	}
	misses(bed, 0, &gone, 1);
	assert_false(csvd_fence_agreed(&bed->v, &seen_by));
	assert_int_equal(seen_by, 2);
	misses(bed, 2, &gone, 1);
	assert_true(csvd_fence_agreed(&bed->v, &seen_by));
	/* who does not answer is not waited for, as long as enough do */
	bed->members[2].heard = guard_now() - 60000;
	assert_false(csvd_fence_agreed(&bed->v, &seen_by));
	bed->csvd.num_nodes = 3;
	assert_true(csvd_fence_agreed(&bed->v, &seen_by));
	/* who is no active member itself has no say */
	bed->members[2].heard = guard_now();
	misses(bed, 2, &self, 1);
	assert_true(csvd_fence_agreed(&bed->v, &seen_by));
	assert_false(csvd_member_usable(&bed->csvd, 2));
}

static void of_two_one_goes(void **state)
{
	struct bed *bed = *state;
	struct csvd_context *csvd = &bed->csvd;

	DLIST_ADD(csvd->volumes, &bed->v);
	/* CTDB's leader stays */
	assert_int_equal(csvd_mesh_loser(csvd, 0, 2, 2), 0);
	assert_int_equal(csvd_mesh_loser(csvd, 0, 2, 0), 2);
	/* a third one that leads decides, nobody else */
	assert_int_equal(csvd_mesh_loser(csvd, 0, 2, 3), CSVD_NO_NODE);
	assert_int_equal(csvd_mesh_loser(csvd, 0, 2, CSVD_NO_NODE),
			 CSVD_NO_NODE);
	assert_int_equal(csvd_mesh_loser(csvd, 0, 2, ME), 2);
	bed->rec.owner = 2;
	bed->rec.clean = false;
	assert_int_equal(csvd_mesh_loser(csvd, 0, 2, ME), 0);
	bed->rec.clean = true;
	assert_int_equal(csvd_mesh_loser(csvd, 0, 2, ME), 2);
}

static void an_owner_is_not_fenced_for_a_test(void **state)
{
	struct bed *bed = *state;

	DLIST_ADD(bed->csvd.volumes, &bed->v);
	assert_null(csvd_fence_test_refused(bed, &bed->csvd, 2));
	assert_non_null(csvd_fence_test_refused(bed, &bed->csvd, ME));
	bed->rec.target = 2; /* is about to */
	assert_non_null(csvd_fence_test_refused(bed, &bed->csvd, 2));
	bed->rec.owner = 2;
	bed->rec.clean = false;
	bed->rec.target = CSVD_NO_NODE;
	assert_non_null(csvd_fence_test_refused(bed, &bed->csvd, 2));
	assert_null(csvd_fence_test_refused(bed, &bed->csvd, 3));
	bed->v.rec = NULL; /* damaged: who knows */
	assert_non_null(csvd_fence_test_refused(bed, &bed->csvd, 3));
}

static void only_the_owner_moves_and_only_to_the_living(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(csvd_owner_move(&bed->v, 2), EBUSY);
	bed->v.role = CSVD_TAKING;
	assert_int_equal(csvd_owner_move(&bed->v, 2), EBUSY);
	bed->v.role = CSVD_OWNER;
	assert_int_equal(csvd_owner_move(&bed->v, ME), EALREADY);
	assert_int_equal(csvd_owner_move(&bed->v, 42), EHOSTUNREACH);
	bed->members[2].flags = NODE_FLAGS_BANNED;
	assert_int_equal(csvd_owner_move(&bed->v, 2), EHOSTUNREACH);
	bed->config.shared = true;
	assert_int_equal(csvd_owner_move(&bed->v, 3), EBUSY);
}

/* An administrator cannot vouch for what lives, is released or is damaged. */
static void no_confirmation_for_the_living(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(csvd_owner_confirm_fenced(&bed->v), EALREADY);
	bed->rec.clean = false;
	bed->rec.owner = 2;
	assert_int_equal(csvd_owner_confirm_fenced(&bed->v), EBUSY);
	bed->v.rec = NULL;
	assert_int_equal(csvd_owner_confirm_fenced(&bed->v), EILSEQ);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(by_number_when_nothing_is_said),
		T(target_then_preferred_then_the_others),
		T(who_cannot_is_not_in_the_line),
		T(a_start_waits_for_the_preferred),
		T(inactive_is_dead_and_unknown_too),
		T(half_is_no_majority),
		T(records_are_the_majoritys),
		T(one_node_fences),
		T(who_was_fenced_is_not_fenced_again),
		T(the_others_must_miss_it_too),
		T(of_two_one_goes),
		T(an_owner_is_not_fenced_for_a_test),
		T(only_the_owner_moves_and_only_to_the_living),
		T(no_confirmation_for_the_living),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
