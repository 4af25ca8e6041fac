/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine for where io_uring is forbidden: a few threads of the process
 * do the system calls, an eventfd per engine wakes its event loop.
 *
 * A thread touches an io only while it is neither queued nor finished; all
 * of that changes under the pool's mutex.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include "local_io.h"

#define MAX_THREADS 16

struct local_pool {
	struct local_engine engine; /* first */
	int eventfd;
	struct local_io *finished; /* under the mutex */
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t work; /* something is queued */
	pthread_cond_t done; /* something is finished */
	pid_t pid;
	unsigned num_threads;
	unsigned num_idle;
	struct local_io *head, **tail;
} pool = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
	.tail = &pool.head,
};

static ssize_t io_call(struct local_io *io)
{
	struct iovec iov = {
		.iov_base = io->buf + io->done,
		.iov_len = io->n - io->done,
	};
	off_t offset = io->offset + (off_t)io->done;

	switch (io->op) {
	case LOCAL_OP_READ:
		return preadv(io->fd, &iov, 1, offset);
	case LOCAL_OP_WRITE:
		return pwritev2(io->fd, &iov, 1, offset, 0);
	case LOCAL_OP_FSYNC:
		break;
	}
	return io->data_only ? fdatasync(io->fd) : fsync(io->fd);
}

/* A stable write is a write and a flush; the write may be done already. */
static void io_work(struct local_io *io)
{
	ssize_t ret = 0;

	while (io->op == LOCAL_OP_FSYNC || io->done < io->n) {
		ret = io_call(io);
		if (ret > 0) {
			io->done += (size_t)ret;
		} else if (ret == 0 || errno != EINTR) {
			break;
		}
	}
	if (ret != -1 && io->stable) {
		ret = fdatasync(io->fd);
	}
	if (ret == -1) {
		io->error = errno;
	}
}

static void io_finished(struct local_io *io)
{
	struct local_pool *p = (struct local_pool *)io->engine;
	uint64_t one = 1;

	io->finished = true;
	io->pool_next = p->finished;
	p->finished = io;
	pthread_cond_broadcast(&pool.done);
	/* an eventfd that is full has woken its reader already */
	(void)!write(p->eventfd, &one, sizeof(one));
}

static void *worker(void *arg)
{
	struct local_io *io = NULL;

	pthread_mutex_lock(&pool.mutex);
	for (;;) {
		while (pool.head == NULL) {
			pool.num_idle++;
			pthread_cond_wait(&pool.work, &pool.mutex);
			pool.num_idle--;
		}
		io = pool.head;
		pool.head = io->pool_next;
		if (pool.head == NULL) {
			pool.tail = &pool.head;
		}
		io->queued = false;
		pthread_mutex_unlock(&pool.mutex);
		io_work(io);
		pthread_mutex_lock(&pool.mutex);
		io_finished(io);
	}
	return arg;
}

/* Signals are the business of the threads that were there before. */
static int thread_create(void)
{
	sigset_t all, old;
	pthread_t thread;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&thread, NULL, worker, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret != 0) {
		return ret;
	}
	pthread_detach(thread);
	pool.num_threads++;
	return 0;
}

/* After a fork there are no threads, and nothing that was queued is ours. */
static void pool_forked(void)
{
	if (pool.pid == getpid()) {
		return;
	}
	pool.pid = getpid();
	pool.num_threads = 0;
	pool.num_idle = 0;
	pool.head = NULL;
	pool.tail = &pool.head;
	pthread_cond_init(&pool.work, NULL);
	pthread_cond_init(&pool.done, NULL);
}

static int pool_start(struct local_engine *e, struct local_io *io)
{
	int ret = 0;

	io->engine = e;
	pthread_mutex_lock(&pool.mutex);
	pool_forked();
	if (pool.num_idle == 0 && pool.num_threads < MAX_THREADS) {
		ret = thread_create();
	}
	if (pool.num_threads == 0) {
		pthread_mutex_unlock(&pool.mutex);
		io->engine = NULL;
		return ret;
	}
	io->queued = true;
	io->finished = false;
	io->pool_next = NULL;
	*pool.tail = io;
	pool.tail = &io->pool_next;
	pthread_cond_signal(&pool.work);
	pthread_mutex_unlock(&pool.mutex);
	return 0;
}

/* The finished of an engine, in the order they finished. */
static struct local_io *take_finished(struct local_pool *p)
{
	struct local_io *list = NULL;
	struct local_io *io = NULL;

	while ((io = p->finished) != NULL) {
		p->finished = io->pool_next;
		io->pool_next = list;
		list = io;
	}
	return list;
}

static void pool_reap(struct local_engine *e)
{
	struct local_pool *p = (struct local_pool *)e;
	struct local_io *list = NULL;
	struct local_io *io = NULL;

	pthread_mutex_lock(&pool.mutex);
	list = take_finished(p);
	pthread_mutex_unlock(&pool.mutex);
	while ((io = list) != NULL) {
		list = io->pool_next;
		local_engine_ready(e, io);
	}
}

static void unqueue(struct local_io *io)
{
	struct local_io **p = &pool.head;

	while (*p != io) {
		p = &(*p)->pool_next;
	}
	*p = io->pool_next;
	if (*p == NULL) {
		pool.tail = p;
	}
}

static void pool_cancel(struct local_engine *e, struct local_io *io)
{
	pthread_mutex_lock(&pool.mutex);
	if (io->queued) {
		unqueue(io);
		pthread_mutex_unlock(&pool.mutex);
		return;
	}
	while (!io->finished) {
		pthread_cond_wait(&pool.done, &pool.mutex);
	}
	pthread_mutex_unlock(&pool.mutex);
	pool_reap(e);
}

static void pool_handler(struct tevent_context *ev,
			 struct tevent_fd *fde,
			 uint16_t flags,
			 void *private_data)
{
	struct local_pool *p = private_data;
	uint64_t n = 0;

	(void)ev;
	(void)fde;
	(void)flags;
	(void)!read(p->eventfd, &n, sizeof(n));
	pool_reap(&p->engine);
	local_engine_deliver(&p->engine);
}

static const struct local_engine_ops pool_ops = {
	.start = pool_start,
	.reap = pool_reap,
	.cancel = pool_cancel,
};

static void close_eventfd(struct tevent_context *ev,
			  struct tevent_fd *fde,
			  int fd,
			  void *private_data)
{
	(void)ev;
	(void)fde;
	(void)private_data;
	close(fd);
}

int local_pool_create(struct tevent_context *ev, struct local_engine **e)
{
	struct local_pool *p = NULL;

	p = talloc_zero(ev, struct local_pool);
	if (p == NULL) {
		return ENOMEM;
	}
	p->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->eventfd == -1) {
		int ret = errno;

		talloc_free(p);
		return ret;
	}
	p->engine.ops = &pool_ops;
	p->engine.fde = tevent_add_fd(ev,
				      p,
				      p->eventfd,
				      TEVENT_FD_READ,
				      pool_handler,
				      p);
	if (p->engine.fde == NULL) {
		close(p->eventfd);
		talloc_free(p);
		return ENOMEM;
	}
	tevent_fd_set_close_fn(p->engine.fde, close_eventfd);
	*e = &p->engine;
	return 0;
}
