/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is moved where, and how often. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "witness/plan.h"

/* vol1 is at node 0, vol2 at node 1; epochs 7 and 3. */
static struct witness_volume volumes[3][2];
static struct witness_node nodes[3];
static struct witness_world world = {.nodes = nodes, .num_nodes = 3};
static const char *const vol1[] = {"vol1"};
static const char *const both[] = {"vol1", "vol2"};

static int setup(void **state)
{
	size_t i;

	world.self = 0;
	for (i = 0; i < 3; i++) {
		volumes[i][0] = (struct witness_volume){
			"vol1", i == 0, 7};
		volumes[i][1] = (struct witness_volume){
			"vol2", i == 1, 3};
		nodes[i] = (struct witness_node){
			.pnn = i,
			.active = true,
			.told = true,
			.volumes = volumes[i],
			.num_volumes = 2,
		};
	}
	return 0;
}

static struct witness_client v2_at(uint32_t node)
{
	return (struct witness_client){
		.share_known = true,
		.volumes = vol1,
		.num_volumes = 1,
		.all_known = true,
		.node = node,
	};
}

static struct witness_client v1_at(uint32_t node)
{
	struct witness_client c = v2_at(node);

	c.share_known = false;
	return c;
}

static void expect(struct witness_client c,
		   enum witness_action action,
		   uint32_t target)
{
	struct witness_move move = witness_plan(&world, &c);

	assert_int_equal(move.action, action);
	assert_int_equal(move.target, target);
	assert_non_null(move.why);
}

static void expect_stay(struct witness_client c)
{
	expect(c, WITNESS_STAY, WITNESS_NO_NODE);
}

static void test_to_the_owner(void **state)
{
	expect_stay(v2_at(0));
	expect(v2_at(1), WITNESS_SHARE_MOVE, 0);
	expect(v2_at(2), WITNESS_SHARE_MOVE, 0);
	expect(v1_at(2), WITNESS_CLIENT_MOVE, 0);
}

static void test_nobody_has_it(void **state)
{
	volumes[0][0].direct = false;
	expect_stay(v2_at(0));
	expect_stay(v2_at(1));
}

/* An owner that was left behind still says that it is one. */
static void test_old_epoch_is_no_owner(void **state)
{
	volumes[0][0].epoch = 6;
	expect_stay(v2_at(1));
	volumes[2][0] = (struct witness_volume){"vol1", true, 8};
	expect(v2_at(0), WITNESS_SHARE_MOVE, 2);
	expect(v2_at(1), WITNESS_SHARE_MOVE, 2);
}

/* Whose node is gone has nothing to lose. */
static void test_node_is_gone(void **state)
{
	nodes[1].active = false;
	expect(v2_at(1), WITNESS_SHARE_MOVE, 0);
	expect(v2_at(WITNESS_NO_NODE), WITNESS_SHARE_MOVE, 0);
	nodes[0].active = false;
	expect_stay(v2_at(1));
}

static void test_unhealthy_is_no_target(void **state)
{
	nodes[0].active = false;
	expect_stay(v2_at(1));
}

static void test_drained(void **state)
{
	nodes[0].leaving = true;
	nodes[0].leaving_ms = WITNESS_DRAIN_WAIT_MS - 1;
	expect_stay(v2_at(0));
	/* its volume has moved */
	volumes[0][0].direct = false;
	volumes[2][0] = (struct witness_volume){"vol1", true, 8};
	expect(v2_at(0), WITNESS_CLIENT_MOVE, 2);
	expect(v1_at(0), WITNESS_CLIENT_MOVE, 2);
}

/* One whose volume does not leave is moved anyway, and evenly. */
static void test_drained_in_the_end(void **state)
{
	nodes[0].leaving = true;
	nodes[0].leaving_ms = WITNESS_DRAIN_WAIT_MS;
	nodes[1].clients = 2;
	expect(v2_at(0), WITNESS_CLIENT_MOVE, 2);
	nodes[2].leaving = true;
	expect(v2_at(0), WITNESS_CLIENT_MOVE, 1);
	nodes[1].active = false;
	expect_stay(v2_at(0));
}

static void test_nobody_goes_to_a_drained_one(void **state)
{
	nodes[0].leaving = true;
	expect_stay(v2_at(1));
}

static void test_two_volumes(void **state)
{
	struct witness_client c = v1_at(2);

	c.volumes = both;
	c.num_volumes = 2;
	expect_stay(c); /* no node has both */
	volumes[0][1] = (struct witness_volume){"vol2", true, 4};
	volumes[1][1].direct = false;
	expect(c, WITNESS_CLIENT_MOVE, 0);
	c.all_known = false;
	expect_stay(c);
}

static bool never(const struct witness_client *client, uint32_t target)
{
	return target == 2;
}

static void test_its_site_keeps_it(void **state)
{
	struct witness_client c = v2_at(1);

	c.may_go = never;
	expect_stay(c);
}

static void test_unknown(void **state)
{
	struct witness_client c = v2_at(1);

	nodes[1].told = false;
	nodes[1].num_volumes = 0;
	expect_stay(c);
	c.num_volumes = 0;
	expect_stay(c);
}

/* A cluster file system: every node is as good. */
static void test_shared_volume(void **state)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		volumes[i][0] = (struct witness_volume){"vol1", true, 7};
		expect_stay(v2_at(i));
	}
	volumes[1][0].direct = false; /* it has lost its path */
	nodes[0].clients = 2;
	nodes[2].clients = 1;
	expect(v2_at(1), WITNESS_SHARE_MOVE, 2);
}

/* A node that came back draws clients from those that have more. */
static void test_spread(void **state)
{
	struct witness_client c = v2_at(1);
	size_t i;

	for (i = 0; i < 3; i++) {
		volumes[i][0] = (struct witness_volume){"vol1", true, 7};
		nodes[i].steady_ms = WITNESS_STEADY_MS;
	}
	nodes[1].processes = 2;
	nodes[2].processes = 1;
	expect(v2_at(1), WITNESS_SHARE_MOVE, 0);
	expect(v1_at(1), WITNESS_CLIENT_MOVE, 0);
	assert_true(witness_plan(&world, &c).spread);
	expect_stay(v2_at(2)); /* one is no gap */
	expect_stay(v2_at(0));

	/* it is not sure yet what a client has, or that the node stays */
	c.all_known = false;
	expect_stay(c);
	nodes[0].steady_ms -= 1;
	expect_stay(v2_at(1));
	nodes[0].steady_ms += 1;
	nodes[0].leaving = true;
	expect_stay(v2_at(1));
	nodes[0].leaving = false;
	volumes[0][0].direct = false;
	expect_stay(v2_at(1));
	volumes[0][0].direct = true;

	/* only for itself */
	world.self = 2;
	nodes[1].processes = 3;
	expect(v2_at(1), WITNESS_SHARE_MOVE, 2);
	world.self = 1;
	expect_stay(v2_at(1));
}

/* Without direct access elsewhere everybody stays, however many they are. */
static void test_no_spread_from_an_owner(void **state)
{
	world.self = 1;
	nodes[0].processes = 100;
	nodes[1].steady_ms = WITNESS_STEADY_MS;
	expect_stay(v2_at(0));
}

static void test_spread_takes_its_time(void **state)
{
	struct witness_past past = {};

	assert_true(witness_spread_allows(&past, 0, 50));
	assert_false(witness_spread_allows(&past, 50, 50 + 2999));
	assert_true(witness_spread_allows(&past, 50, 50 + 3000));
	witness_past_moved(&past, 1, 50);
	assert_false(witness_spread_allows(&past, 0, 50 + 59999));
	assert_true(witness_spread_allows(&past, 0, 50 + 60000));
	/* also when it was another node's witness, which only that matters for */
	witness_past_elsewhere(&past, 70000);
	assert_false(witness_spread_allows(&past, 0, 70000 + 59999));
	assert_true(witness_spread_allows(&past, 0, 70000 + 60000));
	assert_true(witness_past_allows(&past, 2, 70000));
}

static void test_pauses(void **state)
{
	struct witness_past past = {};

	assert_true(witness_past_allows(&past, 1, 50));
	witness_past_moved(&past, 1, 50);
	assert_false(witness_past_allows(&past, 2, 50 + 4999));
	assert_true(witness_past_allows(&past, 2, 50 + 5000));
	assert_false(witness_past_allows(&past, 1, 50 + 9999));
	assert_true(witness_past_allows(&past, 1, 50 + 10000));
}

/* Who does not listen is asked less and less often, and never for nothing. */
static void test_stubborn_client(void **state)
{
	struct witness_past past = {};
	uint64_t now = 1, before, pause = 0;
	unsigned i;

	for (i = 0; i < 12; i++) {
		witness_past_moved(&past, 1, now);
		before = now;
		while (!witness_past_allows(&past, 1, now)) {
			now += 1000;
		}
		assert_true(now - before >= pause);
		pause = now - before;
	}
	assert_int_equal(pause, WITNESS_PAUSE_MAX_MS);
	/* another target is another matter */
	witness_past_moved(&past, 2, now);
	assert_true(witness_past_allows(&past, 2, now + 10000));
}

static void test_pace(void **state)
{
	struct witness_pace pace = {.rate = 20};
	unsigned sent = 0;
	uint64_t now;

	for (now = 1000; now < 3000; now += 10) {
		sent += witness_pace_take(&pace, now) ? 1 : 0;
		if (now == 1000) {
			continue;
		}
		assert_true(sent <= 2 + (now - 1000) * 20 / 1000 + 1);
	}
	assert_in_range(sent, 40, 43);
	/* a long silence is no licence for a stampede */
	now += 1000000;
	for (sent = 0; witness_pace_take(&pace, now); sent++) {
		;
	}
	assert_int_equal(sent, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_to_the_owner, setup),
		cmocka_unit_test_setup(test_nobody_has_it, setup),
		cmocka_unit_test_setup(test_old_epoch_is_no_owner, setup),
		cmocka_unit_test_setup(test_node_is_gone, setup),
		cmocka_unit_test_setup(test_unhealthy_is_no_target, setup),
		cmocka_unit_test_setup(test_drained, setup),
		cmocka_unit_test_setup(test_drained_in_the_end, setup),
		cmocka_unit_test_setup(test_nobody_goes_to_a_drained_one,
				       setup),
		cmocka_unit_test_setup(test_two_volumes, setup),
		cmocka_unit_test_setup(test_its_site_keeps_it, setup),
		cmocka_unit_test_setup(test_unknown, setup),
		cmocka_unit_test_setup(test_shared_volume, setup),
		cmocka_unit_test_setup(test_spread, setup),
		cmocka_unit_test_setup(test_no_spread_from_an_owner, setup),
		cmocka_unit_test(test_spread_takes_its_time),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_stubborn_client),
		cmocka_unit_test(test_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
