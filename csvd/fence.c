/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calling a fence agent.
 */
#include "csvd/fence.h"
#include "csvd/child.h"
#include "csvd/members.h"
#include "lib/util/tevent_unix.h"

/* Exit status of the action "status". */
#define FENCE_IS_OFF 2

struct fence_state {
	unsigned limit_s;
	char *agent;
	bool asks; /* whether it is on or off: both are answers */
	char *why;
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
			 uint32_t pnn,
			 const char *action)
{
	const struct csvd_member *m = csvd_member_find(v->csvd, pnn);
	const char *address = m != NULL ? m->address : "";
	const char *host = address;
	char *number = talloc_asprintf(mem_ctx, "%" PRIu32, pnn);
	char *input = talloc_asprintf(mem_ctx, "action=%s\n", action);
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
	} else if (code != 0 && !(state->asks && code == FENCE_IS_OFF)) {
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
	state->why = output;
	tevent_req_done(req);
}

struct tevent_req *csvd_fence_send(TALLOC_CTX *mem_ctx,
				   struct csvd_volume *v,
				   uint32_t node,
				   const char *action)
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
	state->asks = strcmp(action, "status") == 0;
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
	params.input = fence_input(state, v, node, action);
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

	(void)tevent_req_is_unix_error(req, &err);
	if (err != 0 || state->why != NULL) {
		*why = state->why != NULL
			       ? talloc_steal(mem_ctx, state->why)
			       : talloc_strdup(mem_ctx, strerror(err));
	}
	tevent_req_received(req);
	return err;
}
