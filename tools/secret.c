/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs secret rotate: a new secret for the connections between nodes.
 */
#include <stdio.h>
#include "tools/sofs.h"

int sofs_secret_rotate(int argc, const char **argv)
{
	const struct poptOption table[] = {POPT_AUTOHELP POPT_TABLEEND};
	json_t *out = NULL;
	int ret;

	ret = sofs_options(argc, argv, table, NULL, 0, 0);
	if (ret != SOFS_OK) {
		return ret;
	}
	ret = sofs_request(json_pack("{s:s}", "request", "secret_rotate"),
			   &out);
	if (ret != SOFS_OK) {
		return ret;
	}
	printf("secret %lld\n",
	       (long long)json_integer_value(
		       json_object_get(out, "generation")));
	json_decref(out);
	return SOFS_OK;
}
