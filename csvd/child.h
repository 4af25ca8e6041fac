/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running a program (resource agent, fence agent) without blocking.
 */
#ifndef _CSVD_CHILD_H_
#define _CSVD_CHILD_H_

#include <talloc.h>
#include <tevent.h>

struct csvd_child_params {
	const char *path;
	const char *const *argv;
	const char *const *env;
	const char *input; /* on stdin, at most 16 KiB; NULL: none */
	unsigned timeout_ms;
};

/*
 * Starts the program in a session of its own. When the time is over, or the
 * request is freed, its process group is killed.
 */
struct tevent_req *csvd_child_send(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   const struct csvd_child_params *params);

/*
 * 0: it ended, *code is its exit code (128 + signal), *output the last line
 * that it printed ("" without). ETIMEDOUT; other errno: it did not run.
 */
int csvd_child_recv(struct tevent_req *req,
		    TALLOC_CTX *mem_ctx,
		    int *code,
		    char **output);

#endif /* _CSVD_CHILD_H_ */
