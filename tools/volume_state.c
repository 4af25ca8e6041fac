/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs volume state and list: what every node sees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/sofs.h"

#define STATE_COLUMNS 7
#define LIST_COLUMNS 6

static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

/* Leaked on purpose: the tool ends soon. */
static const char *number_of(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);
	char *s = NULL;

	if (!json_is_integer(n)) {
		return "-";
	}
	if (asprintf(&s, "%lld", (long long)json_integer_value(n)) == -1) {
		abort();
	}
	return s;
}

static int state_fetch(const char *name, json_t **out)
{
	json_t *in = json_pack("{s:s}", "request", "volume_state");

	if (name != NULL) {
		json_object_set_new(in, "name", json_string(name));
	}
	return sofs_request(in, out);
}

static void state_row(const char **row, const json_t *v, const json_t *node)
{
	const char *host = text_of(node, "host");

	row[0] = text_of(v, "name");
	row[1] = host[0] != '\0' ? host : number_of(node, "node");
	row[2] = number_of(v, "owner");
	row[3] = text_of(node, "state");
	row[4] = text_of(node, "access");
	row[5] = number_of(node, "epoch");
	row[6] = text_of(node, "reason");
}

static void state_table(const json_t *volumes)
{
	static const char *const head[STATE_COLUMNS] = {
		"Volume", "Node", "Owner", "State", "Access", "Epoch",
		"Reason"};
	const char **cells = NULL;
	size_t rows = 1, i, k;

	for (i = 0; i < json_array_size(volumes); i++) {
		rows += json_array_size(json_object_get(
			json_array_get(volumes, i), "nodes"));
	}
	cells = calloc(rows * STATE_COLUMNS, sizeof(*cells));
	if (cells == NULL) {
		abort();
	}
	memcpy(cells, head, sizeof(head));
	rows = 1;
	for (i = 0; i < json_array_size(volumes); i++) {
		const json_t *v = json_array_get(volumes, i);
		const json_t *nodes = json_object_get(v, "nodes");

		for (k = 0; k < json_array_size(nodes); k++) {
			state_row(cells + rows * STATE_COLUMNS,
				  v,
				  json_array_get(nodes, k));
			rows++;
		}
	}
	sofs_table(cells, STATE_COLUMNS, rows);
	free(cells);
}

int sofs_volume_state(int argc, const char **argv)
{
	int json = 0;
	const struct poptOption table[] = {
		{"json", 0, POPT_ARG_NONE, &json, 0, "print JSON", NULL},
		POPT_AUTOHELP POPT_TABLEEND};
	const char *args[1] = {NULL};
	json_t *out = NULL;
	int ret;

	ret = sofs_options(argc, argv, table, args, 0, 1);
	if (ret == SOFS_OK) {
		ret = state_fetch(args[0], &out);
	}
	if (ret != SOFS_OK) {
		return ret;
	}
	if (json) {
		ret = sofs_print_json(out);
	} else {
		state_table(json_object_get(out, "volumes"));
	}
	json_decref(out);
	return ret;
}

static void list_table(const json_t *volumes)
{
	static const char *const head[LIST_COLUMNS] = {
		"Volume", "Access", "Mount point", "Owner", "Fence agent",
		"State"};
	const char **cells = NULL;
	size_t n = json_array_size(volumes), i;

	cells = calloc((n + 1) * LIST_COLUMNS, sizeof(*cells));
	if (cells == NULL) {
		abort();
	}
	memcpy(cells, head, sizeof(head));
	for (i = 0; i < n; i++) {
		const json_t *v = json_array_get(volumes, i);
		const char **row = cells + (i + 1) * LIST_COLUMNS;

		row[0] = text_of(v, "name");
		row[1] = text_of(v, "volume_access");
		row[2] = text_of(v, "mount_point");
		row[3] = number_of(v, "owner");
		row[4] = text_of(v, "fence_agent");
		row[5] = text_of(v, "state");
	}
	sofs_table(cells, LIST_COLUMNS, n + 1);
	free(cells);
}

int sofs_volume_list(int argc, const char **argv)
{
	int json = 0;
	const struct poptOption table[] = {
		{"json", 0, POPT_ARG_NONE, &json, 0, "print JSON", NULL},
		POPT_AUTOHELP POPT_TABLEEND};
	json_t *out = NULL;
	int ret;

	ret = sofs_options(argc, argv, table, NULL, 0, 0);
	if (ret == SOFS_OK) {
		ret = state_fetch(NULL, &out);
	}
	if (ret != SOFS_OK) {
		return ret;
	}
	if (json) {
		ret = sofs_print_json(out);
	} else {
		list_table(json_object_get(out, "volumes"));
	}
	json_decref(out);
	return ret;
}
