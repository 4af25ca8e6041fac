/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Letting go of a volume: sync while clients go on, drain the processes of
 * this node, stop serving, sync, stop the storage, write the record, tell. A
 * storage that does not stop blocks a planned move: the volume goes on here,
 * under the same epoch.
 */
#include "csvd/owner.h"
#include "csvd/clock.h"
#include "csvd/control.h"
#include "csvd/guard_client.h"
#include "csvd/job.h"
#include "csvd/publish.h"
#include "csvd/record.h"
#include "csvd/storage.h"
#include "csvd/view.h"
#include "lib/util/tevent_unix.h"

#define RELEASE_SYNC_ROUNDS 6
#define RELEASE_SYNC_GOOD_MS 60
#define RELEASE_SYNC_LIMIT_MS 60000
#define RELEASE_DRAIN_MS 500
#define RELEASE_SERVE_MS 20
#define RELEASE_SAY_S 3
#define RELEASE_RETRY_S 3

struct csvd_release {
	struct csvd_volume *v;
	uint32_t target;
	enum csvd_release_mode mode;
	const char *reason;
	unsigned rounds;
	bool said;
	struct timeval started, drain, drained, served, synced;
};

static void release_stop(struct csvd_release *r);

static void release_timer(struct csvd_release *r,
			  unsigned ms,
			  tevent_timer_handler_t fn)
{
	struct timeval at = tevent_timeval_current_ofs(ms / 1000,
						       ms % 1000 * 1000);

	if (tevent_add_timer(r->v->csvd->ev, r, at, fn, r) == NULL) {
		smb_panic("no memory");
	}
}

int csvd_release_record(struct csvd_volume *v,
			uint32_t target,
			bool failed,
			const char *reason)
{
	struct csv_owner_record rec = *v->rec;
	uint32_t *nodes = NULL;
	int ret;

	nodes = talloc_array(v, uint32_t, rec.num_failed + 1);
	if (nodes == NULL) {
		return ENOMEM;
	}
	if (rec.num_failed > 0) {
		memcpy(nodes, rec.failed, rec.num_failed * sizeof(*nodes));
	}
	if (failed) {
		nodes[rec.num_failed++] = v->csvd->node;
	}
	rec.failed = nodes;
	rec.owner = CSVD_NO_NODE;
	rec.previous = v->csvd->node;
	rec.previous_clean = !failed;
	rec.clean = true;
	rec.target = target;
	rec.reason = csvd_bytes(reason);
	ret = csvd_record_change(v->csvd, v->name, v->rec, &rec);
	talloc_free(nodes);
	return ret;
}

static void release_end(struct csvd_release *r, enum csvd_role role)
{
	struct csvd_volume *v = r->v;

	v->role = role;
	v->release = NULL;
	csvd_evaluate_soon(v->csvd);
	talloc_free(r);
}

static uint64_t release_ms(const struct timeval *from, const struct timeval *to)
{
	if (timeval_is_zero(from) || timeval_is_zero(to)) {
		return 0;
	}
	return usec_time_diff(to, from) / 1000;
}

static void release_write(struct csvd_release *r);

static void release_write_again(struct tevent_context *ev,
				struct tevent_timer *te,
				struct timeval now,
				void *private_data)
{
	release_write(private_data);
}

static void release_write(struct csvd_release *r)
{
	struct csvd_volume *v = r->v;
	struct timeval stopped = csvd_clock(), now;
	bool failed = r->mode == CSVD_RELEASE_BROKEN;
	int ret = 0;

	if (!v->config->shared) {
		ret = csvd_release_record(v, r->target, failed, r->reason);
	}
	if (ret != 0 && ret != EAGAIN) {
		const char *why = csvd_record_error(v->csvd, ret);

		DEBUG(csvd_record_waits(ret) ? DBGLVL_INFO : DBGLVL_WARNING,
		      ("volume %s: its record cannot be written: %s, "
		       "trying again\n",
		       v->name,
		       why));
		csvd_volume_reason(v,
				   "its record cannot be written: %s",
				   why);
		release_timer(r, 200, release_write_again);
		return;
	}
	now = csvd_clock();
	DBG_NOTICE("volume %s: released (%s): sync %" PRIu64 " ms in %u "
		   "rounds, drain %" PRIu64 " ms, serving %" PRIu64 " ms, sync %" PRIu64
		   " ms, storage %" PRIu64 " ms, record %" PRIu64 " ms\n",
		   v->name,
		   ret == 0 ? r->reason : "another node owns it by now",
		   release_ms(&r->started, &r->drain),
		   r->rounds,
		   release_ms(&r->drain, &r->drained),
		   release_ms(&r->drained, &r->served),
		   release_ms(&r->served, &r->synced),
		   release_ms(&r->synced, &stopped),
		   release_ms(&stopped, &now));
	v->rec->owner = CSVD_NO_NODE;
	csvd_volume_reason(v, "%s", r->reason);
	csvd_view_event(v, CSV_EVENT_DRAINED);
	csvd_publish_event(v, CSV_EVENT_DRAINED);
	release_end(r, CSVD_IDLE);
}

static void release_call_off(struct csvd_release *r, const char *why)
{
	struct csvd_volume *v = r->v;
	int ret;

	DBG_ERR("volume %s is not moved: its storage does not stop: %s; it "
		"goes on here under epoch %" PRIu64 "\n",
		v->name,
		why,
		v->rec->epoch);
	ret = csvd_take_serve(v);
	if (ret == 0) {
		release_end(r, CSVD_OWNER);
		return;
	}
	v->release = NULL;
	talloc_free(r);
	csvd_release_stuck(v, strerror(ret));
}

static void release_stop_again(struct tevent_context *ev,
			       struct tevent_timer *te,
			       struct timeval now,
			       void *private_data)
{
	release_stop(private_data);
}

static void release_stopped(struct tevent_req *req)
{
	struct csvd_release *r =
		tevent_req_callback_data(req, struct csvd_release);
	struct csvd_volume *v = r->v;
	char *why = NULL;
	int ret;

	ret = csvd_storage_recv(req, r, &why);
	TALLOC_FREE(req);
	if (ret == 0) {
		csvd_guard_drop(v);
		release_write(r);
		return;
	}
	if (r->mode == CSVD_RELEASE_MOVE) {
		release_call_off(r, why);
		return;
	}
	if (!r->said) {
		r->said = true;
		DBG_ERR("volume %s: its storage does not stop: %s; trying "
			"again\n",
			v->name,
			why);
	}
	v->role = CSVD_STUCK;
	csvd_volume_reason(v, "the storage does not stop: %s", why);
	release_timer(r, RELEASE_RETRY_S * 1000, release_stop_again);
}

/*
 * The Filesystem agent kills who still uses the mount; that must not be us:
 * no agent while a call of ours hangs in it.
 */
static void release_stop(struct csvd_release *r)
{
	struct csvd_volume *v = r->v;
	struct tevent_req *req = NULL;

	r->synced = csvd_clock();
	if (v->rootfd != -1) {
		close(v->rootfd);
		v->rootfd = -1;
	}
	if (csvd_jobs_hanging() != 0) {
		csvd_volume_reason(v, "a call of csvd hangs in the storage");
		release_timer(r, 200, release_stop_again);
		return;
	}
	(void)csvd_guard_prepare(v);
	req = csvd_storage_send(r, v, CSVD_STORAGE_STOP);
	if (req == NULL) {
		release_timer(r, 200, release_stop_again);
		return;
	}
	tevent_req_set_callback(req, release_stopped, r);
}

static void release_synced(struct tevent_req *req)
{
	struct csvd_release *r =
		tevent_req_callback_data(req, struct csvd_release);
	int ret;

	ret = csvd_job_recv(req, NULL);
	TALLOC_FREE(req);
	if (ret != 0 && r->mode == CSVD_RELEASE_MOVE) {
		DBG_ERR("volume %s: sync: %s\n", r->v->name, strerror(ret));
	}
	release_stop(r);
}

static void release_sync(struct csvd_release *r)
{
	struct csvd_volume *v = r->v;
	struct tevent_req *req = NULL;

	r->served = csvd_clock();
	if (r->mode == CSVD_RELEASE_BROKEN || v->rootfd == -1) {
		release_stop(r);
		return;
	}
	req = csvd_job_send(r,
			    v->csvd->ev,
			    CSVD_JOB_SYNC,
			    v->rootfd,
			    RELEASE_SYNC_LIMIT_MS);
	if (req == NULL) {
		release_stop(r);
		return;
	}
	tevent_req_set_callback(req, release_synced, r);
}

static void release_serve(struct tevent_context *ev,
			  struct tevent_timer *te,
			  struct timeval now,
			  void *private_data)
{
	struct csvd_release *r = private_data;
	struct csvd_volume *v = r->v;
	struct timeval clock = csvd_clock();
	int ret = 0;

	if (v->served) {
		ret = csv_serve_stop(v->csvd->serve, v->name, RELEASE_SERVE_MS);
	}
	if (ret == ETIMEDOUT) {
		if (!r->said &&
		    release_ms(&r->drained, &clock) >
			    RELEASE_SAY_S * 1000) {
			r->said = true;
			DBG_ERR("volume %s: a request hangs in the storage, "
				"waiting for it\n",
				v->name);
			csvd_volume_reason(v,
					   "a request hangs in the storage");
		}
		release_timer(r, 1, release_serve);
		return;
	}
	v->served = false;
	release_sync(r);
}

static void release_drained(struct tevent_req *req)
{
	struct csvd_release *r =
		tevent_req_callback_data(req, struct csvd_release);
	unsigned killed = 0;

	(void)csvd_control_drain_recv(req, &killed);
	TALLOC_FREE(req);
	r->drained = csvd_clock();
	release_serve(r->v->csvd->ev, NULL, r->drained, r);
}

static void release_drain(struct csvd_release *r)
{
	struct csvd_volume *v = r->v;
	struct tevent_req *req = NULL;

	csvd_monitor_stop(v);
	r->drain = csvd_clock();
	csvd_volume_reason(v, "%s", r->reason);
	/* also when it is broken: the handles must be closed all the same */
	csvd_view_event(v, CSV_EVENT_DRAIN);
	req = csvd_control_drain_send(r, v, RELEASE_DRAIN_MS);
	if (req == NULL) {
		smb_panic("no memory");
	}
	tevent_req_set_callback(req, release_drained, r);
}

static void release_presync(struct csvd_release *r);

static void release_presynced(struct tevent_req *req)
{
	struct csvd_release *r =
		tevent_req_callback_data(req, struct csvd_release);
	uint64_t usec = 0;
	int ret;

	ret = csvd_job_recv(req, &usec);
	TALLOC_FREE(req);
	r->rounds++;
	if (ret == 0 && usec > RELEASE_SYNC_GOOD_MS * 1000 &&
	    r->rounds < RELEASE_SYNC_ROUNDS)
	{
		release_presync(r);
		return;
	}
	release_drain(r);
}

static void release_presync(struct csvd_release *r)
{
	struct tevent_req *req = NULL;

	req = csvd_job_send(r,
			    r->v->csvd->ev,
			    CSVD_JOB_SYNC,
			    r->v->rootfd,
			    RELEASE_SYNC_LIMIT_MS);
	if (req == NULL) {
		release_drain(r);
		return;
	}
	tevent_req_set_callback(req, release_presynced, r);
}

static struct csvd_release *release_create(struct csvd_volume *v,
					   uint32_t target,
					   enum csvd_release_mode mode,
					   const char *reason)
{
	struct csvd_release *r = talloc_zero(v, struct csvd_release);

	if (r == NULL) {
		smb_panic("no memory");
	}
	r->v = v;
	r->target = target;
	r->mode = mode;
	r->reason = talloc_strdup(r, reason);
	r->started = csvd_clock();
	v->release = r;
	v->role = CSVD_RELEASING;
	return r;
}

void csvd_release_start(struct csvd_volume *v,
			uint32_t target,
			enum csvd_release_mode mode,
			const char *reason)
{
	struct csvd_release *r = release_create(v, target, mode, reason);

	DBG_NOTICE("volume %s: letting go (%s), epoch %" PRIu64 "\n",
		   v->name,
		   reason,
		   v->epoch);
	if (mode == CSVD_RELEASE_MOVE && v->rootfd != -1) {
		release_presync(r);
	} else {
		release_drain(r);
	}
}

void csvd_release_stuck(struct csvd_volume *v, const char *reason)
{
	struct csvd_release *r = release_create(v,
						CSVD_NO_NODE,
						CSVD_RELEASE_BROKEN,
						reason);

	DBG_ERR("volume %s: its storage does not stop here: %s; trying again\n",
		v->name,
		reason);
	r->said = true;
	v->role = CSVD_STUCK;
	csvd_volume_reason(v, "the storage does not stop: %s", reason);
	csvd_view_event(v, CSV_EVENT_LOST);
	release_timer(r, RELEASE_RETRY_S * 1000, release_stop_again);
}
