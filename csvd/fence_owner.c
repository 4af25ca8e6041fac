/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which node fences a dead owner, and how often. CTDB's locks are no help:
 * they wait for the recovery in which most of this happens.
 */
#include "csvd/fence_owner.h"
#include "csvd/clock.h"
#include "csvd/fence.h"
#include "csvd/guard.h"
#include "csvd/guard_ask.h"
#include "csvd/guard_wait.h"
#include "csvd/members.h"
#include "csvd/publish.h"
#include "gen_ndr/csv.h"

#define FENCE_RETRY_MAX_S 30
/* The others have heard of it, and contradicted. */
#define FENCE_CLAIM_MS 100
/* More than its agent may take: whom we wait for is not getting on. */
#define FENCE_RIVAL_EXTRA_MS 10000
/* Who sees the owner has it banned, and tells what its guard says, by then. */
#define FENCE_SEEN_MS 4000

/* One node being fenced for one ownership of a volume. */
struct csvd_fence {
	struct csvd_volume *v;
	uint64_t epoch;
	uint32_t node;
	uint64_t since; /* guard_now(): wanted for the first time */
	uint16_t state; /* csv_fence_state; 0: a pause after a failure */
	uint64_t wanted; /* guard_now(): the others were told */
	bool seen;	 /* by another node, when they were */
	unsigned attempts;
	struct timeval started;
};

static const struct csv_node_fence *fence_of(const struct csvd_member *m,
					     const struct csvd_volume *v)
{
	const struct csv_node_fence *f = NULL;
	uint32_t i;

	if (m->info == NULL || v->rec == NULL) {
		return NULL;
	}
	for (i = 0; i < m->info->num_fences; i++) {
		f = &m->info->fences[i];
		if (f->epoch == v->rec->epoch &&
		    csvd_bytes_equal(&f->volume, v->name))
		{
			return f;
		}
	}
	return NULL;
}

bool csvd_fence_told(struct csvd_volume *v)
{
	const struct csv_node_fence *f = NULL;
	struct csvd_member *m = NULL;

	for (m = v->csvd->members; m != NULL; m = m->next) {
		f = m->pnn == v->csvd->node ? NULL : fence_of(m, v);
		if (f != NULL && f->state == CSV_FENCE_DONE &&
		    v->proven_epoch != v->rec->epoch)
		{
			DBG_NOTICE("volume %s: node %" PRIu32 " says that node "
				   "%" PRIu32 " is gone, epoch %" PRIu64 "\n",
				   v->name,
				   m->pnn,
				   v->rec->owner,
				   v->rec->epoch);
			v->proven_epoch = v->rec->epoch;
		}
	}
	return v->proven_epoch == v->rec->epoch;
}

uint32_t csvd_fence_rival(struct csvd_volume *v)
{
	struct csvd_context *csvd = v->csvd;
	const struct csv_node_fence *f = NULL;
	struct csvd_member *m = NULL;

	for (m = csvd->members; m != NULL; m = m->next) {
		if (m->pnn == csvd->node || csvd_member_dead(csvd, m->pnn) ||
		    csvd_member_silent(csvd, m->pnn))
		{
			continue;
		}
		f = fence_of(m, v);
		if (f != NULL && (f->state == CSV_FENCE_RUNS ||
				  f->state == CSV_FENCE_ASKS ||
				  (f->state == CSV_FENCE_WANTS &&
				   m->pnn < csvd->node)))
		{
			return m->pnn;
		}
	}
	return CSVD_NO_NODE;
}

bool csvd_fence_agreed(struct csvd_volume *v, uint32_t *seen_by)
{
	struct csvd_context *csvd = v->csvd;
	const struct csvd_member *owner =
		csvd_member_find(csvd, v->rec->owner);
	const struct csvd_member *m = NULL;
	uint32_t agreed = 1;
	bool all = true;

	*seen_by = CSVD_NO_NODE;
	if (owner == NULL) {
		return true; /* no node of the cluster any more */
	}
	for (m = csvd->members; m != NULL; m = m->next) {
		if (m->pnn == csvd->node || csvd_member_dead(csvd, m->pnn) ||
		    csvd_member_silent(csvd, m->pnn) ||
		    csvd_member_misses(m, m->pnn))
		{
			continue;
		}
		if (m->info == NULL || m->heard <= owner->died) {
			all = false;
		} else if (csvd_member_misses(m, owner->pnn)) {
			agreed++;
		} else {
			*seen_by = m->pnn;
		}
	}
	return all && *seen_by == CSVD_NO_NODE &&
	       agreed * 2 > csvd->num_nodes;
}

/*
 * The others agree that the owner is gone; or CTDB's recovery has decided,
 * that is, was without it. What others see meanwhile has its time: the owner
 * may let go by itself.
 */
static bool fence_decided(struct csvd_fence *fence)
{
	struct csvd_volume *v = fence->v;
	const struct csvd_member *owner =
		csvd_member_find(v->csvd, fence->node);
	uint32_t seen_by = CSVD_NO_NODE;

	if (csvd_fence_agreed(v, &seen_by)) {
		return true;
	}
	if (owner->settled && !owner->recovered &&
	    (seen_by == CSVD_NO_NODE ||
	     guard_now() > fence->since + FENCE_SEEN_MS))
	{
		return true;
	}
	if (seen_by != CSVD_NO_NODE) {
		fence->seen = true;
		csvd_volume_reason(v,
				   "node %" PRIu32 " is not seen here, but by "
				   "node %" PRIu32,
				   fence->node,
				   seen_by);
	} else {
		csvd_volume_reason(v,
				   "asking the other nodes about node %" PRIu32,
				   fence->node);
	}
	return false;
}

static bool fence_wanted(const struct csvd_fence *fence)
{
	const struct csvd_volume *v = fence->v;

	return v->rec != NULL && v->rec->epoch == fence->epoch &&
	       v->rec->owner == fence->node && !v->rec->clean &&
	       v->proven_epoch != fence->epoch &&
	       csvd_member_dead(v->csvd, fence->node);
}

uint16_t csvd_fence_doing(const struct csvd_volume *v)
{
	if (v->rec == NULL || v->config->shared || v->rec->clean ||
	    v->rec->owner == CSVD_NO_NODE || v->rec->owner == v->csvd->node)
	{
		return 0;
	}
	if (v->proven_epoch == v->rec->epoch) {
		return CSV_FENCE_DONE;
	}
	if (csvd_guard_hopes(v)) {
		return CSV_FENCE_ASKS;
	}
	return v->fence != NULL && fence_wanted(v->fence) ? v->fence->state : 0;
}

static void fence_state(struct csvd_fence *fence, uint16_t state)
{
	fence->state = state;
	csvd_publish_node(fence->v->csvd, false);
}

static void fence_later(struct csvd_fence *fence,
			unsigned ms,
			tevent_timer_handler_t fn)
{
	struct csvd_volume *v = fence->v;

	if (tevent_add_timer(v->csvd->ev,
			     fence,
			     tevent_timeval_current_ofs(ms / 1000,
							ms % 1000 * 1000),
			     fn,
			     fence) == NULL)
	{
		TALLOC_FREE(v->fence);
	}
}

static void fence_look(struct tevent_context *ev,
		       struct tevent_timer *te,
		       struct timeval now,
		       void *private_data)
{
	struct csvd_fence *fence = private_data;

	csvd_evaluate_soon(fence->v->csvd);
}

/* From the beginning: the record is read, and the others are told. */
static void fence_claim(struct csvd_fence *fence)
{
	fence->wanted = guard_now();
	fence_state(fence, CSV_FENCE_WANTS);
	csvd_publish_node(fence->v->csvd, true); /* and what do you see? */
	fence_later(fence, FENCE_CLAIM_MS, fence_look);
}

static void fence_again(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	fence_claim(private_data);
}

static void fence_attempted(struct tevent_req *req)
{
	struct csvd_fence *fence =
		tevent_req_callback_data(req, struct csvd_fence);
	struct csvd_volume *v = fence->v;
	struct timeval now = csvd_clock();
	char *why = NULL;
	unsigned pause;
	int ret;

	ret = csvd_fence_recv(req, fence, &why);
	TALLOC_FREE(req);
	if (ret == 0) {
		DBG_NOTICE("volume %s: node %" PRIu32 " is fenced (epoch "
			   "%" PRIu64 ", %" PRIu64 " ms)\n",
			   v->name,
			   fence->node,
			   fence->epoch,
			   usec_time_diff(&now, &fence->started) / 1000);
		v->proven_epoch = fence->epoch;
		TALLOC_FREE(v->fence);
		csvd_publish_node(v->csvd, false);
		csvd_evaluate_soon(v->csvd);
		return;
	}
	pause = MIN(1U << MIN(fence->attempts, 5), FENCE_RETRY_MAX_S);
	DBG_ERR("volume %s: node %" PRIu32 " could not be fenced: %s; the "
		"volume stays paused, next attempt in %u s\n",
		v->name,
		fence->node,
		why,
		pause);
	csvd_volume_reason(v,
			   "fencing node %" PRIu32 " failed: %s",
			   fence->node,
			   why);
	fence->attempts++;
	fence_state(fence, 0); /* another node may have more luck */
	fence_later(fence, pause * 1000, fence_again);
}

static void fence_attempt(struct csvd_fence *fence)
{
	struct csvd_volume *v = fence->v;
	struct tevent_req *req = NULL;

	fence->started = csvd_clock();
	csvd_volume_reason(v, "fencing node %" PRIu32, fence->node);
	req = csvd_fence_send(fence, v, fence->node, "off");
	if (req == NULL) {
		TALLOC_FREE(v->fence);
		return;
	}
	fence_state(fence, CSV_FENCE_RUNS);
	tevent_req_set_callback(req, fence_attempted, fence);
}

/*
 * Is it our turn? The record was read just before. The node map is read here:
 * a node that has come back meanwhile is not to be hit.
 */
static void fence_turn(struct csvd_fence *fence)
{
	struct csvd_volume *v = fence->v;
	uint64_t now = guard_now();
	uint32_t rival = csvd_fence_rival(v);

	if (fence->state != CSV_FENCE_WANTS ||
	    now < fence->wanted + FENCE_CLAIM_MS || !fence_decided(fence))
	{
		return;
	}
	if (fence->seen) {
		/* who has seen it until now may reach its guard: heard first */
		fence->seen = false;
		fence_claim(fence);
		return;
	}
	if (rival != CSVD_NO_NODE &&
	    now < fence->wanted + v->csvd->config->fence_s * 1000 +
			    FENCE_RIVAL_EXTRA_MS)
	{
		csvd_volume_reason(v,
				   "node %" PRIu32 " fences node %" PRIu32
				   ", or asks its guard",
				   rival,
				   fence->node);
		return;
	}
	csvd_members_refresh(v->csvd);
	if (fence_wanted(fence)) {
		fence_attempt(fence);
	}
}

/* Nobody can prove that the owner is gone, but its watchdog can promise. */
static void fence_by_time(struct csvd_volume *v)
{
	switch (csvd_wait_state(v)) {
	case CSVD_WAIT_OVER:
		DBG_NOTICE("volume %s: the watchdog of node %" PRIu32
			   " has bitten by now, epoch %" PRIu64 "\n",
			   v->name,
			   v->rec->owner,
			   v->rec->epoch);
		v->proven_epoch = v->rec->epoch;
		csvd_evaluate_soon(v->csvd);
		break;
	case CSVD_WAIT_GOES_ON:
		csvd_volume_reason(v,
				   "waiting for the watchdog of node %" PRIu32,
				   v->rec->owner);
		break;
	case CSVD_WAIT_NEVER:
		csvd_volume_reason(v,
				   "node %" PRIu32 " died as owner and there is "
				   "no fence agent: sofs volume confirm-fenced",
				   v->rec->owner);
		break;
	}
}

static void fence_create(struct csvd_volume *v)
{
	v->fence = talloc_zero(v, struct csvd_fence);
	if (v->fence == NULL) {
		return;
	}
	v->fence->v = v;
	v->fence->epoch = v->rec->epoch;
	v->fence->node = v->rec->owner;
	v->fence->since = guard_now();
	fence_claim(v->fence);
}

void csvd_fence_owner(struct csvd_volume *v)
{
	const char *hindered = csvd_fence_hindered(v);
	bool asking;

	if (v->proven_epoch == v->rec->epoch) {
		return;
	}
	if (v->fence != NULL && !fence_wanted(v->fence)) {
		TALLOC_FREE(v->fence);
	}
	asking = csvd_guard_ask(v); /* also later: it may come back */
	if (v->config->fence_agent.length > 0 && v->fence == NULL &&
	    hindered == NULL)
	{
		fence_create(v);
	}
	if (asking && (v->fence == NULL || v->fence->attempts == 0)) {
		if (v->fence == NULL || v->fence->state == CSV_FENCE_WANTS) {
			csvd_volume_reason(v,
					   "asking the guard of node %" PRIu32,
					   v->rec->owner);
		}
	} else if (v->fence != NULL) {
		fence_turn(v->fence);
	} else if (v->config->fence_agent.length == 0) {
		fence_by_time(v);
	} else if (hindered != NULL) {
		csvd_volume_reason(v, "%s", hindered);
	}
}
