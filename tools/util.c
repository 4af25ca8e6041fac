/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Options, tables and clocks for the verbs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tools/sofs.h"

static int options_rest(poptContext pc,
			const char *name,
			const char **args,
			int min,
			int max)
{
	const char *arg = NULL;
	int n = 0;

	while ((arg = poptGetArg(pc)) != NULL) {
		if (n == max) {
			fprintf(stderr, "sofs: %s: too many arguments\n", name);
			return SOFS_USAGE;
		}
		args[n] = strdup(arg);
		if (args[n++] == NULL) {
			abort();
		}
	}
	if (n < min) {
		fprintf(stderr, "sofs: %s: an argument is missing\n", name);
		return SOFS_USAGE;
	}
	for (; n < max; n++) {
		args[n] = NULL;
	}
	return SOFS_OK;
}

int sofs_options(int argc,
		 const char **argv,
		 const struct poptOption *table,
		 const char **args,
		 int min,
		 int max)
{
	poptContext pc = poptGetContext("sofs", argc, argv, table, 0);
	int ret = SOFS_OK;
	int c;

	while ((c = poptGetNextOpt(pc)) > 0) {
		;
	}
	if (c < -1) {
		fprintf(stderr,
			"sofs: %s: %s: %s\n",
			argv[0],
			poptBadOption(pc, 0),
			poptStrerror(c));
		ret = SOFS_USAGE;
	} else {
		ret = options_rest(pc, argv[0], args, min, max);
	}
	poptFreeContext(pc);
	return ret;
}

void sofs_table(const char **cells, size_t columns, size_t rows)
{
	size_t *widths = calloc(columns, sizeof(*widths));
	size_t r, c;

	if (widths == NULL) {
		abort();
	}
	for (r = 0; r < rows; r++) {
		for (c = 0; c < columns; c++) {
			size_t n = strlen(cells[r * columns + c]);

			widths[c] = n > widths[c] ? n : widths[c];
		}
	}
	for (r = 0; r < rows; r++) {
		for (c = 0; c + 1 < columns; c++) {
			printf("%-*s  ",
			       (int)widths[c],
			       cells[r * columns + c]);
		}
		printf("%s\n", cells[r * columns + c]);
	}
	free(widths);
}

int sofs_print_json(json_t *json)
{
	json_object_del(json, "error");
	if (json_dumpf(json, stdout, JSON_INDENT(2)) != 0 || puts("") < 0) {
		return SOFS_FAILED;
	}
	return SOFS_OK;
}

long long sofs_now_ms(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void sofs_sleep_ms(unsigned ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}
