/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine that uses io_uring: submits each request at once and reaps at
 * once, because most of them complete inside the submission.
 *
 * A stable write that the page cache did not take at once (local_io.c) is a
 * write linked with an fdatasync of its range: the write runs inside the
 * submission if it can, the flushes of several requests in parallel on
 * the kernel's workers. One write with RWF_DSYNC would flush inside the
 * submission (and stop the event loop), or, sent to the workers, would be
 * serialised with all other writes of that file.
 */

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include "local_io.h"

#define NUM_ENTRIES 256

/* In user_data, beside the pointer. */
#define TAG_FLUSH 1ULL
#define TAG_CANCEL 2ULL
#define TAG_MASK 3ULL

struct local_uring {
	struct local_engine engine; /* first */
	struct io_uring ring;
	bool up;
};

static struct local_uring *uring(struct local_engine *e)
{
	return (struct local_uring *)e;
}

static void set_data(struct io_uring_sqe *sqe, struct local_io *io, uint64_t tag)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)io | tag);
}

static void uring_reap(struct local_engine *e);

/*
 * All that is prepared. A ring that the kernel does not take any more is the
 * end: it may still write into the buffers of what was submitted before.
 */
static void submit(struct local_uring *u)
{
	int ret;

	while (io_uring_sq_ready(&u->ring) > 0) {
		ret = io_uring_submit(&u->ring);
		if (ret >= 0 || ret == -EINTR || ret == -EAGAIN) {
			continue;
		}
		if (ret != -EBUSY) {
			abort();
		}
		/* too many completions wait for us */
		uring_reap(&u->engine);
	}
}

static struct io_uring_sqe *get_sqe(struct local_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe == NULL) {
		submit(u);
		sqe = io_uring_get_sqe(&u->ring);
	}
	return sqe;
}

static void prep_write(struct io_uring_sqe *sqe, struct local_io *io)
{
	io_uring_prep_write(sqe,
			    io->fd,
			    io->buf + io->done,
			    (unsigned)(io->n - io->done),
			    (uint64_t)io->offset + io->done);
	set_data(sqe, io, 0);
}

static void prep_range_flush(struct io_uring_sqe *sqe, struct local_io *io)
{
	io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
	if (!io->append) {
		/* all of it: nothing was flushed after a short write */
		sqe->off = (uint64_t)io->offset;
		sqe->len = (uint32_t)io->n;
	}
	set_data(sqe, io, TAG_FLUSH);
}

/* All that is left of a stable write. */
static int start_flush(struct local_uring *u, struct local_io *io)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	if (sqe == NULL) {
		return EAGAIN;
	}
	prep_range_flush(sqe, io);
	io->inflight = 1;
	return 0;
}

static int start_write(struct local_uring *u, struct local_io *io)
{
	struct io_uring_sqe *sqe = NULL;

	if (io->stable && io->done == io->n) {
		return start_flush(u, io);
	}

	/* a chain must not be cut by a submission in its middle */
	if (io_uring_sq_space_left(&u->ring) < 2) {
		submit(u);
	}
	sqe = get_sqe(u);
	if (sqe == NULL) {
		return EAGAIN;
	}
	prep_write(sqe, io);
	io->inflight = 1;
	if (!io->stable) {
		return 0;
	}
	sqe->flags |= IOSQE_IO_LINK;
	sqe = get_sqe(u);
	prep_range_flush(sqe, io);
	io->inflight = 2;
	return 0;
}

static int start_other(struct local_uring *u, struct local_io *io)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	if (sqe == NULL) {
		return EAGAIN;
	}
	if (io->op == LOCAL_OP_READ) {
		io_uring_prep_read(sqe,
				   io->fd,
				   io->buf + io->done,
				   (unsigned)(io->n - io->done),
				   (uint64_t)io->offset + io->done);
	} else {
		io_uring_prep_fsync(sqe,
				    io->fd,
				    io->data_only ? IORING_FSYNC_DATASYNC : 0);
	}
	set_data(sqe, io, 0);
	io->inflight = 1;
	return 0;
}

static int uring_start(struct local_engine *e, struct local_io *io)
{
	struct local_uring *u = uring(e);
	int ret;

	io->short_io = false;
	ret = io->op == LOCAL_OP_WRITE ? start_write(u, io)
				       : start_other(u, io);
	if (ret == 0) {
		submit(u);
	}
	return ret;
}

/* The result of a read, a write, or an fsync of its own. */
static void data_result(struct local_io *io, int res)
{
	if (res < 0) {
		io->error = -res;
		return;
	}
	if (io->op == LOCAL_OP_FSYNC) {
		return;
	}
	io->done += (size_t)res;
	io->short_io = res > 0 && io->done < io->n;
}

/* The result of a flush that was linked with a write. */
static void flush_result(struct local_io *io, int res)
{
	/* cancelled because the write failed or was short */
	if (res < 0 && res != -ECANCELED && io->error == 0) {
		io->error = -res;
	}
	if (res == -ECANCELED && io->error == 0 && !io->short_io &&
	    io->done == io->n)
	{
		io->error = ECANCELED;
	}
}

static void completed(struct local_engine *e, struct io_uring_cqe *cqe)
{
	uint64_t data = io_uring_cqe_get_data64(cqe);
	struct local_io *io = (struct local_io *)(uintptr_t)(data & ~TAG_MASK);

	if ((data & TAG_MASK) == TAG_CANCEL) {
		return;
	}
	if ((data & TAG_MASK) == TAG_FLUSH) {
		flush_result(io, cqe->res);
	} else {
		data_result(io, cqe->res);
	}
	io->inflight--;
	if (io->inflight > 0) {
		return;
	}
	if (io->short_io && io->error == 0) {
		/* the rest; nothing more is a result as well */
		io->error = uring_start(e, io);
		if (io->error == 0) {
			return;
		}
	}
	local_engine_ready(e, io);
}

static void uring_reap(struct local_engine *e)
{
	struct io_uring *ring = &uring(e)->ring;
	struct io_uring_cqe *cqe = NULL;
	struct io_uring_cqe copy;

	while (io_uring_peek_cqe(ring, &cqe) == 0) {
		/* completed() may use the ring */
		copy = *cqe;
		io_uring_cqe_seen(ring, cqe);
		completed(e, &copy);
	}
}

static void uring_cancel(struct local_engine *e, struct local_io *io)
{
	struct local_uring *u = uring(e);
	struct io_uring_sqe *sqe = get_sqe(u);
	struct io_uring_cqe *cqe = NULL;

	if (sqe != NULL) {
		io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)io, 0);
		io_uring_sqe_set_data64(sqe, TAG_CANCEL);
		submit(u);
	}
	/* not to be continued, nor to be told */
	io->error = ECANCELED;
	uring_reap(e);
	while (io->running) {
		io_uring_wait_cqe(&u->ring, &cqe);
		uring_reap(e);
	}
}

static void uring_handler(struct tevent_context *ev,
			  struct tevent_fd *fde,
			  uint16_t flags,
			  void *private_data)
{
	struct local_engine *e = private_data;

	(void)ev;
	(void)fde;
	(void)flags;
	uring_reap(e);
	local_engine_deliver(e);
}

static const struct local_engine_ops uring_ops = {
	.start = uring_start,
	.reap = uring_reap,
	.cancel = uring_cancel,
};

/*
 * The engine's own destructor has ended all requests by then: the ring goes
 * with this child of the engine.
 */
struct ring_owner {
	struct local_uring *u;
};

static int ring_owner_destructor(struct ring_owner *o)
{
	/* before its descriptor means something else */
	TALLOC_FREE(o->u->engine.fde);
	io_uring_queue_exit(&o->u->ring);
	return 0;
}

int local_uring_create(struct tevent_context *ev, struct local_engine **e)
{
	struct local_uring *u = NULL;
	struct ring_owner *owner = NULL;
	int ret;

	u = talloc_zero(ev, struct local_uring);
	if (u == NULL) {
		return ENOMEM;
	}
	owner = talloc_zero(u, struct ring_owner);
	if (owner == NULL) {
		talloc_free(u);
		return ENOMEM;
	}
	ret = io_uring_queue_init(NUM_ENTRIES, &u->ring, 0);
	if (ret < 0) {
		talloc_free(u);
		return -ret;
	}
	io_uring_ring_dontfork(&u->ring);
	owner->u = u;
	talloc_set_destructor(owner, ring_owner_destructor);
	u->engine.ops = &uring_ops;
	u->engine.fde = tevent_add_fd(ev,
				      owner,
				      u->ring.ring_fd,
				      TEVENT_FD_READ,
				      uring_handler,
				      u);
	if (u->engine.fde == NULL) {
		talloc_free(u);
		return ENOMEM;
	}
	*e = &u->engine;
	return 0;
}
