/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking over by time alone.
 */
#include "csvd/guard_wait.h"
#include "csvd/guard.h"
#include "csvd/members.h"

void csvd_wait_refresh(struct csvd_context *csvd)
{
	const struct guard_page *page = csvd->page;
	uint32_t interval = 0, limit = 0;
	struct guard_wait w;
	char why[sizeof(csvd->wait_why)];
	bool ok;

	if (csvd_members_tunable("KeepaliveInterval", &interval) != 0 ||
	    csvd_members_tunable("KeepaliveLimit", &limit) != 0)
	{
		return; /* as it was; at first: never */
	}
	ok = guard_wait_compute(interval,
				limit,
				&page->limits,
				&w,
				why,
				sizeof(why));
	csvd->wait_ms = ok ? w.wait_ms : 0;
	csvd->promise_ms = ok && page->watchdog_open ? w.need_ms : 0;
	if (strcmp(why, csvd->wait_why) != 0) {
		strlcpy(csvd->wait_why, why, sizeof(csvd->wait_why));
		if (why[0] != '\0') {
			DBG_ERR("volumes without a fence agent are not owned "
				"here: %s\n",
				why);
		}
	}
}

/*
 * All that we see must miss it too: when only the link between the owner and
 * us is cut, its majority is as good as ours.
 */
static bool wait_missed_by_all(struct csvd_context *csvd,
			       const struct csvd_member *owner)
{
	const struct csvd_member *m = NULL;

	for (m = csvd->members; m != NULL; m = m->next) {
		if (m->pnn == csvd->node || csvd_member_dead(csvd, m->pnn)) {
			continue;
		}
		if (m->heard <= owner->died ||
		    !csvd_member_misses(m, owner->pnn))
		{
			return false;
		}
	}
	return true;
}

enum csvd_wait_state csvd_wait_state(struct csvd_volume *v)
{
	struct csvd_context *csvd = v->csvd;
	const struct csvd_member *m = csvd_member_find(csvd, v->rec->owner);
	uint32_t wait_ms;

	if (m == NULL || m->info == NULL || m->info->promise_ms == 0 ||
	    csvd->wait_ms == 0 || m->died == 0)
	{
		return CSVD_WAIT_NEVER;
	}
	wait_ms = MAX(csvd->wait_ms, m->info->promise_ms);
	if (guard_now() <= m->died + wait_ms || !m->settled ||
	    !csvd_members_majority(csvd) || !wait_missed_by_all(csvd, m))
	{
		return CSVD_WAIT_GOES_ON;
	}
	return CSVD_WAIT_OVER;
}

bool csvd_wait_may_own(struct csvd_volume *v)
{
	struct csvd_context *csvd = v->csvd;

	if (v->config->fence_agent.length > 0) {
		return true;
	}
	if (csvd->wait_why[0] != '\0') {
		csvd_volume_reason(v, "not owned here: %s", csvd->wait_why);
		return false;
	}
	if (csvd->page->watchdog[0] != '\0' && !csvd->page->watchdog_open) {
		csvd_volume_reason(v,
				   "not owned here: the watchdog %s %s",
				   csvd->page->watchdog,
				   csvd->page->looked ? "cannot be used"
						      : "is not in use yet");
		return false;
	}
	return true;
}
