/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the processes beside the worker begin, and the threads of all three.
 */
#include "includes.h"
#include <pthread.h>
#include <sys/prctl.h>
#include "csvd/guard.h"

void guard_process_begin(const char *name)
{
	static const int ignored[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE,
	};
	sigset_t none;
	size_t i;

	prctl(PR_SET_NAME, name);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (i = 0; i < ARRAY_SIZE(ignored); i++) {
		signal(ignored[i], SIG_IGN);
	}
}

int guard_thread_start(void *(*fn)(void *private_data), void *private_data)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&thread, &attr, fn, private_data);
	pthread_attr_destroy(&attr);
	return ret;
}

bool guard_other_csvd(const struct guard_page *page)
{
	const char *slash = strrchr(page->socket, '/');
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_len = 1,
	};
	char path[GUARD_PATH_MAX + 16];
	bool held;
	int fd;

	if (slash == NULL) {
		return false;
	}
	snprintf(path,
		 sizeof(path),
		 "%.*s/csvd.pid",
		 (int)(slash - page->socket),
		 page->socket);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		return false;
	}
	held = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	return held;
}
