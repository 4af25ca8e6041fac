/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs volume move: give a volume to another owner, and wait for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/sofs.h"

#define MOVE_POLL_MS 20

/* One look: SOFS_OK Active under a later epoch, -1 not yet. */
static int move_look(const char *name, json_int_t epoch, json_int_t *owner)
{
	json_t *in = json_pack("{s:s,s:s}",
			       "request",
			       "volume_state",
			       "name",
			       name);
	const json_t *v = NULL;
	const char *state = NULL;
	json_t *out = NULL;
	json_int_t now;
	int ret;

	ret = sofs_request(in, &out);
	if (ret != SOFS_OK) {
		return ret;
	}
	v = json_array_get(json_object_get(out, "volumes"), 0);
	now = json_integer_value(json_object_get(v, "epoch"));
	state = json_string_value(json_object_get(v, "state"));
	*owner = json_integer_value(json_object_get(v, "owner"));
	ret = now > epoch && state != NULL && strcmp(state, "Active") == 0
		      ? SOFS_OK
		      : -1;
	json_decref(out);
	return ret;
}

static int move_wait(const char *name,
		     json_int_t epoch,
		     json_int_t target,
		     int timeout)
{
	long long end = sofs_now_ms() + timeout * 1000LL;
	json_int_t owner = -1;
	int ret;

	while ((ret = move_look(name, epoch, &owner)) == -1) {
		if (sofs_now_ms() >= end) {
			fprintf(stderr,
				"sofs: %s did not move within %d s\n",
				name,
				timeout);
			return SOFS_FAILED;
		}
		sofs_sleep_ms(MOVE_POLL_MS);
	}
	if (ret == SOFS_OK && target >= 0 && owner != target) {
		fprintf(stderr,
			"sofs: %s moved to node %lld instead\n",
			name,
			(long long)owner);
		return SOFS_FAILED;
	}
	return ret;
}

int sofs_volume_move(int argc, const char **argv)
{
	char *to = NULL;
	int wait = 0;
	int timeout = 60;
	const struct poptOption table[] = {
		{"to", 0, POPT_ARG_STRING, &to, 0,
		 "number, host name or address (default: the best other node)",
		 "NODE"},
		{"wait", 0, POPT_ARG_NONE, &wait, 0,
		 "return when it is Active there", NULL},
		{"timeout", 0, POPT_ARG_INT, &timeout, 0,
		 "with --wait, at most (default 60)", "SECONDS"},
		POPT_AUTOHELP POPT_TABLEEND};
	const char *args[1] = {NULL};
	json_t *in = NULL, *out = NULL;
	json_int_t epoch, target = -1;
	int ret;

	ret = sofs_options(argc, argv, table, args, 1, 1);
	if (ret != SOFS_OK) {
		return ret;
	}
	in = json_pack("{s:s,s:s}", "request", "volume_move", "name", args[0]);
	if (to != NULL) {
		json_object_set_new(in, "target", json_string(to));
	}
	ret = sofs_request(in, &out);
	if (ret != SOFS_OK) {
		return ret;
	}
	epoch = json_integer_value(json_object_get(out, "epoch"));
	if (json_is_integer(json_object_get(out, "target"))) {
		target = json_integer_value(json_object_get(out, "target"));
	}
	json_decref(out);
	return wait ? move_wait(args[0], epoch, target, timeout) : SOFS_OK;
}
