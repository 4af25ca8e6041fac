/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The socket thread.
 */
#include "replace.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/util/dlinklist.h"
#include "lib/util/debug.h"
#include "csvd/serve_private.h"

#define LOOP_EVENTS 64
#define LOOP_TICK_MS 1000
#define LOOP_GRACE_MS 50
#define REFUSED_LOG_MS 60000
#define NOBODY 65534

void serve_wake(struct csv_serve *serve)
{
	uint64_t one = 1;
	ssize_t n;

	do {
		n = write(serve->event_fd, &one, sizeof(one));
	} while (n == -1 && errno == EINTR);
}

void serve_events(struct serve_conn *conn)
{
	struct epoll_event ev = { .events = conn->events,
				  .data = { .ptr = conn } };
	int epfd = conn->serve->epoll_fd;
	int fd = conn->t->fd;

	if (epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev) == 0) {
		return;
	}
	if (errno != ENOENT || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		serve_conn_kill(conn);
	}
}

/* One line per address and minute, so that a scanner fills no disk. */
void serve_refused(struct csv_serve *serve,
		   const char *address,
		   const char *why)
{
	struct serve_refusal *oldest = &serve->refusals[0];
	struct serve_refusal *r = NULL;
	uint64_t now = csv_now_ms();
	unsigned i;

	serve->counters.refused_connections += 1;
	for (i = 0; i < ARRAY_SIZE(serve->refusals); i++) {
		r = &serve->refusals[i];
		if (strcmp(r->address, address) == 0) {
			break;
		}
		if (r->logged_ms < oldest->logged_ms) {
			oldest = r;
		}
		r = NULL;
	}
	if (r == NULL) {
		r = oldest;
		memset(r, 0, sizeof(*r));
		strlcpy(r->address, address, sizeof(r->address));
	} else if (now - r->logged_ms < REFUSED_LOG_MS) {
		r->silent += 1;
		return;
	}
	DBG_WARNING("connection from %s refused: %s (and %u more since the "
		    "last such line)\n",
		    address,
		    why,
		    r->silent);
	r->logged_ms = now;
	r->silent = 0;
}

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

static void address_str(const union address *a, char *buf, size_t len)
{
	const void *p = &a->in.sin_addr;

	if (a->sa.sa_family == AF_INET6) {
		p = &a->in6.sin6_addr;
	}
	if (inet_ntop(a->sa.sa_family, p, buf, (socklen_t)len) == NULL) {
		strlcpy(buf, "?", len);
	}
}

/* Without descriptors the waiting connection would keep us spinning. */
static void loop_listen(struct csv_serve *serve, bool on)
{
	struct epoll_event ev = { .events = on ? (uint32_t)EPOLLIN : 0,
				  .data = { .ptr = &serve->listen_fd } };

	if (serve->deaf == !on) {
		return;
	}
	if (!on) {
		DBG_ERR("out of descriptors: no new connections for %u ms\n",
			LOOP_TICK_MS);
	}
	serve->deaf = !on;
	(void)epoll_ctl(serve->epoll_fd,
			EPOLL_CTL_MOD,
			serve->listen_fd,
			&ev);
}

static void loop_accept(struct csv_serve *serve)
{
	char str[64];
	union address a;
	socklen_t len;
	int fd;

	for (;;) {
		len = sizeof(a);
		fd = accept4(serve->listen_fd,
			     &a.sa,
			     &len,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE) {
				loop_listen(serve, false);
			}
			return;
		}
		address_str(&a, str, sizeof(str));
		if (serve->num_conns >= SERVE_MAX_CONNS ||
		    serve->num_new >= SERVE_MAX_NEW) {
			serve_refused(serve, str, "too many connections");
			close(fd);
			continue;
		}
		if (csv_tcp_setup(fd) != 0) {
			close(fd);
			continue;
		}
		serve_conn_accept(serve, fd, str);
	}
}

static void loop_command(struct csv_serve *serve)
{
	struct serve_command *command = NULL;

	pthread_mutex_lock(&serve->mutex);
	command = serve->command;
	serve->command = NULL;
	pthread_mutex_unlock(&serve->mutex);
	if (command == NULL) {
		return;
	}
	command->fn(serve, command->private_data);
	pthread_mutex_lock(&serve->mutex);
	command->done = true;
	pthread_cond_broadcast(&serve->cond);
	pthread_mutex_unlock(&serve->mutex);
}

static void loop_done(struct csv_serve *serve)
{
	struct serve_job *list = NULL;
	struct serve_job *job = NULL;
	struct serve_conn *conn = NULL;

	pthread_mutex_lock(&serve->mutex);
	list = serve->done;
	serve->done = NULL;
	pthread_mutex_unlock(&serve->mutex);
	while ((job = list) != NULL) {
		DLIST_REMOVE(list, job);
		conn = job->conn;
		serve_job_done(job);
		if (conn != NULL && !conn->dead &&
		    (list == NULL || list->conn != conn)) {
			serve_conn_event(conn, 0);
		}
	}
}

static void loop_wake(struct csv_serve *serve)
{
	uint64_t count;
	ssize_t n;

	n = read(serve->event_fd, &count, sizeof(count));
	(void)n;
	loop_done(serve);
	loop_command(serve);
}

/* Who does not authenticate in time goes. */
static void loop_tick(struct csv_serve *serve)
{
	struct serve_conn *conn = NULL;
	struct serve_conn *next = NULL;
	uint64_t now = csv_now_ms();

	for (conn = serve->conns; conn != NULL; conn = next) {
		next = conn->next;
		if (!conn->dead && conn->state != SERVE_READY &&
		    now - conn->since_ms >= SERVE_NEW_MS) {
			serve_refused(serve,
				      conn->address,
				      "no authentication in time");
			serve_conn_kill(conn);
		}
	}
}

static void loop_bury(struct csv_serve *serve)
{
	struct serve_conn *conn = NULL;

	while ((conn = serve->dead) != NULL) {
		DLIST_REMOVE(serve->dead, conn);
		talloc_free(conn);
	}
}

/* Connections whose transport holds bytes that epoll does not see. */
static bool loop_pending(struct csv_serve *serve)
{
	struct serve_conn *conn = NULL;
	struct serve_conn *next = NULL;
	bool any = false;

	for (conn = serve->conns; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->pending && !conn->dead) {
			conn->pending = false;
			serve_conn_event(conn, EPOLLIN);
		}
		any = any || (!conn->dead && conn->pending);
	}
	return any;
}

static void loop_event(struct csv_serve *serve, const struct epoll_event *ev)
{
	struct serve_conn *conn = NULL;

	if (ev->data.ptr == &serve->listen_fd) {
		loop_accept(serve);
	} else if (ev->data.ptr == &serve->event_fd) {
		loop_wake(serve);
	} else {
		conn = ev->data.ptr;
		if (!conn->dead) {
			serve_conn_event(conn, ev->events);
		}
	}
}

/*
 * Data are read and written as nobody: a write by root would leave set-id
 * bits. (Other threads keep their identity: raw system calls.)
 */
static void loop_identity(void)
{
	if (geteuid() == 0) {
		(void)syscall(SYS_setfsgid, NOBODY);
		(void)syscall(SYS_setfsuid, NOBODY);
	}
}

void *serve_thread(void *private_data)
{
	struct csv_serve *serve = private_data;
	struct epoll_event events[LOOP_EVENTS];
	uint64_t ticked = csv_now_ms();
	bool pending = false;
	bool ticks;
	int timeout;
	int num;
	int i;

	loop_identity();
	while (!serve->quit) {
		ticks = serve->num_new > 0 || serve->deaf;
		timeout = ticks ? LOOP_TICK_MS : -1;
		if (serve->num_grace > 0) {
			timeout = LOOP_GRACE_MS;
		}
		num = epoll_wait(serve->epoll_fd,
				 events,
				 LOOP_EVENTS,
				 pending ? 0 : timeout);
		for (i = 0; i < num; i++) {
			loop_event(serve, &events[i]);
		}
		pending = loop_pending(serve);
		if (ticks && csv_now_ms() - ticked >= LOOP_TICK_MS) {
			loop_tick(serve);
			loop_listen(serve, true);
			ticked = csv_now_ms();
		}
		if (serve->num_grace > 0) {
			serve_grace_tick(serve);
		}
		loop_bury(serve);
	}
	return NULL;
}
