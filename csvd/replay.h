/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "Did it happen?": what a request that is not repeatable and was sent before
 * finds out.
 */
#ifndef _CSVD_REPLAY_H_
#define _CSVD_REPLAY_H_

#include <talloc.h>
#include "lib/wire/codec.h"

struct replay_table;
struct serve_job;

/* Of the socket thread. */
struct replay_table *replay_table_new(TALLOC_CTX *mem_ctx);

enum replay_verdict {
	REPLAY_UNKNOWN, /* never seen here: the volume may know it */
	REPLAY_RUNNING, /* the job was parked and will be answered */
	REPLAY_DONE,	/* job->status is the answer; of an open that
			   succeeded: job->by_fh and job->fh are set */
};
/* A request with CSV_WIRE_REPLAY and a token came. */
enum replay_verdict replay_lookup(struct replay_table *table,
				  const struct GUID *client,
				  struct serve_job *job);
/* A request with a token is about to be done. */
void replay_begin(struct replay_table *table,
		  const struct GUID *client,
		  struct serve_job *job);
/*
 * It is done. Returns the parked jobs that wait for it, a list by ->next,
 * with their answers set as replay_lookup() does.
 */
struct serve_job *replay_end(struct replay_table *table,
			     const struct GUID *client,
			     struct serve_job *job);

#endif /* _CSVD_REPLAY_H_ */
