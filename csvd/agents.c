/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sessions of agents. The number of a session is no other process's as long
 * as one of its processes lives. Zombies do nothing any more and do not count.
 */
#include "includes.h"
#include <dirent.h>
#include "csvd/agents.h"

#define AGENTS_ADOPT_MS 5000
#define AGENTS_PAUSE_MS 20

/* Every process; fn returns false to end. False: they cannot be listed. */
static bool agents_each(bool (*fn)(pid_t pid, void *private_data),
			void *private_data)
{
	DIR *dir = opendir("/proc");
	struct dirent *e = NULL;
	long pid;

	if (dir == NULL) {
		return false;
	}
	while ((e = readdir(dir)) != NULL) {
		pid = strtol(e->d_name, NULL, 10);
		if (pid > 0 && !fn(pid, private_data)) {
			break;
		}
	}
	closedir(dir);
	return true;
}

static ssize_t agents_read(pid_t pid, const char *what, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		return -1;
	}
	n = read(fd, buf, size - 1);
	close(fd);
	buf[MAX(n, 0)] = '\0';
	return n;
}

/* "PID (NAME) STATE …", and a name may hold brackets. */
static bool agents_ended(pid_t pid)
{
	char text[512];
	const char *p = NULL;

	if (agents_read(pid, "stat", text, sizeof(text)) <= 0) {
		return true;
	}
	p = strrchr(text, ')');
	return p != NULL && p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X');
}

struct agents_session {
	pid_t session;
	pid_t found;
	unsigned num;
};

static bool agents_kill_one(pid_t pid, void *private_data)
{
	struct agents_session *s = private_data;

	if (getsid(pid) == s->session && !agents_ended(pid)) {
		(void)kill(pid, SIGKILL);
		s->found = pid;
		s->num++;
	}
	return true;
}

/*
 * Twice without finding one: a process that begins while the list is read may
 * be missed by it. Who it is: 0 when none lives.
 */
static pid_t agents_kill_session(pid_t session)
{
	struct agents_session s = {.session = session};
	unsigned looks;

	(void)kill(-session, SIGKILL);
	for (looks = 0; looks < 2 && s.num == 0; looks++) {
		if (!agents_each(agents_kill_one, &s)) {
			return session;
		}
	}
	return s.found;
}

struct guard_agent *csvd_agent_new(struct guard_page *page,
				   const char *volume,
				   bool changes)
{
	struct guard_agent *agent = NULL;
	size_t i;

	for (i = 0; i < GUARD_AGENTS; i++) {
		agent = &page->agents[i];
		if (agent->session != 0) {
			continue;
		}
		if (strlcpy(agent->volume, volume, sizeof(agent->volume)) >=
		    sizeof(agent->volume))
		{
			return NULL;
		}
		agent->changes = changes;
		agent->left = false;
		agent->session = GUARD_AGENT_BEGINS;
		return agent;
	}
	return NULL;
}

void csvd_agent_done(struct guard_agent *agent)
{
	if (!agent->left) {
		agent->session = 0;
	}
}

bool csvd_agent_kill(struct guard_agent *agent)
{
	/* read once: the guard writes it, too, and 0 would be our own group */
	const pid_t session = agent->session;

	agent->left = true;
	if (session > 0 && agents_kill_session(session) != 0) {
		return true;
	}
	agent->session = 0;
	return false;
}

pid_t csvd_agents_left(struct guard_page *page, const char *volume)
{
	pid_t pid, found = 0;
	size_t i;

	for (i = 0; i < GUARD_AGENTS; i++) {
		struct guard_agent *agent = &page->agents[i];
		const pid_t session = agent->session;

		if (session <= 0 || !agent->left) {
			continue;
		}
		pid = agents_kill_session(session);
		if (pid == 0) {
			agent->session = 0;
		} else if (agent->changes &&
			   (agent->volume[0] == '\0' ||
			    strcmp(agent->volume, volume) == 0))
		{
			found = pid;
		}
	}
	return found;
}

unsigned csvd_agents_end(struct guard_page *page)
{
	unsigned num = 0;
	size_t i;

	for (i = 0; i < GUARD_AGENTS; i++) {
		if (page->agents[i].session != 0 &&
		    csvd_agent_kill(&page->agents[i]))
		{
			num++;
		}
	}
	return num;
}

struct agents_search {
	struct guard_page *page;
	const char *socket_path;
	char buf[32768];
};

/* "VARIABLE=SESSION:SOCKET" among what the process was begun with? */
static bool agents_is_ours(struct agents_search *s, pid_t pid, pid_t session)
{
	static const char name[] = AGENTS_VARIABLE "=";
	ssize_t n = agents_read(pid, "environ", s->buf, sizeof(s->buf));
	const char *p = NULL;
	char *end = NULL;

	for (p = s->buf; p < s->buf + n; p += strlen(p) + 1) {
		if (strncmp(p, name, sizeof(name) - 1) == 0) {
			return strtol(p + sizeof(name) - 1, &end, 10) ==
				       session &&
			       *end == ':' &&
			       strcmp(end + 1, s->socket_path) == 0;
		}
	}
	return false;
}

static bool agents_search_one(pid_t pid, void *private_data)
{
	struct agents_search *s = private_data;
	pid_t session = getsid(pid);
	struct guard_agent *agent = NULL;
	size_t i;

	for (i = 0; i < GUARD_AGENTS; i++) {
		if (s->page->agents[i].session == session) {
			return true; /* known already */
		}
	}
	if (session <= 0 || session == getsid(0) || agents_ended(pid) ||
	    !agents_is_ours(s, pid, session))
	{
		return true;
	}
	agent = csvd_agent_new(s->page, "", true); /* any volume's */
	if (agent != NULL) {
		agent->session = session;
		DBG_ERR("process %d is of an agent of an earlier csvd: ending "
			"it\n",
			(int)pid);
	}
	return agent != NULL;
}

void csvd_agents_adopt(struct guard_page *page, const char *socket_path)
{
	const struct timespec pause = {.tv_nsec = AGENTS_PAUSE_MS * 1000000};
	uint64_t until = guard_now() + AGENTS_ADOPT_MS;
	struct agents_search *s = talloc_zero(NULL, struct agents_search);

	if (s == NULL) {
		return;
	}
	s->page = page;
	s->socket_path = socket_path;
	(void)agents_each(agents_search_one, s);
	talloc_free(s);
	while (csvd_agents_end(page) > 0) {
		if (guard_now() > until) {
			DBG_ERR("agents of an earlier csvd cannot be ended; no "
				"volume is started before they are\n");
			return;
		}
		nanosleep(&pause, NULL);
	}
}
