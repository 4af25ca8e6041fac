/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The voter: one per node, a process of its own. It never calls CTDB, never
 * touches storage and never waits for anybody, so that its vote says only one
 * thing: this node runs and is reached. It also watches the third vote's
 * store, all the time (a claim to somebody else's lease needs to have seen it
 * unrenewed for as long as that lasts), through a child that may block.
 */
#include "quorum/quorum.h"
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include "lib/util/dlinklist.h"

#define VOTER_MAX_CLIENTS 256
#define VOTER_HANDSHAKE_MS 3000
#define VOTER_IDLE_MS 60000
#define VOTER_RESTART_MS 200
#define VOTER_RESTART_MAX_MS 5000
#define VOTER_YOUNG_MS 10000 /* who ends sooner waits longer */
#define VOTER_MAX_WAITING 64

struct voter_client {
	struct voter_client *prev, *next;
	struct quorum_link *link;
	bool local;
	uint64_t heard;
};

/* A request that the third vote's child has not answered yet. */
struct voter_waiting {
	struct voter_waiting *prev, *next;
	struct voter_client *client; /* NULL: gone */
	uint64_t serial;
};

struct voter {
	const struct quorum_config *config;
	struct csv_tls_server_params tls;
	struct quorum_lease lease;
	struct voter_client *clients;
	struct voter_client *through; /* the vote was last asked for */
	unsigned num_clients;
	int tcp, local, sigfd;
	struct quorum_link *third;
	pid_t third_pid;
	uint64_t third_restart;
	unsigned third_pause_ms;
	struct voter_waiting *waiting;
	unsigned num_waiting;
	struct quorum_who said; /* the holder, as last logged */
	bool ending;
};

static void voter_log(const char *fmt, ...) PRINTF_ATTRIBUTE(1, 2);

static void voter_log(const char *fmt, ...)
{
	char when[32], text[256];
	time_t now = time(NULL);
	struct tm tm = {};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	strftime(when, sizeof(when), "%F %T", localtime_r(&now, &tm));
	fprintf(stderr, "%s csv_quorum voter: %s\n", when, text);
}

static bool voter_secret(void *private_data,
			 uint32_t generation,
			 uint8_t secret[CSV_SECRET_SIZE])
{
	struct voter *v = private_data;
	int ret;

	if (generation == 0) {
		return false;
	}
	ret = quorum_key_read(v->config->key_file, &generation, secret);
	if (ret != 0) {
		voter_log("%s has no key %" PRIu32 ": %s",
			  v->config->key_file,
			  generation,
			  strerror(ret));
	}
	return ret == 0;
}

static void voter_drop(struct voter *v, struct voter_client *c)
{
	struct voter_waiting *w = NULL;

	for (w = v->waiting; w != NULL; w = w->next) {
		if (w->client == c) {
			w->client = NULL;
		}
	}
	if (v->through == c) {
		v->through = NULL;
		quorum_lease_closed(&v->lease);
	}
	DLIST_REMOVE(v->clients, c);
	v->num_clients--;
	talloc_free(c);
}

static void voter_accept(struct voter *v, int listener, bool local)
{
	struct voter_client *c = NULL;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd == -1) {
		return;
	}
	if (v->num_clients >= VOTER_MAX_CLIENTS ||
	    (!local && csv_tcp_setup(fd) != 0))
	{
		close(fd);
		return;
	}
	c = talloc_zero(v, struct voter_client);
	if (c == NULL) {
		close(fd);
		return;
	}
	c->local = local;
	c->heard = quorum_now();
	c->link = local ? quorum_link_fd(c, fd)
			: quorum_link_accepted(c, fd, &v->tls);
	if (c->link == NULL) {
		talloc_free(c);
		return;
	}
	DLIST_ADD(v->clients, c);
	v->num_clients++;
}

/* Holders come and go seldom; candidates of an isolated node all the time. */
static void voter_say(struct voter *v)
{
	const struct quorum_who *who = &v->lease.who;

	if (who->node != QUORUM_NO_NODE && who->phase == QUORUM_HOLDER) {
		if (who->instance != v->said.instance) {
			voter_log("voting for node %" PRIu32
				  " (%016" PRIx64 ", holder)",
				  who->node,
				  who->instance);
		}
		v->said = *who;
	} else if (v->said.node != QUORUM_NO_NODE &&
		   who->instance != v->said.instance)
	{
		voter_log("voting for node %" PRIu32 " no more",
			  v->said.node);
		v->said = (struct quorum_who){.node = QUORUM_NO_NODE};
	}
}

static int voter_vote(struct voter *v,
		      struct voter_client *c,
		      const struct quorum_message *request)
{
	struct quorum_message answer;

	if (quorum_lease_decide(&v->lease, quorum_now(), request, &answer)) {
		v->through = c;
	}
	if (v->lease.who.node == QUORUM_NO_NODE) {
		v->through = NULL;
	}
	voter_say(v);
	return quorum_link_send(c->link, &answer);
}

static int voter_refuse(struct voter_client *c,
			const struct quorum_message *request)
{
	struct quorum_message answer = *request;

	answer.type |= QUORUM_ANSWER;
	answer.verdict = QUORUM_REFUSED;
	answer.who = (struct quorum_who){.node = QUORUM_NO_NODE};
	return quorum_link_send(c->link, &answer);
}

/* For the third vote: only this node's candidates ask through us. */
static int voter_forward(struct voter *v,
			 struct voter_client *c,
			 const struct quorum_message *request)
{
	struct voter_waiting *w = NULL;

	if (!c->local || v->third == NULL ||
	    v->num_waiting >= VOTER_MAX_WAITING)
	{
		return voter_refuse(c, request);
	}
	w = talloc_zero(v, struct voter_waiting);
	if (w == NULL || quorum_link_send(v->third, request) != 0) {
		talloc_free(w);
		return voter_refuse(c, request);
	}
	w->client = c;
	w->serial = request->serial;
	DLIST_ADD_END(v->waiting, w);
	v->num_waiting++;
	return 0;
}

static int voter_request(struct voter *v,
			 struct voter_client *c,
			 struct quorum_message *request)
{
	uint32_t node = c->local ? v->config->node
				 : csv_tls_peer_node(c->link->tls);

	if ((request->type & QUORUM_ANSWER) || request->node != node) {
		return EPROTO; /* only for oneself: the key says who it is */
	}
	if (request->target == QUORUM_TARGET_THIRD) {
		return voter_forward(v, c, request);
	}
	return voter_vote(v, c, request);
}

static void voter_client_ready(struct voter *v, struct voter_client *c)
{
	struct quorum_message request;
	int ret = quorum_link_step(c->link);

	while (ret == 0) {
		ret = quorum_link_recv(c->link, &request);
		if (ret == 0) {
			c->heard = quorum_now();
			ret = voter_request(v, c, &request);
		}
	}
	if (ret != EAGAIN) {
		voter_drop(v, c);
	}
}

static void voter_third_later(struct voter *v)
{
	v->third_pause_ms = MIN(MAX(v->third_pause_ms * 2, VOTER_RESTART_MS),
				VOTER_RESTART_MAX_MS);
	v->third_restart = quorum_now() + v->third_pause_ms;
}

static void voter_third_lost(struct voter *v)
{
	struct voter_waiting *w = NULL;

	TALLOC_FREE(v->third);
	voter_third_later(v);
	while (v->waiting != NULL) {
		w = v->waiting;
		DLIST_REMOVE(v->waiting, w);
		talloc_free(w);
	}
	v->num_waiting = 0;
}

static void voter_third_start(struct voter *v)
{
	int fd = -1;
	int ret = quorum_third_start(v->config, &fd, &v->third_pid);

	v->third_restart = 0;
	if (ret == 0) {
		v->third = quorum_link_fd(v, fd);
	}
	if (v->third == NULL) {
		voter_log("no process for the third vote: %s", strerror(ret));
		voter_third_later(v);
	}
}

/* It answers in the order in which it was asked. */
static void voter_third_ready(struct voter *v)
{
	struct voter_waiting *w = NULL;
	struct quorum_message answer;
	int ret;

	while ((ret = quorum_link_recv(v->third, &answer)) == 0) {
		w = v->waiting;
		if (w == NULL || w->serial != answer.serial) {
			ret = EPROTO;
			break;
		}
		DLIST_REMOVE(v->waiting, w);
		v->num_waiting--;
		if (answer.verdict != QUORUM_REFUSED) {
			v->third_pause_ms = 0; /* it works */
		}
		if (w->client != NULL &&
		    quorum_link_send(w->client->link, &answer) != 0)
		{
			voter_drop(v, w->client);
		}
		talloc_free(w);
	}
	if (ret != EAGAIN) {
		voter_log("the process for the third vote ended");
		voter_third_lost(v);
	}
}

static void voter_signal(struct voter *v)
{
	struct signalfd_siginfo info = {};
	ssize_t n = read(v->sigfd, &info, sizeof(info));

	if (n != sizeof(info)) {
		return;
	}
	if (info.ssi_signo == SIGCHLD) {
		while (waitpid(-1, NULL, WNOHANG) > 0) {
			;
		}
		return;
	}
	v->ending = true;
}

static void voter_expire(struct voter *v, uint64_t now)
{
	struct voter_client *c = NULL, *next = NULL;

	for (c = v->clients; c != NULL; c = next) {
		uint64_t limit = c->link->ready ? VOTER_IDLE_MS
						: VOTER_HANDSHAKE_MS;

		next = c->next;
		if (now - c->heard > limit) {
			voter_drop(v, c);
		}
	}
	if (v->third_restart != 0 && now >= v->third_restart) {
		voter_third_start(v);
	}
}

static void voter_turn(struct voter *v)
{
	struct pollfd pfd[VOTER_MAX_CLIENTS + 4];
	struct voter_client *who[VOTER_MAX_CLIENTS];
	struct voter_client *c = NULL;
	unsigned n = 0, i;

	for (c = v->clients; c != NULL; c = c->next) {
		who[n] = c;
		pfd[n++] = (struct pollfd){.fd = c->link->t->fd,
					   .events = c->link->events};
	}
	pfd[n] = (struct pollfd){.fd = v->sigfd, .events = POLLIN};
	pfd[n + 1] = (struct pollfd){.fd = v->tcp, .events = POLLIN};
	pfd[n + 2] = (struct pollfd){.fd = v->local, .events = POLLIN};
	pfd[n + 3] = (struct pollfd){
		.fd = v->third != NULL ? v->third->t->fd : -1,
		.events = POLLIN};
	if (poll(pfd, n + 4, 500) > 0) {
		/* first: an answer may drop a client */
		if (pfd[n + 3].revents != 0) {
			voter_third_ready(v);
		}
		for (i = 0; i < n; i++) {
			for (c = v->clients; c != NULL && c != who[i];) {
				c = c->next;
			}
			if (c != NULL && pfd[i].revents != 0) {
				voter_client_ready(v, c);
			}
		}
		if (pfd[n].revents != 0) {
			voter_signal(v);
		}
		if (pfd[n + 1].revents != 0) {
			voter_accept(v, v->tcp, false);
		}
		if (pfd[n + 2].revents != 0) {
			voter_accept(v, v->local, true);
		}
	}
	voter_expire(v, quorum_now());
}

/* Only root reaches it: by its directory's mode, and its own. */
static int voter_listen_local(const struct quorum_config *config)
{
	struct sockaddr_un sun;
	int fd = quorum_local_socket(config, &sun);

	if (fd == -1) {
		return -1;
	}
	(void)unlink(sun.sun_path);
	if (fchmod(fd, 0600) != 0 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    chmod(sun.sun_path, 0600) != 0 || listen(fd, 16) != 0)
	{
		close(fd);
		return -1;
	}
	return fd;
}

static int voter_open(struct voter *v)
{
	const struct quorum_config *config = v->config;
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	v->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (v->sigfd == -1) {
		return errno;
	}
	ret = csv_tcp_listen(config->address[config->node],
			     config->port,
			     &v->tcp);
	if (ret != 0) {
		voter_log("cannot listen on %s port %u: %s",
			  config->address[config->node],
			  (unsigned)config->port,
			  strerror(ret));
		return ret;
	}
	v->local = voter_listen_local(config);
	if (v->local == -1) {
		ret = errno;
		voter_log("%s/quorum.sock: %s",
			  config->run_dir,
			  strerror(ret));
		return ret;
	}
	return 0;
}

static int voter_worker(const struct quorum_config *config)
{
	struct voter *v = talloc_zero(NULL, struct voter);

	if (v == NULL) {
		return 1;
	}
	v->config = config;
	v->said.node = QUORUM_NO_NODE;
	v->tls = (struct csv_tls_server_params){
		.node = config->node,
		.secret_fn = voter_secret,
		.private_data = v,
	};
	quorum_lease_init(&v->lease, quorum_now(), config->lease_ms);
	if (voter_open(v) != 0) {
		return 1;
	}
	if (config->third != NULL) {
		voter_third_start(v);
	}
	quorum_realtime();
	quorum_stay_in_memory();
	voter_log("node %" PRIu32 " votes, %u voters in all, lease %" PRIu32
		  " ms%s%s",
		  config->node,
		  config->num_voters + (config->third != NULL ? 1 : 0),
		  config->lease_ms,
		  config->third != NULL ? ", third vote " : "",
		  config->third != NULL ? config->third : "");
	while (!v->ending) {
		voter_turn(v);
	}
	talloc_free(v);
	return 0;
}

/* One voter per node: a second one ends. -1: another runs, -2: error. */
static int voter_lock(const struct quorum_config *config)
{
	char *path = talloc_asprintf(NULL, "%s/quorum.pid", config->run_dir);
	int fd;

	(void)mkdir(config->run_dir, 0700);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1) {
		voter_log("%s: %s", path, strerror(errno));
		talloc_free(path);
		return -2;
	}
	talloc_free(path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		return -1;
	}
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
		voter_log("quorum.pid cannot be written: %s", strerror(errno));
	}
	return fd;
}

static pid_t voter_fork(const struct quorum_config *config)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid != 0) {
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(1);
	}
	_exit(voter_worker(config));
}

static pid_t voter_child; /* for the signal handler */

static void voter_end(int signum)
{
	if (voter_child > 0) {
		kill(voter_child, SIGKILL);
	}
	_exit(0);
}

/* One life of the voter; how long it was. */
static uint64_t voter_life(const struct quorum_config *config)
{
	uint64_t began = quorum_now();
	int status = 0;

	voter_child = voter_fork(config);
	if (voter_child == -1) {
		voter_log("fork: %s", strerror(errno));
		return 0;
	}
	while (waitpid(voter_child, &status, 0) == -1 && errno == EINTR) {
		;
	}
	voter_log("the voter ended (%s %d), starting another",
		  WIFSIGNALED(status) ? "signal" : "exit",
		  WIFSIGNALED(status) ? WTERMSIG(status)
				      : WEXITSTATUS(status));
	return quorum_now() - began;
}

/* Starts the voter again when it dies: each time it is quiet at first. */
int quorum_voter(const struct quorum_config *config)
{
	unsigned pause_ms = VOTER_RESTART_MS;
	int lock = voter_lock(config);

	if (lock < 0) {
		return lock == -1 ? 0 : 1;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, voter_end);
	signal(SIGINT, voter_end);
	for (;;) {
		pause_ms = voter_life(config) > VOTER_YOUNG_MS
				   ? VOTER_RESTART_MS
				   : MIN(pause_ms * 2, VOTER_RESTART_MAX_MS);
		(void)poll(NULL, 0, (int)pause_ms);
	}
}
