/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calling a fence agent (the interface of Debian's fence-agents: options on
 * stdin; "on", "off" exit with 0 when done, "status" with 0 for on, 2 for off).
 */
#include "csvd/fence.h"
#include "csvd/child.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "lib/util/tevent_unix.h"

/* Fence parameters that the agent does not get. */
#define FENCE_OWN "csv:"
#define FENCE_UNFENCE FENCE_OWN "unfence"

#define FENCE_STATUS_ON 0
#define FENCE_STATUS_OFF 2
#define FENCE_STATUS_EITHER (-1)

/* One call, and the only exit code that is good; or both of "status". */
struct fence_step {
	const char *action;
	uint32_t node;
	int code;
};

struct fence_state {
	struct csvd_volume *v;
	unsigned limit_s; /* of all calls together */
	uint64_t until;	  /* guard_now() */
	char *agent, *path;
	struct fence_step steps[3];
	size_t num_steps, done;
	char *why;
};

/* "csv" and the node's number, as sg_persist and mpathpersist write it. */
static char *fence_key(TALLOC_CTX *mem_ctx, uint32_t pnn)
{
	return talloc_asprintf(mem_ctx, "63737600%08" PRIx32, pnn);
}

static char *fence_expand(TALLOC_CTX *mem_ctx,
			  const char *value,
			  uint32_t pnn,
			  const char *address,
			  const char *host)
{
	char *s = NULL;
	char *number = talloc_asprintf(mem_ctx, "%" PRIu32, pnn);

	s = talloc_string_sub(mem_ctx, value, "%n", number);
	s = talloc_string_sub(mem_ctx, s, "%k", fence_key(mem_ctx, pnn));
	s = talloc_string_sub(mem_ctx, s, "%a", address);
	return talloc_string_sub(mem_ctx, s, "%h", host);
}

static const struct csv_pair *fence_param(
	const struct csv_volume_record *config,
	const char *key)
{
	uint32_t i;

	for (i = 0; i < config->num_fence_params; i++) {
		if (csvd_bytes_equal(&config->fence_params[i].key, key)) {
			return &config->fence_params[i];
		}
	}
	return NULL;
}

bool csvd_fence_unfences(const struct csvd_volume *v)
{
	const struct csv_pair *pair =
		fence_param(v->config, FENCE_UNFENCE);

	return !v->config->shared && v->config->fence_agent.length > 0 &&
	       pair != NULL && csvd_bytes_equal(&pair->value, "yes");
}

const char *csvd_fence_hindered(const struct csvd_volume *v)
{
	if (csvd_fence_unfences(v) && (!v->swept || v->role == CSVD_STUCK)) {
		return "an earlier mount here is not gone yet";
	}
	return NULL;
}

static bool fence_own(const char *key)
{
	return strncmp(key, FENCE_OWN, strlen(FENCE_OWN)) == 0;
}

bool csvd_fence_params_good(const struct csv_volume_record *config)
{
	uint32_t i;

	for (i = 0; i < config->num_fence_params; i++) {
		const struct csv_pair *pair = &config->fence_params[i];
		char *key = csvd_string(NULL, &pair->key);
		bool good = !fence_own(key) ||
			    (strcmp(key, FENCE_UNFENCE) == 0 &&
			     (csvd_bytes_equal(&pair->value, "yes") ||
			      csvd_bytes_equal(&pair->value, "no")));

		talloc_free(key);
		if (!good) {
			return false;
		}
	}
	return true;
}

static void fence_default(const struct csv_volume_record *config,
			  char **input,
			  const char *key,
			  const char *value)
{
	if (value[0] != '\0' && fence_param(config, key) == NULL) {
		*input = talloc_asprintf_append(*input, "%s=%s\n", key, value);
	}
}

/* What the volume's resource agents call "device", comma-separated. */
static char *fence_devices(TALLOC_CTX *mem_ctx,
			   const struct csv_volume_record *config)
{
	char *devices = talloc_strdup(mem_ctx, "");
	uint32_t i, j;

	for (i = 0; i < config->num_agents; i++) {
		const struct csv_agent *agent = &config->agents[i];

		for (j = 0; j < agent->num_params; j++) {
			if (!csvd_bytes_equal(&agent->params[j].key, "device"))
			{
				continue;
			}
			devices = talloc_asprintf_append(
				devices,
				"%s%s",
				devices[0] != '\0' ? "," : "",
				csvd_string(mem_ctx, &agent->params[j].value));
		}
	}
	return devices;
}

static char *fence_input(TALLOC_CTX *mem_ctx,
			 struct csvd_volume *v,
			 const char *action,
			 uint32_t pnn)
{
	const struct csvd_member *m = csvd_member_find(v->csvd, pnn);
	const struct csv_volume_record *config = v->config;
	const char *address = m != NULL ? m->address : "";
	const char *host = address;
	char *input = talloc_asprintf(mem_ctx, "action=%s\n", action);
	uint32_t i;

	if (m != NULL && m->info != NULL && m->info->host.length != 0) {
		host = csvd_string(mem_ctx, &m->info->host);
	}
	for (i = 0; i < config->num_fence_params; i++) {
		char *key = csvd_string(mem_ctx, &config->fence_params[i].key);
		char *value =
			csvd_string(mem_ctx, &config->fence_params[i].value);

		if (fence_own(key)) {
			continue;
		}
		value = fence_expand(mem_ctx, value, pnn, address, host);
		input = talloc_asprintf_append(input, "%s=%s\n", key, value);
	}
	if (csvd_fence_unfences(v)) {
		fence_default(config, &input, "key", fence_key(mem_ctx, pnn));
		fence_default(config,
			      &input,
			      "devices",
			      fence_devices(mem_ctx, config));
	}
	fence_default(config, &input, "nodename", host);
	fence_default(config, &input, "plug", host);
	fence_default(config, &input, "port", host);
	fence_default(config,
		      &input,
		      "pnn",
		      talloc_asprintf(mem_ctx, "%" PRIu32, pnn));
	return input;
}

static void fence_step_done(struct tevent_req *subreq);

static bool fence_is_on(const struct fence_step *step)
{
	return strcmp(step->action, "on") == 0;
}

static void fence_next(struct tevent_req *req)
{
	static const char *const env[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	struct fence_state *state = tevent_req_data(req, struct fence_state);
	const struct fence_step *step = &state->steps[state->done];
	struct csvd_context *csvd = state->v->csvd;
	uint64_t now = guard_now();
	struct csvd_child_params params = {
		.page = csvd->page,
		.volume = state->v->name,
		.path = state->path,
		.argv = (const char *[]){state->path, NULL},
		.env = env,
		.timeout_ms = now < state->until ? state->until - now : 0,
	};
	TALLOC_CTX *frame = NULL;
	struct tevent_req *subreq = NULL;

	if (state->done == state->num_steps) {
		tevent_req_done(req);
		return;
	}
	frame = talloc_new(state);
	params.changes = fence_is_on(step); /* late, it lets old writes pass */
	params.input = fence_input(frame, state->v, step->action, step->node);
	subreq = csvd_child_send(state, csvd->ev, &params);
	if (!tevent_req_nomem(subreq, req)) {
		tevent_req_set_callback(subreq, fence_step_done, req);
	}
	talloc_free(frame);
}

static bool fence_good(const struct fence_step *step, int code)
{
	if (step->code == FENCE_STATUS_EITHER) {
		return code == FENCE_STATUS_ON || code == FENCE_STATUS_OFF;
	}
	return code == step->code;
}

static char *fence_why(struct fence_state *state,
		       int ret,
		       int code,
		       const char *output)
{
	const char *action = state->steps[state->done].action;

	if (ret == ETIMEDOUT) {
		return talloc_asprintf(state,
				       "%s took longer than %u s (%s)",
				       state->agent,
				       state->limit_s,
				       action);
	}
	if (ret != 0) {
		return talloc_asprintf(state,
				       "%s %s: %s",
				       state->agent,
				       action,
				       strerror(ret));
	}
	return talloc_asprintf(state,
			       "%s %s exited with %d: %s",
			       state->agent,
			       action,
			       code,
			       output);
}

static void fence_step_done(struct tevent_req *subreq)
{
	struct tevent_req *req =
		tevent_req_callback_data(subreq, struct tevent_req);
	struct fence_state *state = tevent_req_data(req, struct fence_state);
	char *output = NULL;
	int code = 0;
	int ret;

	ret = csvd_child_recv(subreq, state, &code, &output);
	TALLOC_FREE(subreq);
	if (ret != 0 || !fence_good(&state->steps[state->done], code)) {
		state->why = fence_why(state, ret, code, output);
		tevent_req_error(req, ret != 0 ? ret : EIO);
		return;
	}
	state->why = output;
	state->done++;
	fence_next(req);
}

static void fence_add(struct fence_state *state,
		      const char *action,
		      uint32_t node,
		      int code)
{
	state->steps[state->num_steps++] = (struct fence_step){
		.action = action,
		.node = node,
		.code = code,
	};
}

static struct tevent_req *fence_create(TALLOC_CTX *mem_ctx,
				       struct csvd_volume *v,
				       struct fence_state **_state)
{
	const struct csvd_config *config = v->csvd->config;
	struct tevent_req *req = NULL;
	struct fence_state *state = NULL;

	req = tevent_req_create(mem_ctx, &state, struct fence_state);
	if (req == NULL) {
		return NULL;
	}
	state->v = v;
	state->limit_s = config->fence_s;
	state->until = guard_now() + (uint64_t)config->fence_s * 1000;
	state->agent = csvd_string(state, &v->config->fence_agent);
	state->path = talloc_asprintf(state,
				      "%s/%s",
				      config->fence_dir,
				      state->agent);
	*_state = state;
	return req;
}

static struct tevent_req *fence_begin(struct tevent_req *req,
				      struct csvd_volume *v)
{
	fence_next(req);
	return tevent_req_is_in_progress(req)
		       ? req
		       : tevent_req_post(req, v->csvd->ev);
}

struct tevent_req *csvd_fence_send(TALLOC_CTX *mem_ctx,
				   struct csvd_volume *v,
				   uint32_t node,
				   const char *action)
{
	struct fence_state *state = NULL;
	struct tevent_req *req = fence_create(mem_ctx, v, &state);
	bool off = strcmp(action, "off") == 0;

	if (req == NULL) {
		return NULL;
	}
	if (off && csvd_fence_unfences(v)) {
		fence_add(state, "on", v->csvd->node, 0);
	}
	fence_add(state, action, node, off ? 0 : FENCE_STATUS_EITHER);
	if (off && csvd_fence_unfences(v)) {
		fence_add(state, "status", node, FENCE_STATUS_OFF);
	}
	return fence_begin(req, v);
}

struct tevent_req *csvd_unfence_send(TALLOC_CTX *mem_ctx, struct csvd_volume *v)
{
	struct fence_state *state = NULL;
	struct tevent_req *req = fence_create(mem_ctx, v, &state);

	if (req == NULL) {
		return NULL;
	}
	fence_add(state, "on", v->csvd->node, 0);
	fence_add(state, "status", v->csvd->node, FENCE_STATUS_ON);
	return fence_begin(req, v);
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
