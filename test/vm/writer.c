/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The application in the virtual machine: writes numbered blocks with
 * ordinary system calls, flushes, closes and opens again; later, after a new
 * mount, reads all back. Any call that fails is an error: a kernel that
 * mounts "hard" has no excuse.
 *
 *   writer sync FILE SECONDS      each block is flushed
 *   writer buffered FILE SECONDS  only what is closed is flushed
 *   writer verify FILE BLOCKS
 *
 * Writing ends early when STOP exists. On stdout, a line each: "AT <mode>
 * <blocks> <longest gap in ms since the last such line>" every second,
 * "WRITTEN <mode> blocks=… errors=…", "VERIFIED <file> bad=… errors=…". A gap
 * is the time from one finished block to the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STOP "/tmp/stop"
#define BLOCK 4096
#define BLOCKS_PER_OPEN 50
#define PACE_MS 20

struct writer {
	const char *mode;
	const char *path;
	bool sync;
	unsigned errors;
	uint64_t block; /* the next one */
	double last;	/* a block was finished */
	double told;
	double longest; /* since told */
};

static double now_ms(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

static void failed(struct writer *w, const char *what)
{
	w->errors += 1;
	printf("ERROR %s %s of block %llu: %s\n",
	       w->mode,
	       what,
	       (unsigned long long)w->block,
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

static void write_block(struct writer *w, int fd)
{
	uint8_t buf[BLOCK];

	fill(buf, w->block);
	if (pwrite(fd, buf, BLOCK, (off_t)(w->block * BLOCK)) != BLOCK) {
		failed(w, "write");
	}
	if (w->sync && fsync(fd) != 0) {
		failed(w, "fsync");
	}
	w->block += 1;
}

static int open_file(struct writer *w)
{
	int fd = open(w->path, O_WRONLY | O_CREAT, 0644);

	if (fd == -1) {
		failed(w, "open");
	}
	return fd;
}

static void close_file(struct writer *w, int fd)
{
	if (fsync(fd) != 0) {
		failed(w, "fsync");
	}
	if (close(fd) != 0) {
		failed(w, "close");
	}
}

static void tell(struct writer *w)
{
	double t = now_ms();

	if (t - w->last > w->longest) {
		w->longest = t - w->last;
	}
	w->last = t;
	if (t - w->told < 1000) {
		return;
	}
	printf("AT %s %llu %.0f\n",
	       w->mode,
	       (unsigned long long)w->block,
	       w->longest);
	fflush(stdout);
	w->told = t;
	w->longest = 0;
}

static int write_until(struct writer *w, double end)
{
	struct timespec pace = { 0, PACE_MS * 1000000 };
	int fd = open_file(w);

	w->last = w->told = now_ms();
	while (fd != -1 && now_ms() < end && access(STOP, F_OK) != 0) {
		write_block(w, fd);
		if (w->block % BLOCKS_PER_OPEN == 0) {
			close_file(w, fd);
			fd = open_file(w);
		}
		tell(w);
		nanosleep(&pace, NULL);
	}
	if (fd != -1) {
		close_file(w, fd);
	}
	printf("WRITTEN %s blocks=%llu errors=%u\n",
	       w->mode,
	       (unsigned long long)w->block,
	       w->errors);
	fflush(stdout);
	return w->errors != 0;
}

static int verify(struct writer *w, uint64_t blocks)
{
	uint8_t want[BLOCK];
	uint8_t buf[BLOCK];
	uint64_t bad = 0;
	int fd = open(w->path, O_RDONLY);

	if (fd == -1) {
		failed(w, "open");
		return 1;
	}
	for (w->block = 0; w->block < blocks; w->block++) {
		fill(want, w->block);
		if (pread(fd, buf, BLOCK, (off_t)(w->block * BLOCK)) != BLOCK) {
			failed(w, "read");
		} else if (memcmp(buf, want, BLOCK) != 0) {
			bad += 1;
		}
	}
	close(fd);
	printf("VERIFIED %s blocks=%llu bad=%llu errors=%u\n",
	       w->path,
	       (unsigned long long)blocks,
	       (unsigned long long)bad,
	       w->errors);
	fflush(stdout);
	return bad != 0 || w->errors != 0;
}

int main(int argc, char **argv)
{
	struct writer w = { 0 };

	if (argc != 4) {
		fprintf(stderr, "usage: writer MODE FILE NUMBER\n");
		return 2;
	}
	w.mode = argv[1];
	w.path = argv[2];
	w.sync = strcmp(w.mode, "sync") == 0;
	if (strcmp(w.mode, "verify") == 0) {
		return verify(&w, strtoull(argv[3], NULL, 10));
	}
	return write_until(&w, now_ms() + atof(argv[3]) * 1000);
}
