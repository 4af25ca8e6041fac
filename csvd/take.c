/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Becoming the owner. Order: lock against other candidates, read the record
 * again, write "we own it" with the next epoch, and once more, let this node
 * on the storage where the fence agent wants that, start it, serve, tell.
 * Dying between two of these steps leaves a record that says "owned by us, not
 * released", so nobody starts the storage without fencing us or asking us.
 */
#include "csvd/owner.h"
#include "csvd/clock.h"
#include "csvd/fence.h"
#include "csvd/grace.h"
#include "csvd/guard_client.h"
#include "csvd/job.h"
#include "csvd/members.h"
#include "csvd/publish.h"
#include "csvd/quorum.h"
#include "csvd/record.h"
#include "csvd/secret.h"
#include "csvd/storage.h"
#include "csvd/view.h"
#include "util_tdb.h"

#define TAKE_RETRY_MS 200
#define TAKE_LOCK_MS 100
#define TAKE_SWEEP_RETRY_S 5
#define TAKE_MARK_MS 30000

struct csvd_take {
	struct csvd_volume *v;
	struct timeval started, recorded, up;
	struct csvd_mark found; /* the volume knows of a later owner */
};

static void take_later(struct csvd_volume *v, unsigned ms)
{
	struct timeval now = csvd_clock();

	v->retry_at = timeval_add(&now, ms / 1000, ms % 1000 * 1000);
}

static void take_end(struct csvd_volume *v, enum csvd_role role)
{
	TALLOC_FREE(v->take);
	v->role = role;
	if (role == CSVD_IDLE) {
		/* if the record still names us, owner_back() must see to it */
		v->resumed = false;
	}
	csvd_evaluate_soon(v->csvd);
}

/* Storage stopped after a failed start: hand the volume on. */
static void take_hand_on(struct csvd_volume *v, const char *why)
{
	int ret;

	ret = csvd_release_record(v, CSVD_NO_NODE, true, why);
	/* once, not with each attempt */
	DEBUG(v->failures++ == 0 ? DBGLVL_ERR : DBGLVL_INFO,
	      ("volume %s could not be started here: %s; %s\n",
	       v->name,
	       why,
	       ret == 0 ? "the next node tries"
			: csvd_record_error(v->csvd, ret)));
	csvd_volume_reason(v, "%s", why);
	csvd_publish_event(v, CSV_EVENT_LOST);
	take_later(v, v->config->shared ? 5000 : TAKE_RETRY_MS);
	take_end(v, CSVD_IDLE);
}

static void take_undone(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	char *why = NULL;
	int ret;

	ret = csvd_storage_recv(req, v, &why);
	TALLOC_FREE(req);
	if (ret != 0) {
		TALLOC_FREE(v->take);
		csvd_release_stuck(v, why);
		talloc_free(why);
		return;
	}
	csvd_guard_drop(v);
	if (v->config->shared) {
		take_later(v, 5000);
		take_end(v, CSVD_IDLE);
		return;
	}
	why = talloc_strdup(v, v->reason);
	take_hand_on(v, why);
	talloc_free(why);
}

static void take_failed(struct csvd_volume *v, const char *why)
{
	struct tevent_req *req = NULL;

	csvd_volume_reason(v, "node %" PRIu32 ": %s", v->csvd->node, why);
	if (v->rootfd != -1) {
		close(v->rootfd);
		v->rootfd = -1;
	}
	(void)csvd_guard_prepare(v);
	req = csvd_storage_send(v->take, v, CSVD_STORAGE_STOP);
	if (req == NULL) {
		csvd_release_stuck(v, "no memory");
		return;
	}
	tevent_req_set_callback(req, take_undone, v);
}

/* Not the same epoch again, after csvd's restart. */
static bool take_is_new(const struct csvd_volume *v)
{
	return v->take != NULL && !timeval_is_zero(&v->take->recorded);
}

int csvd_take_serve(struct csvd_volume *v)
{
	struct csvd_context *csvd = v->csvd;
	int ret = 0;

	if (v->rootfd == -1) {
		ret = csvd_storage_open(v, &v->rootfd);
	}
	if (ret == 0 && !v->config->shared) {
		ret = csvd_guard_hold(v);
	}
	if (ret == 0 && !v->served && !v->config->shared) {
		ret = csv_serve_start_grace(csvd->serve,
					    v->name,
					    v->rootfd,
					    v->rec->epoch,
					    take_is_new(v) ? csvd_grace_begin(v)
							   : 0);
		v->served = ret == 0;
	}
	if (ret == 0) {
		v->role = CSVD_OWNER;
		v->failures = 0;
		csvd_view_active(v, CSV_ACCESS_DIRECT);
		csvd_monitor_start(v);
	}
	return ret;
}

/* It runs: failures of other nodes count no more. */
static void take_forget_failures(struct csvd_volume *v)
{
	struct csv_owner_record rec = *v->rec;

	if (rec.num_failed == 0 || v->config->shared) {
		return;
	}
	rec.num_failed = 0;
	(void)csvd_record_change(v->csvd, v->name, v->rec, &rec);
}

static void take_serve(struct csvd_volume *v)
{
	struct csvd_take *take = v->take;
	struct timeval now;
	int ret;

	ret = csvd_take_serve(v);
	if (ret != 0) {
		take_failed(v,
			    ret == ENODEV ? "nothing is mounted there"
					  : strerror(ret));
		return;
	}
	now = csvd_clock();
	DBG_NOTICE("volume %s: taken, epoch %" PRIu64 ": record %" PRIu64
		   " ms, storage %" PRIu64 " ms, serving %" PRIu64 " ms\n",
		   v->name,
		   v->rec->epoch,
		   usec_time_diff(&take->recorded, &take->started) / 1000,
		   usec_time_diff(&take->up, &take->recorded) / 1000,
		   usec_time_diff(&now, &take->up) / 1000);
	take_forget_failures(v);
	take_end(v, CSVD_OWNER);
}

static void take_mark(struct csvd_volume *v);
static void take_overtake_later(struct csvd_volume *v);

/* Another epoch, which the volume was not served under yet. */
static void take_overtake(struct csvd_volume *v, const struct csvd_mark *found)
{
	struct csv_owner_record *rec = NULL;
	int ret;

	if (v->take->found.epoch != found->epoch) {
		DBG_ERR("volume %s: was served under epoch %" PRIu64 " when "
			"the database had seen %" PRIu64 " changes, but now "
			"it is epoch %" PRIu64 ": databases were lost or put "
			"back from a copy; going on after the newer ones\n",
			v->name,
			found->epoch,
			found->sequence,
			v->rec->epoch);
	}
	v->take->found = *found;
	ret = csvd_record_overtake(v->csvd,
				   v->name,
				   v->rec,
				   found->epoch,
				   found->sequence);
	/* also when it stopped half-way: it has to be released */
	if (csvd_record_owner(v->csvd, v, v->name, &rec) == 0) {
		talloc_free(v->rec);
		v->rec = rec;
	}
	if (ret == EINPROGRESS) {
		take_overtake_later(v);
		return;
	}
	if (ret != 0) {
		take_failed(v, "the databases are older than the volume and "
			       "cannot be changed");
		return;
	}
	take_mark(v);
}

static void take_overtake_again(struct tevent_context *ev,
				struct tevent_timer *te,
				struct timeval now,
				void *private_data)
{
	struct csvd_volume *v = private_data;
	struct csvd_mark found = v->take->found;

	take_overtake(v, &found);
}

/* The third vote is asked: at most for as long as csvd/note.c waits. */
static void take_overtake_later(struct csvd_volume *v)
{
	if (tevent_add_timer(v->csvd->ev,
			     v->take,
			     timeval_current_ofs(0, TAKE_RETRY_MS * 1000),
			     take_overtake_again,
			     v) == NULL)
	{
		smb_panic("no memory");
	}
}

static void take_marked(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	struct csvd_mark found = {};
	int ret;

	ret = csvd_job_mark_recv(req, &found);
	TALLOC_FREE(req);
	switch (ret) {
	case 0:
		take_serve(v);
		break;
	case EOVERFLOW:
		take_overtake(v, &found);
		break;
	case EOPNOTSUPP:
	case EROFS:
	case ENOSPC:
		DBG_WARNING("volume %s: cannot remember its epoch: %s\n",
			    v->name,
			    strerror(ret));
		take_serve(v);
		break;
	case EBADMSG:
		take_failed(v, "what its root remembers of its epochs (the "
			       "attribute " CSVD_MARK_NAME ") is damaged");
		break;
	default:
		if (csvd_jobs_hanging() == 0) {
			take_failed(v, strerror(ret));
			break;
		}
		/* no agent beside it: it would kill us */
		TALLOC_FREE(v->take);
		csvd_release_stuck(v, "a call of csvd hangs in it");
		break;
	}
}

static void take_mark(struct csvd_volume *v)
{
	struct csvd_mark mark = {.epoch = v->rec->epoch};
	struct tevent_req *req = NULL;

	if (csvd_record_sequence(v->csvd, &mark.sequence) == 0) {
		req = csvd_job_mark_send(v->take,
					 v->csvd->ev,
					 v->rootfd,
					 &mark,
					 TAKE_MARK_MS);
	}
	if (req == NULL) {
		take_failed(v, "its epoch cannot be noted");
		return;
	}
	tevent_req_set_callback(req, take_marked, v);
}

static void take_started(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	struct csvd_take *take = v->take;
	char *why = NULL;
	int ret;

	take->up = csvd_clock();
	ret = csvd_storage_recv(req, take, &why);
	TALLOC_FREE(req);
	if (ret == 0) {
		ret = csvd_storage_open(v, &v->rootfd);
		why = talloc_strdup(take,
				    ret == ENODEV
					    ? "nothing is mounted there"
					    : strerror(ret));
	}
	if (ret != 0) {
		take_failed(v, why);
	} else if (v->config->shared) {
		take_serve(v);
	} else {
		take_mark(v);
	}
}

static void take_agents(struct csvd_volume *v)
{
	struct tevent_req *req = NULL;

	req = csvd_storage_send(v->take, v, CSVD_STORAGE_START);
	if (req == NULL) {
		take_failed(v, "no memory");
		return;
	}
	tevent_req_set_callback(req, take_started, v);
}

static void take_unfenced(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	char *why = NULL;
	int ret;

	ret = csvd_fence_recv(req, v->take, &why);
	TALLOC_FREE(req);
	if (ret != 0) {
		take_failed(v, why);
		return;
	}
	take_agents(v);
}

static void take_storage(struct csvd_volume *v)
{
	struct tevent_req *req = NULL;

	v->take->recorded = csvd_clock();
	csvd_volume_reason(v, "starting on node %" PRIu32, v->csvd->node);
	if (csvd_guard_prepare(v) != 0) {
		take_failed(v, "there is no guard");
		return;
	}
	if (!csvd_fence_unfences(v)) {
		take_agents(v);
		return;
	}
	req = csvd_unfence_send(v->take, v);
	if (req == NULL) {
		take_failed(v, "no memory");
		return;
	}
	tevent_req_set_callback(req, take_unfenced, v);
}

static bool take_ours(struct csvd_volume *v,
		      const struct csv_owner_record *rec,
		      uint64_t epoch)
{
	return rec->epoch == epoch && rec->owner == v->csvd->node &&
	       rec->incarnation == v->csvd->incarnation && !rec->clean;
}

/*
 * A commit that reached only some nodes before they lost each other is decided
 * by CTDB's next recovery: the copy with the higher sequence number wins, of
 * equal ones that of the lower node; and dbwrap takes the number alone for
 * success. Hence a second commit, which only those can have that the first one
 * was real for, and a look at what is there. See doc/model (M_ONE_COMMIT). And
 * all of it with a majority in view, then and now (M_MINORITY).
 */
static int take_confirm(struct csvd_volume *v, uint64_t epoch)
{
	struct csv_owner_record *rec = NULL;
	int ret;

	ret = csvd_record_owner(v->csvd, v->take, v->name, &rec);
	if (ret == 0 && !take_ours(v, rec, epoch)) {
		ret = EAGAIN;
	}
	if (ret == 0) {
		/* not twice by a view that is as old as the first one */
		csvd_members_refresh(v->csvd);
		ret = csvd_record_change(v->csvd, v->name, rec, rec);
	}
	TALLOC_FREE(rec);
	if (ret == 0) {
		ret = csvd_record_owner(v->csvd, v, v->name, &rec);
	}
	if (ret != 0) {
		return ret;
	}
	talloc_free(v->rec);
	v->rec = rec;
	csvd_members_refresh(v->csvd);
	if (!csvd_quorum_in_view(v->csvd)) {
		return EHOSTDOWN; /* owner_back() sees to the record */
	}
	return take_ours(v, rec, epoch) ? 0 : EAGAIN;
}

/* The record, under the lock: is it still as it was when it was judged? */
static int take_record(struct csvd_volume *v)
{
	struct csv_owner_record *old = NULL;
	struct csv_owner_record rec;
	int ret;

	ret = csvd_record_owner(v->csvd, v->take, v->name, &old);
	if (ret != 0) {
		return ret;
	}
	if (old->epoch != v->rec->epoch || old->owner != v->rec->owner ||
	    (!old->clean && v->proven_epoch != old->epoch))
	{
		return EAGAIN;
	}
	rec = *old;
	rec.epoch = old->epoch + 1;
	rec.owner = v->csvd->node;
	rec.incarnation = v->csvd->incarnation;
	rec.clean = false;
	rec.target = CSVD_NO_NODE;
	if (old->owner != CSVD_NO_NODE) {
		rec.previous = old->owner;
		rec.previous_clean = old->clean;
	}
	rec.reason = csvd_bytes("");
	ret = csvd_record_change(v->csvd, v->name, old, &rec);
	return ret == 0 ? take_confirm(v, rec.epoch) : ret;
}

static int take_locked(struct csvd_volume *v)
{
	char *name = talloc_asprintf(v->take, "csv-own-%s", v->name);
	struct timeval limit = tevent_timeval_set(0, TAKE_LOCK_MS * 1000);
	TDB_DATA key = string_term_tdb_data(name);
	NTSTATUS status;
	int ret;

	status = g_lock_lock(v->csvd->g_lock,
			     key,
			     G_LOCK_WRITE,
			     limit,
			     NULL,
			     NULL);
	if (!NT_STATUS_IS_OK(status)) {
		return EAGAIN;
	}
	ret = take_record(v);
	(void)g_lock_unlock(v->csvd->g_lock, key);
	return ret;
}

void csvd_take_start(struct csvd_volume *v)
{
	int ret;

	v->take = talloc_zero(v, struct csvd_take);
	if (v->take == NULL) {
		return;
	}
	v->take->v = v;
	v->take->started = csvd_clock();
	v->role = CSVD_TAKING;
	if (v->config->shared) {
		take_storage(v);
		return;
	}
	ret = take_locked(v);
	if (ret != 0) {
		if (ret != EAGAIN && !csvd_record_waits(ret)) {
			DBG_WARNING("volume %s: its record cannot be written: "
				    "%s, trying again\n",
				    v->name,
				    strerror(ret));
		}
		take_later(v, TAKE_RETRY_MS);
		take_end(v, CSVD_IDLE);
		return;
	}
	v->free_since = (struct timeval){};
	TALLOC_FREE(v->fence);
	csvd_publish_event(v, CSV_EVENT_LOST);
	take_storage(v);
}

static void take_swept(struct tevent_req *req);

static void take_sweep_again(struct tevent_context *ev,
			     struct tevent_timer *te,
			     struct timeval now,
			     void *private_data)
{
	struct csvd_volume *v = private_data;

	csvd_take_sweep(v);
}

static void take_swept(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	char *why = NULL;
	int ret;

	ret = csvd_storage_recv(req, v, &why);
	v->sweep = NULL;
	TALLOC_FREE(req);
	if (ret == 0) {
		csvd_guard_drop(v);
		v->swept = true;
		csvd_evaluate_soon(v->csvd);
		return;
	}
	DBG_ERR("volume %s: storage of an earlier owner cannot be stopped "
		"here: %s; trying again\n",
		v->name,
		why);
	talloc_free(why);
	(void)tevent_add_timer(v->csvd->ev,
			       v,
			       timeval_current_ofs(TAKE_SWEEP_RETRY_S, 0),
			       take_sweep_again,
			       v);
}

void csvd_take_sweep(struct csvd_volume *v)
{
	if (v->sweep != NULL) {
		return;
	}
	v->sweep = csvd_storage_send(v, v, CSVD_STORAGE_STOP);
	if (v->sweep != NULL) {
		tevent_req_set_callback(v->sweep, take_swept, v);
	}
}

/* Not running (any more): stopped here and by us is proof enough. */
static void take_resume_stopped(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	char *why = NULL;
	int ret;

	ret = csvd_storage_recv(req, v, &why);
	TALLOC_FREE(req);
	if (ret != 0) {
		TALLOC_FREE(v->take);
		csvd_release_stuck(v, why);
		talloc_free(why);
		return;
	}
	csvd_guard_drop(v);
	v->swept = true;
	ret = csvd_release_record(v,
				  v->csvd->node,
				  false,
				  "csvd was restarted");
	if (ret != 0) {
		take_later(v, TAKE_RETRY_MS); /* once more */
	}
	take_end(v, CSVD_IDLE);
}

static void take_resume_anew(struct csvd_volume *v, const char *why)
{
	struct tevent_req *req = NULL;

	DBG_NOTICE("volume %s: owned before csvd's restart, but %s: starting "
		   "it again\n",
		   v->name,
		   why);
	if (v->rootfd != -1) {
		close(v->rootfd);
		v->rootfd = -1;
	}
	csvd_view_event(v, CSV_EVENT_LOST);
	(void)csvd_guard_prepare(v);
	req = csvd_storage_send(v->take, v, CSVD_STORAGE_STOP);
	if (req != NULL) {
		tevent_req_set_callback(req, take_resume_stopped, v);
	}
}

static void take_resume_checked(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	int ret;

	ret = csvd_job_recv(req, NULL);
	TALLOC_FREE(req);
	if (ret == 0) {
		v->swept = true;
		ret = csvd_take_serve(v);
	}
	if (ret != 0) {
		take_resume_anew(v, strerror(ret));
		return;
	}
	DBG_NOTICE("volume %s: goes on after csvd's restart, epoch %" PRIu64
		   "\n",
		   v->name,
		   v->rec->epoch);
	take_end(v, CSVD_OWNER);
}

static void take_resume_monitored(struct tevent_req *req)
{
	struct csvd_volume *v =
		tevent_req_callback_data(req, struct csvd_volume);
	char *why = NULL;
	int ret;

	ret = csvd_storage_recv(req, v->take, &why);
	TALLOC_FREE(req);
	if (ret == 0) {
		ret = csvd_storage_open(v, &v->rootfd);
		why = talloc_strdup(v->take, strerror(ret));
	}
	if (ret != 0) {
		take_resume_anew(v, why);
		return;
	}
	req = csvd_job_send(v->take,
			    v->csvd->ev,
			    CSVD_JOB_CHECK,
			    v->rootfd,
			    60000);
	if (req != NULL) {
		tevent_req_set_callback(req, take_resume_checked, v);
	}
}

void csvd_take_resume(struct csvd_volume *v)
{
	struct tevent_req *req = NULL;

	v->take = talloc_zero(v, struct csvd_take);
	if (v->take == NULL) {
		return;
	}
	v->take->v = v;
	v->take->started = csvd_clock();
	v->role = CSVD_TAKING;
	if (csvd_guard_has_shut(v)) {
		take_resume_anew(v, "the guard has shut it down");
		return;
	}
	req = csvd_storage_send(v->take, v, CSVD_STORAGE_MONITOR);
	if (req != NULL) {
		tevent_req_set_callback(req, take_resume_monitored, v);
	}
}
