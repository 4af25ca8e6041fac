/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking over by time alone.
 */
#include "csvd/guard_wait.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "util_tdb.h"
#include "ctdb/include/ctdb_protocol.h"
#include "csvd/guard.h"
#include "csvd/members.h"

static int wait_tunable(const char *name, uint32_t *value)
{
	struct {
		uint32_t length;
		char name[64];
	} question = {.length = strlen(name) + 1};
	TDB_DATA answer = {};
	int32_t status = -1;
	int ret;

	strlcpy(question.name, name, sizeof(question.name));
	ret = ctdbd_control_local(
		messaging_ctdb_connection(),
		CTDB_CONTROL_GET_TUNABLE,
		0,
		0,
		make_tdb_data((uint8_t *)&question,
			      offsetof(typeof(question), name) +
				      question.length),
		talloc_tos(),
		&answer,
		&status);
	if (ret != 0 || status != 0 || answer.dsize != sizeof(*value)) {
		return ret != 0 ? ret : EIO;
	}
	memcpy(value, answer.dptr, sizeof(*value));
	TALLOC_FREE(answer.dptr);
	return 0;
}

void csvd_wait_refresh(struct csvd_context *csvd)
{
	const struct guard_page *page = csvd->page;
	uint32_t interval = 0, limit = 0;
	struct guard_wait w;
	char why[sizeof(csvd->wait_why)];
	bool ok;

	if (wait_tunable("KeepaliveInterval", &interval) != 0 ||
	    wait_tunable("KeepaliveLimit", &limit) != 0)
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
	uint32_t i;

	for (m = csvd->members; m != NULL; m = m->next) {
		if (m->pnn == csvd->node || csvd_member_dead(csvd, m->pnn)) {
			continue;
		}
		if (m->info == NULL ||
		    m->heard <= owner->died)
		{
			return false;
		}
		for (i = 0; i < m->info->num_inactive; i++) {
			if (m->info->inactive[i] == owner->pnn) {
				break;
			}
		}
		if (i == m->info->num_inactive) {
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
				   "not owned here: the watchdog %s cannot be "
				   "used",
				   csvd->page->watchdog);
		return false;
	}
	return true;
}
