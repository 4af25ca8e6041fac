/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The client's end of a connection: many requests in flight, answers in any
 * order, credits, cancel, and a silent peer noticed.
 *
 * One thread. Received bytes are handled in tevent fd events and inside
 * csv_rpc_wait(); the latter calls no fn of other requests, these wait for
 * their event loop. When the connection breaks, every request ends with
 * CSV_E_LOST.
 */
#ifndef _CSV_WIRE_CONN_H_
#define _CSV_WIRE_CONN_H_

#include <sys/uio.h>
#include <tevent.h>
#include "lib/wire/auth.h"
#include "lib/wire/codec.h"

#define CSV_RPC_SMALL 128
#define CSV_KEEPALIVE_MS 2000

struct csv_conn;
struct csv_rpc;

struct csv_conn_params {
	struct tevent_context *ev;
	const char *address; /* numeric */
	uint16_t port;
	uint32_t local_node;
	uint32_t remote_node;
	const uint8_t *psk; /* CSV_PSK_SIZE bytes; only used while connecting */
	const char *psk_identity;
	bool plain;
	/* whose tokens these are, must live on; NULL: this process */
	const struct GUID *client;
	unsigned keepalive_ms; /* 0: CSV_KEEPALIVE_MS */
	/* as struct csv_remote_params */
	int wake_fd;
	bool (*wake_fn)(void *private_data);
	void (*lost_fn)(void *private_data);
	void *private_data;
};

/*
 * Begin to connect, authenticate and say hello; never blocks. fn is called
 * once, from params.ev or from csv_conn_turn(), never from here; it may free
 * the connection (not inside csv_conn_turn()). Status 0: the connection may
 * be used; CSV_E_LOST: nobody answers; EACCES: the key was refused; ENOMEM,
 * EPROTO. A peer that takes the connection and then says nothing is waited
 * for without end: the time limit is the caller's.
 */
int csv_conn_start(TALLOC_CTX *mem_ctx,
		   const struct csv_conn_params *params,
		   void (*fn)(int status, void *private_data),
		   void *private_data,
		   struct csv_conn **conn);
/*
 * Where the event loop cannot run: waits at most timeout_ms, or a
 * quarter of a second, for one event of the connection and does what the loop
 * would do, requests' fn included. False: wake_fn wants the wait to end.
 */
bool csv_conn_turn(struct csv_conn *conn, unsigned timeout_ms);
/* csv_conn_start() and wait, blocking at most timeout_ms. */
int csv_conn_connect(TALLOC_CTX *mem_ctx,
		     const struct csv_conn_params *params,
		     unsigned timeout_ms,
		     struct csv_conn **conn);
bool csv_conn_is_lost(const struct csv_conn *conn);
bool csv_conn_is_plain(const struct csv_conn *conn);
unsigned csv_conn_inflight(const struct csv_conn *conn);

/*
 * fn says whether the process's event loop has more requests for us to send
 * waiting: then a small one is held back (about 1 ms at most) and shares a
 * system call, and the peer's wake-up, with them. For all connections of the
 * process; NULL: send each at once.
 */
void csv_conn_set_more_fn(bool (*fn)(void));

/* Also handle events in another loop than params.ev, until freed. */
int csv_conn_watch(struct csv_conn *conn,
		   TALLOC_CTX *mem_ctx,
		   struct tevent_context *ev);

/* A piece of the send queue. */
struct csv_out {
	struct csv_out *prev, *next;
	struct csv_rpc *rpc; /* NULL: nobody waits, freed when sent */
	size_t sent;
	size_t total;
	int num;
	struct iovec iov[3]; /* header and small body, body, data */
};

/*
 * A request, embedded in the caller's state, which fills the first part after
 * csv_rpc_init(). It must not go away before it is done or cancelled.
 */
struct csv_rpc {
	enum csv_op op;
	uint16_t flags; /* of the header */
	uint16_t volume;
	uint32_t cred;
	uint64_t epoch;
	uint64_t token; /* 0: none */
	const uint8_t *body; /* valid until done; may be small_body */
	size_t body_len;
	const uint8_t *data; /* valid until done */
	size_t data_len;
	uint8_t *rbuf; /* data of the answer; written to until done */
	size_t rbuf_len;
	TALLOC_CTX *mem_ctx; /* parent of a large rbody */
	struct tevent_context *ev; /* NULL: csv_rpc_wait() will be called */
	void (*fn)(struct csv_rpc *rpc);
	void *private_data;

	/* the answer; status: 0, errno or CSV_E_* */
	int status;
	const uint8_t *rbody;
	size_t rbody_len;
	size_t rdata_len;

	/* private */
	struct csv_rpc *prev, *next;
	struct csv_conn *conn;
	uint8_t state;
	uint16_t slot;
	struct csv_out out;
	struct tevent_immediate *im;
	uint8_t head[CSV_WIRE_HEADER + CSV_RPC_SMALL];
	uint8_t rsmall[CSV_RPC_SMALL * 2];
};

/* Does not touch the big arrays. */
void csv_rpc_init(struct csv_rpc *rpc, enum csv_op op);
/* Where a body of at most CSV_RPC_SMALL bytes may be written. */
uint8_t *csv_rpc_small(struct csv_rpc *rpc);

/*
 * Hand the request over: sent at once if credits allow. Never calls fn;
 * a failure is reported as the answer, from the event loop.
 */
void csv_rpc_send(struct csv_conn *conn, struct csv_rpc *rpc);
/* Blocks until the answer is there: rpc->status. timeout_ms 0: no limit. */
int csv_rpc_wait(struct csv_rpc *rpc, unsigned timeout_ms);
/*
 * Forget a request: no fn, no touch of its buffers any more. The peer is
 * asked to drop it. A no-op for one that is done or was never sent.
 */
void csv_rpc_cancel(struct csv_rpc *rpc);

/* A message without an answer (CLOSE). 0 or ENOMEM. */
int csv_conn_post(struct csv_conn *conn,
		  const struct csv_header *h,
		  const uint8_t *body,
		  size_t body_len);

#endif /* _CSV_WIRE_CONN_H_ */
