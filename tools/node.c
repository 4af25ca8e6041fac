/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs node: this node as an owner of volumes.
 */
#include <stdio.h>
#include "tools/sofs.h"

#define NODE_POLL_MS 50

static int node_fetch(json_t **out)
{
	return sofs_request(json_pack("{s:s}", "request", "node_state"), out);
}

int sofs_node_state(int argc, const char **argv)
{
	int json = 0;
	const struct poptOption table[] = {
		{"json", 0, POPT_ARG_NONE, &json, 0, "print JSON", NULL},
		POPT_AUTOHELP POPT_TABLEEND};
	json_t *out = NULL;
	int ret;

	ret = sofs_options(argc, argv, table, NULL, 0, 0);
	if (ret == SOFS_OK) {
		ret = node_fetch(&out);
	}
	if (ret != SOFS_OK) {
		return ret;
	}
	if (json) {
		ret = sofs_print_json(out);
	} else {
		printf("node %lld: %s volumes, %s, %lld clients\n",
		       (long long)json_integer_value(
			       json_object_get(out, "node")),
		       json_is_true(json_object_get(out, "owns")) ? "owns"
								  : "owns no",
		       json_is_true(json_object_get(out, "leaving"))
			       ? "takes none"
			       : "may take some",
		       (long long)json_integer_value(
			       json_object_get(out, "clients")));
	}
	json_decref(out);
	return ret;
}

/* Until nothing is owned here any more. csvd may be gone by then. */
static int drain_wait(int timeout)
{
	long long end = sofs_now_ms() + timeout * 1000LL;
	json_t *out = NULL;
	bool owns;
	int ret;

	for (;;) {
		ret = node_fetch(&out);
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
		sofs_sleep_ms(NODE_POLL_MS);
	}
}

int sofs_node_drain(int argc, const char **argv)
{
	int timeout = 30;
	int end = 0;
	const struct poptOption table[] = {
		{"timeout", 0, POPT_ARG_INT, &timeout, 0,
		 "wait for it at most (default 30, 0: do not wait)", "SECONDS"},
		{"exit", 0, POPT_ARG_NONE, &end, 0,
		 "csvd ends when its last client has gone", NULL},
		POPT_AUTOHELP POPT_TABLEEND};
	int ret;

	ret = sofs_options(argc, argv, table, NULL, 0, 0);
	if (ret != SOFS_OK) {
		return ret;
	}
	ret = sofs_command(
		json_pack("{s:s,s:b}", "request", "node_drain", "exit", 0));
	if (ret == SOFS_OK && timeout > 0) {
		ret = drain_wait(timeout);
	}
	if (end && ret != SOFS_NO_CSVD) {
		int last = sofs_command(json_pack(
			"{s:s,s:b}", "request", "node_drain", "exit", 1));

		ret = ret != SOFS_OK ? ret : last;
	}
	return ret;
}

int sofs_node_resume(int argc, const char **argv)
{
	const struct poptOption table[] = {POPT_AUTOHELP POPT_TABLEEND};
	int ret;

	ret = sofs_options(argc, argv, table, NULL, 0, 0);
	if (ret != SOFS_OK) {
		return ret;
	}
	return sofs_command(json_pack("{s:s}", "request", "node_resume"));
}
