/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running a program (resource agent, fence agent) without blocking.
 */
#ifndef _CSVD_CHILD_H_
#define _CSVD_CHILD_H_

#include <stdbool.h>
#include <talloc.h>
#include <tevent.h>

struct guard_page;

struct csvd_child_params {
	struct guard_page *page; /* where it is noted */
	const char *volume;	 /* whose storage it is called for */
	bool changes;		 /* it starts or stops that */
	const char *path;
	const char *const *argv;
	const char *const *env;
	const char *input; /* on stdin, at most 16 KiB; NULL: none */
	unsigned timeout_ms;
};

/*
 * Starts the program in a session of its own, see agents.h. When the time is
 * over, all of that is killed and its end awaited, for a few seconds; when the
 * request is freed, it is killed.
 */
struct tevent_req *csvd_child_send(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   const struct csvd_child_params *params);

/*
 * 0: it ended, *code is its exit code (128 + signal), *output the last line
 * that it printed ("" without). ETIMEDOUT: killed, and ended; EBUSY: killed,
 * and it has not ended (csvd_agents_left()); other errno: it did not run.
 */
int csvd_child_recv(struct tevent_req *req,
		    TALLOC_CTX *mem_ctx,
		    int *code,
		    char **output);

#endif /* _CSVD_CHILD_H_ */
