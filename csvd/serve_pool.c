/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The worker threads of one volume: a volume whose storage hangs keeps no
 * other volume's requests waiting.
 */
#include "replace.h"
#include <errno.h>
#include <signal.h>
#include "lib/util/dlinklist.h"
#include "csvd/serve_private.h"

void (*serve_fault_fn)(enum serve_fault point, enum csv_op op);

void serve_fault(enum serve_fault point, const struct serve_job *job)
{
	if (serve_fault_fn != NULL && job->conn != NULL) {
		serve_fault_fn(point, job->h.op);
	}
}

static void job_back(struct serve_job *job)
{
	struct csv_serve *serve = job->vol->serve;
	bool first;

	pthread_mutex_lock(&serve->mutex);
	first = serve->done == NULL;
	DLIST_ADD_END(serve->done, job);
	pthread_mutex_unlock(&serve->mutex);
	if (first) {
		serve_wake(serve);
	}
}

static struct serve_job *pool_take(struct serve_pool *pool)
{
	struct serve_job *job = NULL;

	pthread_mutex_lock(&pool->mutex);
	while (pool->queue == NULL && !pool->quit) {
		pool->idle += 1;
		pthread_cond_wait(&pool->cond, &pool->mutex);
		pool->idle -= 1;
	}
	job = pool->queue;
	if (job != NULL) {
		DLIST_REMOVE(pool->queue, job);
	}
	pthread_mutex_unlock(&pool->mutex);
	return job;
}

static void *pool_thread(void *private_data)
{
	struct serve_pool *pool = private_data;
	struct serve_job *job = NULL;

	while ((job = pool_take(pool)) != NULL) {
		if (atomic_load(&job->cancelled)) {
			job->status = ECANCELED;
		} else {
			serve_fault(SERVE_FAULT_BEFORE_OP, job);
			serve_exec(job);
			serve_fault(SERVE_FAULT_AFTER_OP, job);
		}
		job_back(job);
	}
	return NULL;
}

int serve_pool_start(struct serve_pool *pool, TALLOC_CTX *mem_ctx,
		     unsigned num)
{
	sigset_t all;
	sigset_t old;
	int ret = 0;

	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->cond, NULL);
	pool->threads = talloc_array(mem_ctx, pthread_t, num);
	if (pool->threads == NULL) {
		return ENOMEM;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (ret == 0 && pool->num_threads < num) {
		ret = pthread_create(&pool->threads[pool->num_threads],
				     NULL,
				     pool_thread,
				     pool);
		if (ret == 0) {
			pool->num_threads += 1;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret != 0) {
		serve_pool_stop(pool);
	}
	return ret;
}

void serve_pool_stop(struct serve_pool *pool)
{
	pthread_mutex_lock(&pool->mutex);
	pool->quit = true;
	pthread_cond_broadcast(&pool->cond);
	pthread_mutex_unlock(&pool->mutex);
	while (pool->num_threads > 0) {
		pool->num_threads -= 1;
		pthread_join(pool->threads[pool->num_threads], NULL);
	}
	pthread_cond_destroy(&pool->cond);
	pthread_mutex_destroy(&pool->mutex);
}

void serve_pool_add(struct serve_pool *pool, struct serve_job *job)
{
	bool wake;

	pthread_mutex_lock(&pool->mutex);
	DLIST_ADD_END(pool->queue, job);
	wake = pool->idle > 0;
	pthread_mutex_unlock(&pool->mutex);
	if (wake) {
		pthread_cond_signal(&pool->cond);
	}
}
