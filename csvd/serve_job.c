/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Jobs: from a message to a worker and back to an answer.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/util/dlinklist.h"
#include "csvd/replay.h"
#include "csvd/serve_private.h"

struct serve_job *serve_job_new(struct serve_conn *conn,
				struct serve_volume *vol,
				const struct csv_header *h)
{
	struct serve_job *job = talloc_zero(NULL, struct serve_job);

	if (job == NULL) {
		return NULL;
	}
	job->conn = conn;
	job->vol = vol;
	job->h = *h;
	vol->jobs += 1;
	if (conn == NULL) {
		return job;
	}
	conn->jobs += 1;
	conn->inflight += 1;
	job->cnext = conn->running;
	if (conn->running != NULL) {
		conn->running->cprev = job;
	}
	conn->running = job;
	if (h->cred != 0 && h->cred <= SERVE_CREDS) {
		job->cred = conn->creds[h->cred];
		if (job->cred != NULL) {
			job->cred->refs += 1;
		}
	}
	return job;
}

void serve_cred_put(struct serve_cred *cred)
{
	if (cred != NULL && --cred->refs == 0) {
		talloc_free(cred);
	}
}

static void job_unlink(struct serve_job *job)
{
	struct serve_conn *conn = job->conn;

	if (job->cprev != NULL) {
		job->cprev->cnext = job->cnext;
	} else {
		conn->running = job->cnext;
	}
	if (job->cnext != NULL) {
		job->cnext->cprev = job->cprev;
	}
	job->cprev = NULL;
	job->cnext = NULL;
	conn->jobs -= 1;
	conn->inflight -= 1;
	conn->held -= job->cost;
}

/* A new file is ours until the client has its number. */
static void job_drop_file(struct serve_job *job)
{
	struct csv_header none = {};
	struct serve_job *close_job = NULL;

	if (job->new_file == NULL) {
		return;
	}
	job->new_file->keep = true;
	close_job = serve_job_new(NULL, job->vol, &none);
	if (close_job == NULL) {
		TALLOC_FREE(job->new_file);
		return;
	}
	close_job->new_file = job->new_file;
	job->new_file = NULL;
	serve_pool_add(&job->vol->pool, close_job);
}

/* The number of the new handle goes first in the body. */
static void job_register_file(struct serve_job *job)
{
	struct serve_handle *handle = NULL;
	unsigned i;

	handle = serve_handle_new(job->conn, job->vol, job->new_file, false);
	if (handle == NULL) {
		job_drop_file(job);
		job->status = ENOMEM;
		job->body_len = 0;
		return;
	}
	job->new_file = NULL;
	for (i = 0; i < 8; i++) {
		job->body[i] = (uint8_t)(handle->number >> (8 * i));
	}
}

/* An open that ended while the volume drains: nobody gets the file. */
static int status_drained(const struct serve_job *job)
{
	const struct csv_open_req *req = job->req;

	if (job->h.op == CSV_OP_OPEN && (req->how & CSV_O_ONCE)) {
		return CSV_E_LOST; /* it may have made it: to be replayed */
	}
	if (job->h.op == CSV_OP_OPEN || job->h.op == CSV_OP_OPEN_FH) {
		return CSV_E_STALE;
	}
	return 0;
}

bool serve_job_piped(const struct serve_job *job)
{
	return job->rdata == NULL && job->rdata_len != 0;
}

/* Hands the job over to the answer, or frees it. */
void serve_job_answer(struct serve_job *job)
{
	struct serve_conn *conn = job->conn;
	struct serve_volume *vol = job->vol;
	unsigned i;

	job_unlink(job);
	if (conn->dead || vol->draining) {
		job_drop_file(job);
	} else if (job->new_file != NULL) {
		job_register_file(job);
	}
	if (vol->draining && job->status == 0) {
		job->status = status_drained(job);
	}
	for (i = 0; i < 2; i++) {
		if (job->handle[i] != NULL) {
			serve_handle_put(conn, job->handle[i]);
		}
	}
	serve_cred_put(job->cred);
	if (job->status != 0) {
		job->body_len = 0;
		job->rdata_len = 0;
	}
	vol->jobs -= 1;
	serve_volume_check(vol);
	if (conn->dead) {
		serve_pipe_put(conn->serve, job->pipe);
		talloc_free(job);
		serve_conn_put(conn);
		return;
	}
	serve_reply_job(conn, job);
}

/* Requests that came again while the first was being done. */
static void answer_parked(struct serve_job *list)
{
	struct serve_conn *conn = NULL;
	struct serve_job *job = NULL;

	while ((job = list) != NULL) {
		list = job->next;
		job->next = NULL;
		conn = job->conn;
		if (job->by_fh && !conn->dead) {
			job->has_token = false;
			serve_pool_add(&job->vol->pool, job);
			continue;
		}
		serve_job_answer(job);
		if (!conn->dead) {
			serve_conn_event(conn, 0);
		}
	}
}

/* The last close is done: what came behind it may go on. */
static void start_behind(struct serve_conn *conn)
{
	struct serve_job *job = NULL;

	while ((job = conn->behind) != NULL) {
		DLIST_REMOVE(conn->behind, job);
		serve_pool_add(&job->vol->pool, job);
	}
}

static void close_done(struct serve_job *job)
{
	struct serve_volume *vol = job->vol;
	struct serve_conn *conn = job->closer;

	talloc_free(job);
	if (conn != NULL) {
		conn->closing -= 1;
		conn->jobs -= 1;
		if (conn->closing == 0) {
			start_behind(conn);
		}
		serve_conn_put(conn);
	}
	vol->jobs -= 1;
	serve_volume_check(vol);
}

void serve_job_done(struct serve_job *job)
{
	struct serve_volume *vol = job->vol;
	struct serve_conn *conn = job->conn;

	if (conn == NULL) {
		close_done(job);
		return;
	}
	if (job->h.op == CSV_OP_READ) {
		vol->counters.read_bytes += job->rdata_len;
		if (serve_job_piped(job)) {
			vol->counters.piped_requests += 1;
		}
	} else if (job->h.op == CSV_OP_WRITE && job->status == 0) {
		vol->counters.write_bytes += job->data_len;
	}
	if (job->has_token) {
		answer_parked(replay_end(vol->replay, &conn->client, job));
	}
	serve_job_answer(job);
}

/* True: it has its answer, or will get it when the first is done. */
static bool job_replayed(struct serve_job *job)
{
	struct serve_conn *conn = job->conn;
	struct replay_table *table = job->vol->replay;

	if (!(job->h.flags & CSV_WIRE_REPLAY)) {
		return false;
	}
	switch (replay_lookup(table, &conn->client, job)) {
	case REPLAY_UNKNOWN:
		job->replay = true;
		return false;
	case REPLAY_RUNNING:
		return true;
	case REPLAY_DONE:
		break;
	}
	job->has_token = false;
	if (job->by_fh) {
		return false;
	}
	serve_job_answer(job);
	return true;
}

void serve_job_start(struct serve_job *job)
{
	if (serve_grace_waits(job->vol, &job->h)) {
		serve_grace_wait(job);
		return;
	}
	if (job->has_token) {
		if (job_replayed(job)) {
			return;
		}
		if (job->has_token) {
			replay_begin(job->vol->replay,
				     &job->conn->client,
				     job);
		}
	}
	if (job->conn->closing > 0 && job->req != NULL) {
		DLIST_ADD_END(job->conn->behind, job);
		return;
	}
	serve_pool_add(&job->vol->pool, job);
}
