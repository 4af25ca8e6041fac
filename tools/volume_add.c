/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs volume add: declare a volume. --device, --fstype and --options make an
 * ocf:heartbeat:Filesystem agent; --agent adds others before it, in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/sofs.h"

struct add_options {
	char *device, *fstype, *mount_point, *options, *access, *preferred;
	char *fence;
	char **agents;
	char **fence_params;
	int wait_limit;
};

static int add_wrong(const char *what, const char *value)
{
	fprintf(stderr, "sofs: volume add: %s: %s\n", what, value);
	return SOFS_USAGE;
}

/* "key=value" into an object. */
static bool add_pair(json_t *object, const char *pair)
{
	const char *equal = strchr(pair, '=');
	char *key = NULL;
	bool ok;

	if (equal == NULL || equal == pair) {
		return false;
	}
	key = strndup(pair, equal - pair);
	ok = key != NULL &&
	     json_object_set_new(object, key, json_string(equal + 1)) == 0;
	free(key);
	return ok;
}

/* What is before the "?" or between two "&" and not a parameter. */
static bool add_agent_word(json_t *agent, json_t *params, const char *word)
{
	static const char *const limits[] = {"start_s", "stop_s", "monitor_s"};
	size_t i, n;

	if (strcmp(word, "@promote") == 0) {
		json_object_set_new(agent, "promote", json_true());
		return true;
	}
	if (strcmp(word, "@every-node") == 0) {
		json_object_set_new(agent, "owner_only", json_false());
		return true;
	}
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		n = strlen(limits[i]);
		if (word[0] == '@' && strncmp(word + 1, limits[i], n) == 0 &&
		    word[n + 1] == '=')
		{
			json_object_set_new(agent,
					    limits[i],
					    json_integer(atoi(word + n + 2)));
			return true;
		}
	}
	return word[0] != '@' && add_pair(params, word);
}

/* "ocf:PROVIDER:TYPE?key=value&key=value&@promote&@start_s=90" */
static json_t *add_agent(const char *text)
{
	char *copy = strdup(text);
	char *rest = copy != NULL ? strchr(copy, '?') : NULL;
	json_t *agent = json_object();
	json_t *params = json_object();
	char *word = NULL;
	bool ok = copy != NULL;

	if (rest != NULL) {
		*rest++ = '\0';
	}
	json_object_set_new(agent, "type", json_string(copy));
	while (ok && (word = strsep(&rest, "&")) != NULL) {
		ok = word[0] == '\0' || add_agent_word(agent, params, word);
	}
	json_object_set_new(agent, "params", params);
	free(copy);
	if (!ok) {
		json_decref(agent);
		return NULL;
	}
	return agent;
}

static json_t *add_filesystem(const struct add_options *o)
{
	json_t *params = json_pack("{s:s,s:s,s:s,s:s}",
				   "device",
				   o->device,
				   "directory",
				   o->mount_point,
				   "fstype",
				   o->fstype != NULL ? o->fstype : "xfs",
				   "force_unmount",
				   "safe");

	json_object_set_new(params,
			    "options",
			    json_string(o->options != NULL ? o->options
							   : "defaults"));
	return json_pack("{s:s,s:o}",
			 "type",
			 "ocf:heartbeat:Filesystem",
			 "params",
			 params);
}

static int add_agents(const struct add_options *o, json_t *in)
{
	json_t *agents = json_array();
	json_t *agent = NULL;
	size_t i;

	json_object_set_new(in, "agents", agents);
	for (i = 0; o->agents != NULL && o->agents[i] != NULL; i++) {
		agent = add_agent(o->agents[i]);
		if (agent == NULL) {
			return add_wrong("malformed agent", o->agents[i]);
		}
		json_array_append_new(agents, agent);
	}
	if (o->device != NULL) {
		json_array_append_new(agents, add_filesystem(o));
	} else if (o->agents == NULL) {
		return add_wrong("needed", "--device or --agent");
	}
	return SOFS_OK;
}

static int add_fence(const struct add_options *o, json_t *in)
{
	json_t *params = json_object();
	size_t i;

	json_object_set_new(in, "fence_params", params);
	if (o->fence != NULL) {
		json_object_set_new(in, "fence_agent", json_string(o->fence));
	} else if (o->fence_params != NULL) {
		return add_wrong("--fence-param needs", "--fence");
	}
	for (i = 0; o->fence_params != NULL && o->fence_params[i] != NULL; i++)
	{
		if (!add_pair(params, o->fence_params[i])) {
			return add_wrong("malformed (key=value)",
					 o->fence_params[i]);
		}
	}
	return SOFS_OK;
}

static int add_request(struct add_options *o, const char *name, json_t *in)
{
	json_t *preferred = json_array();
	char *rest = o->preferred;
	char *word = NULL;
	int ret;

	json_object_set_new(in, "preferred", preferred);
	while ((word = strsep(&rest, ",")) != NULL) {
		json_array_append_new(preferred, json_string(word));
	}
	if (o->access != NULL && strcmp(o->access, "single") != 0 &&
	    strcmp(o->access, "shared") != 0)
	{
		return add_wrong("neither single nor shared", o->access);
	}
	if (o->wait_limit < 0) {
		return add_wrong("a time cannot be negative", "--wait-limit");
	}
	json_object_set_new(in, "request", json_string("volume_add"));
	json_object_set_new(in, "name", json_string(name));
	json_object_set_new(in, "mount_point", json_string(o->mount_point));
	json_object_set_new(in, "wait_limit_s", json_integer(o->wait_limit));
	json_object_set_new(in,
			    "shared",
			    json_boolean(o->access != NULL &&
					 strcmp(o->access, "shared") == 0));
	ret = add_agents(o, in);
	return ret == SOFS_OK ? add_fence(o, in) : ret;
}

int sofs_volume_add(int argc, const char **argv)
{
	struct add_options o = {.wait_limit = 60};
	const struct poptOption table[] = {
		{"device", 0, POPT_ARG_STRING, &o.device, 0,
		 "block device of the file system", "DEV"},
		{"fstype", 0, POPT_ARG_STRING, &o.fstype, 0,
		 "file system (default: xfs)", "TYPE"},
		{"mount-point", 0, POPT_ARG_STRING, &o.mount_point, 0,
		 "where to mount it (default: /csv/NAME)", "PATH"},
		{"options", 0, POPT_ARG_STRING, &o.options, 0,
		 "mount options", "LIST"},
		{"agent", 0, POPT_ARG_ARGV, &o.agents, 0,
		 "resource agent, started before the file system",
		 "ocf:PROVIDER:TYPE?KEY=VALUE&..."},
		{"access", 0, POPT_ARG_STRING, &o.access, 0,
		 "single (default) or shared (a cluster file system)", "HOW"},
		{"preferred", 0, POPT_ARG_STRING, &o.preferred, 0,
		 "preferred owners, best first", "NODE,NODE"},
		{"fence", 0, POPT_ARG_STRING, &o.fence, 0,
		 "fence agent", "AGENT"},
		{"fence-param", 0, POPT_ARG_ARGV, &o.fence_params, 0,
		 "parameter of the fence agent", "KEY=VALUE"},
		{"wait-limit", 0, POPT_ARG_INT, &o.wait_limit, 0,
		 "how long clients are kept waiting (default 60, 0: for ever)",
		 "SECONDS"},
		POPT_AUTOHELP POPT_TABLEEND};
	const char *args[1] = {NULL};
	json_t *in = NULL;
	int ret;

	ret = sofs_options(argc, argv, table, args, 1, 1);
	if (ret != SOFS_OK) {
		return ret;
	}
	if (o.mount_point == NULL &&
	    asprintf(&o.mount_point, "/csv/%s", args[0]) == -1)
	{
		abort();
	}
	in = json_object();
	ret = add_request(&o, args[0], in);
	if (ret != SOFS_OK) {
		json_decref(in);
		return ret;
	}
	return sofs_command(in);
}
