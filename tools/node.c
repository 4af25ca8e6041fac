/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs node state: the nodes as owners of volumes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/sofs.h"

int sofs_node_fetch(json_t **out)
{
	return sofs_request(json_pack("{s:s}", "request", "node_state"), out);
}

static const char *node_word(const json_t *node, const char *key)
{
	const char *word = json_string_value(json_object_get(node, key));

	return word != NULL ? word : "-";
}

static void node_table(const json_t *nodes)
{
	static const char *const title[] = {
		"Node", "Host", "CTDB", "Drain", "Volumes", "Samba", "Dialect"};
	const size_t columns = sizeof(title) / sizeof(title[0]);
	size_t rows = json_array_size(nodes) + 1, i;
	const char **cells = calloc(columns * rows, sizeof(*cells));
	char(*numbers)[2][24] = calloc(rows, sizeof(*numbers));

	if (cells == NULL || numbers == NULL) {
		abort();
	}
	memcpy(cells, title, sizeof(title));
	for (i = 1; i < rows; i++) {
		const json_t *node = json_array_get(nodes, i - 1);
		const char **row = cells + i * columns;

		snprintf(numbers[i][0],
			 sizeof(numbers[i][0]),
			 "%lld",
			 (long long)json_integer_value(
				 json_object_get(node, "node")));
		snprintf(numbers[i][1],
			 sizeof(numbers[i][1]),
			 "%lld",
			 (long long)json_integer_value(
				 json_object_get(node, "volumes")));
		row[0] = numbers[i][0];
		row[1] = node_word(node, "host");
		row[2] = json_is_true(json_object_get(node, "alive"))
				 ? "active"
				 : "down";
		row[3] = node_word(node, "drain");
		row[4] = numbers[i][1];
		row[5] = node_word(node, "samba_version");
		row[6] = node_word(node, "max_dialect");
	}
	sofs_table(cells, columns, rows);
	free(numbers);
	free(cells);
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
		ret = sofs_node_fetch(&out);
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
		node_table(json_object_get(out, "nodes"));
	}
	json_decref(out);
	return ret;
}
