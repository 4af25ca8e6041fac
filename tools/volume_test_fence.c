/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs volume test-fence: does the fence agent work? It may take its time, so
 * csvd is asked again and again.
 */
#include <stdio.h>
#include "tools/sofs.h"

#define FENCE_POLL_MS 100

static int fence_wait(json_int_t number, json_t **out)
{
	int ret;

	for (;;) {
		ret = sofs_request(json_pack("{s:s,s:I}",
					     "request",
					     "volume_test_fence",
					     "test",
					     number),
				   out);
		if (ret != SOFS_OK ||
		    json_is_true(json_object_get(*out, "done")))
		{
			return ret;
		}
		json_decref(*out);
		sofs_sleep_ms(FENCE_POLL_MS);
	}
}

static int fence_say(const json_t *out, const char *node, bool really)
{
	const char *text = json_string_value(json_object_get(out, "text"));
	double s = json_integer_value(json_object_get(out, "ms")) / 1000.0;

	if (!json_is_true(json_object_get(out, "ok"))) {
		fprintf(stderr,
			"sofs: node %s: failed after %.1f s: %s\n",
			node,
			s,
			text);
		return SOFS_FAILED;
	}
	printf("node %s: %s in %.1f s%s%s\n",
	       node,
	       really ? "fenced" : "the fence agent answers",
	       s,
	       text[0] != '\0' ? ": " : "",
	       text);
	return SOFS_OK;
}

int sofs_volume_test_fence(int argc, const char **argv)
{
	char *node = NULL;
	int really = 0;
	const struct poptOption table[] = {
		{"node", 0, POPT_ARG_STRING, &node, 0,
		 "number, host name or address", "NODE"},
		{"really", 0, POPT_ARG_NONE, &really, 0,
		 "switch the node off, which must own nothing", NULL},
		POPT_AUTOHELP POPT_TABLEEND};
	const char *args[1] = {NULL};
	json_t *out = NULL;
	json_int_t number;
	int ret;

	ret = sofs_options(argc, argv, table, args, 1, 1);
	if (ret != SOFS_OK) {
		return ret;
	}
	if (node == NULL) {
		fprintf(stderr, "sofs: needed: --node\n");
		return SOFS_USAGE;
	}
	ret = sofs_request(json_pack("{s:s,s:s,s:s,s:b}",
				     "request",
				     "volume_test_fence",
				     "name",
				     args[0],
				     "node",
				     node,
				     "really",
				     really),
			   &out);
	if (ret != SOFS_OK) {
		return ret;
	}
	number = json_integer_value(json_object_get(out, "test"));
	json_decref(out);
	ret = fence_wait(number, &out);
	if (ret == SOFS_OK) {
		ret = fence_say(out, node, really);
		json_decref(out);
	}
	return ret;
}
