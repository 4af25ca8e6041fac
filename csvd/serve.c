/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Serving the wire: life, volumes, and what the main thread asks for.
 */
#include "replace.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "lib/util/dlinklist.h"
#include "lib/util/debug.h"
#include "csvd/replay.h"
#include "csvd/serve_private.h"
#include "lib/volume/local.h"

#define SERVE_KEEPALIVE_MS 10000

/* Have fn run on the socket thread, and wait for that. */
static void serve_command(struct csv_serve *serve,
			  void (*fn)(struct csv_serve *serve, void *p),
			  void *private_data)
{
	struct serve_command command = { .fn = fn,
					 .private_data = private_data };

	pthread_mutex_lock(&serve->mutex);
	serve->command = &command;
	pthread_mutex_unlock(&serve->mutex);
	serve_wake(serve);
	pthread_mutex_lock(&serve->mutex);
	while (!command.done) {
		pthread_cond_wait(&serve->cond, &serve->mutex);
	}
	pthread_mutex_unlock(&serve->mutex);
}

struct serve_volume *serve_volume_find(struct csv_serve *serve,
				       const char *name,
				       size_t len)
{
	struct serve_volume *vol = NULL;

	for (vol = serve->volumes; vol != NULL; vol = vol->next) {
		if (strlen(vol->name) == len &&
		    memcmp(vol->name, name, len) == 0) {
			return vol;
		}
	}
	return NULL;
}

void serve_volume_check(struct serve_volume *vol)
{
	struct csv_serve *serve = vol->serve;

	if (!vol->draining || vol->jobs != 0 || vol->handles != 0) {
		return;
	}
	pthread_mutex_lock(&serve->mutex);
	vol->idle = true;
	pthread_cond_broadcast(&serve->cond);
	pthread_mutex_unlock(&serve->mutex);
}

static void cmd_quit(struct csv_serve *serve, void *p)
{
	struct serve_conn *conn = NULL;
	struct serve_conn *next = NULL;

	for (conn = serve->conns; conn != NULL; conn = next) {
		next = conn->next;
		serve_conn_kill(conn);
	}
	serve->quit = true;
}

static void volume_free(struct serve_volume *vol)
{
	serve_pool_stop(&vol->pool);
	talloc_free(vol);
}

/*
 * Volumes are stopped, however long their storage takes: their threads use
 * this memory.
 */
static int serve_destructor(struct csv_serve *serve)
{
	struct serve_volume *vol = NULL;

	while (serve->thread_runs && (vol = serve->volumes) != NULL) {
		(void)csv_serve_stop(serve, vol->name, 60000);
	}
	if (serve->thread_runs) {
		serve_command(serve, cmd_quit, NULL);
		pthread_join(serve->thread, NULL);
	}
	while (serve->conns != NULL) {
		struct serve_conn *conn = serve->conns;

		DLIST_REMOVE(serve->conns, conn);
		talloc_free(conn);
	}
	if (serve->listen_fd != -1) {
		close(serve->listen_fd);
	}
	if (serve->epoll_fd != -1) {
		close(serve->epoll_fd);
	}
	if (serve->event_fd != -1) {
		close(serve->event_fd);
	}
	pthread_cond_destroy(&serve->cond);
	pthread_mutex_destroy(&serve->mutex);
	return 0;
}

static int serve_sockets(struct csv_serve *serve,
			 const struct csv_serve_params *params)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ret;

	ret = csv_tcp_listen(params->address, params->port, &serve->listen_fd);
	if (ret != 0) {
		return ret;
	}
	serve->port = csv_tcp_port(serve->listen_fd);
	serve->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	serve->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (serve->epoll_fd == -1 || serve->event_fd == -1) {
		return errno;
	}
	ev.data.ptr = &serve->listen_fd;
	if (epoll_ctl(serve->epoll_fd, EPOLL_CTL_ADD, serve->listen_fd, &ev) !=
	    0) {
		return errno;
	}
	ev.data.ptr = &serve->event_fd;
	if (epoll_ctl(serve->epoll_fd, EPOLL_CTL_ADD, serve->event_fd, &ev) !=
	    0) {
		return errno;
	}
	return 0;
}

static int serve_start_thread(struct csv_serve *serve)
{
	sigset_t all;
	sigset_t old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&serve->thread, NULL, serve_thread, serve);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	serve->thread_runs = ret == 0;
	return ret;
}

/* Each open file of a client is a descriptor here. */
static void serve_raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
	    files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
			DBG_WARNING("cannot raise the limit of descriptors "
				    "to %llu: %s; clients may run out\n",
				    (unsigned long long)files.rlim_max,
				    strerror(errno));
		}
	}
}

static void serve_init_sync(struct csv_serve *serve)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&serve->mutex, NULL);
	pthread_cond_init(&serve->cond, &attr);
	pthread_condattr_destroy(&attr);
}

int csv_serve_create(TALLOC_CTX *mem_ctx,
		     const struct csv_serve_params *params,
		     struct csv_serve **_serve)
{
	struct csv_serve *serve = talloc_zero(mem_ctx, struct csv_serve);
	int ret;

	if (serve == NULL) {
		return ENOMEM;
	}
	serve->listen_fd = -1;
	serve->epoll_fd = -1;
	serve->event_fd = -1;
	serve->tls.node = params->node;
	serve->tls.plain = params->plain;
	serve->tls.secret_fn = params->secret_fn;
	serve->tls.private_data = params->private_data;
	serve->keepalive_ms = params->keepalive_ms != 0 ? params->keepalive_ms
							: SERVE_KEEPALIVE_MS;
	serve->num_workers = params->num_workers != 0 ? params->num_workers
						      : SERVE_WORKERS;
	serve_init_sync(serve);
	serve_raise_limit();
	talloc_set_destructor(serve, serve_destructor);
	ret = serve_sockets(serve, params);
	if (ret == 0) {
		ret = serve_start_thread(serve);
	}
	if (ret != 0) {
		talloc_free(serve);
		return ret;
	}
	*_serve = serve;
	return 0;
}

uint16_t csv_serve_port(const struct csv_serve *serve)
{
	return serve->port;
}

static void cmd_start(struct csv_serve *serve, void *p)
{
	struct serve_volume *vol = p;

	DLIST_ADD(serve->volumes, vol);
	if (vol->grace_ms != 0) {
		serve_grace_begin(vol, vol->grace_ms);
	}
}

static int volume_open(struct serve_volume *vol, int rootfd)
{
	struct csv_local_params lp = { .rootfd = rootfd,
				       .epoch = vol->epoch,
				       .cred_mode = CSV_CRED_THREAD };
	int ret;

	ret = csv_local_create(vol, &lp, &vol->backend);
	(void)csv_local_thread_root();
	if (ret == 0) {
		ret = serve_pool_start(&vol->pool,
				       vol,
				       vol->serve->num_workers);
	}
	return ret;
}

int csv_serve_start_grace(struct csv_serve *serve,
			  const char *name,
			  int rootfd,
			  uint64_t epoch,
			  unsigned grace_ms)
{
	struct serve_volume *vol = NULL;
	int ret = ENOMEM;

	/* only this thread changes the list */
	if (serve_volume_find(serve, name, strlen(name)) != NULL) {
		return EEXIST;
	}
	vol = talloc_zero(NULL, struct serve_volume);
	if (vol == NULL) {
		return ENOMEM;
	}
	vol->serve = serve;
	vol->epoch = epoch;
	vol->grace_ms = grace_ms;
	vol->name = talloc_strdup(vol, name);
	vol->replay = replay_table_new(vol);
	if (vol->name != NULL && vol->replay != NULL) {
		ret = volume_open(vol, rootfd);
	}
	if (ret != 0) {
		talloc_free(vol);
		return ret;
	}
	serve_command(serve, cmd_start, vol);
	return 0;
}

int csv_serve_start(struct csv_serve *serve,
		    const char *name,
		    int rootfd,
		    uint64_t epoch)
{
	return csv_serve_start_grace(serve, name, rootfd, epoch, 0);
}

static void cmd_open(struct csv_serve *serve, void *p)
{
	serve_grace_end(p, 0);
}

int csv_serve_open(struct csv_serve *serve, const char *name)
{
	struct serve_volume *vol = NULL;

	vol = serve_volume_find(serve, name, strlen(name));
	if (vol == NULL) {
		return ENOENT;
	}
	serve_command(serve, cmd_open, vol);
	return 0;
}

static void cmd_drain(struct csv_serve *serve, void *p)
{
	struct serve_volume *vol = p;
	struct serve_conn *conn = NULL;
	struct serve_conn *next = NULL;

	vol->draining = true;
	serve_grace_end(vol, CSV_E_STALE);
	for (conn = serve->conns; conn != NULL; conn = next) {
		next = conn->next;
		serve_handles_close(conn, vol);
	}
	serve_volume_check(vol);
}

static void add_counters(struct csv_serve_counters *sum,
			 const struct csv_serve_counters *c)
{
	sum->requests += c->requests;
	sum->read_bytes += c->read_bytes;
	sum->write_bytes += c->write_bytes;
	sum->inline_requests += c->inline_requests;
	sum->piped_requests += c->piped_requests;
	sum->waited += c->waited;
}

static struct serve_past *past_find(struct csv_serve *serve, const char *name)
{
	struct serve_past *past = NULL;

	for (past = serve->pasts; past != NULL; past = past->next) {
		if (strcmp(past->name, name) == 0) {
			break;
		}
	}
	return past;
}

/* Without memory these numbers are lost, nothing else. */
static void past_add(struct csv_serve *serve, const struct serve_volume *vol)
{
	struct serve_past *past = past_find(serve, vol->name);

	if (past == NULL) {
		past = talloc_zero(serve, struct serve_past);
		if (past == NULL) {
			return;
		}
		past->name = talloc_strdup(past, vol->name);
		if (past->name == NULL) {
			TALLOC_FREE(past);
			return;
		}
		DLIST_ADD(serve->pasts, past);
	}
	add_counters(&past->counters, &vol->counters);
}

/* Nothing of the volume is left: forget all but what it has counted. */
static void cmd_remove(struct csv_serve *serve, void *p)
{
	struct serve_volume *vol = p;
	struct serve_conn *conn = NULL;
	unsigned i;

	for (conn = serve->conns; conn != NULL; conn = conn->next) {
		for (i = 0; i < SERVE_ATTACHMENTS; i++) {
			if (conn->attachments[i].vol == vol) {
				conn->attachments[i].vol = NULL;
			}
		}
	}
	past_add(serve, vol);
	DLIST_REMOVE(serve->volumes, vol);
}

/* False: time is up. */
static bool wait_idle(struct serve_volume *vol, unsigned timeout_ms)
{
	struct csv_serve *serve = vol->serve;
	struct timespec end;
	int ret = 0;
	bool idle;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec += 1;
	}
	pthread_mutex_lock(&serve->mutex);
	while (!vol->idle && ret == 0) {
		ret = pthread_cond_timedwait(&serve->cond, &serve->mutex, &end);
	}
	idle = vol->idle;
	pthread_mutex_unlock(&serve->mutex);
	return idle;
}

int csv_serve_stop(struct csv_serve *serve,
		   const char *name,
		   unsigned timeout_ms)
{
	struct serve_volume *vol = NULL;

	vol = serve_volume_find(serve, name, strlen(name));
	if (vol == NULL) {
		return ENOENT;
	}
	serve_command(serve, cmd_drain, vol);
	if (!wait_idle(vol, timeout_ms)) {
		return ETIMEDOUT;
	}
	serve_command(serve, cmd_remove, vol);
	volume_free(vol);
	return csv_local_thread_root();
}

int csv_serve_sweep(struct csv_serve *serve,
		    const char *name,
		    unsigned *removed)
{
	struct serve_volume *vol = NULL;
	unsigned records = 0;
	int ret;

	/* only this thread ends volumes */
	vol = serve_volume_find(serve, name, strlen(name));
	if (vol == NULL) {
		return ENOENT;
	}
	ret = csv_local_sweep(vol->backend, removed);
	if (ret == 0) {
		ret = csv_local_intent_sweep(vol->backend, &records);
	}
	(void)csv_local_thread_root();
	return ret;
}

struct counters_args {
	const char *volume;
	struct csv_serve_counters *counters;
	int ret;
};

static void count_volume(struct csv_serve *serve,
			 const struct serve_volume *vol,
			 struct csv_serve_counters *c)
{
	const struct serve_conn *conn = NULL;
	unsigned i;

	c->handles += vol->handles;
	add_counters(c, &vol->counters);
	for (conn = serve->conns; conn != NULL; conn = conn->next) {
		for (i = 0; i < SERVE_ATTACHMENTS; i++) {
			if (!conn->dead && conn->attachments[i].vol == vol) {
				c->connections += 1;
			}
		}
	}
}

static void cmd_counters(struct csv_serve *serve, void *p)
{
	struct counters_args *args = p;
	struct csv_serve_counters *c = args->counters;
	struct serve_volume *vol = NULL;
	struct serve_past *past = NULL;

	memset(c, 0, sizeof(*c));
	for (vol = serve->volumes; vol != NULL; vol = vol->next) {
		if (args->volume == NULL ||
		    strcmp(vol->name, args->volume) == 0) {
			count_volume(serve, vol, c);
			args->ret = 0;
		}
	}
	for (past = serve->pasts; past != NULL; past = past->next) {
		if (args->volume == NULL ||
		    strcmp(past->name, args->volume) == 0) {
			add_counters(c, &past->counters);
			args->ret = 0;
		}
	}
	if (args->volume == NULL) {
		args->ret = 0;
		c->connections = serve->num_conns;
		c->requests = serve->counters.requests;
		c->refused_connections = serve->counters.refused_connections;
	}
}

int csv_serve_counters(struct csv_serve *serve,
		       const char *volume,
		       struct csv_serve_counters *counters)
{
	struct counters_args args = { .volume = volume,
				      .counters = counters,
				      .ret = ENOENT };

	serve_command(serve, cmd_counters, &args);
	return args.ret;
}
