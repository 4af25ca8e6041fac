/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guard's process: looks at everything a few times a second, keeps the
 * descriptors it needs open, shuts down first and talks afterwards.
 */
#include "includes.h"
#include <linux/magic.h>
#include <linux/watchdog.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include "csvd/guard.h"
#include "csvd/guard_ctdb.h"

/* XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN: one number, one argument. */
#define GUARD_SHUTDOWN _IOR('X', 125, uint32_t)
#define GUARD_NO_LOG_FLUSH 2

#define GUARD_ROUND_MS 100
/*
 * A leader that is banned or stopped notices within a second, and again until
 * the cluster lock is free; each of these calls is one attempt of the others.
 */
#define GUARD_ELECT_MS 500
#define GUARD_ELECT_TIMES 6
/* After the end of csvd, successors are still answered for this long. */
#define GUARD_LINGER_MS 120000
/* Less when another csvd has begun: its own guard answers, on the same port. */
#define GUARD_RELIEF_MS 2000

struct guard_local {
	int root, device; /* -1 */
	pid_t finisher;	  /* 0: none */
	bool said;
};

struct guard {
	struct guard_page *page;
	int fd; /* to the supervisor and its workers; -1: they are gone */
	int watchdog;
	bool watchdog_tried;
	pid_t parent, worker;
	int worker_fd; /* pidfd; -1 */
	uint64_t orphan;
	uint64_t relieved; /* another csvd runs since then; 0: none */
	uint64_t elect; /* the next call for an election */
	unsigned elected; /* calls so far */
	enum guard_reason said;
	struct guard_sight sight;
	struct guard_ctdb ctdb;
	struct guard_local local[GUARD_SLOTS];
};

/* Static: nothing is allocated later. */
static struct guard guard;

static void guard_close(int *fd)
{
	if (*fd != -1) {
		close(*fd);
	}
	*fd = -1;
}

static void guard_let_go(struct guard *g, size_t i)
{
	guard_close(&g->local[i].root);
	guard_close(&g->local[i].device);
}

static void guard_state(struct guard *g, size_t i, enum guard_slot_state state)
{
	g->page->slots[i].since = guard_now();
	g->page->slots[i].state = state;
}

static bool guard_can(int root)
{
	struct statfs sfs = {};

	return fstatfs(root, &sfs) == 0 &&
	       (sfs.f_type == XFS_SUPER_MAGIC ||
		sfs.f_type == EXT4_SUPER_MAGIC ||
		sfs.f_type == F2FS_SUPER_MAGIC);
}

/* A slot for the message's volume; GUARD_SLOTS: all are taken. */
static size_t guard_place(struct guard *g, const char *name)
{
	struct guard_slot *slot = guard_slot_find(g->page, name);
	size_t i;

	if (slot != NULL) {
		return slot - g->page->slots;
	}
	for (i = 0; i < GUARD_SLOTS; i++) {
		if (g->page->slots[i].state == GUARD_FREE) {
			break;
		}
	}
	return i;
}

static bool guard_over(const struct guard_slot *slot, uint64_t epoch)
{
	return (slot->state == GUARD_SHUTTING || slot->state == GUARD_SHUT) &&
	       slot->epoch == epoch;
}

/* Names a slot that is not in use; the state comes last. */
static void guard_fill(struct guard_slot *slot, const struct guard_message *m)
{
	slot->state = GUARD_FREE;
	strlcpy(slot->name, m->name, sizeof(slot->name));
	strlcpy(slot->path, m->path, sizeof(slot->path));
	strlcpy(slot->device, m->device, sizeof(slot->device));
	slot->epoch = m->epoch;
	slot->can = false;
	slot->reason = GUARD_FIT;
}

static int guard_hold(struct guard *g,
		      const struct guard_message *m,
		      int root,
		      int device)
{
	size_t i = guard_place(g, m->name);
	struct guard_slot *slot = &g->page->slots[i];
	struct stat st = {};

	if (i == GUARD_SLOTS) {
		return ENOSPC;
	}
	if (root == -1 || fstat(root, &st) == -1) {
		return EBADF;
	}
	if (guard_over(slot, m->epoch)) {
		return EIO; /* that ownership is over */
	}
	guard_let_go(g, i);
	guard_fill(slot, m);
	slot->dev = st.st_dev;
	slot->can = device != -1 && guard_can(root);
	g->local[i] = (struct guard_local){.root = dup(root),
					   .device = dup(device)};
	guard_state(g, i, GUARD_HELD);
	return slot->can ? 0 : ENOTSUP;
}

/*
 * While agents start or stop the storage nothing may be open, and nothing can
 * be shut down: an emergency in this time is the watchdog's.
 */
static int guard_unsure(struct guard *g, const struct guard_message *m)
{
	size_t i = guard_place(g, m->name);
	struct guard_slot *slot = &g->page->slots[i];

	if (i == GUARD_SLOTS) {
		return ENOSPC;
	}
	if (!guard_over(slot, m->epoch)) {
		guard_let_go(g, i);
		guard_fill(slot, m);
		g->local[i].said = false;
		guard_state(g, i, GUARD_HELD);
	}
	return 0;
}

/* What was shut down is remembered until the volume is mounted again. */
static int guard_drop(struct guard *g, const struct guard_message *m)
{
	struct guard_slot *slot = guard_slot_find(g->page, m->name);

	if (slot == NULL) {
		return 0;
	}
	if (slot->state == GUARD_HELD) {
		guard_let_go(g, slot - g->page->slots);
		slot->state = GUARD_FREE;
	}
	return 0;
}

static void guard_descriptors(struct msghdr *msg, int fds[2])
{
	struct cmsghdr *c = NULL;
	size_t num = 0;

	fds[0] = fds[1] = -1;
	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			num = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), MIN(num, 2) * sizeof(int));
		}
	}
}

static bool guard_command(struct guard *g)
{
	struct guard_message m = {};
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(2 * sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	int fds[2];
	ssize_t n;

	n = recvmsg(g->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == 0) {
		guard_close(&g->fd); /* no csvd is left that could say more */
	}
	if (n <= 0) {
		return false;
	}
	guard_descriptors(&msg, fds);
	m.name[sizeof(m.name) - 1] = '\0';
	m.path[sizeof(m.path) - 1] = '\0';
	m.device[sizeof(m.device) - 1] = '\0';
	if (n != sizeof(m)) {
		m.result = EINVAL;
	} else if (m.type == GUARD_MESSAGE_HOLD) {
		m.result = guard_hold(g, &m, fds[0], fds[1]);
	} else if (m.type == GUARD_MESSAGE_PREPARE) {
		m.result = guard_unsure(g, &m);
	} else {
		m.result = guard_drop(g, &m);
	}
	guard_close(&fds[0]);
	guard_close(&fds[1]);
	n = send(g->fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == sizeof(m);
}

/* Opens the root again, if it is still what is mounted there. */
static void guard_open_again(struct guard *g, size_t i)
{
	struct guard_slot *slot = &g->page->slots[i];
	struct guard_local *local = &g->local[i];
	struct stat st = {};

	local->root = open(slot->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (local->root == -1 && errno != ENOENT && errno != ENOTDIR) {
		return; /* it may well be there: held, and tried again */
	}
	if (local->root == -1 ||
	    (fstat(local->root, &st) == 0 && st.st_dev != slot->dev))
	{
		guard_let_go(g, i);
		slot->state = GUARD_FREE; /* it was unmounted meanwhile */
	}
}

/* After a guard's death its successor opens again what was held. */
static void guard_adopt(struct guard *g, size_t i)
{
	struct guard_slot *slot = &g->page->slots[i];
	struct guard_local *local = &g->local[i];

	*local = (struct guard_local){.root = -1, .device = -1};
	if (!slot->can ||
	    (slot->state != GUARD_HELD && slot->state != GUARD_SHUTTING))
	{
		return;
	}
	local->device = open(slot->device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (slot->state == GUARD_HELD) {
		guard_open_again(g, i);
	}
}

static void guard_kill_worker(struct guard *g)
{
	if (g->worker_fd != -1) {
		(void)syscall(SYS_pidfd_send_signal,
			      g->worker_fd,
			      SIGKILL,
			      NULL,
			      0);
	}
}

/*
 * At least the process groups of agents; the supervisor, or the next csvd,
 * ends all of their sessions.
 */
static void guard_kill_agents(struct guard *g)
{
	size_t i;

	for (i = 0; i < GUARD_AGENTS; i++) {
		struct guard_agent *agent = &g->page->agents[i];
		pid_t session = agent->session;

		if (session > 0 && kill(-session, SIGKILL) == -1 &&
		    errno == ESRCH && g->orphan != 0)
		{
			agent->session = 0; /* nobody else looks after it */
		}
	}
}

static void guard_shut(struct guard *g, size_t i, enum guard_reason reason)
{
	uint32_t how = GUARD_NO_LOG_FLUSH;

	if (g->page->slots[i].can && g->local[i].root == -1) {
		guard_open_again(g, i);
	}
	if (g->page->slots[i].state != GUARD_HELD ||
	    !g->page->slots[i].can || g->local[i].root == -1 ||
	    ioctl(g->local[i].root, GUARD_SHUTDOWN, &how) == -1)
	{
		return; /* stays held, so the watchdog is not fed */
	}
	g->page->slots[i].reason = reason;
	guard_state(g, i, GUARD_SHUTTING);
	guard_close(&g->local[i].root);
}

/*
 * Nobody may be told an error of a file system that we shut down ourselves:
 * the worker, which serves it, is ended before.
 */
static void guard_emergency(struct guard *g, enum guard_reason reason)
{
	struct guard_slot *slot = NULL;
	bool some = false;
	size_t i;

	for (i = 0; i < GUARD_SLOTS; i++) {
		if (g->page->slots[i].state != GUARD_HELD) {
			continue;
		}
		if (!some) {
			guard_kill_worker(g);
			guard_kill_agents(g);
		}
		some = true;
		guard_shut(g, i, reason);
	}
	if (some && reason == GUARD_CTDBD_SILENT) {
		guard_ctdb_end(&g->ctdb);
	}
	for (i = 0; some && i < GUARD_SLOTS; i++) {
		slot = &g->page->slots[i];
		if (slot->state == GUARD_FREE || slot->state == GUARD_SHUT ||
		    g->local[i].said)
		{
			continue;
		}
		g->local[i].said = true;
		DBG_ERR("volume %s: %s: the file system %s, epoch %" PRIu64
			"\n",
			slot->name,
			guard_reason_str(reason),
			slot->state == GUARD_SHUTTING ? "is shut down"
						      : "CANNOT be shut down",
			slot->epoch);
	}
}

/* Nothing on its way to the device any more? */
static bool guard_idle(int device)
{
	struct stat st = {};
	char path[64], text[64] = "";
	unsigned reads = 0, writes = 0;
	int fd;

	if (fstat(device, &st) == -1) {
		return false;
	}
	snprintf(path,
		 sizeof(path),
		 "/sys/dev/block/%u:%u/inflight",
		 major(st.st_rdev),
		 minor(st.st_rdev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		return false;
	}
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return sscanf(text, "%u %u", &reads, &writes) == 2 && writes == 0;
}

/*
 * A process of its own, since a device may take its time: what the kernel
 * still has for it (ext4's metadata are in the device's page cache) goes out
 * now, before a successor may start.
 */
static void guard_finish(struct guard *g, size_t i)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	int device = g->local[i].device;
	pid_t pid;

	pid = fork();
	if (pid > 0) {
		g->local[i].finisher = pid;
	}
	if (pid != 0) {
		return;
	}
	prctl(PR_SET_NAME, "csvd-finish");
	close(g->fd);
	guard_close(&g->watchdog); /* not busy for the guard's successor */
	if (device == -1 || fsync(device) == -1) {
		_exit(1);
	}
	while (!guard_idle(device)) {
		nanosleep(&pause, NULL);
	}
	_exit(0);
}

static void guard_finished(struct guard *g, pid_t pid, int status)
{
	size_t i;

	for (i = 0; i < GUARD_SLOTS; i++) {
		if (g->local[i].finisher != pid) {
			continue;
		}
		g->local[i].finisher = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
		    g->page->slots[i].state != GUARD_SHUTTING)
		{
			return; /* once more */
		}
		guard_let_go(g, i);
		guard_state(g, i, GUARD_SHUT);
		DBG_ERR("volume %s: nothing of epoch %" PRIu64
			" writes any more\n",
			g->page->slots[i].name,
			g->page->slots[i].epoch);
	}
}

static void guard_progress(struct guard *g)
{
	int status = 0;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		guard_finished(g, pid, status);
	}
	for (i = 0; i < GUARD_SLOTS; i++) {
		if (g->page->slots[i].state == GUARD_SHUTTING &&
		    g->local[i].finisher == 0)
		{
			guard_finish(g, i);
		}
	}
}

static void guard_watch_worker(struct guard *g)
{
	pid_t pid = g->page->worker;
	struct pollfd pfd = {.events = POLLIN};

	if (pid != g->worker) {
		guard_close(&g->worker_fd);
		g->worker = pid;
		if (pid > 0) {
			g->worker_fd = syscall(SYS_pidfd_open, pid, 0);
		}
	}
	/* without a supervisor nobody else says so */
	pfd.fd = g->worker_fd;
	if (g->orphan != 0 && pid > 0 &&
	    (pfd.fd == -1 || poll(&pfd, 1, 0) == 1))
	{
		g->page->worker = 0;
		g->page->worker_end = g->sight.now;
	}
}

static void guard_look(struct guard *g)
{
	struct guard_sight *s = &g->sight;

	s->now = guard_now();
	guard_ctdb_look(&g->ctdb, s);
	s->pulse = g->page->pulse;
	s->reached = g->page->reached;
	s->worker_end = g->page->worker_end;
	g->page->alive = s->now;
}

static void guard_feed(struct guard *g, enum guard_reason reason)
{
	const struct guard_slot *slot = NULL;
	size_t i;

	if (g->watchdog == -1) {
		return;
	}
	for (i = 0; i < GUARD_SLOTS; i++) {
		slot = &g->page->slots[i];
		if ((slot->state == GUARD_HELD && reason != GUARD_FIT) ||
		    (slot->state == GUARD_SHUTTING &&
		     g->sight.now > slot->since + GUARD_SHUTDOWN_MS))
		{
			return; /* it bites */
		}
	}
	(void)!write(g->watchdog, "", 1);
}

/*
 * Not before the first worker has seen to what an earlier csvd left mounted:
 * a watchdog which that one's guard fed until it died goes on to count.
 */
static void guard_watchdog_open(struct guard *g)
{
	int seconds = (g->page->limits.watchdog_ms + 999) / 1000;

	if (g->watchdog_tried || !g->page->looked ||
	    g->page->watchdog[0] == '\0')
	{
		return;
	}
	g->watchdog_tried = true;
	g->watchdog = open(g->page->watchdog, O_WRONLY | O_CLOEXEC);
	if (g->watchdog == -1 ||
	    ioctl(g->watchdog, WDIOC_SETTIMEOUT, &seconds) == -1)
	{
		DBG_ERR("the watchdog %s cannot be used: %s\n",
			g->page->watchdog,
			strerror(errno));
		guard_close(&g->watchdog);
	}
	g->page->watchdog_open = g->watchdog != -1;
}

/*
 * A csvd that began after ours looks first at what ours left mounted; what it
 * takes after that is for its own guard to answer.
 */
static bool guard_relieved(struct guard *g)
{
	if (g->relieved == 0 && guard_other_csvd(g->page)) {
		g->relieved = g->sight.now;
	}
	return g->relieved != 0 &&
	       g->sight.now > g->relieved + GUARD_RELIEF_MS;
}

/* csvd has ended: what it left mounted goes, successors are answered. */
static bool guard_may_end(struct guard *g)
{
	uint64_t now = g->sight.now;
	bool shut = false;
	size_t i;

	if (g->orphan == 0 || g->page->worker != 0) {
		return false;
	}
	for (i = 0; i < GUARD_SLOTS; i++) {
		uint32_t state = g->page->slots[i].state;

		switch (state) {
		case GUARD_HELD:
		case GUARD_SHUTTING:
			return false;
		case GUARD_SHUT:
			shut = true;
			break;
		}
	}
	return !shut || now > g->orphan + GUARD_LINGER_MS || guard_relieved(g);
}

static enum guard_reason guard_reason_now(struct guard *g)
{
	if (g->orphan != 0 && g->page->worker == 0) {
		return GUARD_CSVD_DEAD;
	}
	return guard_judge(&g->sight, &g->page->limits);
}

/* CTDB's other nodes miss such a leader only after seconds of silence. */
static void guard_elect(struct guard *g, enum guard_reason reason)
{
	if (reason != GUARD_INACTIVE) {
		g->elected = 0;
		g->elect = 0;
	} else if (g->page->leads && g->elected < GUARD_ELECT_TIMES &&
		   g->sight.now >= g->elect)
	{
		g->elected++;
		g->elect = g->sight.now + GUARD_ELECT_MS;
		guard_ctdb_elect(&g->ctdb);
	}
}

static void guard_round(struct guard *g)
{
	enum guard_reason reason;

	while (guard_command(g)) {
		;
	}
	guard_look(g);
	if (g->orphan == 0 && getppid() != g->parent) {
		g->orphan = g->sight.now;
	}
	guard_watch_worker(g);
	reason = guard_reason_now(g);
	g->page->reason = reason;
	if (reason != GUARD_FIT) {
		guard_emergency(g, reason);
	}
	guard_elect(g, reason);
	guard_progress(g);
	guard_watchdog_open(g);
	guard_feed(g, reason);
	if (reason != g->said) {
		g->said = reason;
		DBG_WARNING("%s\n", guard_reason_str(reason));
	}
}

static void guard_prepare(struct guard *g)
{
	const struct sched_param sched = {.sched_priority = 1};

	guard_process_begin("csvd-guard");
	/* as good as the system allows; none of it is needed to be right */
	(void)sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &sched);
	(void)mlockall(MCL_CURRENT | MCL_FUTURE);
}

void guard_run(struct guard_page *page, int fd)
{
	struct guard *g = &guard;
	size_t i;

	guard_prepare(g);
	g->page = page;
	g->fd = fd;
	g->parent = getppid();
	g->worker_fd = -1;
	g->sight.answered = guard_now();
	guard_ctdb_init(&g->ctdb, page->ctdbd);
	for (i = 0; i < GUARD_SLOTS; i++) {
		guard_adopt(g, i);
	}
	g->watchdog = -1;
	while (!guard_may_end(g)) {
		struct pollfd pfd = {.fd = g->fd, .events = POLLIN};

		guard_round(g);
		(void)poll(&pfd, 1, GUARD_ROUND_MS);
	}
	if (g->watchdog != -1) {
		(void)!write(g->watchdog, "V", 1);
	}
	page->alive = 0; /* the answerer need not wait for us */
	_exit(0);
}
