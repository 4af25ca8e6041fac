/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests of a client connection and the send queue.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/util/dlinklist.h"
#include "lib/util/time.h"
#include "lib/wire/conn_private.h"

#define OUT_IOV 48

int conn_slots_init(struct csv_conn *conn, uint16_t num)
{
	struct conn_slot *slots = NULL;
	uint16_t i;

	slots = talloc_zero_array(conn, struct conn_slot, num);
	if (slots == NULL) {
		return ENOMEM;
	}
	for (i = 0; i < num; i++) {
		slots[i].next_free = i + 1 < num ? i + 1 : UINT16_MAX;
	}
	TALLOC_FREE(conn->slots);
	conn->slots = slots;
	conn->num_slots = num;
	conn->free_slot = 0;
	return 0;
}

void conn_slot_free(struct csv_conn *conn, struct conn_slot *slot)
{
	conn->window_used -= slot->cost;
	if (slot->large) {
		conn->large -= 1;
	}
	slot->id = 0;
	slot->rpc = NULL;
	slot->next_free = conn->free_slot;
	conn->free_slot = (uint16_t)(slot - conn->slots);
	conn->inflight -= 1;
}

void csv_rpc_init(struct csv_rpc *rpc, enum csv_op op)
{
	memset(rpc, 0, offsetof(struct csv_rpc, head));
	rpc->op = op;
}

uint8_t *csv_rpc_small(struct csv_rpc *rpc)
{
	return rpc->head + CSV_WIRE_HEADER;
}

static void out_add(struct csv_out *out, const void *p, size_t len)
{
	if (len == 0) {
		return;
	}
	out->iov[out->num].iov_base = discard_const_p(void, p);
	out->iov[out->num].iov_len = len;
	out->num += 1;
	out->total += len;
}

/* What is left of a message as iovecs; at most max. */
static int out_iov(const struct csv_out *out, struct iovec *iov, int max)
{
	size_t skip = out->sent;
	int num = 0;
	int i;

	for (i = 0; i < out->num && num < max; i++) {
		if (skip >= out->iov[i].iov_len) {
			skip -= out->iov[i].iov_len;
			continue;
		}
		iov[num].iov_base = (uint8_t *)out->iov[i].iov_base + skip;
		iov[num].iov_len = out->iov[i].iov_len - skip;
		skip = 0;
		num++;
	}
	return num;
}

static void out_sent(struct csv_conn *conn, size_t n)
{
	struct csv_out *out = conn->out;
	size_t left;

	while (n > 0 && out != NULL) {
		left = out->total - out->sent;
		if (n < left) {
			out->sent += n;
			return;
		}
		n -= left;
		out->sent = out->total;
		DLIST_REMOVE(conn->out, out);
		if (out->rpc == NULL) {
			talloc_free(out);
		}
		out = conn->out;
	}
}

void conn_flush(struct csv_conn *conn)
{
	struct iovec iov[OUT_IOV];
	struct csv_out *out = NULL;
	size_t total;
	ssize_t n;
	int num;
	int i;

	conn->held = 0;
	while (conn->out != NULL && !conn->lost) {
		num = 0;
		for (out = conn->out; out != NULL && num + 3 <= OUT_IOV;
		     out = out->next) {
			num += out_iov(out, iov + num, OUT_IOV - num);
		}
		total = 0;
		for (i = 0; i < num; i++) {
			total += iov[i].iov_len;
		}
		n = conn->t->ops->writev(conn->t, iov, num);
		if (n == -EAGAIN) {
			conn_want_write(conn, true);
			return;
		}
		if (n < 0) {
			conn_lost(conn);
			return;
		}
		out_sent(conn, (size_t)n);
		if ((size_t)n < total) {
			conn_want_write(conn, true);
			return;
		}
	}
	if (!conn->lost) {
		conn_want_write(conn, conn->t->ops->flush(conn->t) != 0);
	}
}

static void header_of(const struct csv_rpc *rpc,
		      uint64_t id,
		      struct csv_header *h)
{
	memset(h, 0, sizeof(*h));
	h->length = (uint32_t)(CSV_WIRE_HEADER + rpc->body_len +
			       rpc->data_len);
	h->version_min = CSV_WIRE_VERSION;
	h->version_max = CSV_WIRE_VERSION;
	h->op = rpc->op;
	h->flags = rpc->flags;
	h->request_id = id;
	h->epoch = rpc->epoch;
	h->token = rpc->token;
	h->body_length = (uint32_t)rpc->body_len;
	h->data_length = (uint32_t)rpc->data_len;
	h->volume = rpc->volume;
	h->cred = rpc->cred;
}

static bool rpc_may_start(const struct csv_conn *conn,
			  const struct csv_rpc *rpc)
{
	size_t cost = rpc->data_len + rpc->rbuf_len;

	return conn->free_slot != UINT16_MAX &&
	       (conn->window_used == 0 ||
		conn->window_used + cost <= conn->window);
}

static void rpc_take_slot(struct csv_conn *conn, struct csv_rpc *rpc)
{
	struct conn_slot *slot = &conn->slots[conn->free_slot];

	rpc->slot = conn->free_slot;
	conn->free_slot = slot->next_free;
	conn->serial += 1;
	slot->id = (conn->serial << 16) | rpc->slot;
	slot->rpc = rpc;
	slot->cost = rpc->data_len + rpc->rbuf_len;
	slot->large = rpc->rbuf_len > CONN_LARGE;
	conn->window_used += slot->cost;
	conn->large += slot->large ? 1 : 0;
	conn->inflight += 1;
	rpc->state = RPC_SLOT;
}

static bool (*conn_more_fn)(void);

void csv_conn_set_more_fn(bool (*fn)(void))
{
	conn_more_fn = fn;
}

static void conn_hold_over(struct tevent_context *ev,
			   struct tevent_timer *te,
			   struct timeval now,
			   void *private_data)
{
	struct csv_conn *conn = private_data;

	TALLOC_FREE(conn->hold);
	if (conn->held > 0 && !conn->want_write) {
		conn_flush(conn);
	}
}

/* May what is queued wait for what comes next? */
static bool conn_hold(struct csv_conn *conn, const struct csv_rpc *rpc)
{
	/* who asks one thing at a time is not asked for more */
	if (conn_more_fn == NULL || conn->inflight < 2 ||
	    rpc->ev != conn->p.ev || conn->lost ||
	    conn->held + rpc->out.total > CONN_HOLD_BYTES || !conn_more_fn())
	{
		return false;
	}
	if (conn->hold == NULL) {
		conn->hold = tevent_add_timer(
			conn->p.ev,
			conn,
			timeval_current_ofs_usec(CONN_HOLD_US),
			conn_hold_over,
			conn);
	}
	if (conn->hold != NULL) {
		conn->held += rpc->out.total;
	}
	return conn->hold != NULL;
}

static void rpc_queue(struct csv_conn *conn, struct csv_rpc *rpc)
{
	struct csv_out *out = &rpc->out;
	const uint8_t *small = rpc->head + CSV_WIRE_HEADER;
	struct csv_header h;

	rpc_take_slot(conn, rpc);
	header_of(rpc, conn->slots[rpc->slot].id, &h);
	csv_header_push(&h, rpc->head);
	out->rpc = rpc;
	if (rpc->body == small) {
		out_add(out, rpc->head, CSV_WIRE_HEADER + rpc->body_len);
	} else {
		out_add(out, rpc->head, CSV_WIRE_HEADER);
		out_add(out, rpc->body, rpc->body_len);
	}
	out_add(out, rpc->data, rpc->data_len);
	DLIST_ADD_END(conn->out, out);
}

void conn_start_waiting(struct csv_conn *conn)
{
	struct csv_rpc *rpc = NULL;
	bool started = false;

	while ((rpc = conn->waiting) != NULL && rpc_may_start(conn, rpc)) {
		DLIST_REMOVE(conn->waiting, rpc);
		rpc_queue(conn, rpc);
		started = true;
	}
	if (started && !conn->want_write) {
		conn_flush(conn);
	}
}

void csv_rpc_send(struct csv_conn *conn, struct csv_rpc *rpc)
{
	rpc->conn = conn;
	if (conn->lost) {
		conn_end_rpc(conn, rpc, CSV_E_LOST);
		return;
	}
	if (conn->inflight == 0) {
		conn_start_tick(conn);
	}
	if (conn->waiting != NULL || !rpc_may_start(conn, rpc)) {
		rpc->state = RPC_WAITING;
		DLIST_ADD_END(conn->waiting, rpc);
		return;
	}
	rpc_queue(conn, rpc);
	if (!conn->want_write && !conn_hold(conn, rpc)) {
		conn_flush(conn);
	}
}

/* A message that nobody waits for. */
static struct csv_out *out_new(struct csv_conn *conn, size_t len)
{
	struct csv_out *out = NULL;

	out = talloc_zero_size(conn, sizeof(*out) + len);
	if (out != NULL) {
		out_add(out, out + 1, len);
	}
	return out;
}

int csv_conn_post(struct csv_conn *conn,
		  const struct csv_header *_h,
		  const uint8_t *body,
		  size_t body_len)
{
	struct csv_header h = *_h;
	struct csv_out *out = NULL;
	uint8_t *p = NULL;

	if (conn->lost) {
		return 0;
	}
	out = out_new(conn, CSV_WIRE_HEADER + body_len);
	if (out == NULL) {
		return ENOMEM;
	}
	h.length = (uint32_t)(CSV_WIRE_HEADER + body_len);
	h.version_min = CSV_WIRE_VERSION;
	h.version_max = CSV_WIRE_VERSION;
	h.body_length = (uint32_t)body_len;
	p = (uint8_t *)(out + 1);
	csv_header_push(&h, p);
	if (body_len != 0) {
		memcpy(p + CSV_WIRE_HEADER, body, body_len);
	}
	DLIST_ADD_END(conn->out, out);
	if (!conn->want_write) {
		conn_flush(conn);
	}
	return 0;
}

static void post_cancel(struct csv_conn *conn, uint64_t id)
{
	struct csv_header h = { .op = CSV_OP_CANCEL };
	uint8_t body[8];
	unsigned i;

	for (i = 0; i < sizeof(body); i++) {
		body[i] = (uint8_t)(id >> (8 * i));
	}
	(void)csv_conn_post(conn, &h, body, sizeof(body));
}

/* Half a message is on its way: the rest must follow, from our own memory. */
static bool out_adopt(struct csv_conn *conn, struct csv_out *old)
{
	struct iovec iov[3];
	struct csv_out *out = NULL;
	uint8_t *p = NULL;
	int num = out_iov(old, iov, 3);
	int i;

	out = out_new(conn, old->total - old->sent);
	if (out == NULL) {
		return false;
	}
	p = (uint8_t *)(out + 1);
	for (i = 0; i < num; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	DLIST_ADD_AFTER(conn->out, out, old);
	DLIST_REMOVE(conn->out, old);
	return true;
}

static bool out_is_queued(const struct csv_rpc *rpc)
{
	return rpc->out.sent < rpc->out.total;
}

static void cancel_slot(struct csv_conn *conn, struct csv_rpc *rpc)
{
	struct conn_slot *slot = &conn->slots[rpc->slot];

	if (out_is_queued(rpc) && rpc->out.sent == 0) {
		DLIST_REMOVE(conn->out, &rpc->out);
		conn_slot_free(conn, slot);
		conn_start_waiting(conn);
		return;
	}
	slot->rpc = NULL;
	if (conn->rx_slot == slot) {
		conn->rx_dst = NULL;
	}
	if (out_is_queued(rpc) && !out_adopt(conn, &rpc->out)) {
		DLIST_REMOVE(conn->out, &rpc->out);
		conn_lost(conn);
		return;
	}
	post_cancel(conn, slot->id);
}

void csv_rpc_cancel(struct csv_rpc *rpc)
{
	struct csv_conn *conn = rpc->conn;
	enum rpc_state state = rpc->state;

	TALLOC_FREE(rpc->im);
	rpc->conn = NULL;
	rpc->state = RPC_DONE;
	if (conn == NULL) {
		return;
	}
	if (state == RPC_WAITING) {
		DLIST_REMOVE(conn->waiting, rpc);
	} else if (state == RPC_ENDED) {
		DLIST_REMOVE(conn->done, rpc);
	} else if (state == RPC_SLOT) {
		cancel_slot(conn, rpc);
	}
}

static void drop_out(struct csv_conn *conn)
{
	struct csv_out *out = NULL;

	while ((out = conn->out) != NULL) {
		DLIST_REMOVE(conn->out, out);
		out->sent = out->total;
		if (out->rpc == NULL) {
			talloc_free(out);
		}
	}
}

void conn_fail_all(struct csv_conn *conn)
{
	struct csv_rpc *rpc = NULL;
	unsigned i;

	drop_out(conn);
	for (i = 0; i < conn->num_slots; i++) {
		if (conn->slots[i].id == 0) {
			continue;
		}
		rpc = conn->slots[i].rpc;
		conn_slot_free(conn, &conn->slots[i]);
		if (rpc != NULL) {
			conn_end_rpc(conn, rpc, CSV_E_LOST);
		}
	}
	while ((rpc = conn->waiting) != NULL) {
		DLIST_REMOVE(conn->waiting, rpc);
		conn_end_rpc(conn, rpc, CSV_E_LOST);
	}
}

void conn_detach_all(struct csv_conn *conn)
{
	struct csv_rpc *rpc = NULL;

	conn_fail_all(conn);
	while ((rpc = conn->done) != NULL) {
		DLIST_REMOVE(conn->done, rpc);
		TALLOC_FREE(rpc->im);
		rpc->conn = NULL;
		rpc->state = RPC_DONE;
	}
}
