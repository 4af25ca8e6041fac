/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calling a fence agent, and calling it again until it succeeds.
 */
#include "csvd/fence.h"
#include "csvd/child.h"
#include "csvd/guard_ask.h"
#include "csvd/guard_wait.h"
#include "csvd/members.h"
#include "lib/util/tevent_unix.h"

#define FENCE_RETRY_MAX_S 30

struct fence_state {
	unsigned limit_s;
	char *agent;
	char *why;
};

/* One node being fenced for one ownership of a volume. */
struct csvd_fence {
	struct csvd_volume *v;
	uint64_t epoch;
	uint32_t node;
	unsigned attempts;
	struct timeval started;
};

static char *fence_expand(TALLOC_CTX *mem_ctx,
			  const char *value,
			  uint32_t pnn,
			  const char *address,
			  const char *host)
{
	char *s = NULL;
	char *number = talloc_asprintf(mem_ctx, "%" PRIu32, pnn);

	s = talloc_string_sub(mem_ctx, value, "%n", number);
	s = talloc_string_sub(mem_ctx, s, "%a", address);
	return talloc_string_sub(mem_ctx, s, "%h", host);
}

static bool fence_has(const struct csv_volume_record *config, const char *key)
{
	uint32_t i;

	for (i = 0; i < config->num_fence_params; i++) {
		if (csvd_bytes_equal(&config->fence_params[i].key, key)) {
			return true;
		}
	}
	return false;
}

static void fence_default(const struct csv_volume_record *config,
			  char **input,
			  const char *key,
			  const char *value)
{
	if (!fence_has(config, key)) {
		*input = talloc_asprintf_append(*input, "%s=%s\n", key, value);
	}
}

static char *fence_input(TALLOC_CTX *mem_ctx,
			 struct csvd_volume *v,
			 uint32_t pnn)
{
	const struct csvd_member *m = csvd_member_find(v->csvd, pnn);
	const char *address = m != NULL ? m->address : "";
	const char *host = address;
	char *number = talloc_asprintf(mem_ctx, "%" PRIu32, pnn);
	char *input = talloc_strdup(mem_ctx, "action=off\n");
	uint32_t i;

	if (m != NULL && m->info != NULL && m->info->host.length != 0) {
		host = csvd_string(mem_ctx, &m->info->host);
	}
	for (i = 0; i < v->config->num_fence_params; i++) {
		const struct csv_pair *pair = &v->config->fence_params[i];
		char *key = csvd_string(mem_ctx, &pair->key);
		char *value = csvd_string(mem_ctx, &pair->value);

		value = fence_expand(mem_ctx, value, pnn, address, host);
		input = talloc_asprintf_append(input, "%s=%s\n", key, value);
	}
	fence_default(v->config, &input, "nodename", host);
	fence_default(v->config, &input, "plug", host);
	fence_default(v->config, &input, "port", host);
	fence_default(v->config, &input, "pnn", number);
	return input;
}

static void fence_done(struct tevent_req *subreq)
{
	struct tevent_req *req =
		tevent_req_callback_data(subreq, struct tevent_req);
	struct fence_state *state = tevent_req_data(req, struct fence_state);
	char *output = NULL;
	int code = 0;
	int ret;

	ret = csvd_child_recv(subreq, state, &code, &output);
	TALLOC_FREE(subreq);
	if (ret == ETIMEDOUT) {
		state->why = talloc_asprintf(state,
					     "%s took longer than %u s",
					     state->agent,
					     state->limit_s);
	} else if (ret != 0) {
		state->why = talloc_asprintf(state,
					     "%s: %s",
					     state->agent,
					     strerror(ret));
	} else if (code != 0) {
		state->why = talloc_asprintf(state,
					     "%s exited with %d: %s",
					     state->agent,
					     code,
					     output);
		ret = EIO;
	}
	if (ret != 0) {
		tevent_req_error(req, ret);
		return;
	}
	tevent_req_done(req);
}

struct tevent_req *csvd_fence_send(TALLOC_CTX *mem_ctx,
				   struct csvd_volume *v,
				   uint32_t node)
{
	static const char *const env[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	struct csvd_context *csvd = v->csvd;
	struct tevent_req *req = NULL, *subreq = NULL;
	struct fence_state *state = NULL;
	struct csvd_child_params params = {};
	char *path = NULL;

	req = tevent_req_create(mem_ctx, &state, struct fence_state);
	if (req == NULL) {
		return NULL;
	}
	state->limit_s = csvd->config->fence_s;
	state->agent = csvd_string(state, &v->config->fence_agent);
	path = talloc_asprintf(state,
			       "%s/%s",
			       csvd->config->fence_dir,
			       state->agent);
	params.page = csvd->page;
	params.volume = v->name;
	params.path = path;
	params.argv = (const char *[]){path, NULL};
	params.env = env;
	params.input = fence_input(state, v, node);
	params.timeout_ms = state->limit_s * 1000;
	subreq = csvd_child_send(state, csvd->ev, &params);
	if (tevent_req_nomem(subreq, req)) {
		return tevent_req_post(req, csvd->ev);
	}
	tevent_req_set_callback(subreq, fence_done, req);
	return req;
}

int csvd_fence_recv(struct tevent_req *req, TALLOC_CTX *mem_ctx, char **why)
{
	struct fence_state *state = tevent_req_data(req, struct fence_state);
	int err = 0;

	if (tevent_req_is_unix_error(req, &err)) {
		*why = state->why != NULL
			       ? talloc_steal(mem_ctx, state->why)
			       : talloc_strdup(mem_ctx, strerror(err));
	}
	tevent_req_received(req);
	return err;
}

static void fence_attempt(struct csvd_fence *fence);

static bool fence_wanted(const struct csvd_fence *fence)
{
	const struct csvd_volume *v = fence->v;

	return v->rec != NULL && v->rec->epoch == fence->epoch &&
	       v->rec->owner == fence->node && !v->rec->clean &&
	       v->proven_epoch != fence->epoch &&
	       csvd_member_dead(v->csvd, fence->node);
}

static void fence_again(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct csvd_fence *fence = private_data;

	if (!fence_wanted(fence)) {
		TALLOC_FREE(fence->v->fence);
		return;
	}
	fence_attempt(fence);
}

static void fence_attempted(struct tevent_req *req)
{
	struct csvd_fence *fence =
		tevent_req_callback_data(req, struct csvd_fence);
	struct csvd_volume *v = fence->v;
	struct timeval now = timeval_current();
	char *why = NULL;
	unsigned pause;
	int ret;

	ret = csvd_fence_recv(req, fence, &why);
	TALLOC_FREE(req);
	if (ret == 0) {
		DBG_NOTICE("volume %s: node %" PRIu32 " is fenced (epoch "
			   "%" PRIu64 ", %" PRIu64 " ms)\n",
			   v->name,
			   fence->node,
			   fence->epoch,
			   usec_time_diff(&now, &fence->started) / 1000);
		v->proven_epoch = fence->epoch;
		TALLOC_FREE(v->fence);
		csvd_evaluate_soon(v->csvd);
		return;
	}
	pause = MIN(1U << MIN(fence->attempts, 5), FENCE_RETRY_MAX_S);
	DBG_ERR("volume %s: node %" PRIu32 " could not be fenced: %s; the "
		"volume stays paused, next attempt in %u s\n",
		v->name,
		fence->node,
		why,
		pause);
	csvd_volume_reason(v,
			   "fencing node %" PRIu32 " failed: %s",
			   fence->node,
			   why);
	fence->attempts++;
	if (tevent_add_timer(v->csvd->ev,
			     fence,
			     timeval_current_ofs(pause, 0),
			     fence_again,
			     fence) == NULL) {
		TALLOC_FREE(v->fence);
	}
}

static void fence_attempt(struct csvd_fence *fence)
{
	struct tevent_req *req = NULL;

	fence->started = timeval_current();
	csvd_volume_reason(fence->v, "fencing node %" PRIu32, fence->node);
	req = csvd_fence_send(fence, fence->v, fence->node);
	if (req == NULL) {
		TALLOC_FREE(fence->v->fence);
		return;
	}
	tevent_req_set_callback(req, fence_attempted, fence);
}

/* Nobody can prove that the owner is gone, but its watchdog can promise. */
static void fence_by_time(struct csvd_volume *v)
{
	switch (csvd_wait_state(v)) {
	case CSVD_WAIT_OVER:
		DBG_NOTICE("volume %s: the watchdog of node %" PRIu32
			   " has bitten by now, epoch %" PRIu64 "\n",
			   v->name,
			   v->rec->owner,
			   v->rec->epoch);
		v->proven_epoch = v->rec->epoch;
		csvd_evaluate_soon(v->csvd);
		break;
	case CSVD_WAIT_GOES_ON:
		csvd_volume_reason(v,
				   "waiting for the watchdog of node %" PRIu32,
				   v->rec->owner);
		break;
	case CSVD_WAIT_NEVER:
		csvd_volume_reason(v,
				   "node %" PRIu32 " died as owner and there is "
				   "no fence agent: sofs volume confirm-fenced",
				   v->rec->owner);
		break;
	}
}

void csvd_fence_owner(struct csvd_volume *v)
{
	if (v->proven_epoch == v->rec->epoch) {
		return;
	}
	if (v->fence != NULL) {
		if (fence_wanted(v->fence)) {
			(void)csvd_guard_ask(v); /* it may come back */
			return;
		}
		TALLOC_FREE(v->fence);
	}
	if (csvd_guard_ask(v)) {
		csvd_volume_reason(v,
				   "asking the guard of node %" PRIu32,
				   v->rec->owner);
		return;
	}
	if (v->config->fence_agent.length == 0) {
		fence_by_time(v);
		return;
	}
	v->fence = talloc_zero(v, struct csvd_fence);
	if (v->fence == NULL) {
		return;
	}
	v->fence->v = v;
	v->fence->epoch = v->rec->epoch;
	v->fence->node = v->rec->owner;
	fence_attempt(v->fence);
}
