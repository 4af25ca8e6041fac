/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asynchronous data of the local backend: one engine per event context, with
 * an io_uring or, where that is forbidden, with threads. An engine is a
 * talloc child of its event context.
 *
 * A local_io is the state of one request. It is on exactly one of the
 * engine's lists: running (the kernel or a thread has its buffer) or ready
 * (done, the event loop has to tell).
 */
#ifndef _CSV_VOLUME_LOCAL_IO_H_
#define _CSV_VOLUME_LOCAL_IO_H_

#include <pthread.h>
#include "local_private.h"

enum local_op {
	LOCAL_OP_READ,
	LOCAL_OP_WRITE,
	LOCAL_OP_FSYNC,
};

struct local_engine;

struct local_io {
	struct tevent_req *req;
	struct local_engine *engine;
	struct local_io *prev, *next;
	enum local_op op;
	int fd;
	char *buf;
	size_t n;
	size_t done; /* bytes so far */
	int64_t offset;
	bool stable;	/* write: with RWF_DSYNC's meaning */
	bool data_only; /* fsync */
	bool append;	/* nobody knows where the bytes will be */
	int error;
	bool running;
	/* io_uring */
	unsigned inflight; /* completions to come */
	bool short_io;	   /* the write of this round was short */
	/* threads; under the pool's mutex */
	bool queued, finished;
	struct local_io *pool_next;
};

struct local_io_list {
	struct local_io *head, *tail;
};

void local_io_append(struct local_io_list *list, struct local_io *io);
void local_io_remove(struct local_io_list *list, struct local_io *io);

struct local_engine_ops {
	/*
	 * Starts the rest of io (from io->done on); for a stable write with
	 * nothing left, its flush. 0 or errno.
	 */
	int (*start)(struct local_engine *e, struct local_io *io);
	/* Moves what has completed to ready, without waiting. */
	void (*reap)(struct local_engine *e);
	/* Blocks until a running io lets go of its buffer. */
	void (*cancel)(struct local_engine *e, struct local_io *io);
};

struct local_engine {
	const struct local_engine_ops *ops;
	struct tevent_context *ev;
	bool threads;
	pid_t pid;
	struct local_engine *next;
	struct tevent_fd *fde;
	struct tevent_immediate *im;
	bool im_scheduled;
	struct local_io_list running;
	struct local_io_list ready;
};

/* io is complete: from running to ready. */
void local_engine_ready(struct local_engine *e, struct local_io *io);
/* Tells all that are ready; from the event loop only. */
void local_engine_deliver(struct local_engine *e);

/* ENOSYS, EPERM …: not available here */
int local_uring_create(struct tevent_context *ev, struct local_engine **e);
int local_pool_create(struct tevent_context *ev, struct local_engine **e);

#endif /* _CSV_VOLUME_LOCAL_IO_H_ */
