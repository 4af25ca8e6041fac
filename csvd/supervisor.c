/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The supervisor. Messages of the worker: "A" ctdbd answers me, "M<path>"
 * mounted, "U<path>" not any more, "X" do not start me again, "R" do.
 */
#include "includes.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include "lib/util/dlinklist.h"
#include "csvd/supervisor.h"

/* FS_IOC_SHUTDOWN and its flag, the same for XFS, ext4, f2fs. */
#define SUPERVISOR_SHUTDOWN _IOR('X', 125, uint32_t)
#define SUPERVISOR_NO_LOG_FLUSH 2

#define SUPERVISOR_RESTART_MS 200
#define SUPERVISOR_RESTART_MAX_MS 1500
#define SUPERVISOR_MESSAGE_MAX 4096

struct supervisor_mount {
	struct supervisor_mount *prev, *next;
	char *path;
};

struct supervisor {
	csvd_worker_fn worker;
	void *private_data;
	unsigned limit_s;
	int fds[2]; /* ours, the worker's */
	int sigfd;
	pid_t pid;  /* 0: none */
	bool leaving;
	bool ending; /* SIGTERM */
	uint64_t alive_ms, restart_ms, started_ms;
	unsigned pause_ms;
	struct supervisor_mount *mounts;
};

static uint64_t supervisor_now(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void supervisor_send(int fd, char type, const char *text)
{
	char buf[SUPERVISOR_MESSAGE_MAX];
	int length = snprintf(buf, sizeof(buf), "%c%s", type, text);
	ssize_t n;

	if (fd == -1 || length >= (int)sizeof(buf)) {
		return;
	}
	n = send(fd, buf, length, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)n;
}

void csvd_supervisor_alive(int fd)
{
	supervisor_send(fd, 'A', "");
}

void csvd_supervisor_mounted(int fd, const char *path, bool mounted)
{
	supervisor_send(fd, mounted ? 'M' : 'U', path);
}

void csvd_supervisor_leaving(int fd, bool leaving)
{
	supervisor_send(fd, leaving ? 'X' : 'R', "");
}

static void supervisor_note_mount(struct supervisor *s,
				  const char *path,
				  bool mounted)
{
	struct supervisor_mount *m = NULL;

	for (m = s->mounts; m != NULL; m = m->next) {
		if (strcmp(m->path, path) == 0) {
			break;
		}
	}
	if (mounted && m == NULL) {
		m = talloc_zero(s, struct supervisor_mount);
		m->path = talloc_strdup(m, path);
		DLIST_ADD(s->mounts, m);
	} else if (!mounted && m != NULL) {
		DLIST_REMOVE(s->mounts, m);
		talloc_free(m);
	}
}

static void supervisor_read(struct supervisor *s)
{
	char buf[SUPERVISOR_MESSAGE_MAX + 1];
	ssize_t n;

	while ((n = recv(s->fds[0], buf, sizeof(buf) - 1, MSG_DONTWAIT)) > 0) {
		buf[n] = '\0';
		switch (buf[0]) {
		case 'A':
			s->alive_ms = supervisor_now();
			break;
		case 'M':
		case 'U':
			supervisor_note_mount(s, buf + 1, buf[0] == 'M');
			break;
		case 'X':
		case 'R':
			s->leaving = buf[0] == 'X';
			break;
		}
	}
}

static void supervisor_shutdown(const char *path)
{
	uint32_t how = SUPERVISOR_NO_LOG_FLUSH;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || ioctl(fd, SUPERVISOR_SHUTDOWN, &how) == -1) {
		DBG_ERR("%s: the file system cannot be shut down: %s\n",
			path,
			strerror(errno));
	} else {
		DBG_ERR("%s: the file system is shut down\n", path);
	}
	if (fd != -1) {
		close(fd);
	}
}

/* Nobody may be told an error of a file system that we shut down ourselves:
   the worker, which serves it, is ended before. */
static void supervisor_self_fence(struct supervisor *s)
{
	if (s->mounts == NULL) {
		return;
	}
	DBG_ERR("ctdbd was not reached for %u s: shutting down what is owned\n",
		s->limit_s);
	if (s->pid != 0) {
		kill(s->pid, SIGKILL);
	}
	while (s->mounts != NULL) {
		struct supervisor_mount *m = s->mounts;

		supervisor_shutdown(m->path);
		DLIST_REMOVE(s->mounts, m);
		talloc_free(m);
	}
}

static void supervisor_start(struct supervisor *s)
{
	sigset_t none;
	pid_t parent = getpid();
	pid_t pid;

	s->started_ms = supervisor_now();
	s->restart_ms = 0;
	pid = fork();
	if (pid == -1) {
		DBG_ERR("fork: %s\n", strerror(errno));
		s->restart_ms = s->started_ms + SUPERVISOR_RESTART_MAX_MS;
		return;
	}
	if (pid != 0) {
		s->pid = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(1);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(s->sigfd);
	close(s->fds[0]);
	exit(s->worker(s->fds[1], s->private_data));
}

static void supervisor_worker_ended(struct supervisor *s, int status)
{
	uint64_t now = supervisor_now();

	s->pid = 0;
	supervisor_read(s);
	if (s->leaving || s->ending) {
		return;
	}
	/* the pause grows while workers die young */
	s->pause_ms = now - s->started_ms > 10000
			      ? SUPERVISOR_RESTART_MS
			      : MIN(s->pause_ms * 2, SUPERVISOR_RESTART_MAX_MS);
	s->restart_ms = now + s->pause_ms;
	if (WIFSIGNALED(status)) {
		DBG_ERR("the worker died by signal %d, starting another\n",
			WTERMSIG(status));
	} else {
		DBG_ERR("the worker exited with %d, starting another\n",
			WEXITSTATUS(status));
	}
}

static void supervisor_signal(struct supervisor *s)
{
	struct signalfd_siginfo info = {};
	int status = 0;
	pid_t pid;

	if (read(s->sigfd, &info, sizeof(info)) != sizeof(info)) {
		return;
	}
	if (info.ssi_signo == SIGCHLD) {
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == s->pid) {
				supervisor_worker_ended(s, status);
			}
		}
		return;
	}
	if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
		s->ending = true;
	}
	if (s->pid != 0) {
		kill(s->pid,
		     info.ssi_signo == SIGINT ? SIGTERM : info.ssi_signo);
	}
}

/* Milliseconds until something is to be done; -1: nothing. */
static int supervisor_timeout(struct supervisor *s)
{
	uint64_t now = supervisor_now();
	uint64_t next = UINT64_MAX;

	if (s->restart_ms != 0) {
		next = s->restart_ms;
	}
	if (s->mounts != NULL) {
		next = MIN(next, s->alive_ms + s->limit_s * 1000ULL);
	}
	if (next == UINT64_MAX) {
		return -1;
	}
	return next > now ? (int)MIN(next - now, 60000) : 0;
}

static void supervisor_loop(struct supervisor *s)
{
	while (s->pid != 0 || s->restart_ms != 0) {
		struct pollfd pfd[] = {
			{.fd = s->sigfd, .events = POLLIN},
			{.fd = s->fds[0], .events = POLLIN},
		};
		uint64_t now;

		(void)poll(pfd, ARRAY_SIZE(pfd), supervisor_timeout(s));
		supervisor_read(s);
		if (pfd[0].revents != 0) {
			supervisor_signal(s);
		}
		now = supervisor_now();
		if (s->mounts != NULL &&
		    now >= s->alive_ms + s->limit_s * 1000ULL) {
			supervisor_self_fence(s);
		}
		if (s->restart_ms != 0 && now >= s->restart_ms) {
			supervisor_start(s);
		}
		if (s->ending && s->pid == 0) {
			break;
		}
	}
}

int csvd_supervisor_run(unsigned limit_s,
			csvd_worker_fn worker,
			void *private_data)
{
	struct supervisor *s = talloc_zero(NULL, struct supervisor);
	sigset_t set;

	if (s == NULL) {
		return 1;
	}
	s->worker = worker;
	s->private_data = private_data;
	s->limit_s = limit_s;
	s->pause_ms = SUPERVISOR_RESTART_MS / 2;
	s->alive_ms = supervisor_now();
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->sigfd == -1 ||
	    socketpair(AF_UNIX,
		       SOCK_SEQPACKET | SOCK_CLOEXEC,
		       0,
		       s->fds) != 0)
	{
		DBG_ERR("csvd cannot start: %s\n", strerror(errno));
		talloc_free(s);
		return 1;
	}
	supervisor_start(s);
	supervisor_loop(s);
	talloc_free(s);
	return 0;
}
