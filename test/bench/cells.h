/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cells of the wire's benchmarks and how they are measured: a forked
 * server process and the calling process move the same blocks of one cached
 * file; the CPU time of both counts.
 */
#ifndef _TEST_BENCH_CELLS_H_
#define _TEST_BENCH_CELLS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CELL_FILE (64 << 20) /* bytes of the file */

struct cell {
	bool write;
	size_t size;
	unsigned depth;
	unsigned requests;
};

struct bench {
	const char *name;
	/* Move `requests` blocks; offsets by cell_offset(). 0 or errno. */
	int (*run)(void *private_data, const struct cell *cell);
	void *private_data;
	pid_t server;
};

int64_t cell_offset(const struct cell *cell, unsigned i);
/* The file, filled and in the page cache. 0 or errno. */
int cell_prepare(const char *path);
/* All cells; one JSON object per line on stdout. Rounds: of each cell. */
int cells_run(const struct bench *bench, unsigned rounds);

#endif /* _TEST_BENCH_CELLS_H_ */
