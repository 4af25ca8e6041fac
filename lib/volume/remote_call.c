/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One synchronous request to the owner, and the credentials it knows us by.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/volume/remote_private.h"

int remote_status(int status)
{
	if (status >= 0 && status < 4096) {
		return status;
	}
	switch (status) {
	case CSV_E_LOST:
	case CSV_E_STALE:
	case CSV_E_PAUSED:
		return status;
	default:
		return EIO;
	}
}

int remote_name(const char *name, struct csv_bytes *b)
{
	*b = csv_bytes_of(name);
	return b->length > CSV_MAX_NAME ? ENAMETOOLONG : 0;
}

/* The token of the operation that is about to be sent. */
static uint64_t call_token(struct remote_backend *rb)
{
	uint64_t token = rb->backend.token;

	rb->backend.token = 0;
	return token != 0 ? token : rb->token++;
}

static bool cred_equal(const struct csv_cred *a, const struct csv_cred *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->umask == b->umask &&
	       a->num_groups == b->num_groups &&
	       (a->num_groups == 0 ||
		memcmp(a->groups,
		       b->groups,
		       a->num_groups * sizeof(uint32_t)) == 0);
}

/* Requests sent later are served after this, so nobody waits for it. */
static int cred_post(struct remote_backend *rb,
		     uint32_t id,
		     const struct csv_cred *cred)
{
	const struct csv_body *body = csv_body_of(CSV_OP_SETCRED, false);
	struct csv_header h = { .op = CSV_OP_SETCRED };
	struct csv_setcred_req req = {
		.id = id,
		.uid = cred->uid,
		.gid = cred->gid,
		.umask = cred->umask,
		.num_groups = cred->num_groups,
		.groups = discard_const_p(uint32_t, cred->groups),
	};
	uint8_t *buf = NULL;
	size_t len = 0;
	int ret;

	ret = csv_body_push(body, rb, &req, &buf, &len);
	if (ret == 0) {
		ret = csv_conn_post(rb->conn, &h, buf, len);
		talloc_free(buf);
	}
	return ret;
}

static int cred_store(struct remote_backend *rb,
		      struct remote_cred *rc,
		      const struct csv_cred *cred)
{
	uint32_t *groups = NULL;

	if (cred->num_groups > CSV_MAX_GROUPS) {
		return EINVAL;
	}
	if (cred->num_groups != 0) {
		groups = talloc_memdup(rb,
				       cred->groups,
				       cred->num_groups * sizeof(uint32_t));
		if (groups == NULL) {
			return ENOMEM;
		}
	}
	talloc_free(discard_const_p(uint32_t, rc->cred.groups));
	rc->cred = *cred;
	rc->cred.groups = groups;
	rc->used = false;
	return 0;
}

/* The number by which the owner knows this cred: 1 to REMOTE_CREDS. */
static int cred_id(struct remote_backend *rb,
		   const struct csv_cred *cred,
		   uint32_t *id)
{
	struct remote_cred *oldest = &rb->creds[0];
	struct remote_cred *rc = NULL;
	unsigned i;
	int ret;

	for (i = 0; i < REMOTE_CREDS; i++) {
		rc = &rb->creds[i];
		if (rc->used && cred_equal(&rc->cred, cred)) {
			rc->last = ++rb->cred_clock;
			*id = i + 1;
			return 0;
		}
		if (rc->last < oldest->last) {
			oldest = rc;
		}
	}
	*id = (uint32_t)(oldest - rb->creds) + 1;
	ret = cred_store(rb, oldest, cred);
	if (ret == 0) {
		ret = cred_post(rb, *id, cred);
	}
	if (ret == 0) {
		oldest->used = true;
		oldest->last = ++rb->cred_clock;
	}
	return ret;
}

static int call_push(struct remote_call *c,
		     TALLOC_CTX *frame,
		     struct csv_rpc *rpc)
{
	const struct csv_body *body = csv_body_of(c->op, false);
	uint8_t *buf = NULL;
	int ret;

	ret = csv_body_push(body, frame, c->req, &buf, &rpc->body_len);
	if (ret != 0) {
		return ret;
	}
	rpc->body = buf;
	rpc->mem_ctx = frame;
	rpc->volume = REMOTE_VOLUME_ID;
	rpc->epoch = c->rb->backend.epoch;
	rpc->flags = c->replay || c->rb->backend.replaying ? CSV_WIRE_REPLAY
							   : 0;
	rpc->token = c->once ? call_token(c->rb) : 0;
	if (c->cred != NULL) {
		ret = cred_id(c->rb, c->cred, &rpc->cred);
	}
	return ret;
}

int remote_call(struct remote_call *c)
{
	const struct csv_body *body = csv_body_of(c->op, true);
	TALLOC_CTX *frame = talloc_new(c->rb);
	struct csv_rpc rpc;
	int ret;

	if (frame == NULL) {
		return ENOMEM;
	}
	csv_rpc_init(&rpc, c->op);
	ret = call_push(c, frame, &rpc);
	if (ret == 0) {
		csv_rpc_send(c->rb->conn, &rpc);
		ret = remote_status(csv_rpc_wait(&rpc, 0));
	}
	if (ret == 0 && c->rep != NULL && body != NULL) {
		ret = csv_body_pull(body,
				    c->mem_ctx != NULL ? c->mem_ctx : frame,
				    rpc.rbody,
				    rpc.rbody_len,
				    c->rep);
	}
	talloc_free(frame);
	return ret;
}
