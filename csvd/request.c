/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests of the tool. Each handler fills the answer, or says what is wrong.
 */
#include "csvd/request.h"
#include "csvd/request_private.h"
#include "ctdb/include/ctdb_protocol.h"
#include "csvd/control.h"
#include "csvd/fence.h"
#include "csvd/fence_test.h"
#include "csvd/members.h"
#include "csvd/owner.h"
#include "csvd/publish.h"
#include "csvd/record.h"
#include "csvd/secret.h"
#include "csvd/storage.h"

#define REQUEST_VERSION 1

int request_fail(struct request *r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r->message = talloc_vasprintf(r->mem_ctx, fmt, ap);
	va_end(ap);
	return err;
}

const char *request_string(const struct request *r, const char *key)
{
	return json_string_value(json_object_get(r->in, key));
}

static int request_volume(struct request *r, struct csvd_volume **v)
{
	const char *name = request_string(r, "name");

	if (name == NULL) {
		return request_fail(r, EINVAL, "no volume is named");
	}
	*v = csvd_volume_find(r->csvd, name);
	if (*v == NULL) {
		return request_fail(r, ENOENT, "no such volume: %s", name);
	}
	return 0;
}

static bool request_good_name(const char *name)
{
	size_t i, length = strlen(name);

	for (i = 0; i < length; i++) {
		if (!isalnum((unsigned char)name[i]) &&
		    (i == 0 || strchr("-_.", name[i]) == NULL))
		{
			return false;
		}
	}
	return length > 0 && length <= CSV_VOLUME_NAME_MAX;
}

static struct csv_bytes request_bytes(struct request *r, const char *value)
{
	return csvd_bytes(talloc_strdup(r->mem_ctx, value));
}

static int request_pairs(struct request *r,
			 const json_t *object,
			 uint32_t *num,
			 struct csv_pair **pairs)
{
	const char *key = NULL;
	json_t *value = NULL;

	*num = 0;
	if (object == NULL) {
		return 0;
	}
	if (!json_is_object(object) || json_object_size(object) > 64) {
		return request_fail(r, EINVAL, "malformed parameters");
	}
	*pairs = talloc_zero_array(r->mem_ctx,
				   struct csv_pair,
				   json_object_size(object));
	json_object_foreach(discard_const_p(json_t, object), key, value)
	{
		if (!json_is_string(value) || strpbrk(key, "=\n ") != NULL ||
		    strchr(json_string_value(value), '\n') != NULL)
		{
			return request_fail(r,
					    EINVAL,
					    "malformed parameter %s",
					    key);
		}
		(*pairs)[*num].key = request_bytes(r, key);
		(*pairs)[*num].value =
			request_bytes(r, json_string_value(value));
		(*num)++;
	}
	return 0;
}

static uint32_t request_number(const json_t *object,
			       const char *key,
			       uint32_t value)
{
	const json_t *n = json_object_get(object, key);

	return json_is_integer(n) ? (uint32_t)json_integer_value(n) : value;
}

static int request_agent(struct request *r,
			 const json_t *in,
			 struct csv_agent *agent)
{
	const char *type = json_string_value(json_object_get(in, "type"));
	const json_t *owner_only = json_object_get(in, "owner_only");
	char *path = NULL;

	if (type == NULL ||
	    !csvd_storage_agent_path(r->mem_ctx,
				     r->csvd->config->ocf_root,
				     type,
				     &path))
	{
		return request_fail(r,
				    EINVAL,
				    "%s is no agent (ocf:PROVIDER:TYPE)",
				    type != NULL ? type : "?");
	}
	if (access(path, X_OK) == -1) {
		return request_fail(r,
				    ENOENT,
				    "%s: %s",
				    path,
				    strerror(errno));
	}
	agent->type = request_bytes(r, type);
	agent->owner_only = owner_only == NULL || json_is_true(owner_only);
	agent->promote = json_is_true(json_object_get(in, "promote"));
	agent->start_s = request_number(in, "start_s", 60);
	agent->stop_s = request_number(in, "stop_s", 60);
	agent->monitor_s = request_number(in, "monitor_s", 40);
	return request_pairs(r,
			     json_object_get(in, "params"),
			     &agent->num_params,
			     &agent->params);
}

static int request_agents(struct request *r, struct csv_volume_record *config)
{
	const json_t *list = json_object_get(r->in, "agents");
	size_t i;
	int ret;

	if (json_array_size(list) == 0 || json_array_size(list) > 16) {
		return request_fail(r, EINVAL, "1 to 16 agents are needed");
	}
	config->agents = talloc_zero_array(r->mem_ctx,
					   struct csv_agent,
					   json_array_size(list));
	for (i = 0; i < json_array_size(list); i++) {
		ret = request_agent(r,
				    json_array_get(list, i),
				    &config->agents[i]);
		if (ret != 0) {
			return ret;
		}
		config->num_agents++;
	}
	return 0;
}

static int request_preferred(struct request *r,
			     struct csv_volume_record *config)
{
	const json_t *list = json_object_get(r->in, "preferred");
	const char *name = NULL;
	uint32_t pnn;
	size_t i;

	if (json_array_size(list) > 256) {
		return request_fail(r, EINVAL, "too many preferred nodes");
	}
	config->preferred = talloc_zero_array(r->mem_ctx,
					      uint32_t,
					      json_array_size(list));
	for (i = 0; i < json_array_size(list); i++) {
		name = json_string_value(json_array_get(list, i));
		pnn = name != NULL ? csvd_member_by_name(r->csvd, name)
				   : CSVD_NO_NODE;
		if (pnn == CSVD_NO_NODE) {
			return request_fail(r,
					    ENOENT,
					    "no such node: %s",
					    name != NULL ? name : "?");
		}
		config->preferred[config->num_preferred++] = pnn;
	}
	return 0;
}

static int request_fence(struct request *r, struct csv_volume_record *config)
{
	const char *agent = request_string(r, "fence_agent");
	char *path = NULL;
	int ret;

	if (agent == NULL || agent[0] == '\0') {
		return 0;
	}
	if (strchr(agent, '/') != NULL) {
		return request_fail(r,
				    EINVAL,
				    "a fence agent is named without its path");
	}
	path = talloc_asprintf(r->mem_ctx,
			       "%s/%s",
			       r->csvd->config->fence_dir,
			       agent);
	if (path == NULL || access(path, X_OK) == -1) {
		return request_fail(r, ENOENT, "%s: %s", path, strerror(errno));
	}
	config->fence_agent = request_bytes(r, agent);
	ret = request_pairs(r,
			    json_object_get(r->in, "fence_params"),
			    &config->num_fence_params,
			    &config->fence_params);
	if (ret == 0 && !csvd_fence_params_good(config)) {
		ret = request_fail(r,
				   EINVAL,
				   "csv:unfence=yes or no is the only fence "
				   "parameter that begins with csv:");
	}
	return ret;
}

static int request_add_basics(struct request *r,
			      struct csv_volume_record *config)
{
	const char *name = request_string(r, "name");
	const char *path = request_string(r, "mount_point");

	if (name == NULL || !request_good_name(name)) {
		return request_fail(r,
				    EINVAL,
				    "a volume's name has 1 to %u letters, "
				    "digits, and - _ . after the first",
				    CSV_VOLUME_NAME_MAX);
	}
	if (path == NULL || path[0] != '/' || path[1] == '\0' ||
	    strlen(path) > 1024 || strstr(path, "/../") != NULL)
	{
		return request_fail(r,
				    EINVAL,
				    "the mount point must be an absolute path");
	}
	config->version = CSV_RECORD_VERSION;
	config->name = request_bytes(r, name);
	config->mount_point = request_bytes(r, path);
	config->uuid = GUID_random();
	config->shared = json_is_true(json_object_get(r->in, "shared"));
	config->wait_limit_s = request_number(r->in, "wait_limit_s", 60);
	return 0;
}

static int request_volume_add(struct request *r)
{
	struct csv_volume_record config = {};
	int ret;

	ret = request_add_basics(r, &config);
	if (ret == 0) {
		ret = request_agents(r, &config);
	}
	if (ret == 0) {
		ret = request_preferred(r, &config);
	}
	if (ret == 0) {
		ret = request_fence(r, &config);
	}
	if (ret != 0) {
		return ret;
	}
	ret = csvd_record_add(r->csvd, &config);
	if (ret == EEXIST) {
		return request_fail(r,
				    ret,
				    "there is a volume %s already",
				    request_string(r, "name"));
	}
	if (ret == EBUSY) {
		return request_fail(r,
				    ret,
				    "the last owner of a volume %s has not let "
				    "go of it",
				    request_string(r, "name"));
	}
	if (ret != 0) {
		return request_fail(r,
				    ret,
				    "the volume cannot be stored: %s",
				    csvd_record_error(r->csvd, ret));
	}
	csvd_publish_config(r->csvd);
	csvd_volumes_load(r->csvd);
	csvd_evaluate_soon(r->csvd);
	return 0;
}

static int request_volume_remove(struct request *r)
{
	struct csvd_volume *v = NULL;
	int ret;

	ret = request_volume(r, &v);
	if (ret != 0) {
		return ret;
	}
	if (v->rec != NULL && !v->rec->clean &&
	    csvd_member_dead(r->csvd, v->rec->owner))
	{
		return request_fail(r,
				    EBUSY,
				    "its owner, node %" PRIu32 ", died with it",
				    v->rec->owner);
	}
	ret = csvd_record_remove(r->csvd, v->name);
	if (ret != 0) {
		return request_fail(r,
				    ret,
				    "the volume cannot be removed: %s",
				    csvd_record_error(r->csvd, ret));
	}
	csvd_publish_config(r->csvd);
	r->csvd->config_changed = true;
	csvd_evaluate_soon(r->csvd);
	return 0;
}

static const char *request_access_str(unsigned access_mode)
{
	switch (access_mode) {
	case CSV_ACCESS_DIRECT:
		return "direct";
	case CSV_ACCESS_REDIRECTED:
		return "file-system redirected";
	case CSV_ACCESS_BLOCK_REDIRECTED:
		return "block redirected";
	default:
		return "none";
	}
}

static json_t *request_text(const char *s)
{
	return s != NULL && s[0] != '\0' ? json_string(s) : json_null();
}

static void request_node_view(struct request *r,
			      json_t *node,
			      unsigned state,
			      unsigned access_mode,
			      uint64_t epoch,
			      const char *reason)
{
	json_object_set_new(node, "state", json_string(csv_state_str(state)));
	json_object_set_new(node,
			    "access",
			    json_string(request_access_str(access_mode)));
	json_object_set_new(node, "epoch", json_integer(epoch));
	json_object_set_new(node, "reason", request_text(reason));
}

/* The volume as one node sees it. */
static json_t *request_node(struct request *r,
			    struct csvd_volume *v,
			    const struct csvd_member *m)
{
	const struct csv_node_volume *nv = csvd_member_volume(m, v->name);
	json_t *node = json_object();
	const char *host = m->address;
	bool self = m->pnn == r->csvd->node;

	if (self) {
		host = r->csvd->host;
	} else if (m->info != NULL) {
		host = csvd_string(r->mem_ctx, &m->info->host);
	}
	json_object_set_new(node, "node", json_integer(m->pnn));
	json_object_set_new(node, "host", json_string(host));
	json_object_set_new(node, "address", json_string(m->address));
	json_object_set_new(node,
			    "alive",
			    json_boolean((m->flags & NODE_FLAGS_INACTIVE) ==
					 0));
	if (self) {
		json_object_set_new(
			node,
			"clients",
			json_integer(csvd_control_volume_clients(v, false)));
		request_node_view(r,
				  node,
				  v->state,
				  v->access,
				  v->epoch,
				  v->reason);
	} else if ((m->flags & NODE_FLAGS_INACTIVE) != 0) {
		request_node_view(r,
				  node,
				  CSV_STATE_INIT,
				  0,
				  0,
				  "node is down");
	} else if (nv == NULL) {
		request_node_view(r,
				  node,
				  CSV_STATE_INIT,
				  0,
				  0,
				  "its csvd has not told");
	} else {
		request_node_view(r,
				  node,
				  nv->state,
				  nv->access,
				  nv->epoch,
				  csvd_string(r->mem_ctx, &nv->reason));
	}
	return node;
}

static json_t *request_counters(struct request *r, struct csvd_volume *v)
{
	struct csv_serve_counters c = {};

	if (r->csvd->serve == NULL ||
	    csv_serve_counters(r->csvd->serve, v->name, &c) != 0)
	{
		return json_null();
	}
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}",
			 "handles",
			 (json_int_t)c.handles,
			 "requests",
			 (json_int_t)c.requests,
			 "read_bytes",
			 (json_int_t)c.read_bytes,
			 "write_bytes",
			 (json_int_t)c.write_bytes,
			 "inline_requests",
			 (json_int_t)c.inline_requests,
			 "piped_requests",
			 (json_int_t)c.piped_requests);
}

static json_t *request_volume_json(struct request *r, struct csvd_volume *v)
{
	const struct csv_volume_record *config = v->config;
	const struct csv_owner_record *rec = v->rec;
	json_t *out = json_object();
	json_t *nodes = json_array();
	json_t *preferred = json_array();
	struct csvd_member *m = NULL;
	bool owned = rec != NULL && rec->owner != CSVD_NO_NODE && !rec->clean;
	uint32_t i;

	json_object_set_new(out, "name", json_string(v->name));
	json_object_set_new(out,
			    "uuid",
			    json_string(GUID_string(r->mem_ctx,
						    &config->uuid)));
	json_object_set_new(out,
			    "volume_access",
			    json_string(config->shared ? "shared" : "single"));
	json_object_set_new(
		out,
		"mount_point",
		json_string(csvd_string(r->mem_ctx, &config->mount_point)));
	json_object_set_new(out,
			    "wait_limit_seconds",
			    json_integer(config->wait_limit_s));
	json_object_set_new(
		out,
		"fence_agent",
		request_text(csvd_string(r->mem_ctx, &config->fence_agent)));
	for (i = 0; i < config->num_preferred; i++) {
		json_array_append_new(preferred,
				      json_integer(config->preferred[i]));
	}
	json_object_set_new(out, "preferred", preferred);
	json_object_set_new(out,
			    "owner",
			    owned ? json_integer(rec->owner) : json_null());
	json_object_set_new(out,
			    "epoch",
			    rec != NULL ? json_integer(rec->epoch)
					: json_null());
	json_object_set_new(out, "state", json_string(csv_state_str(v->state)));
	json_object_set_new(out, "reason", request_text(v->reason));
	json_object_set_new(out, "counters", request_counters(r, v));
	for (m = r->csvd->members; m != NULL; m = m->next) {
		json_array_append_new(nodes, request_node(r, v, m));
	}
	json_object_set_new(out, "nodes", nodes);
	return out;
}

static int request_volume_state(struct request *r)
{
	json_t *volumes = json_array();
	struct csvd_volume *v = NULL;
	int ret;

	json_object_set_new(r->out, "volumes", volumes);
	json_object_set_new(r->out, "node", json_integer(r->csvd->node));
	if (request_string(r, "name") != NULL) {
		ret = request_volume(r, &v);
		if (ret == 0) {
			json_array_append_new(volumes,
					      request_volume_json(r, v));
		}
		return ret;
	}
	for (v = r->csvd->volumes; v != NULL; v = v->next) {
		json_array_append_new(volumes, request_volume_json(r, v));
	}
	return 0;
}

int request_target(struct request *r, uint32_t *target)
{
	const char *to = request_string(r, "target");

	*target = CSVD_NO_NODE;
	if (to == NULL) {
		return 0;
	}
	*target = csvd_member_by_name(r->csvd, to);
	if (*target == CSVD_NO_NODE) {
		return request_fail(r, ENOENT, "no such node: %s", to);
	}
	if (!csvd_member_usable(r->csvd, *target)) {
		return request_fail(r,
				    EHOSTUNREACH,
				    "node %s is down, drained, leaving or "
				    "without csvd",
				    to);
	}
	return 0;
}

/* Nobody owns it: what the administrator wants is that it runs. */
static int request_volume_start(struct request *r,
				struct csvd_volume *v,
				uint32_t target)
{
	int ret = csvd_owner_start(v, target);

	if (ret != 0) {
		return request_fail(r,
				    ret,
				    "%s cannot be started: %s",
				    v->name,
				    csvd_record_error(r->csvd, ret));
	}
	return 0;
}

static int request_volume_give(struct request *r,
			       struct csvd_volume *v,
			       uint32_t target)
{
	int ret;

	if (v->rec->owner == target) {
		return request_fail(r,
				    EALREADY,
				    "%s is there already",
				    v->name);
	}
	ret = v->rec->owner == r->csvd->node ? csvd_owner_move(v, target)
					     : csvd_publish_move(v, target);
	if (ret != 0) {
		return request_fail(r,
				    ret,
				    "%s cannot be moved: %s",
				    v->name,
				    ret == EHOSTUNREACH
					    ? "no other node can take it"
					    : strerror(ret));
	}
	return 0;
}

static int request_volume_move(struct request *r)
{
	struct csvd_volume *v = NULL;
	uint32_t target;
	int ret;

	ret = request_volume(r, &v);
	if (ret == 0) {
		ret = request_target(r, &target);
	}
	if (ret != 0) {
		return ret;
	}
	if (v->rec != NULL) {
		json_object_set_new(r->out,
				    "epoch",
				    json_integer(v->rec->epoch));
	}
	if (target != CSVD_NO_NODE) {
		json_object_set_new(r->out, "target", json_integer(target));
	}
	if (!v->config->shared && v->rec != NULL && v->rec->clean &&
	    v->rec->num_failed > 0)
	{
		return request_volume_start(r, v, target);
	}
	if (v->config->shared || v->state != CSV_STATE_ACTIVE ||
	    v->rec == NULL || v->rec->owner == CSVD_NO_NODE)
	{
		return request_fail(r,
				    EBUSY,
				    "%s cannot be moved now: %s%s%s",
				    v->name,
				    v->config->shared ? "it is shared"
						      : csv_state_str(v->state),
				    v->reason != NULL ? ": " : "",
				    v->reason != NULL ? v->reason : "");
	}
	return request_volume_give(r, v, target);
}

static int request_confirm_fenced(struct request *r)
{
	struct csvd_volume *v = NULL;
	int ret;

	ret = request_volume(r, &v);
	if (ret != 0) {
		return ret;
	}
	ret = csvd_owner_confirm_fenced(v);
	switch (ret) {
	case 0:
		return 0;
	case EALREADY:
		return request_fail(r, ret, "%s waits for no fencing", v->name);
	case EBUSY:
		return request_fail(r,
				    ret,
				    "the owner of %s, node %" PRIu32 ", lives",
				    v->name,
				    v->rec->owner);
	default:
		return request_fail(r,
				    ret,
				    "the record cannot be written: %s",
				    csvd_record_error(r->csvd, ret));
	}
}

static int request_test_fence(struct request *r)
{
	return csvd_fence_test(r->csvd, r->mem_ctx, r->in, r->out, &r->message);
}

static int request_secret_rotate(struct request *r)
{
	int ret = csvd_secret_rotate(r->csvd);

	if (ret != 0) {
		return request_fail(r,
				    ret,
				    "the secret cannot be changed: %s",
				    strerror(ret));
	}
	json_object_set_new(r->out,
			    "generation",
			    json_integer(csvd_secret_generation(r->csvd)));
	csvd_publish_config(r->csvd);
	return 0;
}

static int request_run(struct request *r)
{
	static const struct {
		const char *name;
		int (*fn)(struct request *r);
	} table[] = {
		{"volume_add", request_volume_add},
		{"volume_remove", request_volume_remove},
		{"volume_state", request_volume_state},
		{"volume_move", request_volume_move},
		{"volume_confirm_fenced", request_confirm_fenced},
		{"volume_test_fence", request_test_fence},
		{"node_leave", request_node_leave},
		{"node_drain", request_node_drain},
		{"node_resume", request_node_resume},
		{"node_state", request_node_state},
		{"secret_rotate", request_secret_rotate},
	};
	const char *name = request_string(r, "request");
	size_t i;

	if (!r->csvd->active) {
		return request_fail(r,
				    EAGAIN,
				    "this node is no active member of the "
				    "cluster");
	}
	for (i = 0; name != NULL && i < ARRAY_SIZE(table); i++) {
		if (strcmp(table[i].name, name) == 0) {
			return table[i].fn(r);
		}
	}
	return request_fail(r, ENOSYS, "unknown request");
}

char *csvd_request(struct csvd_context *csvd,
		   TALLOC_CTX *mem_ctx,
		   const char *text,
		   size_t length)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct request r = {.csvd = csvd, .mem_ctx = frame};
	json_error_t error = {};
	json_t *in = NULL;
	char *dump = NULL;
	char *reply = NULL;
	int ret;

	in = json_loadb(text, length, 0, &error);
	r.in = in;
	r.out = json_object();
	json_object_set_new(r.out,
			    "format_version",
			    json_integer(REQUEST_VERSION));
	ret = in != NULL ? request_run(&r)
			 : request_fail(&r, EINVAL, "%s", error.text);
	json_object_set_new(r.out, "error", json_integer(ret));
	if (ret != 0) {
		json_object_set_new(r.out, "message", json_string(r.message));
	}
	dump = json_dumps(r.out, JSON_COMPACT);
	reply = talloc_strdup(mem_ctx, dump != NULL ? dump : "{\"error\":12}");
	free(dump);
	json_decref(r.out);
	json_decref(in);
	TALLOC_FREE(frame);
	return reply;
}
