/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a remote backend begins and ends. It begins as an attempt that the event
 * loop drives (connect, authenticate, attach the volume), or, where the loop
 * cannot run, a synchronous wait by csv_remote_turn().
 */
#include "replace.h"
#include <assert.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>
#include "lib/util/time.h"
#include "lib/volume/remote_private.h"
#include "lib/wire/transport.h"

struct csv_remote_start {
	struct remote_backend *rb;
	char *volume;
	struct tevent_timer *limit;
	uint64_t end; /* of csv_now_ms() */
	int ret;      /* EAGAIN: still on its way */
	bool by_hand; /* inside csv_remote_turn() */
	void (*fn)(void *private_data);
	void *private_data;
	struct csv_rpc attach; /* last: large */
};

/* fn may free the start. */
static void start_done(struct csv_remote_start *s, int ret)
{
	s->ret = ret;
	TALLOC_FREE(s->limit);
	if (!s->by_hand && s->fn != NULL) {
		s->fn(s->private_data);
	}
}

/* The answer brings the volume's root. */
static int start_take_root(struct csv_remote_start *s)
{
	const struct csv_body *body = csv_body_of(CSV_OP_ATTACH, true);
	struct remote_backend *rb = s->rb;
	TALLOC_CTX *frame = talloc_new(NULL);
	struct csv_attach_rep rep;
	int ret;

	ret = csv_body_pull(body,
			    frame,
			    s->attach.rbody,
			    s->attach.rbody_len,
			    &rep);
	if (ret == 0) {
		ret = remote_file_new(rb, rb, rep.root, CSV_O_PATH, &rb->root);
	}
	if (ret == 0) {
		rb->backend.num_files -= 1; /* the root is not counted */
	}
	talloc_free(frame);
	return ret;
}

static void start_attached(struct csv_rpc *rpc)
{
	struct csv_remote_start *s = rpc->private_data;
	int ret = remote_status(rpc->status);

	if (ret == 0) {
		ret = start_take_root(s);
	}
	start_done(s, ret);
}

static int start_attach(struct csv_remote_start *s)
{
	const struct csv_body *body = csv_body_of(CSV_OP_ATTACH, false);
	struct csv_attach_req req = { .id = REMOTE_VOLUME_ID,
				      .name = csv_bytes_of(s->volume) };
	struct csv_rpc *rpc = &s->attach;
	uint8_t *buf = NULL;
	int ret;

	csv_rpc_init(rpc, CSV_OP_ATTACH);
	ret = csv_body_push(body, s, &req, &buf, &rpc->body_len);
	if (ret != 0) {
		return ret;
	}
	rpc->body = buf;
	rpc->volume = REMOTE_VOLUME_ID;
	rpc->epoch = s->rb->backend.epoch;
	rpc->mem_ctx = s;
	rpc->ev = s->rb->ev;
	rpc->fn = start_attached;
	rpc->private_data = s;
	csv_rpc_send(s->rb->conn, rpc);
	return 0;
}

static void start_connected(int status, void *private_data)
{
	struct csv_remote_start *s = private_data;
	int ret = status;

	if (ret == 0) {
		ret = start_attach(s);
	}
	if (ret != 0) {
		start_done(s, ret);
	}
}

static void start_limit(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct csv_remote_start *s = private_data;

	(void)ev;
	(void)te;
	(void)now;
	s->limit = NULL;
	start_done(s, CSV_E_LOST);
}

/* The connection's requests end before the memory of `attach` goes. */
static int start_destructor(struct csv_remote_start *s)
{
	if (s->rb != NULL) {
		TALLOC_FREE(s->rb->conn);
	}
	return 0;
}

static struct csv_remote_start *start_new(TALLOC_CTX *mem_ctx,
					  const struct csv_remote_params *p,
					  unsigned timeout_ms)
{
	struct csv_remote_start *s = NULL;

	s = talloc_zero(mem_ctx, struct csv_remote_start);
	if (s == NULL) {
		return NULL;
	}
	s->ret = EAGAIN;
	s->end = csv_now_ms() + timeout_ms;
	s->volume = talloc_strdup(s, p->volume);
	s->limit = tevent_add_timer(p->ev,
				    s,
				    timeval_current_ofs_msec(timeout_ms),
				    start_limit,
				    s);
	s->rb = talloc_zero(s, struct remote_backend);
	if (s->volume == NULL || s->limit == NULL || s->rb == NULL) {
		talloc_free(s);
		return NULL;
	}
	s->rb->backend.ops = &remote_ops;
	s->rb->backend.epoch = p->epoch;
	s->rb->ev = p->ev;
	(void)gnutls_rnd(GNUTLS_RND_NONCE, &s->rb->token, sizeof(s->rb->token));
	talloc_set_destructor(s, start_destructor);
	return s;
}

int csv_remote_start(TALLOC_CTX *mem_ctx,
		     const struct csv_remote_params *params,
		     unsigned timeout_ms,
		     void (*fn)(void *private_data),
		     void *private_data,
		     struct csv_remote_start **start)
{
	struct csv_conn_params cp = {
		.ev = params->ev,
		.address = params->address,
		.port = params->port,
		.local_node = params->local_node,
		.remote_node = params->remote_node,
		.psk = params->psk,
		.psk_identity = params->psk_identity,
		.plain = params->plain,
		.wake_fd = params->wake_fd,
		.wake_fn = params->wake_fn,
		.lost_fn = params->lost_fn,
		.private_data = params->private_data,
	};
	struct csv_remote_start *s = start_new(mem_ctx, params, timeout_ms);
	int ret;

	if (s == NULL) {
		return ENOMEM;
	}
	s->fn = fn;
	s->private_data = private_data;
	if (params->client != NULL) {
		memcpy(&s->rb->client, params->client, sizeof(s->rb->client));
		cp.client = &s->rb->client;
	}
	ret = csv_conn_start(s->rb, &cp, start_connected, s, &s->rb->conn);
	if (ret != 0) {
		talloc_free(s);
		return ret;
	}
	*start = s;
	return 0;
}

void csv_remote_turn(struct csv_remote_start *s, unsigned timeout_ms)
{
	uint64_t now = csv_now_ms();

	if (s->ret != EAGAIN) {
		return;
	}
	s->by_hand = true;
	if (now < s->end) {
		timeout_ms = (unsigned)MIN(s->end - now, timeout_ms);
		(void)csv_conn_turn(s->rb->conn, timeout_ms);
	}
	if (s->ret == EAGAIN && csv_now_ms() >= s->end) {
		start_done(s, CSV_E_LOST);
	}
	s->by_hand = false;
}

static int remote_destructor(struct remote_backend *rb)
{
	assert(rb->backend.num_files == 0);
	if (rb->root != NULL) {
		rb->backend.num_files = 1;
		TALLOC_FREE(rb->root);
	}
	TALLOC_FREE(rb->conn);
	return 0;
}

int csv_remote_finish(struct csv_remote_start *s,
		      TALLOC_CTX *mem_ctx,
		      struct csv_backend **backend)
{
	struct remote_backend *rb = s->rb;
	int ret = s->ret;

	if (ret == EAGAIN) {
		return EAGAIN;
	}
	if (ret == 0) {
		s->rb = NULL;
		talloc_steal(mem_ctx, rb);
		talloc_set_destructor(rb, remote_destructor);
		*backend = &rb->backend;
	}
	talloc_free(s);
	return ret;
}

int csv_remote_create(TALLOC_CTX *mem_ctx,
		      const struct csv_remote_params *params,
		      unsigned timeout_ms,
		      struct csv_backend **backend)
{
	struct csv_remote_start *s = NULL;
	int ret;

	ret = csv_remote_start(mem_ctx, params, timeout_ms, NULL, NULL, &s);
	if (ret != 0) {
		return ret;
	}
	while (s->ret == EAGAIN) {
		csv_remote_turn(s, timeout_ms);
	}
	return csv_remote_finish(s, mem_ctx, backend);
}
