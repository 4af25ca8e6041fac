/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls that may hang in storage (syncfs, statfs), on a thread of their own.
 */
#ifndef _CSVD_JOB_H_
#define _CSVD_JOB_H_

#include <stdint.h>
#include <talloc.h>
#include <tevent.h>
#include "csvd/mark.h"

enum csvd_job {
	CSVD_JOB_SYNC,	/* syncfs */
	CSVD_JOB_CHECK, /* does the file system still answer? EROFS: it went
			   read-only although it was not mounted so */
	CSVD_JOB_MARK,	/* csvd_mark_note() */
};

/*
 * Works on a duplicate of fd. A call that does not come back within the time
 * is left to itself: ETIMEDOUT (its thread and its duplicate stay until it
 * does come back; csvd_jobs_hanging() counts them).
 */
struct tevent_req *csvd_job_send(TALLOC_CTX *mem_ctx,
				 struct tevent_context *ev,
				 enum csvd_job job,
				 int fd,
				 unsigned timeout_ms);
struct tevent_req *csvd_job_mark_send(TALLOC_CTX *mem_ctx,
				      struct tevent_context *ev,
				      int fd,
				      const struct csvd_mark *mark,
				      unsigned timeout_ms);
/* 0 or errno; *found: see csvd_mark_note(). */
int csvd_job_mark_recv(struct tevent_req *req, struct csvd_mark *found);
/* 0 or errno; *usec (may be NULL): how long it took. */
int csvd_job_recv(struct tevent_req *req, uint64_t *usec);

unsigned csvd_jobs_hanging(void);

#endif /* _CSVD_JOB_H_ */
