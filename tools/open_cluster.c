/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What ctdbd knows, asked by the ctdb tool, which has a time limit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "csv_build.h"
#include "tools/open_read.h"

#define CTDB "\"" CSV_SAMBA_PREFIX "/bin/ctdb\" -T 5 -X "
#define DATABASE "smbXsrv_open_global.tdb"
#define MAX_NODES 1024
#define MAX_FIELDS 16

/* Splits "|a|b|" in place; the number of fields. */
static int split(char *line, char *fields[MAX_FIELDS])
{
	char *save = NULL;
	char *field = strtok_r(line, "|\n", &save);
	int n;

	for (n = 0; field != NULL && n < MAX_FIELDS; n++) {
		fields[n] = field;
		field = strtok_r(NULL, "|\n", &save);
	}
	return n;
}

static bool ask(const char *command,
		void (*line_fn)(struct open_cluster *cluster,
				char *fields[MAX_FIELDS],
				int num),
		struct open_cluster *cluster)
{
	FILE *out = popen(command, "r");
	char *fields[MAX_FIELDS];
	char line[8192];

	if (out == NULL) {
		return false;
	}
	while (fgets(line, sizeof(line), out) != NULL) {
		int n = split(line, fields);

		line_fn(cluster, fields, n);
	}
	return pclose(out) == 0;
}

/* |ID|Name|Path|… */
static void database_line(struct open_cluster *cluster,
			  char *fields[MAX_FIELDS],
			  int num)
{
	if (num > 2 && strcmp(fields[1], DATABASE) == 0 &&
	    strlen(fields[2]) < sizeof(cluster->path))
	{
		strcpy(cluster->path, fields[2]);
	}
}

/* |Node|IP|Disconnected|…|ThisNode| */
static void node_line(struct open_cluster *cluster,
		      char *fields[MAX_FIELDS],
		      int num)
{
	char *end = NULL;
	long node = num > 3 ? strtol(fields[0], &end, 10) : -1;
	bool *connected = NULL;

	if (node < 0 || node >= MAX_NODES || *end != '\0') {
		return;
	}
	if (node >= cluster->num) {
		connected = realloc(cluster->connected, node + 1);
		if (connected == NULL) {
			abort();
		}
		memset(connected + cluster->num, 0, node + 1 - cluster->num);
		cluster->connected = connected;
		cluster->num = (int)node + 1;
	}
	cluster->connected[node] = strcmp(fields[2], "0") == 0;
	if (strcmp(fields[num - 1], "Y") == 0) {
		cluster->node = (int)node;
	}
}

bool open_cluster_ask(struct open_cluster *cluster)
{
	*cluster = (struct open_cluster) {.node = -1};
	return ask(CTDB "getdbmap 2>/dev/null", database_line, cluster) &&
	       ask(CTDB "status 2>/dev/null", node_line, cluster) &&
	       cluster->path[0] != '\0';
}
