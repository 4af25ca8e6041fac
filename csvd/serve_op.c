/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One message: what the socket thread does itself, and jobs for the rest.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "lib/util/dlinklist.h"
#include "lib/util/debug.h"
#include "csvd/serve_private.h"
#include "lib/volume/local.h"

static uint64_t get64(const uint8_t *p)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < 8; i++) {
		v |= (uint64_t)p[i] << (8 * i);
	}
	return v;
}

static bool reply_body(struct serve_conn *conn,
		       const struct csv_header *h,
		       const void *rep)
{
	uint8_t *buf = NULL;
	size_t len = 0;

	if (csv_body_push(csv_body_of(h->op, true), conn, rep, &buf, &len) !=
	    0) {
		return false;
	}
	serve_reply(conn, h, 0, buf, len);
	talloc_free(buf);
	return true;
}

static bool op_hello(struct serve_conn *conn,
		     const struct csv_header *h,
		     const uint8_t *body)
{
	struct csv_hello_rep rep = { .node = conn->serve->tls.node,
				     .keepalive_ms =
					     conn->serve->keepalive_ms,
				     .credits = SERVE_CREDITS,
				     .max_data = CSV_MAX_DATA,
				     .window = SERVE_WINDOW };
	struct csv_hello_req req;

	if (conn->state != SERVE_SHAKEN ||
	    csv_body_pull(csv_body_of(CSV_OP_HELLO, false),
			  conn,
			  body,
			  h->body_length,
			  &req) != 0) {
		return false;
	}
	if (req.node != csv_tls_peer_node(conn->tls)) {
		serve_refused(conn->serve,
			      conn->address,
			      "it says another node number than its key");
		return false;
	}
	conn->node = req.node;
	conn->client = req.client;
	conn->state = SERVE_READY;
	conn->serve->num_new -= 1;
	return reply_body(conn, h, &rep);
}

static struct serve_attachment *attachment(struct serve_conn *conn,
					   uint16_t id)
{
	unsigned i;

	for (i = 0; i < SERVE_ATTACHMENTS; i++) {
		if (conn->attachments[i].id == id) {
			return &conn->attachments[i];
		}
	}
	return NULL;
}

static bool reply_attached(struct serve_conn *conn,
			   const struct csv_header *h,
			   struct serve_volume *vol,
			   uint16_t id)
{
	struct serve_attachment *a = attachment(conn, 0);
	struct csv_file *root = vol->backend->ops->root(vol->backend);
	struct csv_attach_rep rep = {};
	struct serve_handle *handle = NULL;

	handle = serve_handle_new(conn, vol, root, true);
	if (handle == NULL) {
		serve_reply(conn, h, ENOMEM, NULL, 0);
		return true;
	}
	a->id = id;
	a->vol = vol;
	rep.root = handle->number;
	return reply_body(conn, h, &rep);
}

static bool op_attach(struct serve_conn *conn,
		      const struct csv_header *h,
		      const uint8_t *body)
{
	TALLOC_CTX *frame = talloc_new(conn);
	struct serve_volume *vol = NULL;
	struct csv_attach_req req;
	bool ok = true;

	if (csv_body_pull(csv_body_of(CSV_OP_ATTACH, false),
			  frame,
			  body,
			  h->body_length,
			  &req) != 0 ||
	    attachment(conn, req.id) != NULL || attachment(conn, 0) == NULL) {
		talloc_free(frame);
		return false;
	}
	vol = serve_volume_find(conn->serve,
				(const char *)req.name.data,
				req.name.length);
	if (vol == NULL || vol->draining || vol->epoch != h->epoch) {
		serve_reply(conn, h, CSV_E_STALE, NULL, 0);
	} else {
		ok = reply_attached(conn, h, vol, req.id);
	}
	talloc_free(frame);
	return ok;
}

static bool op_setcred(struct serve_conn *conn,
		       const struct csv_header *h,
		       const uint8_t *body)
{
	struct serve_cred *cred = talloc_zero(NULL, struct serve_cred);
	struct csv_setcred_req req;

	if (cred == NULL || csv_body_pull(csv_body_of(CSV_OP_SETCRED, false),
					  cred,
					  body,
					  h->body_length,
					  &req) != 0) {
		talloc_free(cred);
		return false;
	}
	cred->refs = 1;
	cred->cred.uid = req.uid;
	cred->cred.gid = req.gid;
	cred->cred.umask = req.umask;
	cred->cred.num_groups = req.num_groups;
	cred->cred.groups = req.groups;
	serve_cred_put(conn->creds[req.id]);
	conn->creds[req.id] = cred;
	return true;
}

static bool op_cancel(struct serve_conn *conn,
		      const struct csv_header *h,
		      const uint8_t *body)
{
	struct serve_job *job = conn->running;
	uint64_t id;

	if (h->body_length < 8) {
		return false;
	}
	id = get64(body);
	for (; job != NULL; job = job->cnext) {
		if (job->h.request_id == id && !job->has_token) {
			atomic_store(&job->cancelled, true);
			break;
		}
	}
	return true;
}

static bool op_close(struct serve_conn *conn,
		     const struct csv_header *h,
		     const uint8_t *body)
{
	struct serve_handle *handle = NULL;

	if (h->body_length < 8) {
		return false;
	}
	handle = serve_handle_find(conn, get64(body));
	if (handle != NULL && !handle->root) {
		serve_handle_close(conn, handle, false);
	}
	return true;
}

/* The volume of a request; NULL: it was answered as stale. */
static struct serve_volume *request_volume(struct serve_conn *conn,
					   const struct csv_header *h)
{
	struct serve_attachment *a = NULL;

	if (h->volume != 0) {
		a = attachment(conn, h->volume);
	}
	if (a == NULL || a->vol == NULL || a->vol->draining ||
	    a->vol->epoch != h->epoch) {
		serve_reply(conn, h, CSV_E_STALE, NULL, 0);
		return NULL;
	}
	a->vol->counters.requests += 1;
	return a->vol;
}

/* Did a short read end at the end of the file? */
static bool at_end(const struct serve_handle *handle, uint64_t end)
{
	struct stat st;

	return fstat(handle->fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       end >= (uint64_t)st.st_size;
}

/* n bytes were asked of the page cache: is that the whole answer? */
static bool read_whole(const struct serve_handle *handle,
		       const struct csv_io_req *io,
		       ssize_t n)
{
	return n >= 0 && ((size_t)n == io->length ||
			  at_end(handle, io->offset + (uint64_t)n));
}

static ssize_t read_cached(const struct serve_handle *handle,
			   const struct csv_io_req *io,
			   void *buf)
{
	struct iovec iov = { .iov_base = buf, .iov_len = io->length };

	return preadv2(handle->fd, &iov, 1, (off_t)io->offset, RWF_NOWAIT);
}

static void read_counted(struct serve_volume *vol, ssize_t n)
{
	vol->counters.inline_requests += 1;
	vol->counters.read_bytes += (uint64_t)n;
}

/* What the page cache has, into a batch. False: a worker must do it. */
static bool read_small(struct serve_conn *conn,
		       const struct csv_header *h,
		       struct serve_handle *handle,
		       const struct csv_io_req *io)
{
	size_t head = CSV_WIRE_HEADER + CSV_IO_REP_LEN;
	uint8_t *p = serve_batch(conn, head + io->length);
	ssize_t n;

	if (p == NULL) {
		return false;
	}
	n = read_cached(handle, io, p + head);
	if (!read_whole(handle, io, n)) {
		serve_batch_shrink(conn, head + io->length);
		return false;
	}
	read_counted(handle->vol, n);
	serve_batch_shrink(conn, io->length - (size_t)n);
	serve_header(h, 0, CSV_IO_REP_LEN, (size_t)n, p);
	csv_io_rep_push((uint32_t)n, p + CSV_WIRE_HEADER);
	return true;
}

/* The same for a large one, into memory of its own. */
static bool read_large(struct serve_job *job)
{
	const struct csv_io_req *io = &job->io;
	struct serve_handle *handle = job->handle[0];
	ssize_t n;

	job->rdata = serve_buf_get(job->vol->serve, job, io->length);
	job->body = talloc_array(job, uint8_t, CSV_IO_REP_LEN);
	if (job->rdata == NULL || job->body == NULL) {
		job->status = ENOMEM;
		return true;
	}
	n = read_cached(handle, io, job->rdata);
	if (!read_whole(handle, io, n)) {
		return false;
	}
	read_counted(handle->vol, n);
	job->rdata_len = (size_t)n;
	job->body_len = CSV_IO_REP_LEN;
	csv_io_rep_push((uint32_t)n, job->body);
	return true;
}

/* By a worker: only that may wait for the disk, and a pipe cannot but wait. */
static bool read_by_pipe(struct serve_job *job)
{
	/* each page has a slot, also one of which only a part is read */
	if (job->io.length < SERVE_PIPE_MIN ||
	    job->io.length + job->io.offset % SERVE_PIPE_PAGE >
		    SERVE_PIPE_SIZE ||
	    job->conn->t->ops->send_pipe == NULL)
	{
		return false;
	}
	job->pipe = serve_pipe_get(job->vol->serve);
	return job->pipe != NULL;
}

static bool write_inline(struct serve_conn *conn,
			 const struct csv_header *h,
			 struct serve_handle *handle,
			 const struct csv_io_req *io,
			 const uint8_t *data)
{
	struct serve_volume *vol = handle->vol;
	struct iovec iov = { .iov_base = discard_const_p(uint8_t, data),
			     .iov_len = io->length };
	uint8_t body[CSV_IO_REP_LEN];
	ssize_t n;

	if (vol->no_inline_write || io->flags != 0 ||
	    (handle->file->how & (CSV_O_SYNC | CSV_O_APPEND)) ||
	    csv_local_is_stable_only(handle->file))
	{
		return false;
	}
	n = pwritev2(handle->fd, &iov, 1, (off_t)io->offset, RWF_NOWAIT);
	if (n == -1) {
		vol->no_inline_write = errno == EOPNOTSUPP || errno == EINVAL;
		return false;
	}
	if ((size_t)n < io->length || csv_local_stable_only(handle->file)) {
		return false; /* a worker writes all of it again */
	}
	vol->counters.inline_requests += 1;
	vol->counters.write_bytes += io->length;
	csv_io_rep_push(io->length, body);
	serve_reply(conn, h, 0, body, sizeof(body));
	return true;
}

static struct serve_job *io_job(struct serve_conn *conn,
				const struct csv_header *h,
				struct serve_handle *handle,
				const struct csv_io_req *io)
{
	struct serve_job *job = serve_job_new(conn, handle->vol, h);

	if (job == NULL) {
		serve_conn_kill(conn);
		return NULL;
	}
	job->io = *io;
	job->handle[0] = handle;
	handle->refs += 1;
	job->cost = io->length;
	conn->held += job->cost;
	return job;
}

static void read_job(struct serve_conn *conn,
		     const struct csv_header *h,
		     struct serve_handle *handle,
		     const struct csv_io_req *io)
{
	bool cached = (handle->file->how & CSV_O_READ) &&
		      !serve_grace_waits(handle->vol, h);
	struct serve_job *job = NULL;

	if (cached && io->length <= SERVE_SMALL_READ &&
	    read_small(conn, h, handle, io)) {
		return;
	}
	job = io_job(conn, h, handle, io);
	if (job == NULL) {
		return;
	}
	if (read_by_pipe(job)) {
		serve_job_start(job);
		return;
	}
	if (cached && io->length > SERVE_SMALL_READ && read_large(job)) {
		serve_job_answer(job);
		return;
	}
	serve_job_start(job);
}

static void write_job(struct serve_conn *conn,
		      const struct csv_header *h,
		      struct serve_handle *handle,
		      const struct csv_io_req *io,
		      uint8_t *data,
		      bool data_owned)
{
	struct serve_job *job = io_job(conn, h, handle, io);

	if (job == NULL) {
		return;
	}
	job->data_len = io->length;
	if (data_owned) {
		job->data = talloc_steal(job, data);
	} else {
		job->data = talloc_memdup(job, data, io->length);
	}
	if (job->data == NULL && io->length != 0) {
		job->status = ENOMEM;
		serve_job_answer(job);
		return;
	}
	serve_job_start(job);
}

/* READ and WRITE. *data_owned: false when data was taken over. */
static bool op_io(struct serve_conn *conn,
		  const struct csv_header *h,
		  const uint8_t *body,
		  uint8_t *data,
		  bool *data_owned)
{
	struct serve_handle *handle = NULL;
	struct csv_io_req io;

	if (csv_io_req_pull(body, h->body_length, &io) != 0 ||
	    h->data_length != (h->op == CSV_OP_WRITE ? io.length : 0)) {
		return false;
	}
	if (request_volume(conn, h) == NULL) {
		return true;
	}
	handle = serve_handle_find(conn, io.handle);
	if (handle == NULL || (handle->file->how & CSV_O_PATH)) {
		serve_reply(conn, h, EBADF, NULL, 0);
		return true;
	}
	if (h->op == CSV_OP_WRITE) {
		if (serve_grace_waits(handle->vol, h) ||
		    !write_inline(conn, h, handle, &io, data)) {
			write_job(conn, h, handle, &io, data, *data_owned);
			*data_owned = false;
		}
		return true;
	}
	read_job(conn, h, handle, &io);
	return true;
}

static bool job_handle(struct serve_job *job, unsigned i, uint64_t number)
{
	struct serve_handle *handle = serve_handle_find(job->conn, number);

	if (handle == NULL || handle->vol != job->vol) {
		return false;
	}
	handle->refs += 1;
	job->handle[i] = handle;
	return true;
}

/* Is it not repeatable, and named by its client? */
static bool job_once(const struct serve_job *job)
{
	const struct csv_open_req *req = job->req;

	if (job->h.token == 0) {
		return false;
	}
	switch (job->h.op) {
	case CSV_OP_OPEN:
		return (req->how & CSV_O_ONCE) != 0;
	case CSV_OP_MKDIR:
	case CSV_OP_MKNOD:
	case CSV_OP_SYMLINK:
	case CSV_OP_UNLINK:
	case CSV_OP_LINK:
	case CSV_OP_RENAME:
	case CSV_OP_SETATTR:
	case CSV_OP_SETXATTR:
	case CSV_OP_REMOVEXATTR:
		return true;
	default:
		return false;
	}
}

/* The handles that the body names. False: EBADF. */
static bool job_resolve(struct serve_job *job)
{
	const struct csv_two_names_req *two_req = job->req;
	const struct csv_copy_req *copy_req = job->req;

	switch (job->h.op) {
	case CSV_OP_OPEN_FH:
		return true;
	case CSV_OP_LINK:
	case CSV_OP_RENAME:
		return job_handle(job, 0, two_req->src_dir) &&
		       job_handle(job, 1, two_req->dst_dir);
	case CSV_OP_COPY_RANGE:
		return job_handle(job, 0, copy_req->src) &&
		       job_handle(job, 1, copy_req->dst);
	default:
		/* every other body begins with its handle */
		return job_handle(job, 0, *(const uint64_t *)job->req);
	}
}

static bool op_job(struct serve_conn *conn,
		   const struct csv_header *h,
		   const uint8_t *body)
{
	const struct csv_body *type = csv_body_of(h->op, false);
	struct serve_volume *vol = NULL;
	struct serve_job *job = NULL;

	if (type == NULL) {
		serve_reply(conn, h, EOPNOTSUPP, NULL, 0);
		return true;
	}
	vol = request_volume(conn, h);
	if (vol == NULL) {
		return true;
	}
	job = serve_job_new(conn, vol, h);
	if (job == NULL) {
		return false;
	}
	job->req = talloc_size(job, csv_body_size(type));
	if (job->req == NULL ||
	    csv_body_pull(type, job->req, body, h->body_length, job->req) !=
		    0) {
		job->status = EBADMSG;
		serve_job_answer(job);
		return true;
	}
	if (h->cred != 0 && job->cred == NULL) {
		job->status = EACCES;
	} else if (!job_resolve(job)) {
		job->status = EBADF;
	}
	job->has_token = job->status == 0 && job_once(job);
	job->token = h->token;
	if (job->status != 0) {
		serve_job_answer(job);
	} else {
		serve_job_start(job);
	}
	return true;
}

static bool dispatch(struct serve_conn *conn,
		     const struct csv_header *h,
		     const uint8_t *body,
		     uint8_t *data,
		     bool *data_owned)
{
	if (h->flags & CSV_WIRE_RESPONSE) {
		return false;
	}
	if (conn->state != SERVE_READY) {
		return h->op == CSV_OP_HELLO && op_hello(conn, h, body);
	}
	switch (h->op) {
	case CSV_OP_HELLO:
		return false;
	case CSV_OP_ATTACH:
		return op_attach(conn, h, body);
	case CSV_OP_SETCRED:
		return op_setcred(conn, h, body);
	case CSV_OP_KEEPALIVE:
		serve_reply(conn, h, 0, NULL, 0);
		return true;
	case CSV_OP_CANCEL:
		return op_cancel(conn, h, body);
	case CSV_OP_CLOSE:
		return op_close(conn, h, body);
	case CSV_OP_READ:
	case CSV_OP_WRITE:
		return op_io(conn, h, body, data, data_owned);
	default:
		return op_job(conn, h, body);
	}
}

bool serve_message(struct serve_conn *conn,
		   const struct csv_header *h,
		   const uint8_t *body,
		   uint8_t *data,
		   bool data_owned)
{
	bool ok;

	conn->serve->counters.requests += 1;
	ok = dispatch(conn, h, body, data, &data_owned);
	if (data_owned) {
		serve_buf_put(conn->serve, data);
	}
	return ok;
}
