/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vfork(2), since nothing of a process with threads shall be copied, and the
 * child has to note its session itself: between posix_spawn(3) and a note of
 * the parent's, the parent may be killed.
 */
#include "includes.h"
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "csvd/agents.h"
#include "csvd/child_spawn.h"

#define SPAWN_DIGITS 10

struct spawn {
	const struct csvd_child_params *params;
	struct guard_agent *agent;
	char **env;
	char *digits; /* in env: the session's number */
	pid_t parent;
	int in, out;
	volatile int error;
};

static void spawn_digits(char *digits, uint32_t n)
{
	size_t i;

	for (i = SPAWN_DIGITS; i > 0; i--, n /= 10) {
		digits[i - 1] = '0' + n % 10;
	}
}

/* In the child, which borrows its parent's memory: system calls only. */
static void spawn_become(struct spawn *s)
{
	struct sigaction def = {.sa_handler = SIG_DFL};
	sigset_t none;
	int i;

	/* whoever dies with us not yet noted takes us with it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->parent || setsid() == -1) {
		_exit(127);
	}
	s->agent->session = getpid();
	spawn_digits(s->digits, getpid());
	for (i = 1; i < NSIG; i++) {
		(void)sigaction(i, &def, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(s->in, 0) != -1 && dup2(s->out, 1) != -1 &&
	    dup2(s->out, 2) != -1 &&
	    syscall(SYS_close_range, 3, ~0U, 0) == 0)
	{
		execve(s->params->path,
		       discard_const_p(char *, s->params->argv),
		       s->env);
	}
	s->error = errno;
	_exit(127);
}

/* The given environment and the mark by which it is found. */
static bool spawn_env(TALLOC_CTX *mem_ctx, struct spawn *s)
{
	const char *const *env = s->params->env;
	char *mark = NULL;
	size_t n = 0;

	while (env[n] != NULL) {
		n++;
	}
	s->env = talloc_zero_array(mem_ctx, char *, n + 2);
	mark = talloc_asprintf(mem_ctx,
			       AGENTS_VARIABLE "=%0*d:%s",
			       SPAWN_DIGITS,
			       0,
			       s->params->page->socket);
	if (s->env == NULL || mark == NULL) {
		return false;
	}
	memcpy(s->env, discard_const_p(char *, env), n * sizeof(*env));
	s->env[n] = mark;
	s->digits = mark + strlen(AGENTS_VARIABLE "=");
	return true;
}

int csvd_child_spawn(const struct csvd_child_params *params,
		     struct guard_agent *agent,
		     int in,
		     int out,
		     pid_t *pid)
{
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	struct spawn s = {
		.params = params,
		.agent = agent,
		.parent = getpid(),
		.in = in,
		.out = out,
	};
	sigset_t all, before;
	int ret = ENOMEM;

	if (mem_ctx != NULL && spawn_env(mem_ctx, &s)) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		*pid = vfork();
		if (*pid == 0) {
			spawn_become(&s);
		}
		ret = *pid == -1 ? errno : s.error;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		if (*pid > 0 && ret != 0) {
			(void)waitpid(*pid, NULL, 0);
		}
	}
	if (ret != 0) {
		agent->session = 0;
	}
	talloc_free(mem_ctx);
	return ret;
}
