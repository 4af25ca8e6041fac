/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calling OCF resource agents (OCF RA API 1.0: action as argument, parameters
 * as OCF_RESKEY_*, exit 0 done, 7 not running).
 */
#include "csvd/storage.h"
#include "csvd/agents.h"
#include "csvd/child.h"
#include "lib/util/tevent_unix.h"

#define OCF_SUCCESS 0
#define OCF_NOT_RUNNING 7
#define OCF_RUNNING_PROMOTED 8

struct storage_state {
	struct csvd_volume *v;
	const struct csv_volume_record *config; /* the volume's */
	enum csvd_storage_action action;
	uint32_t done; /* agents called so far */
	bool running;  /* MONITOR: any of them runs */
	const char *verb;
	bool promoting; /* the second call of a promoted agent */
	char *why;
	unsigned limit_s;
	uint64_t begun; /* guard_now() */
};

/* An agent that was killed has this long to end before the next is called. */
#define STORAGE_LEFT_MS 3000
#define STORAGE_LEFT_LOOK_MS 20

static void storage_next(struct tevent_req *req);

static bool storage_word(const char *s, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("-_.", s[i]) == NULL)
		{
			return false;
		}
	}
	return length > 0 && s[0] != '.';
}

bool csvd_storage_agent_path(TALLOC_CTX *mem_ctx,
			     const char *ocf_root,
			     const char *type,
			     char **path)
{
	const char *provider = type + 4;
	const char *colon = NULL;

	if (strncmp(type, "ocf:", 4) != 0) {
		return false;
	}
	colon = strchr(provider, ':');
	if (colon == NULL || !storage_word(provider, colon - provider) ||
	    !storage_word(colon + 1, strlen(colon + 1))) {
		return false;
	}
	*path = talloc_asprintf(mem_ctx,
				"%s/resource.d/%.*s/%s",
				ocf_root,
				(int)(colon - provider),
				provider,
				colon + 1);
	return *path != NULL;
}

static void storage_setenv(const char ***env, const char *fmt, ...)
	PRINTF_ATTRIBUTE(2, 3);

static void storage_setenv(const char ***env, const char *fmt, ...)
{
	size_t n = talloc_array_length(*env);
	va_list ap;

	*env = talloc_realloc(NULL, *env, const char *, n + 1);
	if (*env == NULL) {
		smb_panic("no memory");
	}
	va_start(ap, fmt);
	(*env)[n - 1] = talloc_vasprintf(*env, fmt, ap);
	va_end(ap);
	(*env)[n] = NULL;
}

/*
 * resource-agents look for the functions that they share in
 * OCF_FUNCTIONS_DIR; without it, in OCF_ROOT/lib/heartbeat.
 */
static void storage_functions(const char ***env, const char *dir)
{
	char *file = talloc_asprintf(*env, "%s/ocf-shellfuncs", dir);

	if (file != NULL && access(file, R_OK) == 0) {
		storage_setenv(env, "OCF_FUNCTIONS_DIR=%s", dir);
	}
	talloc_free(file);
}

static const char **storage_env(TALLOC_CTX *mem_ctx,
				struct csvd_volume *v,
				const struct csv_agent *agent,
				uint32_t index,
				unsigned limit_s)
{
	const char **env = talloc_zero_array(mem_ctx, const char *, 1);
	char *type = csvd_string(mem_ctx, &agent->type);
	uint32_t i;

	storage_setenv(&env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	storage_setenv(&env, "LC_ALL=C");
	storage_setenv(&env, "OCF_ROOT=%s", v->csvd->config->ocf_root);
	storage_functions(&env, v->csvd->config->ocf_functions);
	storage_setenv(&env, "OCF_RA_VERSION_MAJOR=1");
	storage_setenv(&env, "OCF_RA_VERSION_MINOR=0");
	storage_setenv(&env, "OCF_RESOURCE_INSTANCE=csv-%s-%u", v->name, index);
	storage_setenv(&env, "OCF_RESOURCE_TYPE=%s", strrchr(type, ':') + 1);
	storage_setenv(&env,
		       "OCF_RESOURCE_PROVIDER=%.*s",
		       (int)(strrchr(type, ':') - (type + 4)),
		       type + 4);
	storage_setenv(&env, "OCF_RESKEY_CRM_meta_timeout=%u", limit_s * 1000);
	storage_setenv(&env, "HA_LOGFACILITY=none");
	for (i = 0; i < agent->num_params; i++) {
		char *key = csvd_string(env, &agent->params[i].key);
		char *value = csvd_string(env, &agent->params[i].value);

		storage_setenv(&env, "OCF_RESKEY_%s=%s", key, value);
	}
	return env;
}

static bool storage_fail(struct tevent_req *req, int err, const char *what)
{
	struct storage_state *state =
		tevent_req_data(req, struct storage_state);

	state->why = talloc_strdup(state, what);
	tevent_req_error(req, err);
	return false;
}

static unsigned storage_limit(enum csvd_storage_action action,
			      const struct csv_agent *agent)
{
	unsigned limit = agent->monitor_s;

	if (action == CSVD_STORAGE_START) {
		limit = agent->start_s;
	} else if (action == CSVD_STORAGE_STOP) {
		limit = agent->stop_s;
	}
	return limit != 0 ? limit : 60;
}

static void storage_called(struct tevent_req *subreq);

static bool storage_call(struct tevent_req *req,
			 const struct csv_agent *agent,
			 uint32_t index)
{
	struct storage_state *state =
		tevent_req_data(req, struct storage_state);
	struct csvd_context *csvd = state->v->csvd;
	TALLOC_CTX *frame = talloc_new(state);
	char *type = csvd_string(frame, &agent->type);
	struct tevent_req *subreq = NULL;
	struct csvd_child_params params = {};
	char *path = NULL;

	if (!csvd_storage_agent_path(frame,
				     csvd->config->ocf_root,
				     type,
				     &path))
	{
		return storage_fail(req, ENOENT, "malformed agent name");
	}
	state->limit_s = storage_limit(state->action, agent);
	params.page = csvd->page;
	params.volume = state->v->name;
	params.changes = state->action != CSVD_STORAGE_MONITOR;
	params.path = path;
	params.argv = (const char *[]){path, state->verb, NULL};
	params.env = storage_env(frame, state->v, agent, index, state->limit_s);
	params.timeout_ms = state->limit_s * 1000;
	subreq = csvd_child_send(state, csvd->ev, &params);
	talloc_free(frame);
	if (tevent_req_nomem(subreq, req)) {
		return false;
	}
	tevent_req_set_callback(subreq, storage_called, req);
	return true;
}

static const char *storage_verb(struct storage_state *state, bool promote)
{
	switch (state->action) {
	case CSVD_STORAGE_START:
		return state->promoting ? "promote" : "start";
	case CSVD_STORAGE_STOP:
		return promote && !state->promoting ? "demote" : "stop";
	default:
		return "monitor";
	}
}

static uint32_t storage_index(const struct storage_state *state)
{
	if (state->action == CSVD_STORAGE_STOP) {
		return state->config->num_agents - 1 - state->done;
	}
	return state->done;
}

/*
 * A promoted agent takes two calls: start then promote, demote then stop.
 * `promoting` is set during the second.
 */
static void storage_next(struct tevent_req *req)
{
	struct storage_state *state =
		tevent_req_data(req, struct storage_state);
	const struct csv_agent *agent = NULL;

	if (state->done == state->config->num_agents) {
		if (state->action == CSVD_STORAGE_MONITOR && !state->running) {
			tevent_req_error(req, ENXIO);
			return;
		}
		tevent_req_done(req);
		return;
	}
	agent = &state->config->agents[storage_index(state)];
	state->verb = storage_verb(state, agent->promote);
	storage_call(req, agent, storage_index(state));
}

static bool storage_good(struct storage_state *state,
			 const struct csv_agent *agent,
			 int code)
{
	if (state->action == CSVD_STORAGE_MONITOR) {
		bool up = code == OCF_SUCCESS || code == OCF_RUNNING_PROMOTED;

		state->running |= up && agent->owner_only;
		return up || code == OCF_NOT_RUNNING;
	}
	if (strcmp(state->verb, "demote") == 0 && code == OCF_NOT_RUNNING) {
		return true;
	}
	return code == OCF_SUCCESS;
}

static void storage_called(struct tevent_req *subreq)
{
	struct tevent_req *req =
		tevent_req_callback_data(subreq, struct tevent_req);
	struct storage_state *state =
		tevent_req_data(req, struct storage_state);
	const struct csv_agent *agent =
		&state->config->agents[storage_index(state)];
	bool two = agent->promote && state->action != CSVD_STORAGE_MONITOR;
	char *type = csvd_string(state, &agent->type);
	char *output = NULL;
	int code = 0;
	int ret;

	ret = csvd_child_recv(subreq, state, &code, &output);
	TALLOC_FREE(subreq);
	if (ret == ETIMEDOUT) {
		state->why = talloc_asprintf(state,
					     "%s %s took longer than %u s",
					     type,
					     state->verb,
					     state->limit_s);
	} else if (ret == EBUSY) {
		state->why = talloc_asprintf(state,
					     "%s %s took longer than %u s and "
					     "cannot be killed",
					     type,
					     state->verb,
					     state->limit_s);
	} else if (ret != 0) {
		state->why = talloc_asprintf(state,
					     "%s %s: %s",
					     type,
					     state->verb,
					     strerror(ret));
	} else if (!storage_good(state, agent, code)) {
		state->why = talloc_asprintf(state,
					     "%s %s exited with %d: %s",
					     type,
					     state->verb,
					     code,
					     output);
		ret = EIO;
	} else if (state->action == CSVD_STORAGE_MONITOR && state->running &&
		   code == OCF_NOT_RUNNING) {
		state->why = talloc_asprintf(state, "%s does not run", type);
		ret = EIO;
	}
	if (ret != 0) {
		tevent_req_error(req, ret);
		return;
	}
	if (two && !state->promoting) {
		state->promoting = true;
	} else {
		state->promoting = false;
		state->done++;
	}
	storage_next(req);
}

/* Not beside an agent that was killed: it might still mount something. */
static void storage_begin(struct tevent_context *ev,
			  struct tevent_timer *te,
			  struct timeval now,
			  void *private_data)
{
	struct tevent_req *req = private_data;
	struct storage_state *state =
		tevent_req_data(req, struct storage_state);
	pid_t left = csvd_agents_left(state->v->csvd->page, state->v->name);

	if (left == 0) {
		storage_next(req);
		return;
	}
	if (guard_now() > state->begun + STORAGE_LEFT_MS) {
		state->why = talloc_asprintf(
			state,
			"process %d of an agent that was killed has not ended "
			"(it hangs in the kernel)",
			(int)left);
		tevent_req_error(req, EBUSY);
		return;
	}
	te = tevent_add_timer(ev,
			      state,
			      tevent_timeval_current_ofs(
				      0, STORAGE_LEFT_LOOK_MS * 1000),
			      storage_begin,
			      req);
	(void)tevent_req_nomem(te, req);
}

struct tevent_req *csvd_storage_send(TALLOC_CTX *mem_ctx,
				     struct csvd_volume *v,
				     enum csvd_storage_action action)
{
	struct tevent_req *req = NULL;
	struct storage_state *state = NULL;

	req = tevent_req_create(mem_ctx, &state, struct storage_state);
	if (req == NULL) {
		return NULL;
	}
	state->v = v;
	state->action = action;
	state->config = v->config;
	state->begun = guard_now();
	storage_begin(v->csvd->ev, NULL, timeval_current(), req);
	if (!tevent_req_is_in_progress(req)) {
		return tevent_req_post(req, v->csvd->ev);
	}
	return req;
}

int csvd_storage_recv(struct tevent_req *req, TALLOC_CTX *mem_ctx, char **why)
{
	struct storage_state *state =
		tevent_req_data(req, struct storage_state);
	int err = 0;

	if (tevent_req_is_unix_error(req, &err)) {
		*why = state->why != NULL
			       ? talloc_steal(mem_ctx, state->why)
			       : talloc_strdup(mem_ctx, strerror(err));
	}
	tevent_req_received(req);
	return err;
}

int csvd_storage_open(struct csvd_volume *v, int *rootfd)
{
	char *path = csvd_string(talloc_tos(), &v->config->mount_point);
	char *up = talloc_asprintf(talloc_tos(), "%s/..", path);
	struct stat here = {}, above = {};
	int fd, ret;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) {
		ret = errno;
		goto done;
	}
	if (fstat(fd, &here) == -1 || stat(up, &above) == -1) {
		ret = errno;
		close(fd);
		goto done;
	}
	if (here.st_dev == above.st_dev) {
		close(fd);
		ret = ENODEV;
		goto done;
	}
	*rootfd = fd;
	ret = 0;
done:
	talloc_free(up);
	talloc_free(path);
	return ret;
}

/* One of the comma-separated words? */
static bool storage_option(const char *options, const char *word)
{
	size_t length = strlen(word);

	while (options != NULL && options[0] != '\0') {
		if (strncmp(options, word, length) == 0 &&
		    (options[length] == '\0' || options[length] == ',')) {
			return true;
		}
		options = strchr(options, ',');
		options = options != NULL ? options + 1 : NULL;
	}
	return false;
}

bool csvd_storage_read_only(const struct csvd_volume *v)
{
	uint32_t i, j;

	for (i = 0; i < v->config->num_agents; i++) {
		const struct csv_agent *agent = &v->config->agents[i];

		for (j = 0; j < agent->num_params; j++) {
			char *value = NULL;
			bool ro;

			if (!csvd_bytes_equal(&agent->params[j].key,
					      "options")) {
				continue;
			}
			value = csvd_string(talloc_tos(),
					    &agent->params[j].value);
			ro = storage_option(value, "ro");
			talloc_free(value);
			if (ro) {
				return true;
			}
		}
	}
	return false;
}
