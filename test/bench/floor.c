/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The floor under any wire: pread + send, or recv + pwrite, over one TCP
 * connection, with no protocol but offset and length.
 *
 *	floor FILE [ROUNDS [ADDRESS [NETNS]]]
 *
 * NETNS: the number of an open descriptor of a network namespace (as in
 * /proc/PID/ns/net), in which the asking side is; the other is where the
 * program was started, as ADDRESS.
 */
#include "replace.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cells.h"

struct request {
	int64_t offset;
	uint32_t length;
	uint32_t write;
};

static char data[1 << 20];

static int recv_all(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len ? 0 : EPIPE;
}

static int send_all(int fd, struct iovec *iov, int num)
{
	size_t left = 0;
	ssize_t n;
	int i;

	for (i = 0; i < num; i++) {
		left += iov[i].iov_len;
	}
	while (left > 0) {
		n = writev(fd, iov, num);
		if (n <= 0) {
			return EPIPE;
		}
		left -= (size_t)n;
		while (num > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			num--;
		}
		if (num > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int serve_one(int sock, int file, const struct request *r)
{
	struct iovec iov = { .iov_base = data, .iov_len = r->length };

	if (r->write) {
		if (recv_all(sock, data, r->length) != 0 ||
		    pwrite(file, data, r->length, r->offset) !=
			    (ssize_t)r->length) {
			return EIO;
		}
		iov.iov_len = 4;
	} else if (pread(file, data, r->length, r->offset) !=
		   (ssize_t)r->length) {
		return EIO;
	}
	return send_all(sock, &iov, 1);
}

static void serve(int listener, const char *path)
{
	int file = open(path, O_RDWR | O_CLOEXEC);
	int sock = accept(listener, NULL, NULL);
	struct request r;
	int one = 1;

	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (file != -1 && recv_all(sock, &r, sizeof(r)) == 0) {
		if (r.length > sizeof(data) || serve_one(sock, file, &r) != 0) {
			break;
		}
	}
	_exit(0);
}

static int ask(int sock, const struct cell *cell, unsigned i)
{
	struct request r = { cell_offset(cell, i), (uint32_t)cell->size,
			     cell->write };
	struct iovec iov[2] = { { &r, sizeof(r) }, { data, cell->size } };

	return send_all(sock, iov, cell->write ? 2 : 1);
}

static int run(void *private_data, const struct cell *cell)
{
	int sock = *(int *)private_data;
	unsigned asked = 0;
	unsigned done;
	int ret = 0;

	while (ret == 0 && asked < cell->depth) {
		ret = ask(sock, cell, asked++);
	}
	for (done = 0; ret == 0 && done < cell->requests; done++) {
		ret = recv_all(sock, data, cell->write ? 4 : cell->size);
		if (ret == 0 && asked < cell->requests) {
			ret = ask(sock, cell, asked++);
		}
	}
	return ret;
}

/* A socket of the namespace that was asked for; -1: none. */
static int asking_socket(const char *netns)
{
	if (netns != NULL && setns(atoi(netns), CLONE_NEWNET) != 0) {
		return -1;
	}
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int main(int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	struct bench bench = { .name = "floor", .run = run };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int sock = -1;
	int one = 1;
	int ret;

	if (argc < 2 || cell_prepare(argv[1]) != 0) {
		fprintf(stderr, "usage: floor FILE [ROUNDS [ADDRESS [NETNS]]]\n");
		return 2;
	}
	inet_pton(AF_INET, argc > 3 ? argv[3] : "127.0.0.1", &in.sin_addr);
	if (bind(listener, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    listen(listener, 1) != 0 ||
	    getsockname(listener, (struct sockaddr *)&in, &len) != 0) {
		perror("listen");
		return 1;
	}
	bench.server = fork();
	if (bench.server == 0) {
		serve(listener, argv[1]);
	}
	sock = asking_socket(argc > 4 ? argv[4] : NULL);
	if (connect(sock, (struct sockaddr *)&in, len) != 0) {
		perror("connect");
		kill(bench.server, SIGKILL);
		return 1;
	}
	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	bench.private_data = &sock;
	ret = cells_run(&bench, argc > 2 ? (unsigned)atoi(argv[2]) : 1);
	close(sock);
	waitpid(bench.server, NULL, 0);
	return ret != 0;
}
