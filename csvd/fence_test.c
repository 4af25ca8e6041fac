/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agent runs for longer than the tool waits for an answer, so the tool
 * asks again. One test at a time; the last one's result is kept.
 */
#include "csvd/fence_test.h"
#include "csvd/fence.h"
#include "csvd/guard.h"
#include "csvd/members.h"

struct csvd_fence_test {
	uint64_t number, begun, ms;
	uint32_t node;
	bool really, done, ok;
	const char *volume;
	char *text;
};

static void test_done(struct tevent_req *req)
{
	struct csvd_fence_test *test =
		tevent_req_callback_data(req, struct csvd_fence_test);
	int ret;

	ret = csvd_fence_recv(req, test, &test->text);
	TALLOC_FREE(req);
	test->ms = guard_now() - test->begun;
	test->ok = ret == 0;
	test->done = true;
	DBG_NOTICE("volume %s: test of its fence agent for node %" PRIu32
		   " (%s): %s, %" PRIu64 " ms%s%s\n",
		   test->volume,
		   test->node,
		   test->really ? "off" : "status",
		   test->ok ? "success" : "failed",
		   test->ms,
		   test->text != NULL && test->text[0] != '\0' ? ": " : "",
		   test->text != NULL ? test->text : "");
}

/* Named as an owner that did not let go, or busy with a volume. */
static const char *test_owns(struct csvd_context *csvd, uint32_t node)
{
	const struct csvd_member *m = csvd_member_find(csvd, node);
	struct csvd_volume *v = NULL;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		const struct csv_node_volume *nv =
			csvd_member_volume(m, v->name);

		if (v->rec == NULL ||
		    (v->rec->owner == node && !v->rec->clean) ||
		    (v->rec->clean && v->rec->target == node) ||
		    (nv != NULL && nv->state == CSV_STATE_ACTIVE &&
		     nv->access == CSV_ACCESS_DIRECT))
		{
			return v->name;
		}
	}
	return NULL;
}

char *csvd_fence_test_refused(TALLOC_CTX *mem_ctx,
			      struct csvd_context *csvd,
			      uint32_t node)
{
	const char *volume = test_owns(csvd, node);

	if (node == csvd->node) {
		return talloc_strdup(mem_ctx,
				     "this is the node itself: run it on "
				     "another one");
	}
	if (volume != NULL) {
		return talloc_asprintf(mem_ctx,
				       "node %" PRIu32 " owns %s, or may be "
				       "about to: drain it first",
				       node,
				       volume);
	}
	return NULL;
}

static int test_begin(struct csvd_volume *v,
		      TALLOC_CTX *mem_ctx,
		      const json_t *in,
		      uint32_t node,
		      char **message)
{
	struct csvd_context *csvd = v->csvd;
	struct csvd_fence_test *test = NULL;
	struct tevent_req *req = NULL;
	const char *hindered = NULL;
	bool really = json_is_true(json_object_get(in, "really"));

	if (v->config->fence_agent.length == 0) {
		*message = talloc_asprintf(mem_ctx,
					   "%s has no fence agent",
					   v->name);
		return EINVAL;
	}
	if (csvd->fence_test != NULL && !csvd->fence_test->done) {
		*message = talloc_strdup(mem_ctx, "another test is running");
		return EBUSY;
	}
	if (really) {
		hindered = csvd_fence_hindered(v);
		*message = hindered != NULL
				   ? talloc_strdup(mem_ctx, hindered)
				   : csvd_fence_test_refused(mem_ctx,
							     csvd,
							     node);
		if (*message != NULL) {
			return EBUSY;
		}
	}
	TALLOC_FREE(csvd->fence_test);
	test = talloc_zero(csvd, struct csvd_fence_test);
	if (test == NULL) {
		return ENOMEM;
	}
	test->begun = guard_now();
	test->number = test->begun;
	test->node = node;
	test->really = really;
	test->volume = talloc_strdup(test, v->name);
	req = csvd_fence_send(test, v, node, really ? "off" : "status");
	if (req == NULL) {
		talloc_free(test);
		return ENOMEM;
	}
	tevent_req_set_callback(req, test_done, test);
	csvd->fence_test = test;
	return 0;
}

static int test_result(struct csvd_context *csvd,
		       TALLOC_CTX *mem_ctx,
		       uint64_t number,
		       json_t *out,
		       char **message)
{
	const struct csvd_fence_test *test = csvd->fence_test;

	if (test == NULL || test->number != number) {
		*message = talloc_strdup(mem_ctx,
					 "the test is not known any more");
		return ENOENT;
	}
	json_object_set_new(out, "done", json_boolean(test->done));
	if (test->done) {
		json_object_set_new(out, "ok", json_boolean(test->ok));
		json_object_set_new(out, "ms", json_integer(test->ms));
		json_object_set_new(out,
				    "text",
				    json_string(test->text != NULL
							? test->text
							: ""));
	}
	return 0;
}

int csvd_fence_test(struct csvd_context *csvd,
		    TALLOC_CTX *mem_ctx,
		    const json_t *in,
		    json_t *out,
		    char **message)
{
	const json_t *number = json_object_get(in, "test");
	const char *name = json_string_value(json_object_get(in, "name"));
	const char *node = json_string_value(json_object_get(in, "node"));
	struct csvd_volume *v = NULL;
	uint32_t pnn;
	int ret;

	if (json_is_integer(number)) {
		return test_result(csvd,
				   mem_ctx,
				   json_integer_value(number),
				   out,
				   message);
	}
	v = name != NULL ? csvd_volume_find(csvd, name) : NULL;
	if (v == NULL) {
		*message = talloc_asprintf(mem_ctx,
					   "no such volume: %s",
					   name != NULL ? name : "?");
		return ENOENT;
	}
	pnn = node != NULL ? csvd_member_by_name(csvd, node) : CSVD_NO_NODE;
	if (pnn == CSVD_NO_NODE) {
		*message = talloc_asprintf(mem_ctx,
					   "no such node: %s",
					   node != NULL ? node : "?");
		return ENOENT;
	}
	ret = test_begin(v, mem_ctx, in, pnn, message);
	if (ret == 0) {
		json_object_set_new(out,
				    "test",
				    json_integer(csvd->fence_test->number));
	} else if (*message == NULL) {
		*message = talloc_strdup(mem_ctx, strerror(ret));
	}
	return ret;
}
