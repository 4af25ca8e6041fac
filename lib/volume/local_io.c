/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asynchronous reads, writes and flushes.
 *
 * Reads and writes are tried first without waiting (RWF_NOWAIT): what the page
 * cache has, or takes, costs one system call and no completion. A request that is done at once is
 * posted to the event loop; one that is found done while another one is being
 * sent is told by the event loop too (an immediate event), so that no callback
 * runs inside a *_send function.
 */

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "local_io.h"

/* One per event context, so never more than a few. */
static _Thread_local struct local_engine *engines;

void local_io_append(struct local_io_list *list, struct local_io *io)
{
	io->next = NULL;
	io->prev = list->tail;
	if (list->tail != NULL) {
		list->tail->next = io;
	} else {
		list->head = io;
	}
	list->tail = io;
}

void local_io_remove(struct local_io_list *list, struct local_io *io)
{
	if (io->prev != NULL) {
		io->prev->next = io->next;
	} else {
		list->head = io->next;
	}
	if (io->next != NULL) {
		io->next->prev = io->prev;
	} else {
		list->tail = io->prev;
	}
	io->prev = io->next = NULL;
}

void local_engine_ready(struct local_engine *e, struct local_io *io)
{
	local_io_remove(&e->running, io);
	io->running = false;
	local_io_append(&e->ready, io);
}

/* The engine has nothing to do with it any more. */
static void io_forget(struct local_engine *e, struct local_io *io)
{
	local_io_remove(io->running ? &e->running : &e->ready, io);
	io->running = false;
	io->engine = NULL;
}

static void finish(struct local_io *io)
{
	if (io->error == 0 && (io->stable || io->op == LOCAL_OP_FSYNC)) {
		io->error = local_still_up(io->fd);
	}
	if (io->error != 0) {
		tevent_req_error(io->req, (uint64_t)io->error);
		return;
	}
	tevent_req_done(io->req);
}

void local_engine_deliver(struct local_engine *e)
{
	struct local_io *io = NULL;

	while ((io = e->ready.head) != NULL) {
		io_forget(e, io);
		finish(io);
	}
}

static void deliver_later(struct tevent_context *ev,
			  struct tevent_immediate *im,
			  void *private_data)
{
	struct local_engine *e = private_data;

	e->im_scheduled = false;
	local_engine_deliver(e);
	(void)ev;
	(void)im;
}

static void schedule_deliver(struct local_engine *e)
{
	if (e->ready.head == NULL || e->im_scheduled) {
		return;
	}
	e->im_scheduled = true;
	tevent_schedule_immediate(e->im, e->ev, deliver_later, e);
}

static int engine_destructor(struct local_engine *e)
{
	struct local_engine **p = &engines;
	struct local_io *io = NULL;

	while (*p != NULL && *p != e) {
		p = &(*p)->next;
	}
	if (*p == e) {
		*p = e->next;
	}
	while ((io = e->running.head) != NULL) {
		e->ops->cancel(e, io);
		io_forget(e, io);
	}
	while ((io = e->ready.head) != NULL) {
		io_forget(e, io);
	}
	return 0;
}

static int engine_create(struct tevent_context *ev,
			 bool threads,
			 struct local_engine **engine)
{
	struct local_engine *e = NULL;
	int ret = ENOSYS;

	if (!threads) {
		ret = local_uring_create(ev, &e);
	}
	if (ret != 0) {
		ret = local_pool_create(ev, &e);
	}
	if (ret != 0) {
		return ret;
	}
	e->im = tevent_create_immediate(e);
	if (e->im == NULL) {
		talloc_free(e);
		return ENOMEM;
	}
	e->ev = ev;
	e->threads = threads;
	e->pid = getpid();
	e->next = engines;
	engines = e;
	talloc_set_destructor(e, engine_destructor);
	*engine = e;
	return 0;
}

static int engine_get(struct tevent_context *ev,
		      bool threads,
		      struct local_engine **engine)
{
	struct local_engine *e = NULL;

	for (e = engines; e != NULL; e = e->next) {
		/* a ring or threads of the process we were forked from: no */
		if (e->ev == ev && e->threads == threads &&
		    e->pid == getpid())
		{
			*engine = e;
			return 0;
		}
	}
	return engine_create(ev, threads, engine);
}

/* The request is told, received or freed before it is done. */
static void io_cleanup(struct tevent_req *req, enum tevent_req_state state)
{
	struct local_io *io = tevent_req_data(req, struct local_io);
	struct local_engine *e = io->engine;

	(void)state;
	if (e == NULL) {
		return;
	}
	if (io->running) {
		e->ops->cancel(e, io);
	}
	io_forget(e, io);
	/* others may have completed in the meantime */
	schedule_deliver(e);
}

/* Is it read already? Otherwise io->done says how far. */
static bool read_cached(struct local_io *io)
{
	struct iovec iov;
	ssize_t ret;

	do {
		iov = (struct iovec){
			.iov_base = io->buf + io->done,
			.iov_len = io->n - io->done,
		};
		ret = preadv2(io->fd,
			      &iov,
			      1,
			      io->offset + (off_t)io->done,
			      RWF_NOWAIT);
		if (ret > 0) {
			io->done += (size_t)ret;
		}
	} while (ret > 0 && io->done < io->n);
	if (ret >= 0) {
		return true;
	}
	if (errno == EAGAIN || errno == EOPNOTSUPP || errno == EINTR) {
		return false;
	}
	io->error = errno;
	return true;
}

/*
 * Has the page cache taken all of it? Errors are left to the attempt that may
 * wait: without waiting a full disk may be one that only needs a moment.
 */
static bool write_cached(struct local_io *io)
{
	struct iovec iov = {.iov_base = io->buf, .iov_len = io->n};
	ssize_t ret;

	ret = pwritev2(io->fd, &iov, 1, io->offset, RWF_NOWAIT);
	if (ret <= 0) {
		return false;
	}
	io->done = (size_t)ret;
	return io->done == io->n;
}

/* Is it done, or has it failed, without an engine? */
static bool io_cached(struct local_io *io)
{
	switch (io->op) {
	case LOCAL_OP_READ:
		return read_cached(io);
	case LOCAL_OP_WRITE:
		/* what is left to do may be the flush */
		return write_cached(io) && !io->stable;
	case LOCAL_OP_FSYNC:
		break;
	}
	return false;
}

static int io_check(const struct local_io *io)
{
	if (io->op == LOCAL_OP_FSYNC) {
		return 0;
	}
	return io->n > CSV_MAX_DATA || io->offset < 0 ? EINVAL : 0;
}

/* True: it is done, or has failed, already. */
static bool io_start(struct local_io *io,
		     struct tevent_context *ev,
		     bool threads)
{
	struct local_engine *e = NULL;
	int ret;

	io->error = io_check(io);
	if (io->error != 0) {
		return true;
	}
	if (io_cached(io)) {
		return true;
	}
	io->error = engine_get(ev, threads, &e);
	if (io->error != 0) {
		return true;
	}
	/* once started, io->error is the engine's: a thread may be done */
	ret = e->ops->start(e, io);
	if (ret != 0) {
		io->error = ret;
		return true;
	}
	io->engine = e;
	io->running = true;
	local_io_append(&e->running, io);
	e->ops->reap(e);
	if (!io->running) {
		local_io_remove(&e->ready, io);
		io->engine = NULL;
	}
	schedule_deliver(e);
	return !io->running;
}

static struct tevent_req *io_send(TALLOC_CTX *mem_ctx,
				  struct tevent_context *ev,
				  struct local_file *f,
				  const struct local_io *tmpl)
{
	struct tevent_req *req = NULL;
	struct local_io *io = NULL;

	req = tevent_req_create(mem_ctx, &io, struct local_io);
	if (req == NULL) {
		return NULL;
	}
	*io = *tmpl;
	io->req = req;
	io->fd = f->fd;
	tevent_req_set_cleanup_fn(req, io_cleanup);
	if (!io_start(io, ev, f->lb->threads)) {
		return req;
	}
	finish(io);
	return tevent_req_post(req, ev);
}

struct tevent_req *local_pread_send(TALLOC_CTX *mem_ctx,
				    struct tevent_context *ev,
				    struct csv_file *file,
				    void *buf,
				    size_t n,
				    int64_t offset)
{
	struct local_io io = {
		.op = LOCAL_OP_READ,
		.buf = buf,
		.n = n,
		.offset = offset,
	};

	return io_send(mem_ctx, ev, local_file(file), &io);
}

struct tevent_req *local_pwrite_send(TALLOC_CTX *mem_ctx,
				     struct tevent_context *ev,
				     struct csv_file *file,
				     const void *buf,
				     size_t n,
				     int64_t offset,
				     uint32_t flags)
{
	struct local_file *f = local_file(file);
	struct local_io io = {
		.op = LOCAL_OP_WRITE,
		.buf = (char *)(uintptr_t)buf,
		.n = n,
		.offset = offset,
		.stable = ((flags & CSV_F_STABLE) ||
			   (file->how & CSV_O_SYNC)) &&
			  n > 0,
		.append = (file->how & CSV_O_APPEND) != 0,
	};

	if (local_data_user(f->lb) != 0) {
		return NULL;
	}
	return io_send(mem_ctx, ev, f, &io);
}

struct tevent_req *local_fsync_send(TALLOC_CTX *mem_ctx,
				    struct tevent_context *ev,
				    struct csv_file *file,
				    uint32_t flags)
{
	struct local_io io = {
		.op = LOCAL_OP_FSYNC,
		.data_only = (flags & CSV_F_DATASYNC) != 0,
	};

	return io_send(mem_ctx, ev, local_file(file), &io);
}

int local_recv(struct tevent_req *req, size_t *n)
{
	struct local_io *io = tevent_req_data(req, struct local_io);
	enum tevent_req_state state;
	uint64_t err = 0;
	int ret = 0;

	if (tevent_req_is_error(req, &state, &err)) {
		switch (state) {
		case TEVENT_REQ_USER_ERROR:
			ret = (int)err;
			break;
		case TEVENT_REQ_NO_MEMORY:
			ret = ENOMEM;
			break;
		default:
			ret = EIO;
			break;
		}
	} else if (n != NULL) {
		*n = io->done;
	}
	tevent_req_received(req);
	return ret;
}
