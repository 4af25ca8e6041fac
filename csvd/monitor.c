/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Watching the storage of an owned volume: every second whether the file
 * system answers, less often what its agents say. Slow is not broken: only an
 * answer that says "broken" lets the volume go.
 */
#include "csvd/owner.h"
#include "csvd/guard_client.h"
#include "csvd/job.h"
#include "csvd/storage.h"
#include "lib/util/tevent_unix.h"

#define MONITOR_CHECK_MS 1000
#define MONITOR_CHECK_LIMIT_MS 60000
#define MONITOR_AGENT_FAILURES 2
/* By then every survivor has opened again what it had. */
#define MONITOR_SWEEP_S 30
#define MONITOR_SWEEP_AGAIN_S 600

struct csvd_monitor {
	struct csvd_volume *v;
	unsigned agent_failures;
	bool slow; /* said once */
};

static void monitor_broken(struct csvd_monitor *m, const char *why)
{
	struct csvd_volume *v = m->v;
	char *reason = talloc_asprintf(v,
				       "node %" PRIu32 ": %s",
				       v->csvd->node,
				       why);

	DBG_ERR("volume %s: %s; it leaves this node\n", v->name, why);
	csvd_release_start(v, CSVD_NO_NODE, CSVD_RELEASE_BROKEN, reason);
	talloc_free(reason);
}

static void monitor_check(struct tevent_context *ev,
			  struct tevent_timer *te,
			  struct timeval now,
			  void *private_data);
static void monitor_agents(struct tevent_context *ev,
			   struct tevent_timer *te,
			   struct timeval now,
			   void *private_data);

static void monitor_timer(struct csvd_monitor *m,
			  unsigned ms,
			  tevent_timer_handler_t fn)
{
	struct timeval at = tevent_timeval_current_ofs(ms / 1000,
						       ms % 1000 * 1000);

	if (tevent_add_timer(m->v->csvd->ev, m, at, fn, m) == NULL) {
		smb_panic("no memory");
	}
}

static void monitor_checked(struct tevent_req *req)
{
	struct csvd_monitor *m =
		tevent_req_callback_data(req, struct csvd_monitor);
	char *why = NULL;
	int ret;

	ret = csvd_job_recv(req, NULL);
	TALLOC_FREE(req);
	if (ret == EROFS && csvd_storage_read_only(m->v)) {
		ret = 0;
	}
	if (ret == ETIMEDOUT && !m->slow) {
		m->slow = true;
		DBG_WARNING("volume %s: its file system did not answer for %u "
			    "s, waiting\n",
			    m->v->name,
			    MONITOR_CHECK_LIMIT_MS / 1000);
	}
	if (ret != 0 && ret != ETIMEDOUT) {
		why = talloc_asprintf(m,
				      "the file system failed: %s",
				      strerror(ret));
		monitor_broken(m, why);
		return;
	}
	monitor_timer(m, MONITOR_CHECK_MS, monitor_check);
}

static void monitor_check(struct tevent_context *ev,
			  struct tevent_timer *te,
			  struct timeval now,
			  void *private_data)
{
	struct csvd_monitor *m = private_data;
	struct tevent_req *req = NULL;

	if (csvd_guard_has_shut(m->v)) {
		monitor_broken(m, "the guard has shut it down");
		return;
	}
	req = csvd_job_send(m,
			    m->v->csvd->ev,
			    CSVD_JOB_CHECK,
			    m->v->rootfd,
			    MONITOR_CHECK_LIMIT_MS);
	if (req == NULL) {
		monitor_timer(m, MONITOR_CHECK_MS, monitor_check);
		return;
	}
	tevent_req_set_callback(req, monitor_checked, m);
}

static void monitor_agents_said(struct tevent_req *req)
{
	struct csvd_monitor *m =
		tevent_req_callback_data(req, struct csvd_monitor);
	char *why = NULL;
	int ret;

	ret = csvd_storage_recv(req, m, &why);
	TALLOC_FREE(req);
	if (ret == ETIMEDOUT) {
		DBG_WARNING("volume %s: %s\n", m->v->name, why);
	} else if (ret != 0 && ++m->agent_failures >= MONITOR_AGENT_FAILURES) {
		monitor_broken(m, why);
		return;
	} else if (ret == 0) {
		m->agent_failures = 0;
	}
	monitor_timer(m,
		      m->agent_failures > 0 ? 1000
					    : m->v->csvd->config->monitor_s *
						      1000,
		      monitor_agents);
}

static void monitor_agents(struct tevent_context *ev,
			   struct tevent_timer *te,
			   struct timeval now,
			   void *private_data)
{
	struct csvd_monitor *m = private_data;
	struct tevent_req *req = NULL;

	req = csvd_storage_send(m, m->v, CSVD_STORAGE_MONITOR);
	if (req == NULL) {
		monitor_timer(m, 1000, monitor_agents);
		return;
	}
	tevent_req_set_callback(req, monitor_agents_said, m);
}

/*
 * Deleted files that were kept for handles which did not come back, and the
 * records of processes that are gone.
 */
static void monitor_sweep(struct tevent_context *ev,
			  struct tevent_timer *te,
			  struct timeval now,
			  void *private_data)
{
	struct csvd_monitor *m = private_data;
	unsigned removed = 0;
	int ret;

	ret = csv_serve_sweep(m->v->csvd->serve, m->v->name, &removed);
	if (ret != 0 && ret != ENOENT) {
		DBG_WARNING("volume %s: deleted files cannot be swept: %s\n",
			    m->v->name,
			    strerror(ret));
	} else if (removed > 0) {
		DBG_NOTICE("volume %s: %u deleted files that nobody had open "
			   "any more are gone\n",
			   m->v->name,
			   removed);
	}
	monitor_timer(m, MONITOR_SWEEP_AGAIN_S * 1000, monitor_sweep);
}

void csvd_monitor_start(struct csvd_volume *v)
{
	csvd_monitor_stop(v);
	v->monitor = talloc_zero(v, struct csvd_monitor);
	if (v->monitor == NULL) {
		smb_panic("no memory");
	}
	v->monitor->v = v;
	monitor_timer(v->monitor, MONITOR_CHECK_MS, monitor_check);
	monitor_timer(v->monitor,
		      v->csvd->config->monitor_s * 1000,
		      monitor_agents);
	monitor_timer(v->monitor, MONITOR_SWEEP_S * 1000, monitor_sweep);
}

void csvd_monitor_stop(struct csvd_volume *v)
{
	TALLOC_FREE(v->monitor);
}
