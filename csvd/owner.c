/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decisions of ownership. Everything here is one look at the situation,
 * without waiting; whatever changes the situation asks for another look.
 */
#include "csvd/owner.h"
#include "csvd/clock.h"
#include "csvd/fence_owner.h"
#include "csvd/grace.h"
#include "csvd/guard_ask.h"
#include "csvd/guard_wait.h"
#include "csvd/members.h"
#include "csvd/mesh.h"
#include "csvd/node.h"
#include "csvd/publish.h"
#include "csvd/quorum.h"
#include "csvd/record.h"
#include "csvd/view.h"

/* The next in line acts when the one before it did nothing for this long. */
#define OWNER_RANK_MS 1500
/* Preferred nodes that are not up yet are waited for after our start. */
#define OWNER_START_GRACE_S 4
/* Failed everywhere: tried again after this time, by then less often. */
#define OWNER_RETRY_S 2
#define OWNER_RETRY_LATE_S 30
#define OWNER_LATE_S 60

static bool owner_failed(const struct csv_owner_record *rec, uint32_t pnn)
{
	uint32_t i;

	for (i = 0; i < rec->num_failed; i++) {
		if (rec->failed[i] == pnn) {
			return true;
		}
	}
	return false;
}

static bool owner_may(struct csvd_volume *v, uint32_t pnn)
{
	const struct csvd_member *m = csvd_member_find(v->csvd, pnn);
	struct timeval end = timeval_add(&v->csvd->started,
					 OWNER_START_GRACE_S,
					 0);
	struct timeval now = csvd_clock();
	bool starting = timeval_compare(&now, &end) < 0;

	if (m == NULL || owner_failed(v->rec, pnn) ||
	    csvd_node_drain(v->csvd, pnn) != CSV_NODE_UP)
	{
		return false;
	}
	if (starting && (m->info == NULL || !m->info->leaving)) {
		return true;
	}
	return csvd_member_usable(v->csvd, pnn) &&
	       !csvd_member_silent(v->csvd, pnn);
}

/* The candidates in their order: target, preferred, the others by number. */
static uint32_t owner_order(struct csvd_volume *v,
			    TALLOC_CTX *mem_ctx,
			    uint32_t **order)
{
	const struct csv_volume_record *config = v->config;
	struct csvd_member *m = NULL;
	uint32_t max = 1 + config->num_preferred, num = 0, i, j, n;
	uint32_t lowest, next = 0;

	for (m = v->csvd->members; m != NULL; m = m->next) {
		max++;
	}
	*order = talloc_array(mem_ctx, uint32_t, max);
	if (*order == NULL) {
		return 0;
	}
	(*order)[num++] = v->rec->target;
	for (i = 0; i < config->num_preferred; i++) {
		(*order)[num++] = config->preferred[i];
	}
	while (num < max) {
		lowest = CSVD_NO_NODE;
		for (m = v->csvd->members; m != NULL; m = m->next) {
			if (m->pnn >= next && m->pnn < lowest) {
				lowest = m->pnn;
			}
		}
		(*order)[num++] = lowest;
		next = lowest + 1;
	}
	/* each once, and only who may */
	for (i = 0, n = 0; i < num; i++) {
		for (j = 0; j < n; j++) {
			if ((*order)[j] == (*order)[i]) {
				break;
			}
		}
		if (j == n && owner_may(v, (*order)[i])) {
			(*order)[n++] = (*order)[i];
		}
	}
	return n;
}

uint32_t csvd_owner_candidate(struct csvd_volume *v, uint32_t after)
{
	uint32_t *order = NULL;
	uint32_t num = owner_order(v, v, &order);
	uint32_t result = after < num ? order[after] : CSVD_NO_NODE;

	talloc_free(order);
	return result;
}

/* Our place in the line; -1: not in it. */
static int owner_rank(struct csvd_volume *v, uint32_t *num)
{
	uint32_t *order = NULL;
	uint32_t i;
	int rank = -1;

	*num = owner_order(v, v, &order);
	for (i = 0; i < *num; i++) {
		if (order[i] == v->csvd->node) {
			rank = i;
			break;
		}
	}
	talloc_free(order);
	return rank;
}

static bool owner_my_turn(struct csvd_volume *v, int rank)
{
	struct timeval now = csvd_clock();
	int64_t waited = usec_time_diff(&now, &v->free_since) / 1000;

	return waited >= (int64_t)rank * OWNER_RANK_MS &&
	       timeval_compare(&now, &v->retry_at) >= 0;
}

/* Another node owns it and lives: see what our processes have to know. */
static void owner_follow(struct csvd_volume *v)
{
	const struct csvd_member *m =
		csvd_member_find(v->csvd, v->rec->owner);
	const struct csv_node_volume *nv = csvd_member_volume(m, v->name);
	bool same = v->state == CSV_STATE_ACTIVE &&
		    v->epoch == v->rec->epoch && m != NULL &&
		    server_id_equal(&v->owner_csvd, &m->csvd);

	v->free_since = (struct timeval){};
	TALLOC_FREE(v->fence);
	if (csvd_member_silent(v->csvd, v->rec->owner) ||
	    csvd_mesh_asked(v->csvd, v->rec->owner))
	{
		(void)csvd_guard_ask(v); /* its guard may have let go */
	}
	if (nv != NULL && nv->epoch == v->rec->epoch) {
		switch (nv->state) {
		case CSV_STATE_ACTIVE:
			if (!same) {
				csvd_view_active(v, CSV_ACCESS_REDIRECTED);
			}
			return;
		case CSV_STATE_DRAINING:
			if (v->state == CSV_STATE_ACTIVE) {
				csvd_view_event(v, CSV_EVENT_DRAIN);
			}
			return;
		default:
			break;
		}
	}
	if (v->state == CSV_STATE_ACTIVE && v->epoch != v->rec->epoch) {
		csvd_view_event(v, CSV_EVENT_LOST);
	}
	if (v->state == CSV_STATE_PAUSED && v->reason == NULL) {
		csvd_volume_reason(v,
				   "node %" PRIu32 " is starting it",
				   v->rec->owner);
	}
}

/* All nodes may try again, this one (CSVD_NO_NODE: the best) first. */
static int owner_try_again(struct csvd_volume *v, uint32_t target)
{
	struct csv_owner_record rec = *v->rec;

	v->failed_since = (struct timeval){};
	rec.num_failed = 0;
	rec.target = target;
	return csvd_record_change(v->csvd, v->name, v->rec, &rec);
}

/* Seconds between two attempts of all nodes. */
static unsigned owner_retry_s(struct csvd_volume *v, struct timeval now)
{
	int64_t waited = usec_time_diff(&now, &v->not_active_since);

	if (v->state == CSV_STATE_INIT || waited > OWNER_LATE_S * 1000000LL) {
		return OWNER_RETRY_LATE_S;
	}
	return OWNER_RETRY_S;
}

/*
 * Every node that may own it has failed. Clients wait all the same, until the
 * volume's limit (csvd_view_check_limit), and the nodes try again meanwhile;
 * less often when nobody waits any more.
 */
static void owner_nobody(struct csvd_volume *v)
{
	struct timeval now = csvd_clock();
	struct timeval at = {};
	char *why = NULL;

	if (v->rec->num_failed == 0) {
		if (csvd_node_drain(v->csvd, v->csvd->node) != CSV_NODE_UP) {
			csvd_volume_reason(v,
					   "every node that could own it is "
					   "drained: sofs node resume");
		}
		return; /* else only not up yet */
	}
	why = csvd_string(v, &v->rec->reason);
	csvd_volume_reason(v, "failed on every node, last: %s", why);
	talloc_free(why);
	if (timeval_is_zero(&v->failed_since)) {
		v->failed_since = now;
	}
	at = timeval_add(&v->failed_since, owner_retry_s(v, now), 0);
	if (timeval_compare(&now, &at) >= 0) {
		(void)owner_try_again(v, CSVD_NO_NODE);
		csvd_evaluate_soon(v->csvd);
	}
}

/*
 * Could its record be written `commits` times now (0: is it the newest that
 * anybody has)? Else the volume's reason says what is missing.
 */
static bool owner_may_write(struct csvd_volume *v, unsigned commits)
{
	int ret = csvd_record_ready(v->csvd, commits);

	if (ret != 0) {
		csvd_volume_reason(v, "%s", csvd_record_error(v->csvd, ret));
	}
	return ret == 0;
}

/* The record is free, or its owner proven gone: who takes it? */
static void owner_free(struct csvd_volume *v)
{
	uint32_t num = 0;
	int rank;

	if (timeval_is_zero(&v->free_since)) {
		v->free_since = csvd_clock();
	}
	if (!v->swept || v->csvd->leaving) {
		return;
	}
	if (csvd_quorum_missing(v->csvd) != NULL) {
		csvd_volume_reason(v, "%s", csvd_quorum_missing(v->csvd));
		return;
	}
	if (!csvd_quorum_in_view(v->csvd)) {
		csvd_volume_reason(v, CSVD_NO_MAJORITY);
		return;
	}
	rank = owner_rank(v, &num);
	if (num == 0) {
		owner_nobody(v);
		return;
	}
	v->failed_since = (struct timeval){};
	if (rank >= 0 && owner_my_turn(v, rank) && csvd_wait_may_own(v) &&
	    owner_may_write(v, 2))
	{
		csvd_take_start(v);
	}
}

/* The owner is dead and did not let go: proof is needed. */
static void owner_dead(struct csvd_volume *v)
{
	const struct csvd_member *m =
		csvd_member_find(v->csvd, v->rec->owner);
	uint32_t num = 0;
	int rank;

	if (timeval_is_zero(&v->free_since)) {
		v->free_since = csvd_clock();
	}
	if (csvd_fence_told(v)) {
		csvd_evaluate_soon(v->csvd);
		return;
	}
	if (csvd_mesh_asked(v->csvd, v->rec->owner)) {
		(void)csvd_guard_ask(v); /* whose turn it is may not reach it */
	}
	rank = owner_rank(v, &num);
	if (v->csvd->leaving || rank < 0 || !owner_my_turn(v, rank)) {
		return;
	}
	/*
	 * A minority waits for the end of CTDB's recovery, which a node on the
	 * wrong side of a cut does not reach when there is a cluster lock.
	 */
	if (m != NULL && !m->settled && !csvd_members_majority(v->csvd)) {
		return;
	}
	/* who may not own it afterwards fences nobody */
	if (csvd_quorum_in_view(v->csvd) && !owner_may_write(v, 0)) {
		return;
	}
	csvd_fence_owner(v);
}

static void owner_not_here(struct csvd_volume *v)
{
	const struct csv_owner_record *rec = v->rec;

	if (rec->owner != CSVD_NO_NODE && !rec->clean &&
	    rec->owner != v->csvd->node &&
	    !csvd_member_dead(v->csvd, rec->owner) &&
	    v->proven_epoch != rec->epoch)
	{
		owner_follow(v);
		return;
	}
	if (v->state == CSV_STATE_ACTIVE || v->state == CSV_STATE_INIT) {
		if (!v->given_up) {
			csvd_view_event(v, CSV_EVENT_LOST);
		}
	} else if (v->state == CSV_STATE_DRAINING && rec->clean) {
		csvd_view_event(v, CSV_EVENT_DRAINED);
	}
	if (rec->clean || v->proven_epoch == rec->epoch) {
		owner_free(v);
	} else if (rec->owner == CSVD_NO_NODE) {
		csvd_volume_reason(v, "the owner record makes no sense: "
				      "sofs volume confirm-fenced");
	} else {
		owner_dead(v);
	}
}

/* The record names us, but we do not serve: csvd or the node was restarted. */
static void owner_back(struct csvd_volume *v)
{
	struct timeval now = csvd_clock();
	uint64_t epoch = v->rec->epoch;
	int ret;

	if (timeval_compare(&now, &v->retry_at) < 0) {
		return;
	}
	if (v->rec->incarnation == v->csvd->incarnation) {
		if (!v->resumed) {
			v->resumed = true;
			csvd_take_resume(v);
		}
		return;
	}
	if (!v->swept || !owner_may_write(v, 1)) {
		return;
	}
	/* the boot that owned it is over, and its mounts with it */
	ret = csvd_release_record(v,
				  CSVD_NO_NODE,
				  false,
				  "its owner was started again");
	DBG_NOTICE("volume %s: was owned by an earlier start of this node, "
		   "epoch %" PRIu64 "; released (%s)\n",
		   v->name,
		   epoch,
		   ret == 0 ? "ok" : strerror(ret));
	csvd_publish_event(v, CSV_EVENT_LOST);
	csvd_evaluate_soon(v->csvd);
}

static void owner_lost_record(struct csvd_volume *v)
{
	DBG_ERR("volume %s: the record names another owner (node %" PRIu32
		", epoch %" PRIu64 "), letting go at once\n",
		v->name,
		v->rec->owner,
		v->rec->epoch);
	csvd_release_start(v,
			   CSVD_NO_NODE,
			   CSVD_RELEASE_BROKEN,
			   "the record names another owner");
}

static bool owner_read(struct csvd_volume *v)
{
	struct csv_owner_record *rec = NULL;
	int ret;

	ret = csvd_record_owner(v->csvd, v, v->name, &rec);
	if (ret == 0) {
		if (v->rec != NULL && v->rec->num_failed > rec->num_failed &&
		    rec->clean) {
			/* tried anew: in the order of the line */
			v->free_since = csvd_clock();
		}
		talloc_free(v->rec);
		v->rec = rec;
		v->corrupt = false;
		return true;
	}
	if ((ret == EILSEQ || ret == ENOENT) && !v->corrupt) {
		v->corrupt = true;
		DBG_ERR("volume %s: its owner record is %s; the volume is not "
			"usable (Init)\n",
			v->name,
			ret == ENOENT ? "missing" : "corrupt");
		csvd_volume_reason(v, "owner record missing or corrupt");
		if (v->role == CSVD_IDLE) {
			csvd_view_event(v, CSV_EVENT_FAILED);
		}
	}
	return false;
}

/* Every node starts the storage, everyone is direct, nobody owns it. */
static void owner_shared(struct csvd_volume *v)
{
	if (v->role == CSVD_IDLE && v->swept && !v->csvd->leaving) {
		struct timeval now = csvd_clock();

		if (timeval_compare(&now, &v->retry_at) >= 0) {
			csvd_take_start(v);
		}
	}
}

void csvd_owner_evaluate(struct csvd_volume *v)
{
	bool mine;

	if (!owner_read(v)) {
		return;
	}
	csvd_view_check_limit(v);
	if (v->config->shared) {
		owner_shared(v);
		return;
	}
	mine = v->rec->owner == v->csvd->node && !v->rec->clean;
	switch (v->role) {
	case CSVD_OWNER:
		if (!mine || v->rec->epoch != v->epoch) {
			owner_lost_record(v);
			return;
		}
		csvd_grace_check(v);
		return;
	case CSVD_TAKING:
	case CSVD_RELEASING:
	case CSVD_STUCK:
		return;
	case CSVD_IDLE:
		break;
	}
	if (mine && v->proven_epoch != v->rec->epoch) {
		owner_back(v);
		return;
	}
	owner_not_here(v);
}

int csvd_owner_move(struct csvd_volume *v, uint32_t target)
{
	struct csvd_context *csvd = v->csvd;
	uint32_t i = 0;

	if (v->role != CSVD_OWNER || v->config->shared) {
		return EBUSY;
	}
	if (target == csvd->node) {
		return EALREADY;
	}
	if (target == CSVD_NO_NODE) {
		do {
			target = csvd_owner_candidate(v, i++);
		} while (target == csvd->node);
	}
	if (target == CSVD_NO_NODE || !csvd_member_usable(csvd, target)) {
		return EHOSTUNREACH;
	}
	csvd_release_start(v, target, CSVD_RELEASE_MOVE, "planned move");
	return 0;
}

int csvd_owner_start(struct csvd_volume *v, uint32_t target)
{
	int ret;

	if (v->rec == NULL || v->config->shared || !v->rec->clean ||
	    v->role != CSVD_IDLE) {
		return EBUSY;
	}
	if (target != CSVD_NO_NODE && !csvd_member_usable(v->csvd, target)) {
		return EHOSTUNREACH;
	}
	ret = owner_try_again(v, target);
	if (ret == 0) {
		DBG_NOTICE("volume %s: an administrator wants it started\n",
			   v->name);
		csvd_publish_event(v, CSV_EVENT_LOST);
		csvd_evaluate_soon(v->csvd);
	}
	return ret;
}

int csvd_owner_confirm_fenced(struct csvd_volume *v)
{
	struct csv_owner_record rec;
	int ret;

	if (v->rec == NULL) {
		return EILSEQ;
	}
	rec = *v->rec;
	if (rec.clean) {
		return EALREADY;
	}
	if (rec.owner != CSVD_NO_NODE &&
	    !csvd_member_dead(v->csvd, rec.owner)) {
		return EBUSY;
	}
	rec.previous = rec.owner;
	rec.previous_clean = false;
	rec.owner = CSVD_NO_NODE;
	rec.target = CSVD_NO_NODE;
	rec.clean = true;
	rec.num_failed = 0;
	rec.reason = csvd_bytes("an administrator confirmed the fencing");
	ret = csvd_record_change(v->csvd, v->name, v->rec, &rec);
	if (ret == 0) {
		DBG_WARNING("volume %s: node %" PRIu32 " was confirmed to be "
			    "fenced by an administrator\n",
			    v->name,
			    rec.previous);
		csvd_publish_event(v, CSV_EVENT_LOST);
		csvd_evaluate_soon(v->csvd);
	}
	return ret;
}

void csvd_owner_leave(struct csvd_context *csvd)
{
	struct csvd_volume *v = NULL;
	uint32_t target = CSVD_NO_NODE;
	uint32_t i;

	csvd->leaving = true;
	csvd_publish_node(csvd, false);
	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (v->role != CSVD_OWNER) {
			continue;
		}
		for (i = 0, target = csvd->node; target == csvd->node; i++) {
			target = csvd_owner_candidate(v, i);
		}
		csvd_release_start(v,
				   target,
				   CSVD_RELEASE_MOVE,
				   "its owner leaves");
	}
}

bool csvd_owner_owns(struct csvd_context *csvd)
{
	struct csvd_volume *v = NULL;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (v->role != CSVD_IDLE) {
			return true;
		}
	}
	return false;
}
