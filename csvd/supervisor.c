/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The supervisor. Messages of the worker: "X" do not start me again, "R" do.
 */
#include "includes.h"
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include "csvd/agents.h"
#include "csvd/guard.h"
#include "csvd/supervisor.h"

#define SUPERVISOR_RESTART_MS 200
#define SUPERVISOR_RESTART_MAX_MS 1500
#define SUPERVISOR_YOUNG_MS 10000
#define SUPERVISOR_GUARD_MS 3000 /* a guard silent for this long hangs */
#define SUPERVISOR_ROUND_MS 1000
/* Agents of a dead worker that were killed are waited for. */
#define SUPERVISOR_AGENTS_MS 2000
#define SUPERVISOR_AGENTS_LOOK_MS 20

enum supervisor_child_type {
	SUPERVISOR_WORKER = 0,
	SUPERVISOR_GUARD,
	SUPERVISOR_ANSWERER,
	SUPERVISOR_WITNESS,
	SUPERVISOR_CHILDREN,
};

struct supervisor_child {
	const char *name;
	pid_t pid; /* 0: none */
	uint64_t restart_ms, started_ms;
	unsigned pause_ms;
};

struct supervisor {
	csvd_worker_fn worker;
	char *const *witness; /* NULL: there is none */
	struct guard_page *page;
	int fds[2];   /* ours, the worker's */
	int guard[2]; /* the guard's, the worker's */
	int sigfd;
	bool leaving;
	bool ending; /* SIGTERM */
	struct supervisor_child child[SUPERVISOR_CHILDREN];
};

void csvd_supervisor_leaving(int fd, bool leaving)
{
	(void)send(fd, leaving ? "X" : "R", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void supervisor_read(struct supervisor *s)
{
	char c = 0;

	while (recv(s->fds[0], &c, 1, MSG_DONTWAIT) == 1) {
		s->leaving = c == 'X';
	}
}

/* In a child that ends with us, and takes signals as any program does. */
static void supervisor_follow(pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(1);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void supervisor_worker(struct supervisor *s, pid_t parent)
{
	const struct csvd_lines lines = {
		.supervisor = s->fds[1],
		.guard = s->guard[1],
		.page = s->page,
	};

	supervisor_follow(parent);
	close(s->guard[0]);
	/* not exit(3): it takes down libraries that threads still use */
	_exit(s->worker(&lines));
}

/* Another program, with our standard output; it ends with us. */
static void supervisor_witness(struct supervisor *s, pid_t parent)
{
	supervisor_follow(parent);
	execv(s->witness[0], s->witness);
	_exit(127);
}

static void supervisor_child(struct supervisor *s,
			     enum supervisor_child_type type,
			     pid_t parent)
{
	close(s->sigfd);
	close(s->fds[0]);
	if (type == SUPERVISOR_WORKER) {
		supervisor_worker(s, parent);
	}
	close(s->fds[1]);
	close(s->guard[1]);
	if (type == SUPERVISOR_WITNESS) {
		supervisor_witness(s, parent);
	}
	if (type == SUPERVISOR_GUARD) {
		guard_run(s->page, s->guard[0]);
	}
	close(s->guard[0]);
	guard_answer_run(s->page);
}

/*
 * A worker of a node that CTDB does not let work would only die again; the
 * same holds for what else needs CTDB.
 */
static bool supervisor_too_early(const struct supervisor *s)
{
	uint32_t reason = s->page->reason;

	switch (reason) {
	case GUARD_CTDBD_SILENT:
	case GUARD_CTDBD_GONE:
	case GUARD_INACTIVE:
		return true;
	default:
		return false;
	}
}

/*
 * What a dead worker began ends before the next one decides anything. What
 * does not end hangs in the kernel: the next worker leaves that volume alone
 * until it has ended, and goes on with the others.
 */
static bool supervisor_agents_live(const struct supervisor *s)
{
	uint64_t died = s->page->worker_end;
	unsigned num = csvd_agents_end(s->page);

	if (num == 0 || died == 0) {
		return false;
	}
	if (guard_now() > died + SUPERVISOR_AGENTS_MS) {
		DBG_ERR("%u agents of the worker that died cannot be ended\n",
			num);
		return false;
	}
	return true;
}

static void supervisor_start(struct supervisor *s,
			     enum supervisor_child_type type)
{
	struct supervisor_child *child = &s->child[type];
	pid_t parent = getpid();
	pid_t pid;

	child->started_ms = guard_now();
	if (type == SUPERVISOR_WORKER && supervisor_agents_live(s)) {
		child->restart_ms = child->started_ms +
				    SUPERVISOR_AGENTS_LOOK_MS;
		return;
	}
	if ((type == SUPERVISOR_WORKER || type == SUPERVISOR_WITNESS) &&
	    supervisor_too_early(s))
	{
		child->restart_ms = child->started_ms + SUPERVISOR_RESTART_MS;
		return;
	}
	child->restart_ms = 0;
	if (type == SUPERVISOR_GUARD) {
		s->page->alive = child->started_ms;
	}
	pid = fork();
	if (pid == -1) {
		DBG_ERR("fork: %s\n", strerror(errno));
		child->restart_ms = child->started_ms +
				    SUPERVISOR_RESTART_MAX_MS;
		return;
	}
	if (pid == 0) {
		supervisor_child(s, type, parent);
	}
	child->pid = pid;
	if (type == SUPERVISOR_WORKER) {
		s->page->pulse = child->started_ms;
		s->page->reached = child->started_ms;
		s->page->worker = pid;
		s->page->worker_end = 0;
	}
}

static void supervisor_ended(struct supervisor *s,
			     enum supervisor_child_type type,
			     int status)
{
	struct supervisor_child *child = &s->child[type];
	bool signalled = WIFSIGNALED(status);
	uint64_t now = guard_now();

	child->pid = 0;
	if (type == SUPERVISOR_WORKER) {
		s->page->worker_end = now;
		s->page->worker = 0;
		(void)csvd_agents_end(s->page);
		supervisor_read(s);
		if (s->leaving || s->ending) {
			return;
		}
	}
	/* the pause grows while they die young */
	child->pause_ms = now - child->started_ms > SUPERVISOR_YOUNG_MS
				  ? SUPERVISOR_RESTART_MS
				  : MIN(child->pause_ms * 2,
					SUPERVISOR_RESTART_MAX_MS);
	child->restart_ms = now + child->pause_ms;
	DBG_ERR("the %s %s %d, starting another\n",
		child->name,
		signalled ? "died by signal" : "exited with",
		signalled ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void supervisor_reap(struct supervisor *s)
{
	int status = 0;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < SUPERVISOR_CHILDREN; i++) {
			if (pid == s->child[i].pid) {
				supervisor_ended(s, i, status);
			}
		}
	}
}

static void supervisor_signal(struct supervisor *s)
{
	const struct supervisor_child *worker = &s->child[SUPERVISOR_WORKER];
	struct signalfd_siginfo info = {};
	int signum;

	if (read(s->sigfd, &info, sizeof(info)) != sizeof(info)) {
		return;
	}
	signum = info.ssi_signo;
	if (signum == SIGCHLD) {
		supervisor_reap(s);
		return;
	}
	if (signum == SIGTERM || signum == SIGINT) {
		s->ending = true;
		signum = SIGTERM;
	}
	if (worker->pid != 0) {
		kill(worker->pid, signum);
	}
}

static int supervisor_timeout(const struct supervisor *s)
{
	uint64_t now = guard_now();
	uint64_t next = now + SUPERVISOR_ROUND_MS;
	size_t i;

	for (i = 0; i < SUPERVISOR_CHILDREN; i++) {
		if (s->child[i].restart_ms != 0) {
			next = MIN(next, s->child[i].restart_ms);
		}
	}
	return next > now ? (int)(next - now) : 0;
}

/* A guard that hangs is as good as none; a new one finds all in the page. */
static void supervisor_check_guard(struct supervisor *s)
{
	const struct supervisor_child *child = &s->child[SUPERVISOR_GUARD];

	if (child->pid != 0 &&
	    guard_now() > s->page->alive + SUPERVISOR_GUARD_MS)
	{
		DBG_ERR("the guard hangs, ending it\n");
		s->page->alive = guard_now();
		kill(child->pid, SIGKILL);
	}
}

static void supervisor_loop(struct supervisor *s)
{
	const struct supervisor_child *worker = &s->child[SUPERVISOR_WORKER];
	size_t i;

	while (worker->pid != 0 || worker->restart_ms != 0) {
		struct pollfd pfd[] = {
			{.fd = s->sigfd, .events = POLLIN},
			{.fd = s->fds[0], .events = POLLIN},
		};

		(void)poll(pfd, ARRAY_SIZE(pfd), supervisor_timeout(s));
		supervisor_read(s);
		if (pfd[0].revents != 0) {
			supervisor_signal(s);
		}
		for (i = 0; i < SUPERVISOR_CHILDREN; i++) {
			if (s->child[i].restart_ms != 0 &&
			    guard_now() >= s->child[i].restart_ms)
			{
				supervisor_start(s, i);
			}
		}
		supervisor_check_guard(s);
		if (s->ending && worker->pid == 0) {
			break;
		}
	}
}

static int supervisor_prepare(struct supervisor *s)
{
	static const char *const names[] = {"worker", "guard", "answerer",
					     "witness"};
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
	sigset_t set;
	size_t i;

	for (i = 0; i < SUPERVISOR_CHILDREN; i++) {
		s->child[i].name = names[i];
		s->child[i].pause_ms = SUPERVISOR_RESTART_MS / 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->sigfd == -1 || socketpair(AF_UNIX, type, 0, s->fds) != 0 ||
	    socketpair(AF_UNIX, type, 0, s->guard) != 0)
	{
		return errno;
	}
	return 0;
}

int csvd_supervisor_run(struct guard_page *page,
			csvd_worker_fn worker,
			char *const witness[])
{
	struct supervisor *s = talloc_zero(NULL, struct supervisor);
	int ret;

	if (s == NULL) {
		return 1;
	}
	s->worker = worker;
	s->witness = witness;
	s->page = page;
	ret = supervisor_prepare(s);
	if (ret != 0) {
		DBG_ERR("csvd cannot start: %s\n", strerror(ret));
		talloc_free(s);
		return 1;
	}
	supervisor_start(s, SUPERVISOR_GUARD);
	supervisor_start(s, SUPERVISOR_ANSWERER);
	supervisor_start(s, SUPERVISOR_WORKER);
	if (s->witness != NULL) {
		supervisor_start(s, SUPERVISOR_WITNESS);
	}
	supervisor_loop(s);
	/* the others see that we end, and end when they are not needed */
	talloc_free(s);
	return 0;
}
