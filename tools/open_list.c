/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs open list: who has which persistent handle, connected or waiting.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/open_read.h"
#include "tools/sofs.h"

#define COLUMNS 8
/* A record that was being written when it was copied is whole later. */
#define TRIES 3
#define AGAIN_MS 50

static const char *cell(const json_t *open, const char *key)
{
	const char *s = json_string_value(json_object_get(open, key));

	return s != NULL ? s : "-";
}

/* Leaked on purpose: the tool ends soon. */
static const char *path_cell(const json_t *open)
{
	char *s = strdup(cell(open, "path"));
	char *p = NULL;

	if (s == NULL) {
		abort();
	}
	for (p = s; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			*p = '?';
		}
	}
	return s;
}

static const char *node_cell(const json_t *open)
{
	const json_t *node = json_object_get(open, "node");
	char *s = NULL;

	if (!json_is_integer(node)) {
		return "-";
	}
	if (asprintf(&s, "%lld", (long long)json_integer_value(node)) == -1) {
		abort();
	}
	return s;
}

static void print_table(const json_t *opens)
{
	static const char *const head[COLUMNS] = {
		"Volume", "Client", "Dialect", "State", "Node", "Since",
		"Until", "Path"};
	size_t n = json_array_size(opens), i;
	const char **cells = calloc((n + 1) * COLUMNS, sizeof(*cells));

	if (cells == NULL) {
		abort();
	}
	memcpy(cells, head, sizeof(head));
	for (i = 0; i < n; i++) {
		const json_t *open = json_array_get(opens, i);
		const char **row = cells + (i + 1) * COLUMNS;

		row[0] = cell(open, "volume");
		row[1] = cell(open, "client");
		row[2] = cell(open, "dialect");
		row[3] = cell(open, "state");
		row[4] = node_cell(open);
		row[5] = cell(open, "since");
		row[6] = cell(open, "until");
		row[7] = path_cell(open);
	}
	sofs_table(cells, COLUMNS, n + 1);
	free(cells);
}

static int read_whole(const struct open_cluster *cluster,
		      json_t **opens,
		      unsigned *damaged)
{
	int ret = 0;
	int i;

	*opens = NULL;
	for (i = 0; i < TRIES; i++) {
		if (i > 0) {
			sofs_sleep_ms(AGAIN_MS);
		}
		json_decref(*opens);
		*opens = json_array();
		ret = open_read(cluster, *opens, damaged);
		if (ret == 0 && *damaged == 0) {
			break;
		}
	}
	return ret;
}

static int print_opens(const struct open_cluster *cluster, int json)
{
	json_t *opens = NULL;
	unsigned damaged = 0;
	int ret = read_whole(cluster, &opens, &damaged);

	if (ret != 0) {
		fprintf(stderr,
			"sofs: cannot read %s: %s\n",
			cluster->path,
			strerror(ret));
		json_decref(opens);
		return SOFS_FAILED;
	}
	if (damaged != 0) {
		fprintf(stderr,
			"sofs: %s: %u records cannot be read\n",
			cluster->path,
			damaged);
	}
	if (json) {
		json_t *out = json_pack("{s:i, s:o, s:i}",
					"format_version", 1,
					"opens", opens,
					"damaged", (int)damaged);

		ret = sofs_print_json(out);
		json_decref(out);
		return ret;
	}
	print_table(opens);
	json_decref(opens);
	return SOFS_OK;
}

int sofs_open_list(int argc, const char **argv)
{
	struct open_cluster cluster;
	const char *database = NULL;
	int json = 0;
	const struct poptOption table[] = {
		{"json", 0, POPT_ARG_NONE, &json, 0, "print JSON", NULL},
		{"database", 0, POPT_ARG_STRING, &database, 0,
		 "where the database is, if ctdbd cannot be asked", "FILE"},
		POPT_AUTOHELP POPT_TABLEEND};
	bool asked;
	int ret;

	ret = sofs_options(argc, argv, table, NULL, 0, 0);
	if (ret != SOFS_OK) {
		return ret;
	}
	asked = open_cluster_ask(&cluster);
	if (database != NULL) {
		if (strlen(database) >= sizeof(cluster.path)) {
			fprintf(stderr, "sofs: %s: name too long\n", database);
			return SOFS_USAGE;
		}
		strcpy(cluster.path, database);
	} else if (!asked) {
		fprintf(stderr,
			"sofs: ctdbd does not answer, or no smbd has run yet;"
			" --database names a copy of"
			" smbXsrv_open_global.tdb\n");
		free(cluster.connected);
		return SOFS_FAILED;
	}
	ret = print_opens(&cluster, json);
	free(cluster.connected);
	return ret;
}
