/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd's parent process: starts the worker again when it dies, and shuts the
 * owned file systems down when no worker has reached ctdbd for too long. It
 * makes no call to ctdb and none that may block on storage but that shutdown.
 * (It becomes the guard.)
 */
#ifndef _CSVD_SUPERVISOR_H_
#define _CSVD_SUPERVISOR_H_

#include <stdbool.h>

/* The worker's main(); fd: its line to the supervisor. Returns exit code. */
typedef int (*csvd_worker_fn)(int fd, void *private_data);

/*
 * Runs workers until one has said csvd_supervisor_leaving() and ended, or
 * SIGTERM came. limit_s: without csvd_supervisor_alive() for this long, the
 * mounted file systems are shut down. Returns the exit code of csvd.
 */
int csvd_supervisor_run(unsigned limit_s,
			csvd_worker_fn worker,
			void *private_data);

/* The worker's side. Never block, never fail. */
void csvd_supervisor_alive(int fd);
void csvd_supervisor_mounted(int fd, const char *path, bool mounted);
void csvd_supervisor_leaving(int fd, bool leaving);

#endif /* _CSVD_SUPERVISOR_H_ */
