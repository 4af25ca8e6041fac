/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The remote backend: the files of a volume over a connection to the csvd
 * that owns it. Files and data.
 *
 * A close is sent and not waited for. The owner does it before whatever this
 * backend asks next by name or file handle, so that a file deleted while open
 * is gone then.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/util/tevent_unix.h"
#include "lib/volume/remote_private.h"

static int remote_file_destructor(struct remote_file *f)
{
	struct csv_header h = { .op = CSV_OP_CLOSE,
				.volume = REMOTE_VOLUME_ID,
				.epoch = f->rb->backend.epoch };
	uint8_t body[8];
	unsigned i;

	f->rb->backend.num_files -= 1;
	if (f->file.keep || f == f->rb->root) {
		return 0;
	}
	for (i = 0; i < sizeof(body); i++) {
		body[i] = (uint8_t)(f->handle >> (8 * i));
	}
	(void)csv_conn_post(f->rb->conn, &h, body, sizeof(body));
	return 0;
}

int remote_file_new(struct remote_backend *rb,
		    TALLOC_CTX *mem_ctx,
		    uint64_t handle,
		    uint32_t how,
		    struct remote_file **file)
{
	struct remote_file *f = NULL;

	f = talloc_zero(mem_ctx, struct remote_file);
	if (f == NULL) {
		return ENOMEM;
	}
	f->file.backend = &rb->backend;
	f->file.how = how & ~(CSV_O_ONCE | CSV_O_REPLAY);
	f->rb = rb;
	f->handle = handle;
	rb->backend.num_files += 1;
	talloc_set_destructor(f, remote_file_destructor);
	*file = f;
	return 0;
}

static struct csv_file *remote_root(struct csv_backend *b)
{
	return &remote_backend(b)->root->file;
}

/* READ and WRITE: header and body by hand, data in place. */
static void rpc_io(struct csv_rpc *rpc,
		   struct remote_file *f,
		   enum csv_op op,
		   size_t n,
		   int64_t offset,
		   uint32_t flags)
{
	struct csv_io_req io = { .handle = f->handle,
				 .offset = (uint64_t)offset,
				 .length = (uint32_t)n,
				 .flags = flags };

	csv_rpc_init(rpc, op);
	rpc->volume = REMOTE_VOLUME_ID;
	rpc->flags = f->rb->backend.replaying ? CSV_WIRE_REPLAY : 0;
	rpc->epoch = f->rb->backend.epoch;
	rpc->body = csv_rpc_small(rpc);
	rpc->body_len = CSV_IO_REQ_LEN;
	csv_io_req_push(&io, csv_rpc_small(rpc));
}

static bool io_ok(size_t n, int64_t offset)
{
	return n <= CSV_MAX_DATA && offset >= 0;
}

static void rpc_read(struct csv_rpc *rpc,
		     struct csv_file *file,
		     void *buf,
		     size_t n,
		     int64_t offset)
{
	rpc_io(rpc, remote_file(file), CSV_OP_READ, n, offset, 0);
	rpc->rbuf = buf;
	rpc->rbuf_len = n;
}

static void rpc_write(struct csv_rpc *rpc,
		      struct csv_file *file,
		      const void *buf,
		      size_t n,
		      int64_t offset,
		      uint32_t flags)
{
	rpc_io(rpc,
	       remote_file(file),
	       CSV_OP_WRITE,
	       n,
	       offset,
	       flags & ~CSV_F_REPLAY);
	rpc->flags |= (flags & CSV_F_REPLAY) ? CSV_WIRE_REPLAY : 0;
	rpc->data = buf;
	rpc->data_len = n;
}

static void rpc_fsync(struct csv_rpc *rpc,
		      struct csv_file *file,
		      uint32_t flags)
{
	struct remote_file *f = remote_file(file);
	uint8_t *p = NULL;
	unsigned i;

	csv_rpc_init(rpc, CSV_OP_FSYNC);
	rpc->volume = REMOTE_VOLUME_ID;
	rpc->flags = f->rb->backend.replaying ? CSV_WIRE_REPLAY : 0;
	rpc->epoch = f->rb->backend.epoch;
	p = csv_rpc_small(rpc);
	for (i = 0; i < 8; i++) {
		p[i] = (uint8_t)(f->handle >> (8 * i));
	}
	for (i = 0; i < 4; i++) {
		p[8 + i] = (uint8_t)((flags & ~CSV_F_REPLAY) >> (8 * i));
	}
	memset(p + 12, 0, 4);
	rpc->body = p;
	rpc->body_len = 16;
}

/* How many bytes a finished transfer moved; 0 or error. */
static int rpc_result(const struct csv_rpc *rpc, size_t *n)
{
	uint32_t length = 0;

	if (rpc->status != 0) {
		return remote_status(rpc->status);
	}
	if (rpc->op == CSV_OP_FSYNC) {
		*n = 0;
		return 0;
	}
	if (csv_io_rep_pull(rpc->rbody, rpc->rbody_len, &length) != 0) {
		return EIO;
	}
	if (rpc->op == CSV_OP_READ ? length != rpc->rdata_len
				   : length > rpc->data_len) {
		return EIO;
	}
	*n = length;
	return 0;
}

static int rpc_run(struct csv_rpc *rpc, struct csv_file *file, size_t *n)
{
	size_t moved = 0;
	int ret;

	rpc->mem_ctx = remote_file(file)->rb;
	csv_rpc_send(remote_file(file)->rb->conn, rpc);
	csv_rpc_wait(rpc, 0);
	ret = rpc_result(rpc, &moved);
	if (ret == 0 && n != NULL) {
		*n = moved;
	}
	return ret;
}

static int remote_pread(struct csv_file *file,
			void *buf,
			size_t n,
			int64_t offset,
			size_t *nread)
{
	struct csv_rpc rpc;

	if (!io_ok(n, offset)) {
		return EINVAL;
	}
	rpc_read(&rpc, file, buf, n, offset);
	return rpc_run(&rpc, file, nread);
}

static int remote_pwrite(struct csv_file *file,
			 const void *buf,
			 size_t n,
			 int64_t offset,
			 uint32_t flags,
			 size_t *nwritten)
{
	struct csv_rpc rpc;

	if (!io_ok(n, offset)) {
		return EINVAL;
	}
	rpc_write(&rpc, file, buf, n, offset, flags);
	return rpc_run(&rpc, file, nwritten);
}

static int remote_fsync(struct csv_file *file, uint32_t flags)
{
	struct csv_rpc rpc;

	rpc_fsync(&rpc, file, flags);
	return rpc_run(&rpc, file, NULL);
}

struct remote_io_state {
	size_t n;
	struct csv_rpc rpc; /* last: large */
};

static void remote_io_done(struct csv_rpc *rpc)
{
	struct tevent_req *req = rpc->private_data;
	struct remote_io_state *state =
		tevent_req_data(req, struct remote_io_state);
	int ret;

	ret = rpc_result(rpc, &state->n);
	if (ret != 0) {
		tevent_req_error(req, ret);
		return;
	}
	tevent_req_done(req);
}

static void remote_io_cleanup(struct tevent_req *req,
			      enum tevent_req_state req_state)
{
	struct remote_io_state *state =
		tevent_req_data(req, struct remote_io_state);

	csv_rpc_cancel(&state->rpc);
}

static struct tevent_req *remote_io_create(TALLOC_CTX *mem_ctx,
					   struct csv_file *file,
					   struct remote_io_state **state)
{
	struct tevent_req *req = NULL;

	req = tevent_req_create(mem_ctx, state, struct remote_io_state);
	if (req != NULL) {
		csv_rpc_init(&(*state)->rpc, CSV_OP_KEEPALIVE);
		tevent_req_set_cleanup_fn(req, remote_io_cleanup);
	}
	return req;
}

static struct tevent_req *remote_io_start(struct tevent_req *req,
					  struct tevent_context *ev,
					  struct csv_file *file,
					  struct remote_io_state *state)
{
	struct remote_backend *rb = remote_file(file)->rb;
	struct csv_rpc *rpc = &state->rpc;

	if (ev != rb->ev && csv_conn_watch(rb->conn, state, ev) != 0) {
		tevent_req_oom(req);
		return tevent_req_post(req, ev);
	}
	rpc->mem_ctx = state;
	rpc->ev = ev;
	rpc->fn = remote_io_done;
	rpc->private_data = req;
	csv_rpc_send(rb->conn, rpc);
	return req;
}

static struct tevent_req *remote_pread_send(TALLOC_CTX *mem_ctx,
					    struct tevent_context *ev,
					    struct csv_file *file,
					    void *buf,
					    size_t n,
					    int64_t offset)
{
	struct remote_io_state *state = NULL;
	struct tevent_req *req = remote_io_create(mem_ctx, file, &state);

	if (req == NULL) {
		return NULL;
	}
	if (!io_ok(n, offset)) {
		tevent_req_error(req, EINVAL);
		return tevent_req_post(req, ev);
	}
	rpc_read(&state->rpc, file, buf, n, offset);
	return remote_io_start(req, ev, file, state);
}

static struct tevent_req *remote_pwrite_send(TALLOC_CTX *mem_ctx,
					     struct tevent_context *ev,
					     struct csv_file *file,
					     const void *buf,
					     size_t n,
					     int64_t offset,
					     uint32_t flags)
{
	struct remote_io_state *state = NULL;
	struct tevent_req *req = remote_io_create(mem_ctx, file, &state);

	if (req == NULL) {
		return NULL;
	}
	if (!io_ok(n, offset)) {
		tevent_req_error(req, EINVAL);
		return tevent_req_post(req, ev);
	}
	rpc_write(&state->rpc, file, buf, n, offset, flags);
	return remote_io_start(req, ev, file, state);
}

static struct tevent_req *remote_fsync_send(TALLOC_CTX *mem_ctx,
					    struct tevent_context *ev,
					    struct csv_file *file,
					    uint32_t flags)
{
	struct remote_io_state *state = NULL;
	struct tevent_req *req = remote_io_create(mem_ctx, file, &state);

	if (req == NULL) {
		return NULL;
	}
	rpc_fsync(&state->rpc, file, flags);
	return remote_io_start(req, ev, file, state);
}

static int remote_recv(struct tevent_req *req, size_t *n)
{
	struct remote_io_state *state =
		tevent_req_data(req, struct remote_io_state);
	int ret = 0;

	if (tevent_req_is_unix_error(req, &ret)) {
		tevent_req_received(req);
		return ret;
	}
	if (n != NULL) {
		*n = state->n;
	}
	tevent_req_received(req);
	return 0;
}

const struct csv_backend_ops remote_ops = {
	.name = "remote",
	.root = remote_root,
	.open = remote_open,
	.open_fh = remote_open_fh,
	.fstat = remote_fstat,
	.statat = remote_statat,
	.setattr = remote_setattr,
	.readdir = remote_readdir,
	.mkdir = remote_mkdir,
	.mknod = remote_mknod,
	.symlink = remote_symlink,
	.readlink = remote_readlink,
	.link = remote_link,
	.rename = remote_rename,
	.unlink = remote_unlink,
	.fallocate = remote_fallocate,
	.seek = remote_seek,
	.copy_range = remote_copy_range,
	.statfs = remote_statfs,
	.getxattr = remote_getxattr,
	.setxattr = remote_setxattr,
	.listxattr = remote_listxattr,
	.removexattr = remote_removexattr,
	.pread = remote_pread,
	.pwrite = remote_pwrite,
	.fsync = remote_fsync,
	.pread_send = remote_pread_send,
	.pwrite_send = remote_pwrite_send,
	.fsync_send = remote_fsync_send,
	.recv = remote_recv,
};
