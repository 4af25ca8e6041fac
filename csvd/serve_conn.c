/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection: handshake, bytes to messages, its end.
 *
 * A message of at most SERVE_RX_INLINE bytes is handled where it was
 * received; of a larger one the data are received into memory of their own.
 */
#include "replace.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "lib/util/dlinklist.h"
#include "lib/util/debug.h"
#include "csvd/serve_private.h"

void serve_conn_put(struct serve_conn *conn)
{
	if (conn->dead && conn->jobs == 0) {
		/* not while somebody up the stack uses it */
		DLIST_REMOVE(conn->serve->conns, conn);
		DLIST_ADD(conn->serve->dead, conn);
	}
}

void serve_conn_kill(struct serve_conn *conn)
{
	struct csv_serve *serve = conn->serve;
	struct serve_job *job = NULL;
	unsigned i;

	if (conn->dead) {
		return;
	}
	conn->dead = true;
	serve->num_conns -= 1;
	if (conn->state != SERVE_READY) {
		serve->num_new -= 1;
	}
	for (job = conn->running; job != NULL; job = job->cnext) {
		/* a change that was begun is ended; nobody misses a read */
		if (job->h.op == CSV_OP_READ) {
			atomic_store(&job->cancelled, true);
		}
	}
	serve_handles_close(conn, NULL);
	serve_drop_out(conn);
	TALLOC_FREE(conn->big_data);
	TALLOC_FREE(conn->big_body);
	for (i = 0; i <= SERVE_CREDS; i++) {
		serve_cred_put(conn->creds[i]);
		conn->creds[i] = NULL;
	}
	TALLOC_FREE(conn->tls); /* closes, so epoll forgets */
	conn->t = NULL;
	serve_conn_put(conn);
}

void serve_conn_throttle(struct serve_conn *conn)
{
	/*
	 * A client that keeps to credits and window never gets here, so its
	 * keepalives are always read.
	 */
	conn->paused = conn->inflight > SERVE_CREDITS ||
		       conn->held > 2 * (size_t)SERVE_WINDOW +
					    SERVE_CREDITS * 4096;
}

static bool msg_small(struct serve_conn *conn)
{
	uint8_t *p = conn->rx + conn->rx_start;
	const uint8_t *body = p + CSV_WIRE_HEADER;

	conn->last_big = false;
	conn->rx_start += conn->h.length;
	return serve_message(conn,
			     &conn->h,
			     body,
			     p + CSV_WIRE_HEADER + conn->h.body_length,
			     false);
}

static bool msg_big_begin(struct serve_conn *conn)
{
	conn->rx_start += CSV_WIRE_HEADER;
	conn->big = true;
	conn->last_big = true;
	conn->big_got = 0;
	conn->big_body = talloc_array(conn, uint8_t, conn->h.body_length);
	conn->big_data = serve_buf_get(conn->serve,
				       NULL,
				       conn->h.data_length);
	return conn->big_body != NULL && conn->big_data != NULL;
}

/* Where the next byte of the big message goes. */
static uint8_t *big_dst(struct serve_conn *conn, size_t *left)
{
	size_t body = conn->h.body_length;

	if (conn->big_got < body) {
		*left = body - conn->big_got;
		return conn->big_body + conn->big_got;
	}
	*left = body + conn->h.data_length - conn->big_got;
	return conn->big_data + (conn->big_got - body);
}

static bool msg_big_end(struct serve_conn *conn)
{
	uint8_t *data = conn->big_data;
	bool ok;

	conn->big = false;
	conn->big_data = NULL;
	ok = serve_message(conn, &conn->h, conn->big_body, data, true);
	if (!conn->dead) {
		TALLOC_FREE(conn->big_body);
	}
	return ok;
}

static bool big_consume(struct serve_conn *conn, bool *complete)
{
	size_t total = (size_t)conn->h.body_length + conn->h.data_length;
	uint8_t *dst = NULL;
	size_t left;
	size_t n;

	while (conn->big_got < total && conn->rx_start < conn->rx_end) {
		dst = big_dst(conn, &left);
		n = MIN(left, conn->rx_end - conn->rx_start);
		memcpy(dst, conn->rx + conn->rx_start, n);
		conn->rx_start += n;
		conn->big_got += n;
	}
	*complete = conn->big_got == total;
	return *complete ? msg_big_end(conn) : true;
}

/* The next message. *more: there may be another. False: nonsense. */
static bool parse_one(struct serve_conn *conn, bool *more)
{
	size_t have = conn->rx_end - conn->rx_start;

	*more = false;
	if (conn->big) {
		return big_consume(conn, more);
	}
	if (have < CSV_WIRE_HEADER) {
		return true;
	}
	if (csv_header_pull(conn->rx + conn->rx_start, &conn->h) != 0) {
		return false;
	}
	if (conn->state != SERVE_READY && conn->h.length > 1024) {
		return false;
	}
	if (conn->h.length > SERVE_RX_INLINE) {
		*more = true;
		return msg_big_begin(conn);
	}
	if (have < conn->h.length) {
		return true;
	}
	*more = true;
	return msg_small(conn);
}

/*
 * Answers share a send at the end of a round, but large ones do not wait for
 * the next one to be read: who asked works on them meanwhile.
 */
static void conn_send_early(struct serve_conn *conn)
{
	if (conn->out != NULL && conn->held >= SERVE_SEND_EARLY &&
	    (conn->events & EPOLLOUT) == 0)
	{
		serve_flush(conn);
	}
}

static void parse(struct serve_conn *conn)
{
	bool more = true;

	while (more && !conn->dead && !conn->paused) {
		if (!parse_one(conn, &more)) {
			serve_conn_kill(conn);
			return;
		}
		conn_send_early(conn);
		serve_conn_throttle(conn);
	}
}

static void rx_compact(struct serve_conn *conn)
{
	size_t len = conn->rx_end - conn->rx_start;

	if (conn->rx_start != 0) {
		memmove(conn->rx, conn->rx + conn->rx_start, len);
		conn->rx_start = 0;
		conn->rx_end = len;
	}
}

static int rx_iov(struct serve_conn *conn, struct iovec iov[2])
{
	size_t room = SERVE_RX_SIZE - conn->rx_end;
	size_t left = 0;
	int num = 0;

	if (conn->big) {
		iov[0].iov_base = big_dst(conn, &left);
		iov[0].iov_len = left;
		num = 1;
	}
	if (conn->last_big && room > SERVE_RX_HEAD) {
		room = SERVE_RX_HEAD;
	}
	iov[num].iov_base = conn->rx + conn->rx_end;
	iov[num].iov_len = room;
	return num + 1;
}

/* One read. False: nothing more to read now. */
static bool receive(struct serve_conn *conn)
{
	struct iovec iov[2];
	size_t want;
	size_t n;
	ssize_t r;
	int num;

	rx_compact(conn);
	num = rx_iov(conn, iov);
	want = iov[0].iov_len + (num == 2 ? iov[1].iov_len : 0);
	r = conn->t->ops->readv(conn->t, iov, num);
	if (r == -EAGAIN) {
		return false;
	}
	if (r <= 0) {
		serve_conn_kill(conn);
		return false;
	}
	n = (size_t)r;
	if (num == 2) {
		size_t direct = MIN(n, iov[0].iov_len);

		conn->big_got += direct;
		n -= direct;
	}
	conn->rx_end += n;
	parse(conn);
	return !conn->dead && ((size_t)r == want ||
			       conn->t->ops->pending(conn->t));
}

/* The peer is known: from now on messages. */
static void conn_shaken(struct serve_conn *conn)
{
	conn->t = csv_tls_transport(conn->tls);
	conn->state = SERVE_SHAKEN;
}

static bool conn_handshake(struct serve_conn *conn)
{
	short events = 0;
	int ret;

	ret = csv_tls_handshake(conn->tls, &events);
	if (ret == EAGAIN) {
		conn->events = EPOLLIN |
			       (events & POLLOUT ? (uint32_t)EPOLLOUT : 0);
		serve_events(conn);
		return false;
	}
	if (ret != 0) {
		serve_refused(conn->serve, conn->address, strerror(ret));
		serve_conn_kill(conn);
		return false;
	}
	conn_shaken(conn);
	return true;
}

/* Send what there is, and have epoll tell what is to be told. */
static void conn_settle(struct serve_conn *conn)
{
	uint32_t events = 0;
	bool was_paused;

	do {
		serve_flush(conn);
		if (conn->dead) {
			return;
		}
		was_paused = conn->paused;
		serve_conn_throttle(conn);
		if (was_paused && !conn->paused) {
			parse(conn); /* what was received before the pause */
		}
	} while (!conn->dead && was_paused && !conn->paused);
	if (conn->dead) {
		return;
	}
	if (!conn->paused) {
		events |= EPOLLIN;
	}
	if (conn->out != NULL || conn->t->ops->flush(conn->t) != 0) {
		events |= EPOLLOUT;
	}
	conn->pending = !conn->paused && conn->t->ops->pending(conn->t);
	if (events != conn->events) {
		conn->events = events;
		serve_events(conn);
	}
}

void serve_conn_event(struct serve_conn *conn, uint32_t events)
{
	unsigned rounds = 16; /* others want to be served too */

	if (conn->state == SERVE_NEW && !conn_handshake(conn)) {
		return;
	}
	if (events & (EPOLLHUP | EPOLLERR)) {
		serve_conn_kill(conn);
		return;
	}
	while (!conn->dead && !conn->paused && rounds-- > 0 &&
	       (events & EPOLLIN)) {
		if (!receive(conn)) {
			break;
		}
	}
	if (!conn->dead) {
		conn_settle(conn);
	}
}

void serve_conn_accept(struct csv_serve *serve, int fd, const char *address)
{
	struct serve_conn *conn = talloc_zero(NULL, struct serve_conn);

	if (conn == NULL) {
		close(fd);
		return;
	}
	conn->serve = serve;
	conn->since_ms = csv_now_ms();
	strlcpy(conn->address, address, sizeof(conn->address));
	if (csv_tls_server(conn, fd, &serve->tls, &conn->tls) != 0) {
		talloc_free(conn);
		return;
	}
	conn->t = csv_tls_transport(conn->tls);
	(void)csv_tcp_set_dead_ms(fd, serve->keepalive_ms);
	DLIST_ADD(serve->conns, conn);
	serve->num_conns += 1;
	serve->num_new += 1;
	conn->events = EPOLLIN;
	serve_events(conn);
	if (!conn->dead) {
		serve_conn_event(conn, EPOLLIN);
	}
}
