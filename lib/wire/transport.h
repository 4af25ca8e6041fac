/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A transport moves the bytes of a connection: one struct of functions, so
 * that another fabric fits behind it.
 *
 * All are non-blocking. A result is a number of bytes, or a negative errno:
 * -EAGAIN (poll(2) for what csv_transport_events() says), anything else: the
 * connection is over. A transport belongs to one thread.
 */
#ifndef _CSV_WIRE_TRANSPORT_H_
#define _CSV_WIRE_TRANSPORT_H_

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <talloc.h>

struct csv_transport;

struct csv_transport_ops {
	const char *name;
	/* 0: the peer closed */
	ssize_t (*readv)(struct csv_transport *t,
			 const struct iovec *iov,
			 int num);
	/* What it took is its own from then on. */
	ssize_t (*writev)(struct csv_transport *t,
			  const struct iovec *iov,
			  int num);
	/*
	 * The same, and behind all of it n bytes of a pipe. NULL: it has to
	 * see what it sends.
	 */
	ssize_t (*send_pipe)(struct csv_transport *t,
			     const struct iovec *iov,
			     int num,
			     int pipe_fd,
			     size_t n);
	/* Send what it took and still holds: 0 all gone, or -EAGAIN. */
	int (*flush)(struct csv_transport *t);
	/* Bytes are here that poll(2) on fd does not see. */
	bool (*pending)(const struct csv_transport *t);
};

struct csv_transport {
	const struct csv_transport_ops *ops;
	int fd; /* belongs to the transport: freeing closes it */
};

/* Plain TCP over a connected socket; takes the socket over. */
struct csv_transport *csv_tcp_transport(TALLOC_CTX *mem_ctx, int fd);

/* Non-blocking, close on exec, no delay, not paced; 0 or errno. */
int csv_tcp_setup(int fd);

/* One recv(2) or readv(2), one sendmsg(2): bytes moved or -errno. */
ssize_t csv_tcp_readv(int fd, const struct iovec *iov, int num);
ssize_t csv_tcp_writev(int fd, const struct iovec *iov, int num);
/* send_pipe of plain connections: sendmsg(2) unless num is 0, then splice(2) */
ssize_t csv_tcp_send_pipe(struct csv_transport *t,
			  const struct iovec *iov,
			  int num,
			  int pipe_fd,
			  size_t n);

/* The kernel notices a dead host after about ms of silence. 0 or errno. */
int csv_tcp_set_dead_ms(int fd, unsigned ms);

/*
 * Begin to connect to a numeric address: 0, EINVAL (no such address) or
 * errno. Never blocks; csv_tcp_connected() tells how it goes.
 */
int csv_tcp_begin(const char *address, uint16_t port, int *fd);
/* 0: connected. EAGAIN: not within timeout_ms (0: now). Else errno. */
int csv_tcp_connected(int fd, unsigned timeout_ms);
/* A listening socket. 0 or errno. */
int csv_tcp_listen(const char *address, uint16_t port, int *fd);
/* The port that a socket is bound to; 0 on error. */
uint16_t csv_tcp_port(int fd);

/* Milliseconds of the monotonic clock. */
uint64_t csv_now_ms(void);

#endif /* _CSV_WIRE_TRANSPORT_H_ */
