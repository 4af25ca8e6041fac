/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of a client connection: events, waiting, keepalive.
 *
 * Keepalive: only while requests are in flight. After half of keepalive_ms
 * without a byte a KEEPALIVE is sent; when nothing came for another half, and
 * the socket was looked at again, the peer is gone. (Idle connections are
 * left to the kernel's keepalive.) A process that was itself stopped reads
 * first and judges then.
 */
#include "replace.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "lib/util/dlinklist.h"
#include "lib/util/time.h"
#include "lib/wire/conn_private.h"

static void watch_tick(struct conn_watch *w);

void conn_want_write(struct csv_conn *conn, bool want)
{
	struct conn_watch *w = NULL;

	if (conn->want_write == want) {
		return;
	}
	conn->want_write = want;
	for (w = conn->watches; w != NULL; w = w->next) {
		tevent_fd_set_flags(w->fde,
				    TEVENT_FD_READ |
					    (want ? TEVENT_FD_WRITE : 0));
	}
}

void conn_deliver(struct csv_conn *conn, struct tevent_context *ev)
{
	bool *outer = conn->gone;
	bool gone = false;
	struct csv_rpc *rpc = conn->done;
	struct csv_rpc *next = NULL;

	conn->gone = &gone;
	while (rpc != NULL) {
		next = rpc->next;
		if (rpc->ev == ev) {
			DLIST_REMOVE(conn->done, rpc);
			TALLOC_FREE(rpc->im);
			rpc->state = RPC_DONE;
			rpc->conn = NULL;
			rpc->fn(rpc);
			if (gone) {
				if (outer != NULL) {
					*outer = true;
				}
				return;
			}
			next = conn->done; /* fn may have changed the list */
		}
		rpc = next;
	}
	conn->gone = outer;
}

static void conn_deliver_im(struct tevent_context *ev,
			    struct tevent_immediate *im,
			    void *private_data)
{
	struct csv_conn *conn = private_data;

	conn->deliver_scheduled = false;
	conn_deliver(conn, conn->p.ev);
}

static void rpc_im(struct tevent_context *ev,
		   struct tevent_immediate *im,
		   void *private_data)
{
	struct csv_rpc *rpc = private_data;

	conn_deliver(rpc->conn, rpc->ev);
}

/* Nobody delivers this now: let the request's loop do so. */
static void conn_schedule(struct csv_conn *conn, struct csv_rpc *rpc)
{
	if (rpc->ev == conn->delivers) {
		return;
	}
	if (rpc->ev == conn->p.ev) {
		if (!conn->deliver_scheduled) {
			conn->deliver_scheduled = true;
			tevent_schedule_immediate(conn->deliver_im,
						  conn->p.ev,
						  conn_deliver_im,
						  conn);
		}
		return;
	}
	rpc->im = tevent_create_immediate(conn);
	if (rpc->im != NULL) {
		tevent_schedule_immediate(rpc->im, rpc->ev, rpc_im, rpc);
	}
}

void conn_end_rpc(struct csv_conn *conn, struct csv_rpc *rpc, int status)
{
	rpc->status = status;
	if (rpc->ev == NULL) {
		rpc->state = RPC_DONE;
		rpc->conn = NULL;
		return;
	}
	rpc->state = RPC_ENDED;
	DLIST_ADD_END(conn->done, rpc);
	conn_schedule(conn, rpc);
}

static void conn_lost_im(struct tevent_context *ev,
			 struct tevent_immediate *im,
			 void *private_data)
{
	struct csv_conn *conn = private_data;

	if (conn->p.lost_fn != NULL) {
		conn->p.lost_fn(conn->p.private_data);
	}
}

void conn_lost(struct csv_conn *conn)
{
	struct conn_watch *w = NULL;

	if (conn->lost) {
		return;
	}
	conn->lost = true;
	for (w = conn->watches; w != NULL; w = w->next) {
		TALLOC_FREE(w->fde);
		TALLOC_FREE(w->tick);
	}
	conn_fail_all(conn);
	if (conn->waiters == 0 && conn->start == NULL &&
	    conn->p.lost_fn != NULL) {
		tevent_schedule_immediate(conn->lost_im,
					  conn->p.ev,
					  conn_lost_im,
					  conn);
	}
}

static void conn_ping(struct csv_conn *conn, uint64_t now)
{
	struct csv_header h = { .op = CSV_OP_KEEPALIVE };

	conn->ping_sent = now;
	conn->ping_checks = 0;
	if (csv_conn_post(conn, &h, NULL, 0) != 0) {
		conn_lost(conn);
	}
}

/* Call after conn_receive(). */
static void conn_check_alive(struct csv_conn *conn)
{
	uint64_t now = csv_now_ms();
	unsigned half = conn->keepalive_ms / 2;

	if (conn->lost || conn->inflight == 0) {
		return;
	}
	if (conn->ping_sent != 0) {
		conn->ping_checks += 1;
		if (now - conn->ping_sent >= half && conn->ping_checks >= 2) {
			conn_lost(conn);
		}
	} else if (now - conn->last_rx >= half) {
		conn_ping(conn, now);
	}
}

static void watch_timer(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct conn_watch *w = private_data;
	struct csv_conn *conn = w->conn;

	w->tick = NULL;
	if (!conn->lost) {
		conn_receive(conn);
		conn_check_alive(conn);
	}
	if (!conn->lost && conn->inflight != 0) {
		watch_tick(w);
	}
}

static void watch_tick(struct conn_watch *w)
{
	if (w->tick == NULL) {
		w->tick = tevent_add_timer(
			w->ev,
			w->conn,
			timeval_current_ofs_msec(CONN_TICK_MS),
			watch_timer,
			w);
	}
}

void conn_start_tick(struct csv_conn *conn)
{
	struct conn_watch *w = NULL;

	conn->last_rx = csv_now_ms();
	conn->ping_sent = 0;
	for (w = conn->watches; w != NULL; w = w->next) {
		watch_tick(w);
	}
}

static void watch_fd(struct tevent_context *ev,
		     struct tevent_fd *fde,
		     uint16_t flags,
		     void *private_data)
{
	struct conn_watch *w = private_data;
	struct csv_conn *conn = w->conn;

	conn->delivers = ev;
	if (flags & TEVENT_FD_WRITE) {
		conn_flush(conn);
	}
	if (!conn->lost && (flags & TEVENT_FD_READ)) {
		conn_receive(conn);
	}
	conn->delivers = NULL;
	conn_deliver(conn, ev);
}

static int watch_start(struct csv_conn *conn,
		       struct conn_watch *w,
		       TALLOC_CTX *mem_ctx,
		       struct tevent_context *ev)
{
	uint16_t flags = TEVENT_FD_READ;

	if (conn->want_write) {
		flags |= TEVENT_FD_WRITE;
	}
	w->conn = conn;
	w->ev = ev;
	w->fde = tevent_add_fd(ev, mem_ctx, conn->t->fd, flags, watch_fd, w);
	if (w->fde == NULL) {
		return ENOMEM;
	}
	DLIST_ADD(conn->watches, w);
	return 0;
}

int conn_watch_main(struct csv_conn *conn)
{
	return watch_start(conn, &conn->main_watch, conn, conn->p.ev);
}

static int watch_destructor(struct conn_watch *w)
{
	if (w->conn != NULL) {
		DLIST_REMOVE(w->conn->watches, w);
		TALLOC_FREE(w->tick);
		TALLOC_FREE(w->fde);
	}
	return 0;
}

int csv_conn_watch(struct csv_conn *conn,
		   TALLOC_CTX *mem_ctx,
		   struct tevent_context *ev)
{
	struct conn_watch *w = NULL;
	int ret;

	if (conn->lost || ev == conn->p.ev) {
		return 0;
	}
	w = talloc_zero(mem_ctx, struct conn_watch);
	if (w == NULL) {
		return ENOMEM;
	}
	ret = watch_start(conn, w, w, ev);
	if (ret != 0) {
		talloc_free(w);
		return ret;
	}
	talloc_set_destructor(w, watch_destructor);
	watch_tick(w);
	return 0;
}

bool conn_wait_round(struct csv_conn *conn, int timeout)
{
	struct pollfd pfd[2] = {
		{ .fd = conn->t->fd, .events = POLLIN },
		{ .fd = conn->p.wake_fd, .events = POLLIN },
	};
	int n;

	if (conn->want_write) {
		pfd[0].events |= POLLOUT;
	}
	n = poll(pfd, 2, timeout);
	if (n == -1) {
		return errno == EINTR;
	}
	if (pfd[0].revents & POLLOUT) {
		conn_flush(conn);
	}
	if (!conn->lost && (pfd[0].revents & ~POLLOUT)) {
		conn_receive(conn);
	}
	if (n == 0) {
		conn_check_alive(conn);
	}
	if ((n == 0 || pfd[1].revents != 0) && conn->p.wake_fn != NULL) {
		return !conn->p.wake_fn(conn->p.private_data);
	}
	return true;
}

int csv_rpc_wait(struct csv_rpc *rpc, unsigned timeout_ms)
{
	struct csv_conn *conn = rpc->conn;
	uint64_t end = 0;
	uint64_t now;
	int timeout = CONN_TICK_MS;
	bool ok = true;

	if (conn == NULL) {
		return rpc->status;
	}
	if (timeout_ms != 0) {
		end = csv_now_ms() + timeout_ms;
	}
	conn->waiters += 1;
	while (ok && rpc->state != RPC_DONE) {
		if (end != 0) {
			now = csv_now_ms();
			timeout = now < end ? (int)MIN(end - now, CONN_TICK_MS)
					    : 0;
			ok = now < end;
		}
		ok = ok && conn_wait_round(conn, timeout);
	}
	conn->waiters -= 1;
	if (rpc->state != RPC_DONE) {
		csv_rpc_cancel(rpc);
		rpc->status = CSV_E_LOST;
	}
	return rpc->status;
}

static int conn_destructor(struct csv_conn *conn)
{
	struct conn_watch *w = NULL;

	if (conn->gone != NULL) {
		*conn->gone = true;
	}
	conn->lost = true;
	while ((w = conn->watches) != NULL) {
		DLIST_REMOVE(conn->watches, w);
		TALLOC_FREE(w->fde);
		TALLOC_FREE(w->tick);
		w->conn = NULL;
	}
	conn_detach_all(conn);
	TALLOC_FREE(conn->start);
	return 0;
}

struct csv_conn *conn_new(TALLOC_CTX *mem_ctx,
			  const struct csv_conn_params *params)
{
	struct csv_conn *conn = NULL;

	conn = talloc_zero(mem_ctx, struct csv_conn);
	if (conn == NULL) {
		return NULL;
	}
	talloc_set_destructor(conn, conn_destructor);
	conn->p = *params;
	conn->p.psk = NULL;
	conn->p.psk_identity = NULL;
	conn->p.address = NULL;
	conn->keepalive_ms = params->keepalive_ms != 0 ? params->keepalive_ms
						       : CSV_KEEPALIVE_MS;
	conn->deliver_im = tevent_create_immediate(conn);
	conn->lost_im = tevent_create_immediate(conn);
	if (conn->deliver_im == NULL || conn->lost_im == NULL) {
		TALLOC_FREE(conn);
	}
	return conn;
}

bool csv_conn_is_lost(const struct csv_conn *conn)
{
	return conn->lost;
}

bool csv_conn_is_plain(const struct csv_conn *conn)
{
	return conn->plain;
}

unsigned csv_conn_inflight(const struct csv_conn *conn)
{
	return conn->inflight;
}
