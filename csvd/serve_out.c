/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Answers on their way out. Small ones share a batch and so a system call;
 * the list is sent in order, everything at the end of a round.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/util/dlinklist.h"
#include "csvd/serve_private.h"

#define OUT_IOV 48
#define BATCHES_KEPT 16

static void out_add(struct serve_out *out, void *p, size_t len)
{
	if (len != 0) {
		out->iov[out->num].iov_base = p;
		out->iov[out->num].iov_len = len;
		out->num += 1;
		out->total += len;
	}
}

static struct serve_out *batch_new(struct csv_serve *serve)
{
	struct serve_out *out = serve->batches;

	if (out != NULL) {
		DLIST_REMOVE(serve->batches, out);
		serve->num_batches -= 1;
	} else {
		out = talloc_zero(serve, struct serve_out);
		if (out == NULL) {
			return NULL;
		}
		out->buf = talloc_array(out, uint8_t, SERVE_BATCH);
		if (out->buf == NULL) {
			TALLOC_FREE(out);
			return NULL;
		}
	}
	out->sent = 0;
	out->total = 0;
	out->num = 1;
	out->iov[0].iov_base = out->buf;
	out->iov[0].iov_len = 0;
	out->room = SERVE_BATCH;
	return out;
}

static void out_free(struct serve_conn *conn, struct serve_out *out)
{
	struct csv_serve *serve = conn->serve;

	conn->held -= out->total;
	if (out->job != NULL) {
		serve_pipe_put(serve, out->job->pipe);
		serve_buf_put(serve, out->job->rdata);
		talloc_free(out->job);
		return;
	}
	if (serve->num_batches >= BATCHES_KEPT) {
		talloc_free(out);
		return;
	}
	DLIST_ADD(serve->batches, out);
	serve->num_batches += 1;
}

uint8_t *serve_batch(struct serve_conn *conn, size_t len)
{
	struct serve_out *out = DLIST_TAIL(conn->out);
	uint8_t *p = NULL;

	if (out == NULL || out->room < len || out->job != NULL) {
		out = batch_new(conn->serve);
		if (out == NULL) {
			return NULL;
		}
		DLIST_ADD_END(conn->out, out);
	}
	p = out->buf + out->total;
	out->room -= len;
	out->total += len;
	out->iov[0].iov_len = out->total;
	conn->held += len;
	return p;
}

void serve_batch_shrink(struct serve_conn *conn, size_t len)
{
	struct serve_out *out = DLIST_TAIL(conn->out);

	out->room += len;
	out->total -= len;
	out->iov[0].iov_len = out->total;
	conn->held -= len;
	if (out->total == 0) {
		DLIST_REMOVE(conn->out, out);
		out_free(conn, out);
	}
}

void serve_header(const struct csv_header *req,
		  int status,
		  size_t body_len,
		  size_t data_len,
		  uint8_t buf[CSV_WIRE_HEADER])
{
	struct csv_header h = {
		.length = (uint32_t)(CSV_WIRE_HEADER + body_len + data_len),
		.version_min = CSV_WIRE_VERSION,
		.version_max = CSV_WIRE_VERSION,
		.op = req->op,
		.flags = CSV_WIRE_RESPONSE,
		.status = (uint32_t)status,
		.request_id = req->request_id,
		.epoch = req->epoch,
		.body_length = (uint32_t)body_len,
		.data_length = (uint32_t)data_len,
		.credits = 1,
		.volume = req->volume,
	};

	csv_header_push(&h, buf);
}

void serve_reply(struct serve_conn *conn,
		 const struct csv_header *req,
		 int status,
		 const uint8_t *body,
		 size_t len)
{
	uint8_t *p = NULL;

	if (conn->dead) {
		return;
	}
	p = serve_batch(conn, CSV_WIRE_HEADER + len);
	if (p == NULL) {
		serve_conn_kill(conn);
		return;
	}
	serve_header(req, status, len, 0, p);
	if (len != 0) {
		memcpy(p + CSV_WIRE_HEADER, body, len);
	}
}

void serve_reply_job(struct serve_conn *conn, struct serve_job *job)
{
	struct serve_out *out = &job->out;

	serve_buf_put(conn->serve, job->data);
	job->data = NULL;
	TALLOC_FREE(job->req);
	serve_header(&job->h,
		     job->status,
		     job->body_len,
		     job->rdata_len,
		     job->head);
	out_add(out, job->head, CSV_WIRE_HEADER);
	out_add(out, job->body, job->body_len);
	if (serve_job_piped(job)) {
		out->pipe = job->pipe;
		out->total += job->rdata_len;
	} else {
		out_add(out, job->rdata, job->rdata_len);
	}
	out->job = job;
	conn->held += out->total;
	DLIST_ADD_END(conn->out, out);
}

static int out_iov(const struct serve_out *out, struct iovec *iov)
{
	size_t skip = out->sent;
	int num = 0;
	int i;

	for (i = 0; i < out->num; i++) {
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

static void out_sent(struct serve_conn *conn, size_t n)
{
	struct serve_out *out = NULL;

	while (n > 0 && (out = conn->out) != NULL) {
		size_t left = out->total - out->sent;
		size_t part = MIN(n, left);

		out->sent += part;
		n -= part;
		left -= part;
		if (out->pipe != NULL) {
			out->pipe->held = MIN(out->pipe->held, left);
		}
		if (left > 0) {
			return;
		}
		DLIST_REMOVE(conn->out, out);
		out_free(conn, out);
	}
}

/* What of the list one call can send. */
static ssize_t out_send(struct serve_conn *conn)
{
	const struct csv_transport_ops *ops = conn->t->ops;
	struct iovec iov[OUT_IOV];
	struct serve_out *out = NULL;
	int num = 0;

	for (out = conn->out; out != NULL && num + 3 <= OUT_IOV;
	     out = out->next) {
		num += out_iov(out, iov + num);
		if (out->pipe != NULL) {
			return ops->send_pipe(conn->t,
					      iov,
					      num,
					      out->pipe->out,
					      out->pipe->held);
		}
	}
	return ops->writev(conn->t, iov, num);
}

void serve_flush(struct serve_conn *conn)
{
	ssize_t n = 0;

	while (conn->out != NULL && !conn->dead) {
		n = out_send(conn);
		if (n < 0) {
			break;
		}
		out_sent(conn, (size_t)n);
	}
	if (n < 0 && n != -EAGAIN) {
		serve_conn_kill(conn);
	}
}

void serve_drop_out(struct serve_conn *conn)
{
	struct serve_out *out = NULL;

	while ((out = conn->out) != NULL) {
		DLIST_REMOVE(conn->out, out);
		out_free(conn, out);
	}
}
