/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cells of the wire's benchmarks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "cells.h"

static const struct cell cells[] = {
	{ false, 4096, 1, 20000 },   { false, 4096, 8, 40000 },
	{ false, 65536, 8, 10000 },  { false, 1 << 20, 8, 1500 },
	{ true, 4096, 1, 20000 },    { true, 4096, 8, 40000 },
	{ true, 65536, 8, 10000 },   { true, 1 << 20, 8, 1500 },
};

int64_t cell_offset(const struct cell *cell, unsigned i)
{
	/* as smb2.bench.read and .write: each request in flight has a block */
	return (int64_t)(i % cell->depth * cell->size);
}

int cell_prepare(const char *path)
{
	char *buf = calloc(1, 1 << 20);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int ret = 0;
	unsigned i;

	if (buf == NULL || fd == -1) {
		free(buf);
		return errno;
	}
	for (i = 0; i < CELL_FILE >> 20 && ret == 0; i++) {
		memset(buf, (int)i, 1 << 20);
		if (write(fd, buf, 1 << 20) != 1 << 20) {
			ret = errno;
		}
	}
	fdatasync(fd);
	close(fd);
	free(buf);
	return ret;
}

static double clock_s(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int cell_measure(const struct bench *bench, const struct cell *cell)
{
	clockid_t server;
	double cpu_client;
	double cpu_server;
	double wall;
	double gib;
	int ret;

	if (clock_getcpuclockid(bench->server, &server) != 0) {
		return ESRCH;
	}
	wall = clock_s(CLOCK_MONOTONIC);
	cpu_client = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	cpu_server = clock_s(server);
	ret = bench->run(bench->private_data, cell);
	cpu_server = clock_s(server) - cpu_server;
	cpu_client = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_client;
	wall = clock_s(CLOCK_MONOTONIC) - wall;
	gib = (double)cell->size * cell->requests / (1 << 30);
	printf("{\"program\": \"%s\", \"operation\": \"%s\", "
	       "\"size_bytes\": %zu, \"depth\": %u, \"mib_per_s\": %.1f, "
	       "\"cpu_s_per_gib\": %.4f, \"cpu_s_per_10000\": %.4f, "
	       "\"client_cpu_s_per_10000\": %.4f, "
	       "\"server_cpu_s_per_10000\": %.4f}\n",
	       bench->name,
	       cell->write ? "write" : "read",
	       cell->size,
	       cell->depth,
	       gib * 1024 / wall,
	       (cpu_client + cpu_server) / gib,
	       (cpu_client + cpu_server) * 10000 / cell->requests,
	       cpu_client * 10000 / cell->requests,
	       cpu_server * 10000 / cell->requests);
	return ret;
}

/* CELL=read:4096:1 in the environment: only that one. */
static bool wanted(const struct cell *cell)
{
	const char *only = getenv("CELL");
	char name[64];

	snprintf(name,
		 sizeof(name),
		 "%s:%zu:%u",
		 cell->write ? "write" : "read",
		 cell->size,
		 cell->depth);
	return only == NULL || strcmp(only, name) == 0;
}

int cells_run(const struct bench *bench, unsigned rounds)
{
	unsigned i;
	int ret = 0;

	while (rounds-- > 0) {
		for (i = 0; ret == 0 && i < sizeof(cells) / sizeof(cells[0]);
		     i++) {
			if (wanted(&cells[i])) {
				ret = cell_measure(bench, &cells[i]);
			}
		}
	}
	if (ret != 0) {
		fprintf(stderr, "%s: %s\n", bench->name, strerror(ret));
	}
	return ret;
}
