/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The state of each volume at this node.
 */
#include "csvd/view.h"
#include "csvd/clock.h"
#include "csvd/control.h"
#include "csvd/members.h"
#include "csvd/publish.h"

static bool view_step(struct csvd_volume *v, enum csv_event event)
{
	enum csv_state old = v->state;

	if (!csv_state_next(v->state, event, &v->state)) {
		DBG_DEBUG("volume %s: %s in state %s\n",
			  v->name,
			  csv_event_str(event),
			  csv_state_str(old));
		return false;
	}
	if (old == CSV_STATE_ACTIVE && v->state != CSV_STATE_ACTIVE) {
		v->not_active_since = csvd_clock();
	}
	if (event != CSV_EVENT_DRAINED) {
		csvd_control_event(v, event);
	}
	return true;
}

void csvd_view_event(struct csvd_volume *v, enum csv_event event)
{
	enum csv_state old = v->state;

	if (!view_step(v, event)) {
		return;
	}
	if (v->state != CSV_STATE_ACTIVE) {
		v->grace = false;
	}
	if (event == CSV_EVENT_LOST || event == CSV_EVENT_FAILED) {
		v->access = CSV_ACCESS_NONE;
	}
	if (old != v->state || event == CSV_EVENT_LOST) {
		DBG_INFO("volume %s: %s -> %s\n",
			 v->name,
			 csv_state_str(old),
			 csv_state_str(v->state));
		if (v->role != CSVD_IDLE) {
			csvd_publish_event(v, event);
		}
		csvd_publish_node(v->csvd, false);
	}
}

void csvd_view_active(struct csvd_volume *v, enum csv_access access)
{
	struct csvd_member *m = csvd_member_find(v->csvd, v->rec->owner);
	struct timeval now = csvd_clock();
	bool was_active = v->state == CSV_STATE_ACTIVE;

	v->access = access;
	v->epoch = v->rec->epoch;
	v->owner = access == CSV_ACCESS_DIRECT ? v->csvd->node : v->rec->owner;
	v->owner_csvd = m != NULL ? m->csvd : (struct server_id){};
	view_step(v, CSV_EVENT_TARGET);
	view_step(v, CSV_EVENT_READY);
	v->given_up = false;
	csvd_volume_reason(v, NULL);
	DBG_NOTICE("volume %s: Active, epoch %" PRIu64 ", owner %" PRIu32
		   ", %s, not Active for %" PRIu64 " ms\n",
		   v->name,
		   v->epoch,
		   v->rec->owner,
		   access == CSV_ACCESS_DIRECT ? "direct" : "redirected",
		   was_active ? 0
			      : usec_time_diff(&now, &v->not_active_since) /
					1000);
	if (v->role != CSVD_IDLE) {
		csvd_publish_event(v, CSV_EVENT_READY);
	}
	csvd_publish_node(v->csvd, false);
}

void csvd_view_check_limit(struct csvd_volume *v)
{
	unsigned limit = v->config->wait_limit_s;
	struct timeval now = csvd_clock();
	struct timeval end;

	if (v->state == CSV_STATE_ACTIVE || v->state == CSV_STATE_INIT ||
	    v->given_up || limit == 0) {
		return;
	}
	end = timeval_add(&v->not_active_since, limit, 0);
	if (timeval_compare(&now, &end) < 0) {
		return;
	}
	v->given_up = true;
	DBG_ERR("volume %s: not Active for %u s, given up: %s\n",
		v->name,
		limit,
		v->reason != NULL ? v->reason : "no reason known");
	csvd_view_event(v, CSV_EVENT_FAILED);
}
