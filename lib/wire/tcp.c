/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The transport over a plain TCP socket.
 */
#include "replace.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "lib/wire/transport.h"

uint64_t csv_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

ssize_t csv_tcp_readv(int fd, const struct iovec *iov, int num)
{
	ssize_t n;

	do {
		if (num == 1) {
			n = recv(fd, iov->iov_base, iov->iov_len, 0);
		} else {
			n = readv(fd, iov, num);
		}
	} while (n == -1 && errno == EINTR);
	return n >= 0 ? n : -errno;
}

static ssize_t tcp_sendmsg(int fd, const struct iovec *iov, int num, int flags)
{
	struct msghdr msg = { .msg_iov = discard_const_p(struct iovec, iov),
			      .msg_iovlen = num };
	ssize_t n;

	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | flags);
	} while (n == -1 && errno == EINTR);
	return n >= 0 ? n : -errno;
}

ssize_t csv_tcp_writev(int fd, const struct iovec *iov, int num)
{
	return tcp_sendmsg(fd, iov, num, 0);
}

ssize_t csv_tcp_send_pipe(struct csv_transport *t,
			  const struct iovec *iov,
			  int num,
			  int pipe_fd,
			  size_t n)
{
	ssize_t sent = 0;
	ssize_t got;
	size_t want = 0;
	int i;

	for (i = 0; i < num; i++) {
		want += iov[i].iov_len;
	}
	if (num > 0) {
		sent = tcp_sendmsg(t->fd, iov, num, MSG_MORE);
	}
	if (sent < 0 || (size_t)sent < want) {
		return sent;
	}
	do {
		got = splice(pipe_fd, NULL, t->fd, NULL, n, SPLICE_F_NONBLOCK);
	} while (got == -1 && errno == EINTR);
	if (got <= 0) {
		/* an empty pipe: the caller counted wrong */
		return sent > 0 ? sent : (got == 0 ? -EIO : -errno);
	}
	return sent + got;
}

static ssize_t tcp_readv(struct csv_transport *t,
			 const struct iovec *iov,
			 int num)
{
	return csv_tcp_readv(t->fd, iov, num);
}

static ssize_t tcp_writev(struct csv_transport *t,
			  const struct iovec *iov,
			  int num)
{
	return csv_tcp_writev(t->fd, iov, num);
}

static int tcp_flush(struct csv_transport *t)
{
	return 0;
}

static bool tcp_pending(const struct csv_transport *t)
{
	return false;
}

static const struct csv_transport_ops tcp_ops = {
	.name = "tcp",
	.readv = tcp_readv,
	.writev = tcp_writev,
	.send_pipe = csv_tcp_send_pipe,
	.flush = tcp_flush,
	.pending = tcp_pending,
};

static int tcp_destructor(struct csv_transport *t)
{
	if (t->fd != -1) {
		close(t->fd);
		t->fd = -1;
	}
	return 0;
}

struct csv_transport *csv_tcp_transport(TALLOC_CTX *mem_ctx, int fd)
{
	struct csv_transport *t = NULL;

	t = talloc_zero(mem_ctx, struct csv_transport);
	if (t == NULL) {
		return NULL;
	}
	t->ops = &tcp_ops;
	t->fd = fd;
	talloc_set_destructor(t, tcp_destructor);
	return t;
}

/*
 * A congestion control that paces what it sends (BBR) holds answers back with
 * timers that are longer than the way between two nodes.
 */
static void tcp_unpaced(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name) - 1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) != 0 ||
	    strncmp(name, "bbr", 3) != 0) {
		return;
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0) {
		/* not there, or not ours to choose; this one always is */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	}
}

int csv_tcp_setup(int fd)
{
	int one = 1;
	int flags;

	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
		return errno;
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
		return errno;
	}
	tcp_unpaced(fd);
	return 0;
}

int csv_tcp_set_dead_ms(int fd, unsigned ms)
{
	int one = 1;
	int idle = ms / 2000 > 0 ? (int)(ms / 2000) : 1;
	int interval = 1;
	int count = idle;
	unsigned timeout = ms;

	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) !=
		    0 ||
	    setsockopt(fd,
		       IPPROTO_TCP,
		       TCP_KEEPINTVL,
		       &interval,
		       sizeof(interval)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count)) !=
		    0 ||
	    setsockopt(fd,
		       IPPROTO_TCP,
		       TCP_USER_TIMEOUT,
		       &timeout,
		       sizeof(timeout)) != 0) {
		return errno;
	}
	return 0;
}

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

static int parse_address(const char *address,
			 uint16_t port,
			 union address *a,
			 socklen_t *len)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, address, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		*len = sizeof(a->in);
		return 0;
	}
	if (inet_pton(AF_INET6, address, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
		*len = sizeof(a->in6);
		return 0;
	}
	return EINVAL;
}

int csv_tcp_begin(const char *address, uint16_t port, int *_fd)
{
	union address a;
	socklen_t len = 0;
	int fd;
	int ret;

	ret = parse_address(address, port, &a, &len);
	if (ret != 0) {
		return ret;
	}
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1) {
		return errno;
	}
	ret = csv_tcp_setup(fd);
	if (ret == 0 && connect(fd, &a.sa, len) != 0 &&
	    errno != EINPROGRESS) {
		ret = errno;
	}
	if (ret != 0) {
		close(fd);
		return ret;
	}
	*_fd = fd;
	return 0;
}

int csv_tcp_connected(int fd, unsigned timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0;
	int n;

	n = poll(&pfd, 1, (int)timeout_ms);
	if (n == 0 || (n == -1 && errno == EINTR)) {
		return EAGAIN;
	}
	if (n == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
		return errno;
	}
	return error;
}

int csv_tcp_listen(const char *address, uint16_t port, int *_fd)
{
	union address a;
	socklen_t len = 0;
	int one = 1;
	int fd;
	int ret;

	ret = parse_address(address, port, &a, &len);
	if (ret != 0) {
		return ret;
	}
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd == -1) {
		return errno;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(fd, &a.sa, len) != 0 || listen(fd, 128) != 0) {
		ret = errno;
		close(fd);
		return ret;
	}
	*_fd = fd;
	return 0;
}

uint16_t csv_tcp_port(int fd)
{
	union address a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) != 0) {
		return 0;
	}
	if (a.sa.sa_family == AF_INET6) {
		return ntohs(a.in6.sin6_port);
	}
	return ntohs(a.in.sin_port);
}
