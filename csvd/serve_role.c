/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is the socket thread, and the jobs that it does itself.
 *
 * A write that the page cache did not take without waiting has, as a rule,
 * only the times of its file to change. To hand that to a worker and back
 * takes two wake-ups, which cost more than the write. So the socket thread
 * does it, and should it have to wait after all, a thread that stands by
 * takes the role over within 2 * ROLE_LOOK_MS: the job ends as a worker's
 * would, its volume's next ones go to workers for a while, and no connection
 * notices. The thread that lost the role stands by when it is through.
 *
 * inside is the number of the job that the socket thread does, 0 for none.
 * Whoever sets it back to 0 has the role: both sides compare and exchange.
 */
#include "replace.h"
#include <errno.h>
#include <time.h>
#include "lib/util/dlinklist.h"
#include "csvd/serve_private.h"

#define ROLE_LOOK_MS 10
#define ROLE_IDLE_LOOKS 100 /* then nobody looks until the next job */
#define ROLE_SLOW_MS 1000

/* The socket thread begins a job: somebody has to look. */
static void role_watch(struct csv_serve *serve)
{
	struct serve_role *role = &serve->role;

	if (atomic_load(&role->watched)) {
		return;
	}
	pthread_mutex_lock(&serve->mutex);
	atomic_store(&role->watched, true);
	pthread_cond_broadcast(&role->cond);
	pthread_mutex_unlock(&serve->mutex);
}

static bool role_slow(const struct serve_volume *vol)
{
	return vol->slow_until != 0 && csv_now_ms() < vol->slow_until;
}

bool serve_role_fits(const struct serve_job *job)
{
	struct csv_serve *serve = job->vol->serve;
	const struct csv_file *file = job->handle[0]->file;

	return job->h.op == CSV_OP_WRITE && job->io.flags == 0 &&
	       !(file->how & (CSV_O_SYNC | CSV_O_APPEND)) &&
	       !csv_local_is_stable_only(file) &&
	       !serve_grace_waits(job->vol, &job->h) &&
	       atomic_load(&serve->role.standby) > 0 && !role_slow(job->vol);
}

void serve_role_add(struct serve_job *job)
{
	DLIST_ADD_END(job->vol->serve->role.jobs, job);
}

/* False: it took so long that another thread is the socket thread now. */
static bool role_do(struct csv_serve *serve, struct serve_job *job)
{
	struct serve_role *role = &serve->role;
	uint64_t number = atomic_fetch_add(&role->serial, 1) + 1;

	role->vol = job->vol;
	atomic_store(&role->inside, number);
	role_watch(serve);
	serve_pool_exec(job);
	if (atomic_compare_exchange_strong(&role->inside, &number, 0)) {
		return true;
	}
	serve_pool_back(job);
	return false;
}

bool serve_role_run(struct csv_serve *serve)
{
	struct serve_role *role = &serve->role;
	struct serve_job *job = NULL;
	struct serve_conn *conn = NULL;

	while ((job = role->jobs) != NULL) {
		DLIST_REMOVE(role->jobs, job);
		if (role_slow(job->vol)) {
			serve_job_start(job);
			continue;
		}
		conn = job->conn;
		if (!role_do(serve, job)) {
			return false;
		}
		serve_job_done(job);
		if (!conn->dead &&
		    (role->jobs == NULL || role->jobs->conn != conn)) {
			serve_conn_event(conn, 0);
		}
	}
	return true;
}

/* serve->mutex is held, and is not while this sleeps. True: taken over. */
static bool role_look(struct csv_serve *serve)
{
	const struct timespec pause = { .tv_nsec = ROLE_LOOK_MS * 1000000 };
	struct serve_role *role = &serve->role;
	uint64_t serial = 0;
	uint64_t last = 0;
	uint64_t seen;
	unsigned idle = 0;

	while (!role->quit && idle < ROLE_IDLE_LOOKS) {
		pthread_mutex_unlock(&serve->mutex);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&serve->mutex);
		seen = atomic_load(&role->inside);
		if (seen != 0 && seen == last &&
		    atomic_compare_exchange_strong(&role->inside, &seen, 0)) {
			role->vol->slow_until = csv_now_ms() + ROLE_SLOW_MS;
			return true;
		}
		last = seen;
		idle = atomic_load(&role->serial) == serial ? idle + 1 : 0;
		serial = atomic_load(&role->serial);
	}
	atomic_store(&role->watched, false);
	if (atomic_load(&role->inside) != 0) {
		/* it began just now, and found itself watched */
		atomic_store(&role->watched, true);
	}
	return false;
}

/* serve->mutex is held. Without a thread that stands by: no jobs of its own. */
static int role_thread_add(struct csv_serve *serve)
{
	struct serve_role *role = &serve->role;
	int ret;

	if (role->num_threads == SERVE_ROLE_THREADS) {
		return EAGAIN;
	}
	ret = pthread_create(&role->threads[role->num_threads],
			     NULL,
			     serve_thread,
			     serve);
	role->num_threads += ret == 0;
	return ret;
}

bool serve_role_wait(struct csv_serve *serve)
{
	struct serve_role *role = &serve->role;
	bool mine = false;

	pthread_mutex_lock(&serve->mutex);
	atomic_fetch_add(&role->standby, 1);
	while (!role->quit && !mine) {
		if (!role->led) {
			role->led = true;
			mine = true;
		} else if (atomic_load(&role->watched) && !role->looked) {
			role->looked = true;
			mine = role_look(serve);
			role->looked = false;
		} else {
			pthread_cond_wait(&role->cond, &serve->mutex);
		}
	}
	if (atomic_fetch_sub(&role->standby, 1) == 1 && mine) {
		(void)role_thread_add(serve);
	}
	/* another one has to look now */
	pthread_cond_broadcast(&role->cond);
	pthread_mutex_unlock(&serve->mutex);
	return mine;
}

void serve_role_quit(struct csv_serve *serve)
{
	pthread_mutex_lock(&serve->mutex);
	serve->role.quit = true;
	pthread_cond_broadcast(&serve->role.cond);
	pthread_mutex_unlock(&serve->mutex);
}

int serve_role_start(struct csv_serve *serve)
{
	int ret;

	pthread_mutex_lock(&serve->mutex);
	ret = role_thread_add(serve);
	pthread_mutex_unlock(&serve->mutex);
	return ret;
}

void serve_role_join(struct csv_serve *serve)
{
	unsigned i;

	for (i = 0; i < serve->role.num_threads; i++) {
		pthread_join(serve->role.threads[i], NULL);
	}
}
