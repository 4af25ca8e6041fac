/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Volumes spread evenly over the nodes. Only CTDB's leader does it, one volume
 * at a time, and a change of anything (an owner, a member, a drain, a volume
 * that is not Active, the leader itself) starts the interval anew. So a client
 * notices at most one pause of a volume per interval that is not a fault's or
 * an administrator's doing, and none in the interval after such a one.
 */
#include "csvd/spread.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/node.h"
#include "csvd/owner.h"
#include "csvd/publish.h"
#include "csvd/quorum.h"

struct spread_node {
	uint32_t pnn;
	unsigned volumes;
};

struct csvd_spread {
	struct csvd_context *csvd;
	size_t num;
	struct spread_node *nodes;
};

static struct spread_node *spread_find(const struct csvd_spread *spread,
				       uint32_t pnn)
{
	size_t i;

	for (i = 0; i < spread->num; i++) {
		if (spread->nodes[i].pnn == pnn) {
			return &spread->nodes[i];
		}
	}
	return NULL;
}

static bool spread_owned(const struct csvd_volume *v)
{
	return v->rec != NULL && !v->config->shared && !v->rec->clean &&
	       v->rec->owner != CSVD_NO_NODE;
}

struct csvd_spread *csvd_spread_count(TALLOC_CTX *mem_ctx,
				      struct csvd_context *csvd)
{
	struct csvd_spread *spread = talloc_zero(mem_ctx, struct csvd_spread);
	const struct csvd_member *m = NULL;
	const struct csvd_volume *v = NULL;
	struct spread_node *node = NULL;
	size_t num = 0;

	for (m = csvd->members; m != NULL; m = m->next) {
		num++;
	}
	if (spread == NULL) {
		return NULL;
	}
	spread->csvd = csvd;
	spread->nodes = talloc_zero_array(spread, struct spread_node, num);
	if (spread->nodes == NULL) {
		talloc_free(spread);
		return NULL;
	}
	for (m = csvd->members; m != NULL; m = m->next) {
		spread->nodes[spread->num++].pnn = m->pnn;
	}
	for (v = csvd->volumes; v != NULL; v = v->next) {
		node = spread_owned(v) ? spread_find(spread, v->rec->owner)
				       : NULL;
		if (node != NULL) {
			node->volumes++;
		}
	}
	return spread;
}

static bool spread_failed(const struct csvd_volume *v, uint32_t pnn)
{
	uint32_t i;

	for (i = 0; i < v->rec->num_failed; i++) {
		if (v->rec->failed[i] == pnn) {
			return true;
		}
	}
	return false;
}

static bool spread_can(struct csvd_volume *v, uint32_t pnn)
{
	return pnn != v->rec->owner && csvd_member_usable(v->csvd, pnn) &&
	       !csvd_member_silent(v->csvd, pnn) && !spread_failed(v, pnn);
}

uint32_t csvd_spread_target(const struct csvd_spread *spread,
			    struct csvd_volume *v)
{
	const struct spread_node *best = NULL, *node = NULL;
	size_t i;

	for (i = 0; i < v->config->num_preferred; i++) {
		if (spread_can(v, v->config->preferred[i])) {
			return v->config->preferred[i];
		}
	}
	for (i = 0; i < spread->num; i++) {
		node = &spread->nodes[i];
		if (!spread_can(v, node->pnn)) {
			continue;
		}
		if (best == NULL || node->volumes < best->volumes ||
		    (node->volumes == best->volumes && node->pnn < best->pnn))
		{
			best = node;
		}
	}
	return best != NULL ? best->pnn : CSVD_NO_NODE;
}

void csvd_spread_moved(struct csvd_spread *spread, uint32_t from, uint32_t to)
{
	struct spread_node *source = spread_find(spread, from);
	struct spread_node *target = spread_find(spread, to);

	if (source != NULL && source->volumes > 0) {
		source->volumes--;
	}
	if (target != NULL) {
		target->volumes++;
	}
}

static bool spread_preferred(const struct csvd_volume *v, uint32_t pnn)
{
	uint32_t i;

	for (i = 0; i < v->config->num_preferred; i++) {
		if (v->config->preferred[i] == pnn) {
			return true;
		}
	}
	return v->config->num_preferred == 0;
}

/* How much more even it gets; below 2 it would only be the other way round. */
static unsigned spread_gain(const struct csvd_spread *spread,
			    struct csvd_volume *v,
			    const struct spread_node *to)
{
	const struct spread_node *from = spread_find(spread, v->rec->owner);

	if (from == NULL || from->volumes < to->volumes + 2 ||
	    !spread_preferred(v, to->pnn) || !spread_can(v, to->pnn))
	{
		return 0;
	}
	return from->volumes - to->volumes;
}

struct csvd_volume *csvd_spread_uneven(const struct csvd_spread *spread,
				       uint32_t *target)
{
	struct csvd_volume *v = NULL, *found = NULL;
	unsigned best = 0, gain;
	size_t i;

	for (v = spread->csvd->volumes; v != NULL; v = v->next) {
		for (i = 0; spread_owned(v) && i < spread->num; i++) {
			gain = spread_gain(spread, v, &spread->nodes[i]);
			if (gain > best ||
			    (gain != 0 && gain == best &&
			     v->rec->changed < found->rec->changed))
			{
				best = gain;
				found = v;
				*target = spread->nodes[i].pnn;
			}
		}
	}
	return found;
}

/* Grows or differs with each change that a client may notice. */
static uint64_t spread_situation(struct csvd_context *csvd)
{
	const struct csvd_member *m = NULL;
	const struct csvd_volume *v = NULL;
	uint64_t sum = 0;

	for (m = csvd->members; m != NULL; m = m->next) {
		sum = sum * 31 + (csvd_member_usable(csvd, m->pnn) ? 2 : 1);
		sum = sum * 31 + m->joined;
	}
	for (v = csvd->volumes; v != NULL; v = v->next) {
		sum = sum * 31 + v->epoch * 2 + (v->state == CSV_STATE_ACTIVE);
	}
	return sum;
}

static bool spread_quiet(struct csvd_context *csvd)
{
	const struct csvd_member *m = NULL;
	const struct csvd_volume *v = NULL;

	for (m = csvd->members; m != NULL; m = m->next) {
		if (csvd_node_drain(csvd, m->pnn) == CSV_NODE_DRAINING ||
		    csvd_member_silent(csvd, m->pnn))
		{
			return false;
		}
	}
	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (v->state != CSV_STATE_ACTIVE || v->removed || v->grace) {
			return false;
		}
	}
	return true;
}

static void spread_move(struct csvd_context *csvd)
{
	struct csvd_spread *spread = csvd_spread_count(csvd, csvd);
	struct csvd_volume *v = NULL;
	uint32_t target = CSVD_NO_NODE;

	if (spread != NULL) {
		v = csvd_spread_uneven(spread, &target);
	}
	talloc_free(spread);
	if (v == NULL) {
		return;
	}
	DBG_NOTICE("volume %s: to node %" PRIu32 ", which has fewer than node "
		   "%" PRIu32 "\n",
		   v->name,
		   target,
		   v->rec->owner);
	if (v->rec->owner == csvd->node) {
		(void)csvd_owner_move(v, target);
	} else {
		(void)csvd_publish_move(v, target);
	}
}

void csvd_spread_check(struct csvd_context *csvd)
{
	uint64_t now = guard_now(), situation;

	if (csvd->config->spread_s == 0 ||
	    csvd_quorum_leader(csvd) != csvd->node)
	{
		csvd->spread_since = 0;
		return;
	}
	situation = spread_situation(csvd);
	if (csvd->spread_since == 0 || situation != csvd->spread_situation ||
	    !spread_quiet(csvd))
	{
		csvd->spread_situation = situation;
		csvd->spread_since = now;
		return;
	}
	if (now < csvd->spread_since + csvd->config->spread_s * 1000ULL) {
		return;
	}
	csvd->spread_since = now;
	spread_move(csvd);
}
