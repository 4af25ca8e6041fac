/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs node drain and resume: empty a node and let it be used again. csvd of
 * that node does the work; this only orders it and looks on.
 */
#include <stdio.h>
#include <string.h>
#include "tools/sofs.h"

#define DRAIN_POLL_MS 100
#define DRAIN_GRACE_S 30
#define DRAIN_MOVES_S 60	/* what moves may take, beside the grace */
#define DRAIN_LEAVE_S 30
#define RESUME_ENABLED_S 10

struct drain_options {
	const char *node;
	char *to;
	int grace, timeout;
	int wait, dry_run, exit;
};

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* One node of what sofs_node_fetch() got. */
static const json_t *node_of(const json_t *out, long long number)
{
	const json_t *nodes = json_object_get(out, "nodes");
	size_t i;

	for (i = 0; i < json_array_size(nodes); i++) {
		const json_t *node = json_array_get(nodes, i);

		if (number_of(node, "node") == number) {
			return node;
		}
	}
	return NULL;
}

static void drain_show_plan(const json_t *out)
{
	const json_t *plan = json_object_get(out, "plan");
	size_t i;

	for (i = 0; i < json_array_size(plan); i++) {
		const json_t *move = json_array_get(plan, i);
		const json_t *to = json_object_get(move, "to");
		const char *name = json_string_value(
			json_object_get(move, "volume"));

		if (json_is_integer(to)) {
			printf("%s: node %lld -> node %lld\n",
			       name,
			       number_of(out, "node"),
			       (long long)json_integer_value(to));
		} else {
			printf("%s: no node can take it\n", name);
		}
	}
}

/* Prints what is new. */
static void drain_show(const json_t *node, char *last, size_t size)
{
	const char *drain = json_string_value(json_object_get(node, "drain"));
	char line[160];

	snprintf(line,
		 sizeof(line),
		 "node %lld: %s, %lld volumes, %lld clients%s",
		 number_of(node, "node"),
		 drain != NULL ? drain : "?",
		 number_of(node, "volumes"),
		 number_of(node, "clients"),
		 json_is_true(json_object_get(node, "disabled"))
			 ? ", disabled in CTDB"
			 : "");
	if (strcmp(line, last) != 0) {
		printf("%s\n", line);
		fflush(stdout);
		snprintf(last, size, "%s", line);
	}
}

static bool drain_over(const json_t *node)
{
	const char *drain = json_string_value(json_object_get(node, "drain"));

	return drain != NULL && strcmp(drain, "drained") == 0 &&
	       number_of(node, "volumes") == 0 &&
	       json_is_true(json_object_get(node, "disabled"));
}

/* One look: SOFS_OK it is over, -1 not yet. */
static int drain_look(long long number, char *last, size_t size)
{
	const char *drain = NULL;
	const json_t *node = NULL;
	json_t *out = NULL;
	int ret;

	ret = sofs_node_fetch(&out);
	if (ret != SOFS_OK) {
		return ret;
	}
	node = node_of(out, number);
	drain_show(node, last, size);
	drain = json_string_value(json_object_get(node, "drain"));
	if (drain != NULL && strcmp(drain, "up") == 0) {
		fprintf(stderr,
			"sofs: node %lld was resumed meanwhile\n",
			number);
		ret = SOFS_FAILED;
	} else if (!json_is_true(json_object_get(node, "alive"))) {
		fprintf(stderr, "sofs: node %lld went down\n", number);
		ret = SOFS_FAILED;
	} else {
		ret = drain_over(node) ? SOFS_OK : -1;
	}
	json_decref(out);
	return ret;
}

static int drain_wait(long long number, int timeout)
{
	long long end = sofs_now_ms() + timeout * 1000LL;
	char last[160] = "";
	int ret;

	while ((ret = drain_look(number, last, sizeof(last))) == -1) {
		if (sofs_now_ms() >= end) {
			fprintf(stderr,
				"sofs: node %lld is not drained after %d s; "
				"it goes on\n",
				number,
				timeout);
			return SOFS_FAILED;
		}
		sofs_sleep_ms(DRAIN_POLL_MS);
	}
	return ret;
}

static int drain_order(const struct drain_options *o)
{
	json_t *in = json_pack("{s:s,s:b,s:i}",
			       "request",
			       "node_drain",
			       "dry_run",
			       o->dry_run,
			       "grace_seconds",
			       o->grace);
	json_t *out = NULL;
	long long number;
	int ret;

	if (o->node != NULL) {
		json_object_set_new(in, "node", json_string(o->node));
	}
	if (o->to != NULL) {
		json_object_set_new(in, "target", json_string(o->to));
	}
	ret = sofs_request(in, &out);
	if (ret != SOFS_OK) {
		return ret;
	}
	drain_show_plan(out);
	number = number_of(out, "node");
	json_decref(out);
	if (!o->wait || o->dry_run) {
		return SOFS_OK;
	}
	return drain_wait(number,
			  o->timeout >= 0 ? o->timeout
					  : o->grace + DRAIN_MOVES_S);
}

/* Until nothing is owned here any more. csvd may be gone by then. */
static int leave_wait(int timeout)
{
	long long end = sofs_now_ms() + timeout * 1000LL;
	json_t *out = NULL;
	bool owns;
	int ret;

	for (;;) {
		ret = sofs_node_fetch(&out);
		if (ret != SOFS_OK) {
			return ret;
		}
		owns = json_is_true(json_object_get(out, "owns"));
		json_decref(out);
		if (!owns) {
			return SOFS_OK;
		}
		if (sofs_now_ms() >= end) {
			fprintf(stderr,
				"sofs: volumes are still here after %d s\n",
				timeout);
			return SOFS_FAILED;
		}
		sofs_sleep_ms(DRAIN_POLL_MS);
	}
}

static int leave(bool end)
{
	return sofs_command(json_pack("{s:s,s:b}",
				      "request",
				      "node_leave",
				      "exit",
				      end));
}

/* For the end of this node: nobody has to resume it. */
static int drain_exit(const struct drain_options *o)
{
	int timeout = o->timeout >= 0 ? o->timeout : DRAIN_LEAVE_S;
	int ret, last;

	ret = leave(false);
	if (ret == SOFS_OK && timeout > 0) {
		ret = leave_wait(timeout);
	}
	if (ret == SOFS_NO_CSVD) {
		return ret;
	}
	last = leave(true);
	return ret != SOFS_OK ? ret : last;
}

static int drain_check(const struct drain_options *o)
{
	if (o->grace < 0 || o->grace > 86400) {
		fprintf(stderr, "sofs: --grace is not between 0 and 86400\n");
		return SOFS_USAGE;
	}
	if (o->exit && (o->node != NULL || o->to != NULL || o->wait ||
			o->dry_run))
	{
		fprintf(stderr,
			"sofs: --exit is for this node, and goes with "
			"--timeout only\n");
		return SOFS_USAGE;
	}
	return SOFS_OK;
}

int sofs_node_drain(int argc, const char **argv)
{
	struct drain_options o = {.grace = DRAIN_GRACE_S, .timeout = -1};
	const struct poptOption table[] = {
		{"to", 0, POPT_ARG_STRING, &o.to, 0,
		 "takes all volumes (default: those with the fewest)", "NODE"},
		{"grace", 0, POPT_ARG_INT, &o.grace, 0,
		 "how long clients may stay (default 30)", "SECONDS"},
		{"wait", 0, POPT_ARG_NONE, &o.wait, 0,
		 "show progress, return when it is done", NULL},
		{"timeout", 0, POPT_ARG_INT, &o.timeout, 0,
		 "with --wait, at most (default: grace + 60)", "SECONDS"},
		{"dry-run", 0, POPT_ARG_NONE, &o.dry_run, 0,
		 "only tell where the volumes would go", NULL},
		{"exit", 0, POPT_ARG_NONE, &o.exit, 0,
		 "csvd of this node ends when its last client has gone", NULL},
		POPT_AUTOHELP POPT_TABLEEND};
	const char *args[1] = {NULL};
	int ret;

	ret = sofs_options(argc, argv, table, args, 0, 1);
	o.node = args[0];
	if (ret == SOFS_OK) {
		ret = drain_check(&o);
	}
	if (ret != SOFS_OK) {
		return ret;
	}
	return o.exit ? drain_exit(&o) : drain_order(&o);
}

/* A node that is down gets no addresses before it is back. */
static int resume_wait(long long number)
{
	long long end = sofs_now_ms() + RESUME_ENABLED_S * 1000LL;
	const json_t *node = NULL;
	json_t *out = NULL;
	bool done;
	int ret;

	for (;;) {
		ret = sofs_node_fetch(&out);
		if (ret != SOFS_OK) {
			return ret;
		}
		node = node_of(out, number);
		done = !json_is_true(json_object_get(node, "disabled")) ||
		       !json_is_true(json_object_get(node, "alive"));
		json_decref(out);
		if (done) {
			return SOFS_OK;
		}
		if (sofs_now_ms() >= end) {
			fprintf(stderr,
				"sofs: node %lld may own volumes again, but "
				"is disabled in CTDB: ctdb enable -n %lld\n",
				number,
				number);
			return SOFS_FAILED;
		}
		sofs_sleep_ms(DRAIN_POLL_MS);
	}
}

int sofs_node_resume(int argc, const char **argv)
{
	const struct poptOption table[] = {POPT_AUTOHELP POPT_TABLEEND};
	const char *args[1] = {NULL};
	json_t *in = NULL, *out = NULL;
	long long number;
	int ret;

	ret = sofs_options(argc, argv, table, args, 0, 1);
	if (ret != SOFS_OK) {
		return ret;
	}
	in = json_pack("{s:s}", "request", "node_resume");
	if (args[0] != NULL) {
		json_object_set_new(in, "node", json_string(args[0]));
	}
	ret = sofs_request(in, &out);
	if (ret != SOFS_OK) {
		return ret;
	}
	number = number_of(out, "node");
	json_decref(out);
	return resume_wait(number);
}
