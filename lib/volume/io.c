/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asynchronous data: a request lives in the volume's list until it is
 * answered; when the owner changes, what was in flight is simply sent again
 * in the order asked for. Reads, writes at an offset and flushes are
 * repeatable.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "volume_private.h"
#include "lib/util/dlinklist.h"

enum csv_io_kind {
	CSV_IO_READ,
	CSV_IO_WRITE,
	CSV_IO_FSYNC,
};

struct csv_io {
	struct csv_io *prev, *next;
	struct tevent_req *req;
	struct tevent_req *subreq; /* at the backend */
	struct tevent_context *ev;
	struct csv_handle *h;
	struct csv_volume *vol; /* NULL: no longer in its list */
	enum csv_io_kind kind;
	void *rbuf;
	const void *wbuf;
	const void *owner; /* of wbuf, or NULL */
	size_t n;
	int64_t offset;
	uint32_t flags;
	uint64_t generation;
	uint64_t serial; /* flush: covers unstable writes up to here */
	size_t done;
	bool sent;   /* an owner may have done it */
	bool resent; /* and it is at the backend again */
};

static void csv_io_done(struct tevent_req *subreq);

/* It is no longer at the backend. */
static void csv_io_back(struct csv_io *io)
{
	TALLOC_FREE(io->subreq);
	io->vol->inflight -= 1;
	io->vol->resent -= io->resent ? 1 : 0;
	io->resent = false;
}

static void csv_io_unlink(struct csv_io *io)
{
	if (io->vol == NULL) {
		return;
	}
	if (io->subreq != NULL) {
		csv_io_back(io);
	}
	DLIST_REMOVE(io->vol->ios, io);
	io->vol = NULL;
}

static void csv_io_cleanup(struct tevent_req *req, enum tevent_req_state state)
{
	struct csv_io *io = tevent_req_data(req, struct csv_io);

	(void)state;
	csv_io_unlink(io);
}

static struct tevent_req *csv_io_submit(struct csv_io *io,
					struct csv_file *file)
{
	const struct csv_backend_ops *ops = io->vol->backend->ops;

	switch (io->kind) {
	case CSV_IO_READ:
		return ops->pread_send(
			io, io->ev, file, io->rbuf, io->n, io->offset);
	case CSV_IO_WRITE:
		return ops->pwrite_send(io,
					io->ev,
					file,
					io->wbuf,
					io->n,
					io->offset,
					io->flags);
	case CSV_IO_FSYNC:
		return ops->fsync_send(io, io->ev, file, io->flags);
	}
	return NULL;
}

/*
 * Hand it to the backend. Returns an error that is the request's own; one
 * that is the volume's leaves it waiting in the list (0).
 */
static int csv_io_start(struct csv_io *io)
{
	struct csv_volume *vol = io->vol;
	struct csv_file *file = io->h->file;
	int ret = 0;

	io->generation = vol->generation;
	if (file == NULL) {
		vol->busy += 1;
		ret = csv_handle_file(io->h, &file);
		vol->busy -= 1;
	}
	if (ret != 0) {
		if (csv_volume_is_trouble(vol, ret)) {
			csv_volume_trouble(vol, io->generation);
			return 0;
		}
		return ret;
	}
	io->serial = io->h->unstable_serial;
	vol->backend->replaying = io->sent;
	io->subreq = csv_io_submit(io, file);
	vol->backend->replaying = false;
	if (io->subreq == NULL) {
		return ENOMEM;
	}
	vol->inflight += 1;
	io->resent = io->sent;
	vol->resent += io->resent ? 1 : 0;
	tevent_req_set_callback(io->subreq, csv_io_done, io->req);
	return 0;
}

void csv_account_op(struct csv_volume *vol)
{
	if (vol->target.access == CSV_ACCESS_DIRECT) {
		vol->counters.direct_ops += 1;
	} else {
		vol->counters.redirected_ops += 1;
	}
}

void csv_account_read(struct csv_handle *h, size_t n)
{
	struct csv_volume_counters *c = &h->vol->counters;

	if (h->vol->target.access == CSV_ACCESS_DIRECT) {
		c->direct_read_bytes += n;
	} else {
		c->redirected_read_bytes += n;
	}
}

void csv_account_write(struct csv_handle *h,
		       const void *buf,
		       size_t n,
		       int64_t offset,
		       uint32_t flags,
		       const void *owner)
{
	struct csv_volume_counters *c = &h->vol->counters;

	if (h->vol->target.access == CSV_ACCESS_DIRECT) {
		c->direct_write_bytes += n;
		return;
	}
	c->redirected_write_bytes += n;
	/* a stable one too, to keep the order, while there are others */
	if (h->unstable != NULL ||
	    (!(flags & CSV_F_STABLE) && !(h->how & CSV_O_SYNC)))
	{
		csv_unstable_add(h, buf, n, offset, owner);
	}
}

/* 0, or what a flush has to tell beyond its own success. */
static int csv_io_account(struct csv_io *io)
{
	csv_account_op(io->vol);
	switch (io->kind) {
	case CSV_IO_READ:
		csv_account_read(io->h, io->done);
		break;
	case CSV_IO_WRITE:
		csv_account_write(io->h,
				  io->wbuf,
				  io->done,
				  io->offset,
				  io->flags,
				  io->owner);
		break;
	case CSV_IO_FSYNC:
		return csv_unstable_commit(io->h, io->serial);
	}
	return 0;
}

static void csv_io_done(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(subreq,
							  struct tevent_req);
	struct csv_io *io = tevent_req_data(req, struct csv_io);
	struct csv_volume *vol = io->vol;
	uint64_t generation = io->generation;
	int ret;

	ret = vol->backend->ops->recv(subreq, &io->done);
	csv_io_back(io);

	if (csv_volume_is_trouble(vol, ret)) {
		io->sent = io->sent || ret != CSV_E_STALE;
		vol->counters.replayed += 1;
		csv_volume_trouble(vol, generation);
		csv_volume_settle(vol);
		return;
	}
	if (ret == 0) {
		ret = csv_io_account(io);
	}
	csv_io_unlink(io);
	csv_volume_check_replayed(vol);
	if (vol->state != CSV_STATE_ACTIVE) {
		csv_volume_settle(vol);
	}
	if (ret != 0) {
		tevent_req_error(req, ret);
		return;
	}
	tevent_req_done(req);
}

static struct tevent_req *csv_io_send(TALLOC_CTX *mem_ctx,
				      struct tevent_context *ev,
				      const struct csv_io *template)
{
	struct tevent_req *req = NULL;
	struct csv_volume *vol = template->h->vol;
	struct csv_io *io = NULL;
	int ret = 0;

	req = tevent_req_create(mem_ctx, &io, struct csv_io);
	if (req == NULL) {
		return NULL;
	}
	*io = *template;
	io->req = req;
	io->ev = ev;
	if (vol == NULL || vol->shutdown || io->h->invalid) {
		tevent_req_error(req, ENXIO);
		return tevent_req_post(req, ev);
	}
	io->vol = vol;
	DLIST_ADD_END(vol->ios, io);
	tevent_req_set_cleanup_fn(req, csv_io_cleanup);
	if (csv_volume_runs(vol)) {
		ret = csv_io_start(io);
	}
	if (ret != 0) {
		tevent_req_error(req, ret);
		return tevent_req_post(req, ev);
	}
	return req;
}

struct tevent_req *csv_pread_send(TALLOC_CTX *mem_ctx,
				  struct tevent_context *ev,
				  struct csv_handle *h,
				  void *buf,
				  size_t n,
				  int64_t offset)
{
	struct csv_io io = {
		.h = h,
		.kind = CSV_IO_READ,
		.rbuf = buf,
		.n = n,
		.offset = offset,
	};

	return csv_io_send(mem_ctx, ev, &io);
}

struct tevent_req *csv_pwrite_send(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   struct csv_handle *h,
				   const void *buf,
				   size_t n,
				   int64_t offset,
				   uint32_t flags,
				   const void *owner)
{
	struct csv_io io = {
		.h = h,
		.kind = CSV_IO_WRITE,
		.wbuf = buf,
		.owner = owner,
		.n = n,
		.offset = offset,
		.flags = flags,
	};

	return csv_io_send(mem_ctx, ev, &io);
}

struct tevent_req *csv_fsync_send(TALLOC_CTX *mem_ctx,
				  struct tevent_context *ev,
				  struct csv_handle *h,
				  uint32_t flags)
{
	struct csv_io io = { .h = h, .kind = CSV_IO_FSYNC, .flags = flags };

	return csv_io_send(mem_ctx, ev, &io);
}

int csv_io_recv(struct tevent_req *req, size_t *n)
{
	struct csv_io *io = tevent_req_data(req, struct csv_io);
	enum tevent_req_state state;
	uint64_t error = 0;
	int ret = 0;

	if (tevent_req_is_error(req, &state, &error)) {
		ret = state == TEVENT_REQ_USER_ERROR ? (int)error : ENOMEM;
	} else if (n != NULL) {
		*n = io->done;
	}
	tevent_req_received(req);
	return ret;
}

/* May be called inside a synchronous operation: callbacks come later. */
static void csv_io_fail(struct csv_io *io, int error)
{
	struct tevent_req *req = io->req;

	csv_io_unlink(io);
	tevent_req_defer_callback(req, io->ev);
	tevent_req_error(req, error);
}

/* The backend goes: what it had in flight waits for the next one. */
void csv_ios_cancel_down_level(struct csv_volume *vol)
{
	struct csv_io *io = NULL;

	for (io = vol->ios; io != NULL; io = io->next) {
		if (io->subreq == NULL) {
			continue;
		}
		csv_io_back(io);
		io->sent = true;
		vol->counters.replayed += 1;
	}
}

static void csv_ios_start_some(struct csv_volume *vol,
			       bool sent,
			       bool (*may)(const struct csv_volume *vol))
{
	struct csv_io *io = NULL;
	struct csv_io *next = NULL;

	for (io = vol->ios; io != NULL && may(vol); io = next) {
		int ret;

		next = io->next;
		if (io->subreq != NULL || io->sent != sent) {
			continue;
		}
		ret = csv_io_start(io);
		if (ret != 0) {
			csv_io_fail(io, ret);
		}
	}
}

void csv_ios_repeat(struct csv_volume *vol)
{
	csv_ios_start_some(vol, true, csv_volume_replays);
}

/* New ones take the credits that an owner in its grace keeps for long. */
void csv_ios_start(struct csv_volume *vol)
{
	csv_ios_repeat(vol);
	csv_ios_start_some(vol, false, csv_volume_runs);
}

void csv_ios_fail(struct csv_volume *vol, int error)
{
	struct csv_io *io = NULL;
	struct csv_io *next = NULL;

	for (io = vol->ios; io != NULL; io = next) {
		next = io->next;
		csv_io_fail(io, error);
	}
}
