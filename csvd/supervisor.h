/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd's parent process: starts the worker, the guard and the answerer
 * (csvd/guard.h), each again when it dies, the guard also when it hangs; and
 * sofs_witness(8), which moves clients: a program of its own, because csvd
 * must not wait for what it has to ask CTDB, and because one that fails must
 * not take csvd along. The supervisor makes no call to ctdb and none that may
 * block on storage.
 */
#ifndef _CSVD_SUPERVISOR_H_
#define _CSVD_SUPERVISOR_H_

#include <stdbool.h>

struct guard_page;

/* What the worker is given. */
struct csvd_lines {
	int supervisor; /* for csvd_supervisor_leaving() */
	int guard;	/* for struct guard_message */
	struct guard_page *page;
};

/* The worker's main(). Returns exit code. */
typedef int (*csvd_worker_fn)(const struct csvd_lines *lines);

/*
 * Runs workers until one has said csvd_supervisor_leaving() and ended, or
 * SIGTERM came. witness: path and arguments of sofs_witness; NULL: there is
 * none. Returns the exit code of csvd.
 */
int csvd_supervisor_run(struct guard_page *page,
			csvd_worker_fn worker,
			char *const witness[]);

/* The worker's side. Never blocks, never fails. */
void csvd_supervisor_leaving(int fd, bool leaving);

#endif /* _CSVD_SUPERVISOR_H_ */
