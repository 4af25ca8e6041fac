/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Receiving answers: header and small data by one call into the buffer of the
 * connection, large data straight to where the caller wants it.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/wire/conn_private.h"

/* Where the body goes: into the request, or a talloc child. */
static bool rx_body_dst(struct csv_conn *conn, struct csv_rpc *rpc)
{
	uint32_t len = conn->rx_h.body_length;
	uint8_t *p = NULL;

	if (len <= sizeof(rpc->rsmall)) {
		p = rpc->rsmall;
	} else {
		p = talloc_array(rpc->mem_ctx, uint8_t, len);
		if (p == NULL) {
			return false;
		}
	}
	rpc->rbody = p;
	rpc->rbody_len = len;
	conn->rx_dst = p;
	return true;
}

/* The slot that the answer belongs to. False: nonsense. */
static bool rx_find_slot(struct csv_conn *conn)
{
	const struct csv_header *h = &conn->rx_h;
	uint16_t i = (uint16_t)(h->request_id & UINT16_MAX);

	conn->rx_slot = NULL;
	if (!(h->flags & CSV_WIRE_RESPONSE)) {
		return false;
	}
	if (h->op == CSV_OP_KEEPALIVE) {
		return h->data_length == 0;
	}
	if (i >= conn->num_slots || conn->slots[i].id != h->request_id) {
		return false;
	}
	conn->rx_slot = &conn->slots[i];
	return true;
}

static bool rx_header(struct csv_conn *conn)
{
	struct csv_rpc *rpc = NULL;
	int ret;

	ret = csv_header_pull(conn->rx + conn->rx_start, &conn->rx_h);
	if (ret != 0 || !rx_find_slot(conn)) {
		return false;
	}
	conn->rx_start += CSV_WIRE_HEADER;
	conn->rx_state = RX_BODY;
	conn->rx_left = conn->rx_h.body_length;
	conn->rx_dst = NULL;
	rpc = conn->rx_slot != NULL ? conn->rx_slot->rpc : NULL;
	if (rpc == NULL) {
		return true;
	}
	if (conn->rx_h.data_length > rpc->rbuf_len ||
	    conn->rx_h.op != rpc->op) {
		return false;
	}
	return rx_body_dst(conn, rpc);
}

static void rx_to_data(struct csv_conn *conn)
{
	struct csv_rpc *rpc = conn->rx_slot != NULL ? conn->rx_slot->rpc
						    : NULL;

	conn->rx_state = RX_DATA;
	conn->rx_left = conn->rx_h.data_length;
	conn->rx_dst = rpc != NULL ? rpc->rbuf : NULL;
}

static void rx_complete(struct csv_conn *conn)
{
	struct conn_slot *slot = conn->rx_slot;
	struct csv_rpc *rpc = NULL;

	conn->rx_state = RX_HEADER;
	conn->rx_dst = NULL;
	conn->rx_slot = NULL;
	if (slot == NULL) {
		return;
	}
	rpc = slot->rpc;
	conn_slot_free(conn, slot);
	if (rpc != NULL) {
		rpc->rdata_len = conn->rx_h.data_length;
		conn_end_rpc(conn, rpc, (int)conn->rx_h.status);
	}
}

/* Move bytes of the buffer to the part of the message that is expected. */
static void rx_consume(struct csv_conn *conn)
{
	size_t n = MIN(conn->rx_left, conn->rx_end - conn->rx_start);

	if (conn->rx_dst != NULL) {
		memcpy(conn->rx_dst, conn->rx + conn->rx_start, n);
		conn->rx_dst += n;
	}
	conn->rx_start += n;
	conn->rx_left -= n;
}

/* Everything that is complete in the buffer. False: nonsense. */
static bool rx_parse(struct csv_conn *conn)
{
	for (;;) {
		if (conn->rx_state == RX_HEADER) {
			if (conn->rx_end - conn->rx_start < CSV_WIRE_HEADER) {
				return true;
			}
			if (!rx_header(conn)) {
				return false;
			}
		}
		rx_consume(conn);
		if (conn->rx_left > 0) {
			return true;
		}
		if (conn->rx_state == RX_BODY) {
			rx_to_data(conn);
		} else {
			rx_complete(conn);
		}
	}
}

static void rx_compact(struct csv_conn *conn)
{
	size_t len = conn->rx_end - conn->rx_start;

	if (conn->rx_start != 0) {
		memmove(conn->rx, conn->rx + conn->rx_start, len);
		conn->rx_start = 0;
		conn->rx_end = len;
	}
}

/* What to read: the rest of the expected part, then the buffer. */
static int rx_iov(struct csv_conn *conn, struct iovec iov[2])
{
	size_t room = CONN_RX_SIZE - conn->rx_end;
	int num = 0;

	if (conn->rx_state != RX_HEADER && conn->rx_dst != NULL) {
		iov[num].iov_base = conn->rx_dst;
		iov[num].iov_len = conn->rx_left;
		num++;
	}
	if (conn->large > 0) {
		room = MIN(room, CONN_RX_HEAD);
	}
	iov[num].iov_base = conn->rx + conn->rx_end;
	iov[num].iov_len = room;
	return num + 1;
}

static bool rx_got(struct csv_conn *conn, int num, size_t n)
{
	size_t direct;

	if (num == 2) {
		direct = MIN(n, conn->rx_left);
		conn->rx_dst += direct;
		conn->rx_left -= direct;
		n -= direct;
	}
	conn->rx_end += n;
	return rx_parse(conn);
}

void conn_receive(struct csv_conn *conn)
{
	struct iovec iov[2];
	size_t want;
	ssize_t n;
	int num;

	do {
		rx_compact(conn);
		num = rx_iov(conn, iov);
		want = iov[0].iov_len + (num == 2 ? iov[1].iov_len : 0);
		n = conn->t->ops->readv(conn->t, iov, num);
		if (n == -EAGAIN) {
			break;
		}
		if (n <= 0 || !rx_got(conn, num, (size_t)n)) {
			conn_lost(conn);
			return;
		}
		conn->last_rx = csv_now_ms();
		conn->ping_sent = 0;
	} while ((size_t)n == want || conn->t->ops->pending(conn->t));
	if (conn->waiting != NULL) {
		conn_start_waiting(conn);
	}
}
