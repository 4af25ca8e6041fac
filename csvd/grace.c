/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When grace begins and ends. A node reports in its csv_node_info that its
 * processes have replayed in the present epoch (one without processes that
 * use the volume does so at once); a node that left the cluster is not waited
 * for, and nobody longer than CSVD_GRACE_MS. A volume that was released in
 * order lost nothing: no grace, so that a planned move is short.
 */
#include "csvd/grace.h"
#include "csvd/clock.h"
#include "csvd/control.h"
#include "csvd/members.h"

unsigned csvd_grace_begin(struct csvd_volume *v)
{
	if (v->rec->previous_clean || v->config->shared) {
		return 0;
	}
	v->grace = true;
	v->grace_since = csvd_clock();
	return CSVD_GRACE_MS;
}

static bool grace_has_replayed(struct csvd_volume *v,
			       const struct csvd_member *m)
{
	const struct csv_node_volume *nv = NULL;

	if (m->pnn == v->csvd->node) {
		return csvd_control_replayed(v);
	}
	if (csvd_member_dead(v->csvd, m->pnn)) {
		return true;
	}
	nv = csvd_member_volume(m, v->name);
	return nv != NULL && nv->replayed == v->epoch;
}

static const struct csvd_member *grace_missing(struct csvd_volume *v)
{
	const struct csvd_member *m = NULL;

	for (m = v->csvd->members; m != NULL; m = m->next) {
		if (!grace_has_replayed(v, m)) {
			return m;
		}
	}
	return NULL;
}

void csvd_grace_check(struct csvd_volume *v)
{
	struct timeval now = csvd_clock();
	const struct csvd_member *missing = NULL;
	uint64_t ms;

	if (!v->grace || v->state != CSV_STATE_ACTIVE) {
		return;
	}
	ms = usec_time_diff(&now, &v->grace_since) / 1000;
	missing = grace_missing(v);
	if (missing != NULL && ms < CSVD_GRACE_MS) {
		return;
	}
	v->grace = false;
	(void)csv_serve_open(v->csvd->serve, v->name);
	csvd_control_event(v, CSV_EVENT_READY);
	if (missing != NULL) {
		DBG_WARNING("volume %s: node %" PRIu32 " has not replayed in "
			    "%" PRIu64 " ms, new requests are taken now\n",
			    v->name,
			    missing->pnn,
			    ms);
		return;
	}
	DBG_NOTICE("volume %s: all nodes have replayed after %" PRIu64
		   " ms, epoch %" PRIu64 "\n",
		   v->name,
		   ms,
		   v->epoch);
}
