/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that keeps the third vote: another program, so that a place
 * that blocks, or its library, never touches the voter or the helper.
 */
#include "quorum/quorum.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define THIRD_PROGRAM "csv_quorum_third"

/* Beside this program. */
static bool third_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash = NULL;

	if (n <= 0) {
		return false;
	}
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL || (size_t)(slash + 1 - path) +
				     sizeof(THIRD_PROGRAM) > size) {
		return false;
	}
	memcpy(slash + 1, THIRD_PROGRAM, sizeof(THIRD_PROGRAM));
	return true;
}

static void third_exec(const struct quorum_config *config, const char *verb)
{
	char path[4096], node[16], slots[16], lease[16];

	if (!third_path(path, sizeof(path))) {
		_exit(127);
	}
	snprintf(node, sizeof(node), "%u", (unsigned)config->node);
	snprintf(slots, sizeof(slots), "%u", config->num_nodes);
	snprintf(lease, sizeof(lease), "%u", (unsigned)config->lease_ms);
	execl(path,
	      path,
	      verb,
	      config->third,
	      node,
	      slots,
	      lease,
	      config->run_dir,
	      (char *)NULL);
	fprintf(stderr,
		"csv_quorum_helper: %s: %s\n",
		path,
		strerror(errno));
	_exit(127);
}

int quorum_third_start(const struct quorum_config *config,
		       int *fd,
		       pid_t *pid)
{
	sigset_t none;
	int pair[2];

	if (socketpair(AF_UNIX,
		       SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0,
		       pair) != 0)
	{
		return errno;
	}
	*pid = fork();
	if (*pid == -1) {
		int ret = errno;

		close(pair[0]);
		close(pair[1]);
		return ret;
	}
	if (*pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(pair[1], STDIN_FILENO);
		third_exec(config, "serve");
	}
	close(pair[1]);
	*fd = pair[0];
	return 0;
}

int quorum_third_init(const struct quorum_config *config)
{
	if (config->third == NULL) {
		fprintf(stderr, "csv_quorum_helper: --init needs --third\n");
		return 2;
	}
	third_exec(config, "init");
	return 1;
}
