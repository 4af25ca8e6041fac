/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replay with grace: after an owner died, nobody's new change comes before the
 * replays of the others. What came too early waits in its volume's list, in
 * order, as a job that has not begun.
 */
#include "replace.h"
#include "lib/util/dlinklist.h"
#include "csvd/serve_private.h"

bool serve_grace_waits(const struct serve_volume *vol,
		       const struct csv_header *h)
{
	return vol->grace && !(h->flags & CSV_WIRE_REPLAY) &&
	       h->op != CSV_OP_OPEN_FH;
}

void serve_grace_wait(struct serve_job *job)
{
	job->vol->counters.waited += 1;
	DLIST_ADD_END(job->vol->waiting, job);
}

void serve_grace_begin(struct serve_volume *vol, unsigned grace_ms)
{
	vol->grace = true;
	vol->grace_end = csv_now_ms() + grace_ms;
	vol->serve->num_grace += 1;
}

static void go_on(struct serve_job *job, int status)
{
	struct serve_conn *conn = job->conn;

	if (status == 0 && !conn->dead) {
		serve_job_start(job);
		return;
	}
	job->status = status != 0 ? status : CSV_E_LOST;
	serve_job_answer(job);
	if (!conn->dead) {
		serve_conn_event(conn, 0);
	}
}

void serve_grace_end(struct serve_volume *vol, int status)
{
	struct serve_job *list = vol->waiting;
	struct serve_job *job = NULL;

	if (!vol->grace) {
		return;
	}
	vol->grace = false;
	vol->serve->num_grace -= 1;
	vol->waiting = NULL;
	while ((job = list) != NULL) {
		DLIST_REMOVE(list, job);
		go_on(job, status);
	}
}

void serve_grace_tick(struct csv_serve *serve)
{
	struct serve_volume *vol = NULL;
	uint64_t now = csv_now_ms();

	for (vol = serve->volumes; vol != NULL; vol = vol->next) {
		if (vol->grace && now >= vol->grace_end) {
			serve_grace_end(vol, 0);
		}
	}
}
