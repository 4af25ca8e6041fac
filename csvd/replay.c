/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests that are not repeatable and come a second time.
 *
 * Under the same owner (the connection broke, csvd lives) a table per volume
 * knows the answers of the last REPLAY_ENTRIES such requests by client and
 * token: the recorded answer is given again, an open is opened by file handle,
 * and one that is still being done is waited for.
 *
 * Under a new owner, or a csvd that was started again, the table is empty: then
 * the record on the volume tells (serve_once.c).
 */
#include "replace.h"
#include <string.h>
#include "lib/util/dlinklist.h"
#include "csvd/replay.h"
#include "csvd/serve_private.h"

#define REPLAY_ENTRIES 1024
#define REPLAY_BUCKETS 256

struct replay_entry {
	struct replay_entry *prev, *next; /* of the bucket */
	struct GUID client;
	uint64_t token;
	enum csv_op op;
	bool used;
	bool running;
	int status;
	bool has_fh;
	struct csv_fhandle fh;
	struct serve_job *parked; /* by ->next */
};

struct replay_table {
	struct replay_entry *buckets[REPLAY_BUCKETS];
	struct replay_entry ring[REPLAY_ENTRIES];
	unsigned oldest;
};

struct replay_table *replay_table_new(TALLOC_CTX *mem_ctx)
{
	return talloc_zero(mem_ctx, struct replay_table);
}

static struct replay_entry **bucket_of(struct replay_table *table,
				       uint64_t token)
{
	return &table->buckets[token % REPLAY_BUCKETS];
}

static struct replay_entry *entry_find(struct replay_table *table,
				       const struct GUID *client,
				       const struct serve_job *job)
{
	struct replay_entry *e = *bucket_of(table, job->token);

	for (; e != NULL; e = e->next) {
		if (e->token == job->token && e->op == job->h.op &&
		    memcmp(&e->client, client, sizeof(*client)) == 0) {
			return e;
		}
	}
	return NULL;
}

/* The oldest one that nobody waits for; NULL: all are being done. */
static struct replay_entry *entry_reuse(struct replay_table *table)
{
	struct replay_entry *e = NULL;
	unsigned i;

	for (i = 0; i < REPLAY_ENTRIES; i++) {
		e = &table->ring[table->oldest];
		table->oldest = (table->oldest + 1) % REPLAY_ENTRIES;
		if (!e->running) {
			break;
		}
		e = NULL;
	}
	if (e != NULL && e->used) {
		DLIST_REMOVE(*bucket_of(table, e->token), e);
	}
	return e;
}

static void job_take_answer(struct serve_job *job,
			    const struct replay_entry *e)
{
	job->status = e->status;
	job->by_fh = e->status == 0 && e->has_fh;
	job->fh = e->fh;
}

enum replay_verdict replay_lookup(struct replay_table *table,
				  const struct GUID *client,
				  struct serve_job *job)
{
	struct replay_entry *e = entry_find(table, client, job);

	if (e == NULL) {
		return REPLAY_UNKNOWN;
	}
	if (e->running) {
		job->next = e->parked;
		e->parked = job;
		return REPLAY_RUNNING;
	}
	job_take_answer(job, e);
	return REPLAY_DONE;
}

void replay_begin(struct replay_table *table,
		  const struct GUID *client,
		  struct serve_job *job)
{
	struct replay_entry *e = entry_find(table, client, job);

	if (e == NULL) {
		e = entry_reuse(table);
		if (e == NULL) {
			return;
		}
		memset(e, 0, sizeof(*e));
		e->used = true;
		e->client = *client;
		e->token = job->token;
		e->op = job->h.op;
		DLIST_ADD(*bucket_of(table, e->token), e);
	}
	e->running = true;
}

struct serve_job *replay_end(struct replay_table *table,
			     const struct GUID *client,
			     struct serve_job *job)
{
	struct replay_entry *e = entry_find(table, client, job);
	struct serve_job *parked = NULL;
	struct serve_job *p = NULL;

	if (e == NULL) {
		return NULL;
	}
	e->running = false;
	e->status = job->status;
	e->has_fh = job->h.op == CSV_OP_OPEN;
	e->fh = job->fh;
	parked = e->parked;
	e->parked = NULL;
	for (p = parked; p != NULL; p = p->next) {
		job_take_answer(p, e);
	}
	return parked;
}
