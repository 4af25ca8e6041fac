/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a fence agent is told, in which order it is called, and that only the
 * one right exit code of each call is proof; that it is noted while it runs.
 * The agent is a script that keeps what it was told.
 */
#include "includes.h"
#include <setjmp.h>
#include <cmocka.h>
#include <sys/mman.h>
#include "lib/util/dlinklist.h"
#include "lib/util/tevent_unix.h"
#include "csvd/fence.h"
#include "csvd/guard.h"

#define ME 1
#define VICTIM 2

/* Exits with what the file named after the action says. */
static const char agent_text[] =
	"#!/bin/sh\n"
	"cd \"${0%/*}\" || exit 99\n"
	"told=$(cat)\n"
	"echo \"$told\" | tr '\\n' ' ' >>calls\n"
	"action=$(echo \"$told\" | sed -n s/^action=//p)\n"
	"echo \"$action it is\"\n"
	"exit \"$(cat \"exit-$action\")\"\n";

struct bed {
	struct csvd_context csvd;
	struct csvd_config config;
	struct csvd_volume v;
	struct csv_volume_record record;
	struct csv_agent agents[2];
	struct csv_pair storage[2];
	struct csv_pair params[3];
	struct csvd_member members[3];
	struct csv_node_info info;
	char dir[PATH_MAX];
	char *why;
};

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void param(struct bed *bed, const char *key, const char *value)
{
	bed->params[bed->record.num_fence_params++] = (struct csv_pair){
		.key = csvd_bytes(key),
		.value = csvd_bytes(value),
	};
}

static void members(struct bed *bed)
{
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(bed->members); i++) {
		struct csvd_member *m = &bed->members[i];

		m->pnn = i;
		snprintf(m->address, sizeof(m->address), "192.0.2.%u", i + 1);
		DLIST_ADD_END(bed->csvd.members, m);
	}
	bed->info.host = csvd_bytes("two.example");
	bed->members[VICTIM].info = &bed->info;
}

static int setup(void **state)
{
	struct bed *bed = talloc_zero(NULL, struct bed);

	assert_non_null(getcwd(bed->dir, sizeof(bed->dir)));
	put("fence_test", agent_text);
	assert_int_equal(chmod("fence_test", 0755), 0);
	put("exit-on", "0");
	put("exit-off", "0");
	put("exit-status", "2");
	put("calls", "");
	bed->config.fence_dir = bed->dir;
	bed->config.fence_s = 20;
	bed->csvd.ev = tevent_context_init(bed);
	bed->csvd.config = &bed->config;
	bed->csvd.page = guard_page_create();
	assert_non_null(bed->csvd.page);
	bed->csvd.node = ME;
	members(bed);
	bed->record.fence_agent = csvd_bytes("fence_test");
	bed->record.fence_params = bed->params;
	bed->record.agents = bed->agents;
	bed->v.csvd = &bed->csvd;
	bed->v.name = "vol1";
	bed->v.config = &bed->record;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	munmap(bed->csvd.page, sizeof(*bed->csvd.page));
	talloc_free(bed);
	return 0;
}

static void storage(struct bed *bed)
{
	bed->storage[0].key = csvd_bytes("device");
	bed->storage[0].value = csvd_bytes("/dev/a");
	bed->storage[1].key = csvd_bytes("device");
	bed->storage[1].value = csvd_bytes("/dev/b");
	bed->agents[0].num_params = bed->agents[1].num_params = 1;
	bed->agents[0].params = &bed->storage[0];
	bed->agents[1].params = &bed->storage[1];
	bed->record.num_agents = 2;
}

static int run(struct bed *bed, struct tevent_req *req)
{
	int ret;

	assert_non_null(req);
	assert_true(tevent_req_poll(req, bed->csvd.ev));
	ret = csvd_fence_recv(req, bed, &bed->why);
	talloc_free(req);
	return ret;
}

static int fence(struct bed *bed)
{
	return run(bed, csvd_fence_send(bed, &bed->v, VICTIM, "off"));
}

static int status(struct bed *bed)
{
	return run(bed, csvd_fence_send(bed, &bed->v, VICTIM, "status"));
}

static void assert_calls(const char *wanted)
{
	char text[4096] = "";
	FILE *f = fopen("calls", "r");

	assert_non_null(f);
	(void)!fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	assert_string_equal(text, wanted);
}

static void a_node_is_switched_off(void **state)
{
	struct bed *bed = *state;

	param(bed, "username", "admin");
	param(bed, "ip", "bmc-%n.%h-%a");
	assert_int_equal(fence(bed), 0);
	assert_calls("action=off username=admin "
		     "ip=bmc-2.two.example-192.0.2.3 nodename=two.example "
		     "plug=two.example port=two.example pnn=2 ");
}

static void the_own_node_is_let_on_first(void **state)
{
	struct bed *bed = *state;

	storage(bed);
	param(bed, "csv:unfence", "yes");
	assert_int_equal(fence(bed), 0);
	assert_calls("action=on key=6373760000000001 devices=/dev/a,/dev/b "
		     "nodename=192.0.2.2 plug=192.0.2.2 port=192.0.2.2 pnn=1 "
		     "action=off key=6373760000000002 devices=/dev/a,/dev/b "
		     "nodename=two.example plug=two.example port=two.example "
		     "pnn=2 "
		     "action=status key=6373760000000002 "
		     "devices=/dev/a,/dev/b nodename=two.example "
		     "plug=two.example port=two.example pnn=2 ");
}

static void both_answers_of_status_are_one(void **state)
{
	struct bed *bed = *state;

	param(bed, "csv:unfence", "yes");
	assert_int_equal(status(bed), 0);
	assert_string_equal(bed->why, "status it is");
	put("exit-status", "0");
	assert_int_equal(status(bed), 0);
	put("exit-status", "1");
	assert_int_equal(status(bed), EIO);
	put("calls", "");
	put("exit-status", "2");
	assert_int_equal(status(bed), 0);
	assert_calls("action=status key=6373760000000002 "
		     "nodename=two.example plug=two.example port=two.example "
		     "pnn=2 ");
}

static void what_is_chosen_stands(void **state)
{
	struct bed *bed = *state;

	storage(bed);
	param(bed, "csv:unfence", "yes");
	param(bed, "key", "abc%n");
	param(bed, "devices", "/dev/c");
	put("exit-status", "0");
	assert_int_equal(run(bed, csvd_unfence_send(bed, &bed->v)), 0);
	assert_calls("action=on key=abc1 devices=/dev/c nodename=192.0.2.2 "
		     "plug=192.0.2.2 port=192.0.2.2 pnn=1 "
		     "action=status key=abc1 devices=/dev/c "
		     "nodename=192.0.2.2 plug=192.0.2.2 port=192.0.2.2 "
		     "pnn=1 ");
}

static void each_call_has_to_succeed(void **state)
{
	static const struct {
		const char *action, *code, *why;
	} no[] = {
		{"exit-on", "1", "fence_test on exited with 1: on it is"},
		{"exit-off", "1", "fence_test off exited with 1: off it is"},
		{"exit-status",
		 "0",
		 "fence_test status exited with 0: status it is"},
		{"exit-status",
		 "1",
		 "fence_test status exited with 1: status it is"},
	};
	struct bed *bed = *state;
	size_t i;

	param(bed, "csv:unfence", "yes");
	for (i = 0; i < ARRAY_SIZE(no); i++) {
		put(no[i].action, no[i].code);
		assert_int_equal(fence(bed), EIO);
		assert_string_equal(bed->why, no[i].why);
		put(no[i].action, i < 2 ? "0" : "2");
	}
	assert_int_equal(fence(bed), 0);
	/* "status" says off */
	assert_int_equal(run(bed, csvd_unfence_send(bed, &bed->v)), EIO);
}

static void no_agent_no_proof(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(unlink("fence_test"), 0);
	assert_int_not_equal(fence(bed), 0);
	assert_non_null(bed->why);
}

static void a_slow_agent_is_no_proof(void **state)
{
	struct bed *bed = *state;

	put("fence_test", "#!/bin/sh\nsleep 60\n");
	bed->config.fence_s = 1;
	assert_int_equal(fence(bed), ETIMEDOUT);
	assert_string_equal(bed->why, "fence_test took longer than 1 s (off)");
}

static void all_calls_have_one_limit(void **state)
{
	struct bed *bed = *state;

	put("fence_test", "#!/bin/sh\nsleep 0.7\n");
	param(bed, "csv:unfence", "yes");
	bed->config.fence_s = 1;
	assert_int_equal(fence(bed), ETIMEDOUT);
	assert_string_equal(bed->why, "fence_test took longer than 1 s (off)");
}

/* By csvd's end, or its successor, it is found. */
static void each_call_is_noted(void **state)
{
	struct bed *bed = *state;
	const struct guard_agent *agent = &bed->csvd.page->agents[0];
	struct tevent_req *req = NULL;

	req = csvd_fence_send(bed, &bed->v, VICTIM, "off");
	assert_true(agent->session > 0);
	assert_string_equal(agent->volume, "vol1");
	assert_false(agent->changes);
	assert_int_equal(run(bed, req), 0);
	assert_int_equal(agent->session, 0);

	/* late, "on" would let pass what this node was fenced from */
	param(bed, "csv:unfence", "yes");
	req = csvd_unfence_send(bed, &bed->v);
	assert_true(agent->session > 0);
	assert_true(agent->changes);
	put("exit-status", "0");
	assert_int_equal(run(bed, req), 0);
	assert_int_equal(agent->session, 0);
}

static void what_is_left_here_stays_cut_off(void **state)
{
	struct bed *bed = *state;

	assert_null(csvd_fence_hindered(&bed->v));
	param(bed, "csv:unfence", "yes");
	assert_non_null(csvd_fence_hindered(&bed->v));
	bed->v.swept = true;
	assert_null(csvd_fence_hindered(&bed->v));
	bed->v.role = CSVD_STUCK;
	assert_non_null(csvd_fence_hindered(&bed->v));
}

static void our_own_parameters_are_known(void **state)
{
	struct bed *bed = *state;

	assert_true(csvd_fence_params_good(&bed->record));
	assert_false(csvd_fence_unfences(&bed->v));
	param(bed, "csv:unfence", "no");
	assert_true(csvd_fence_params_good(&bed->record));
	assert_false(csvd_fence_unfences(&bed->v));
	bed->params[0].value = csvd_bytes("yes");
	assert_true(csvd_fence_unfences(&bed->v));
	bed->params[0].value = csvd_bytes("maybe");
	assert_false(csvd_fence_params_good(&bed->record));
	bed->params[0].value = csvd_bytes("yes");
	param(bed, "csv:unfences", "yes");
	assert_false(csvd_fence_params_good(&bed->record));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_node_is_switched_off),
		T(the_own_node_is_let_on_first),
		T(both_answers_of_status_are_one),
		T(what_is_chosen_stands),
		T(each_call_has_to_succeed),
		T(no_agent_no_proof),
		T(a_slow_agent_is_no_proof),
		T(all_calls_have_one_limit),
		T(each_call_is_noted),
		T(what_is_left_here_stays_cut_off),
		T(our_own_parameters_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
