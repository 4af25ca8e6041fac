/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The wire as a redirected smbd uses it: asynchronous reads and writes of the
 * remote backend, a csvd's server in a process of its own.
 *
 *	wire_bench DIR [ROUNDS [plain|tls]]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cells.h"
#include "csvd/serve.h"
#include "lib/volume/backend.h"

struct client {
	struct tevent_context *ev;
	struct csv_backend *b;
	struct csv_file *file;
	const struct cell *cell;
	char *bufs;
	unsigned asked;
	unsigned done;
	int error;
};

struct slot {
	struct client *c;
	char *buf;
};

static void next(struct slot *s);

static void io_done(struct tevent_req *req)
{
	struct slot *s = tevent_req_callback_data(req, struct slot);
	struct client *c = s->c;
	size_t n = 0;
	int ret;

	ret = c->b->ops->recv(req, &n);
	talloc_free(req);
	if (ret != 0 || n != c->cell->size) {
		c->error = ret != 0 ? ret : EIO;
	}
	c->done++;
	if (c->asked < c->cell->requests) {
		next(s);
	}
}

static void next(struct slot *s)
{
	struct client *c = s->c;
	const struct cell *cell = c->cell;
	int64_t offset = cell_offset(cell, c->asked++);
	struct tevent_req *req = NULL;

	if (cell->write) {
		req = c->b->ops->pwrite_send(c, c->ev, c->file, s->buf,
					     cell->size, offset, 0);
	} else {
		req = c->b->ops->pread_send(c, c->ev, c->file, s->buf,
					    cell->size, offset);
	}
	if (req == NULL) {
		abort();
	}
	tevent_req_set_callback(req, io_done, s);
}

static int run(void *private_data, const struct cell *cell)
{
	struct client *c = private_data;
	struct slot *slots = talloc_array(c, struct slot, cell->depth);
	struct slot *s = NULL;
	unsigned i;

	c->cell = cell;
	c->asked = 0;
	c->done = 0;
	for (i = 0; i < cell->depth; i++) {
		s = talloc(slots, struct slot);
		s->c = c;
		s->buf = c->bufs + i * cell->size;
		next(s);
	}
	while (c->done < cell->requests && c->error == 0) {
		tevent_loop_once(c->ev);
	}
	talloc_free(slots);
	return c->error;
}

static bool secret(void *private_data,
		   uint32_t generation,
		   uint8_t out[CSV_SECRET_SIZE])
{
	memset(out, 1, CSV_SECRET_SIZE);
	return true;
}

static void serve(const char *dir, bool plain, int tell, int control)
{
	struct csv_serve_params params = { .address = "127.0.0.1",
					   .node = 2,
					   .plain = plain,
					   .secret_fn = secret };
	struct csv_serve *serve = NULL;
	uint16_t port = 0;
	int rootfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char byte;

	if (csv_serve_create(NULL, &params, &serve) == 0 &&
	    csv_serve_start(serve, "vol", rootfd, 1) == 0) {
		port = csv_serve_port(serve);
	}
	if (write(tell, &port, sizeof(port)) == sizeof(port)) {
		while (read(control, &byte, 1) > 0) {
		}
	}
	_exit(0);
}

static int connect_client(struct client *c, uint16_t port, bool plain)
{
	static const struct csv_cred cred = { .umask = 022 };
	uint8_t psk[CSV_PSK_SIZE];
	uint8_t key[CSV_SECRET_SIZE];
	struct csv_remote_params p = { .ev = c->ev,
				       .volume = "vol",
				       .address = "127.0.0.1",
				       .port = port,
				       .epoch = 1,
				       .local_node = 1,
				       .remote_node = 2,
				       .psk = psk,
				       .psk_identity = "csv1:1:1:2",
				       .plain = plain,
				       .wake_fd = -1 };
	int ret;

	secret(NULL, 1, key);
	csv_psk_derive(key, 1, 1, 2, psk);
	ret = csv_remote_create(c, &p, 5000, &c->b);
	if (ret == 0) {
		ret = c->b->ops->open(c->b, c, &cred, c->b->ops->root(c->b),
				      "bench", CSV_O_READ | CSV_O_WRITE, 0,
				      &c->file, NULL, NULL);
	}
	return ret;
}

int main(int argc, char **argv)
{
	struct client *c = talloc_zero(NULL, struct client);
	bool plain = argc <= 3 || strcmp(argv[3], "tls") != 0;
	struct bench bench = { .name = plain ? "wire_plain" : "wire_tls",
			       .run = run, .private_data = c };
	char path[4096];
	uint16_t port = 0;
	int tell[2];
	int control[2];
	int ret;

	if (argc < 2) {
		fprintf(stderr, "usage: wire_bench DIR [ROUNDS [plain|tls]]\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/bench", argv[1]);
	if (cell_prepare(path) != 0 || pipe2(tell, O_CLOEXEC) != 0 ||
	    pipe2(control, O_CLOEXEC) != 0) {
		perror(path);
		return 1;
	}
	bench.server = fork();
	if (bench.server == 0) {
		close(control[1]);
		serve(argv[1], plain, tell[1], control[0]);
	}
	c->ev = tevent_context_init(c);
	c->bufs = talloc_zero_size(c, 8 << 20);
	if (read(tell[0], &port, sizeof(port)) != sizeof(port) || port == 0) {
		fprintf(stderr, "no server\n");
		return 1;
	}
	ret = connect_client(c, port, plain);
	if (ret == 0) {
		ret = cells_run(&bench, argc > 2 ? (unsigned)atoi(argv[2]) : 1);
	}
	TALLOC_FREE(c->file);
	TALLOC_FREE(c->b);
	close(control[1]);
	waitpid(bench.server, NULL, 0);
	unlink(path);
	talloc_free(c);
	return ret != 0;
}
