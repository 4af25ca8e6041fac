/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of a client connection: conn_start.c (connecting), conn.c (life,
 * events, waiting, keepalive), conn_rpc.c (requests, sending), conn_rx.c
 * (receiving).
 *
 * A request is in exactly one place: waiting (for credits), a slot (and the
 * send queue until it is sent), or done (its fn has not run yet). A slot
 * outlives its cancelled request until the answer came, since credit and
 * window are only given back then.
 */
#ifndef _CSV_WIRE_CONN_PRIVATE_H_
#define _CSV_WIRE_CONN_PRIVATE_H_

#include "lib/wire/conn.h"
#include "lib/wire/transport.h"

#define CONN_RX_SIZE 36864
#define CONN_RX_HEAD 4096 /* read so much when large data is expected */
#define CONN_LARGE 16384
#define CONN_MAX_CREDITS 4096
#define CONN_HOLD_BYTES 262144
#define CONN_HOLD_US 500
#define CONN_TICK_MS 250

struct conn_start; /* conn_start.c */

enum rpc_state {
	RPC_NEW,
	RPC_WAITING,
	RPC_SLOT,
	RPC_ENDED, /* in conn->done */
	RPC_DONE,
};

struct conn_slot {
	struct csv_rpc *rpc; /* NULL: cancelled, or free */
	uint64_t id;	     /* 0: free */
	size_t cost;	     /* of the window */
	bool large;
	uint16_t next_free;
};

enum rx_state { RX_HEADER, RX_BODY, RX_DATA };

struct conn_watch {
	struct conn_watch *prev, *next;
	struct csv_conn *conn;
	struct tevent_context *ev;
	struct tevent_fd *fde;
	struct tevent_timer *tick;
};

struct csv_conn {
	struct csv_conn_params p;
	struct conn_start *start; /* NULL: it stands */
	struct csv_transport *t;
	bool plain;
	bool lost;
	bool lost_told;
	bool *gone; /* set when freed while delivering */
	struct tevent_context *delivers; /* this loop will, right away */
	unsigned waiters; /* csv_rpc_wait() on the stack */
	unsigned keepalive_ms;

	struct conn_watch *watches;
	struct conn_watch main_watch;
	struct tevent_immediate *deliver_im;
	bool deliver_scheduled;
	struct tevent_immediate *lost_im;

	/* requests */
	struct csv_rpc *waiting;
	struct csv_rpc *done;
	struct conn_slot *slots;
	uint16_t num_slots;
	uint16_t free_slot; /* UINT16_MAX: none */
	unsigned inflight;
	unsigned large;
	uint64_t serial;
	size_t window;
	size_t window_used;

	/* sending */
	struct csv_out *out;
	bool want_write;
	size_t held; /* bytes of out that wait for more */
	struct tevent_timer *hold; /* how long they wait */

	/* receiving */
	enum rx_state rx_state;
	struct csv_header rx_h;
	struct conn_slot *rx_slot;
	uint8_t *rx_dst; /* NULL: discard */
	size_t rx_left;
	size_t rx_start;
	size_t rx_end;

	/* keepalive */
	uint64_t last_rx;
	uint64_t ping_sent; /* 0: none outstanding */
	unsigned ping_checks;

	uint8_t rx[CONN_RX_SIZE];
};

/* conn.c */

/* Without transport and slots. */
struct csv_conn *conn_new(TALLOC_CTX *mem_ctx,
			  const struct csv_conn_params *params);
/* Have events handled by params.ev. 0 or ENOMEM. */
int conn_watch_main(struct csv_conn *conn);
/* One round of a synchronous wait. False: the wait must end. */
bool conn_wait_round(struct csv_conn *conn, int timeout);
/* Run what is done and belongs to this loop; may free the connection. */
void conn_deliver(struct csv_conn *conn, struct tevent_context *ev);
void conn_lost(struct csv_conn *conn);
void conn_want_write(struct csv_conn *conn, bool want);
/* A request is now in flight: see that a silent peer is noticed. */
void conn_start_tick(struct csv_conn *conn);
/* The request's answer is complete. */
void conn_end_rpc(struct csv_conn *conn, struct csv_rpc *rpc, int status);

/* conn_rpc.c */
void conn_flush(struct csv_conn *conn);
void conn_start_waiting(struct csv_conn *conn);
void conn_fail_all(struct csv_conn *conn);
void conn_detach_all(struct csv_conn *conn);
void conn_slot_free(struct csv_conn *conn, struct conn_slot *slot);
int conn_slots_init(struct csv_conn *conn, uint16_t num);

/* conn_rx.c */
/* Take what is there; may lose the connection. */
void conn_receive(struct csv_conn *conn);

#endif /* _CSV_WIRE_CONN_PRIVATE_H_ */
