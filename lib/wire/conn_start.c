/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connecting: TCP, TLS, HELLO, one step at a time, whenever the socket is
 * ready. The event loop makes the steps, or csv_conn_turn() where it cannot.
 */
#include "replace.h"
#include <errno.h>
#include <gnutls/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>
#include "lib/wire/conn_private.h"
#include "lib/wire/tls.h"

#define CONN_DEAD_MS 8000

enum start_stage { START_TCP, START_TLS, START_HELLO };

struct conn_start {
	struct csv_conn *conn;
	enum start_stage stage;
	int fd; /* belongs to tls */
	struct csv_tls *tls;
	short events; /* for poll(2) before START_HELLO */
	struct tevent_fd *fde;
	void (*fn)(int status, void *private_data);
	void *private_data;
	struct csv_rpc hello; /* last: large */
};

/* One number per process: forked children must not share it. */
static int client_guid(struct GUID *guid)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static struct GUID process;
	static pid_t pid;
	int ret = 0;

	pthread_mutex_lock(&mutex);
	if (pid != getpid()) {
		ret = gnutls_rnd(GNUTLS_RND_NONCE, &process, sizeof(process));
		pid = ret == 0 ? getpid() : 0;
	}
	*guid = process;
	pthread_mutex_unlock(&mutex);
	return ret == 0 ? 0 : EIO;
}

/* fn may free the connection. */
static void start_end(struct csv_conn *conn, int status)
{
	void (*fn)(int status, void *private_data) = conn->start->fn;
	void *private_data = conn->start->private_data;

	TALLOC_FREE(conn->start);
	fn(status, private_data);
}

static int start_take_hello(struct csv_conn *conn, const struct csv_rpc *rpc)
{
	const struct csv_body *body = csv_body_of(CSV_OP_HELLO, true);
	struct csv_hello_rep rep;
	TALLOC_CTX *frame = talloc_new(NULL);
	int ret;

	ret = csv_body_pull(body, frame, rpc->rbody, rpc->rbody_len, &rep);
	talloc_free(frame);
	if (ret != 0) {
		return EPROTO;
	}
	if (rep.node != conn->p.remote_node) {
		return EACCES;
	}
	if (rep.credits == 0 || rep.window == 0) {
		return EPROTO;
	}
	conn->window = rep.window;
	return conn_slots_init(conn, MIN(rep.credits, CONN_MAX_CREDITS));
}

static void start_hello_done(struct csv_rpc *rpc)
{
	struct csv_conn *conn = rpc->private_data;
	int ret = rpc->status;

	if (ret == 0) {
		ret = start_take_hello(conn, rpc);
	}
	start_end(conn, ret);
}

static int start_hello(struct conn_start *s)
{
	const struct csv_body *body = csv_body_of(CSV_OP_HELLO, false);
	struct csv_conn *conn = s->conn;
	struct csv_hello_req req = { .node = conn->p.local_node,
				     .pid = (uint32_t)getpid(),
				     .keepalive_ms = conn->keepalive_ms };
	uint8_t *buf = NULL;
	int ret = 0;

	csv_rpc_init(&s->hello, CSV_OP_HELLO);
	if (conn->p.client != NULL) {
		req.client = *conn->p.client;
	} else {
		ret = client_guid(&req.client);
	}
	if (ret == 0) {
		ret = csv_body_push(body, s, &req, &buf, &s->hello.body_len);
	}
	if (ret == 0) {
		ret = conn_slots_init(conn, 1);
	}
	if (ret != 0) {
		return ret;
	}
	s->hello.body = buf;
	s->hello.mem_ctx = s;
	s->hello.ev = conn->p.ev;
	s->hello.fn = start_hello_done;
	s->hello.private_data = conn;
	csv_rpc_send(conn, &s->hello);
	return 0;
}

static int start_tcp(struct conn_start *s)
{
	int ret = csv_tcp_connected(s->fd, 0);

	if (ret == 0) {
		(void)csv_tcp_set_dead_ms(s->fd, CONN_DEAD_MS);
		s->stage = START_TLS;
	}
	return ret == 0 || ret == EAGAIN ? ret : CSV_E_LOST;
}

static int start_tls(struct conn_start *s)
{
	struct csv_conn *conn = s->conn;
	int ret = csv_tls_handshake(s->tls, &s->events);

	if (ret == ECONNRESET || ret == EPIPE) {
		return CSV_E_LOST;
	}
	if (ret != 0) {
		return ret;
	}
	s->stage = START_HELLO;
	conn->plain = csv_tls_is_plain(s->tls);
	conn->t = csv_tls_transport(s->tls);
	TALLOC_FREE(s->fde);
	ret = conn_watch_main(conn);
	return ret != 0 ? ret : start_hello(s);
}

/* The socket is ready for the next step; may end the start. */
static void start_step(struct conn_start *s)
{
	uint16_t flags = 0;
	int ret = 0;

	if (s->stage == START_TCP) {
		ret = start_tcp(s);
	}
	if (ret == 0 && s->stage == START_TLS) {
		ret = start_tls(s);
	}
	if (ret == EAGAIN && s->fde != NULL) {
		flags |= (s->events & POLLIN) ? TEVENT_FD_READ : 0;
		flags |= (s->events & POLLOUT) ? TEVENT_FD_WRITE : 0;
		tevent_fd_set_flags(s->fde, flags);
	}
	if (ret != 0 && ret != EAGAIN) {
		start_end(s->conn, ret);
	}
}

static void start_event(struct tevent_context *ev,
			struct tevent_fd *fde,
			uint16_t flags,
			void *private_data)
{
	start_step(private_data);
}

static int start_open(struct conn_start *s, const struct csv_conn_params *p)
{
	struct csv_conn *conn = s->conn;
	int ret;

	ret = csv_tcp_begin(p->address, p->port, &s->fd);
	if (ret != 0) {
		return ret == EINVAL ? EINVAL : CSV_E_LOST;
	}
	ret = csv_tls_client(conn,
			     s->fd,
			     p->psk_identity,
			     p->psk,
			     p->plain,
			     &s->tls);
	if (ret != 0) {
		return ret;
	}
	s->events = POLLOUT;
	s->fde = tevent_add_fd(conn->p.ev,
			       s,
			       s->fd,
			       TEVENT_FD_WRITE,
			       start_event,
			       s);
	return s->fde != NULL ? 0 : ENOMEM;
}

int csv_conn_start(TALLOC_CTX *mem_ctx,
		   const struct csv_conn_params *params,
		   void (*fn)(int status, void *private_data),
		   void *private_data,
		   struct csv_conn **_conn)
{
	struct csv_conn *conn = conn_new(mem_ctx, params);
	int ret = ENOMEM;

	if (conn == NULL) {
		return ENOMEM;
	}
	conn->start = talloc_zero(conn, struct conn_start);
	if (conn->start != NULL) {
		conn->start->conn = conn;
		conn->start->fn = fn;
		conn->start->private_data = private_data;
		ret = start_open(conn->start, params);
	}
	if (ret != 0) {
		talloc_free(conn);
		return ret;
	}
	*_conn = conn;
	return 0;
}

bool csv_conn_turn(struct csv_conn *conn, unsigned timeout_ms)
{
	int timeout = (int)MIN(timeout_ms, CONN_TICK_MS);
	struct conn_start *s = conn->start;
	struct pollfd pfd[2] = {};
	bool ok = true;

	if (s == NULL || s->stage == START_HELLO) {
		/* the loop, for whose requests it is held back, stands still */
		conn_flush(conn);
		ok = conn_wait_round(conn, timeout);
		conn_deliver(conn, conn->p.ev);
		return ok;
	}
	pfd[0] = (struct pollfd){ .fd = s->fd, .events = s->events };
	pfd[1] = (struct pollfd){ .fd = conn->p.wake_fd, .events = POLLIN };
	if (poll(pfd, 2, timeout) <= 0) {
		return true;
	}
	if (pfd[1].revents != 0 && conn->p.wake_fn != NULL) {
		ok = !conn->p.wake_fn(conn->p.private_data);
	}
	if (pfd[0].revents != 0) {
		start_step(s);
	}
	return ok;
}

struct connect_wait {
	bool done;
	int status;
};

static void connect_done(int status, void *private_data)
{
	struct connect_wait *w = private_data;

	w->done = true;
	w->status = status;
}

int csv_conn_connect(TALLOC_CTX *mem_ctx,
		     const struct csv_conn_params *params,
		     unsigned timeout_ms,
		     struct csv_conn **_conn)
{
	uint64_t end = csv_now_ms() + timeout_ms;
	struct connect_wait w = {};
	struct csv_conn *conn = NULL;
	int ret;

	ret = csv_conn_start(mem_ctx, params, connect_done, &w, &conn);
	while (ret == 0 && !w.done) {
		uint64_t now = csv_now_ms();

		if (now >= end || !csv_conn_turn(conn, (unsigned)(end - now))) {
			ret = CSV_E_LOST;
		}
	}
	if (ret == 0) {
		ret = w.status;
	}
	if (ret != 0) {
		talloc_free(conn);
		return ret;
	}
	*_conn = conn;
	return 0;
}
