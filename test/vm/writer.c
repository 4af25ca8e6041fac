/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The application in the virtual machine: writes numbered blocks with
 * ordinary system calls, flushes, closes and opens again; then reads all back.
 * Any call that fails is an error: a kernel that mounts "hard" has no excuse.
 *
 *   writer FILE SECONDS
 *
 * On stdout, a line each: "WRITING", "AT <blocks> <longest gap in ms>" every
 * second, "RESULT blocks=… errors=… bad=… longest_gap_ms=…" at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define BLOCKS_PER_OPEN 50
#define PACE_MS 20

static unsigned errors;

static double now_ms(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

static void failed(const char *what, uint64_t block)
{
	errors += 1;
	printf("ERROR %s of block %llu: %s\n",
	       what,
	       (unsigned long long)block,
	       strerror(errno));
	fflush(stdout);
}

static void fill(uint8_t *buf, uint64_t block)
{
	uint64_t x = block * 0x9E3779B97F4A7C15ull + 1;
	size_t i;

	for (i = 0; i < BLOCK; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(buf + i, &x, sizeof(x));
	}
	memcpy(buf, &block, sizeof(block));
}

static void write_block(int fd, uint64_t block)
{
	uint8_t buf[BLOCK];

	fill(buf, block);
	if (pwrite(fd, buf, BLOCK, (off_t)(block * BLOCK)) != BLOCK) {
		failed("write", block);
	}
	if (fsync(fd) != 0) {
		failed("fsync", block);
	}
}

static uint64_t verify(const char *path, uint64_t blocks)
{
	uint8_t want[BLOCK];
	uint8_t buf[BLOCK];
	uint64_t bad = 0;
	uint64_t i;
	int fd = open(path, O_RDONLY);

	if (fd == -1) {
		failed("open for reading", 0);
		return blocks;
	}
	for (i = 0; i < blocks; i++) {
		fill(want, i);
		if (pread(fd, buf, BLOCK, (off_t)(i * BLOCK)) != BLOCK ||
		    memcmp(buf, want, BLOCK) != 0)
		{
			bad += 1;
		}
	}
	close(fd);
	return bad;
}

static int open_file(const char *path, uint64_t block)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	if (fd == -1) {
		failed("open", block);
	}
	return fd;
}

static uint64_t write_for(const char *path, double seconds, double *longest)
{
	double start = now_ms();
	double last = start;
	double told = start;
	uint64_t block = 0;
	int fd = open_file(path, 0);

	while (fd != -1 && now_ms() - start < seconds * 1000) {
		struct timespec pace = { 0, PACE_MS * 1000000 };
		double t;

		write_block(fd, block++);
		if (block % BLOCKS_PER_OPEN == 0) {
			if (close(fd) != 0) {
				failed("close", block);
			}
			fd = open_file(path, block);
		}
		t = now_ms();
		if (t - last > *longest) {
			*longest = t - last;
		}
		last = t;
		if (t - told > 1000) {
			printf("AT %llu %.0f\n",
			       (unsigned long long)block,
			       *longest);
			fflush(stdout);
			told = t;
		}
		nanosleep(&pace, NULL);
	}
	if (fd != -1 && close(fd) != 0) {
		failed("close", block);
	}
	return block;
}

int main(int argc, char **argv)
{
	double longest = 0;
	uint64_t blocks;
	uint64_t bad;

	if (argc != 3) {
		fprintf(stderr, "usage: writer FILE SECONDS\n");
		return 2;
	}
	printf("WRITING\n");
	fflush(stdout);
	blocks = write_for(argv[1], atof(argv[2]), &longest);
	/* not from the client's cache */
	sync();
	if (system("echo 3 >/proc/sys/vm/drop_caches") != 0) {
		failed("drop_caches", 0);
	}
	bad = verify(argv[1], blocks);
	printf("RESULT blocks=%llu errors=%u bad=%llu longest_gap_ms=%.0f\n",
	       (unsigned long long)blocks,
	       errors,
	       (unsigned long long)bad,
	       longest);
	fflush(stdout);
	return errors != 0 || bad != 0;
}
