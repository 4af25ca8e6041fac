/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A drained node. One volume moves at a time, so that each pause stays as
 * short as that of a single planned move; the next one goes when that one is
 * Active again, or after a while all the same. What it could not do now it
 * tries again: nothing here gives up before the node is resumed.
 */
#include "csvd/drain.h"
#include "csvd/control.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/node.h"
#include "csvd/owner.h"
#include "csvd/record.h"
#include "csvd/spread.h"
#include "ctdb/include/ctdb_protocol.h"
#include "ctdb/protocol/protocol.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "util_tdb.h"

#define DRAIN_SETTLE_MS 5000 /* for the volume that moved last */
#define DRAIN_AGAIN_MS 5000  /* a volume whose storage did not stop */
#define DRAIN_CTDB_MS 5000   /* between two attempts to disable */

/*
 * Public addresses are given out anew and the ipreallocated event runs on all
 * nodes, which is when 55.sofs looks at the node's being drained, too. The
 * answer is not waited for.
 */
static void drain_addresses(struct csvd_context *csvd)
{
	struct ctdb_srvid_message msg = {.pnn = csvd->node};
	struct iovec iov = {&msg, sizeof(msg)};

	(void)ctdbd_messaging_send_iov(messaging_ctdb_connection(),
				       CTDB_BROADCAST_CONNECTED,
				       CTDB_SRVID_TAKEOVER_RUN,
				       &iov,
				       1);
}

static bool drain_ctdb(struct csvd_context *csvd, bool disable)
{
	int32_t status = -1;
	int ret;

	ret = ctdbd_control_local(messaging_ctdb_connection(),
				  disable ? CTDB_CONTROL_DISABLE_NODE
					  : CTDB_CONTROL_ENABLE_NODE,
				  0,
				  0,
				  tdb_null,
				  NULL,
				  NULL,
				  &status);
	if (ret != 0 || status != 0) {
		DBG_WARNING("CTDB does not %s this node\n",
			    disable ? "disable" : "enable");
		return false;
	}
	drain_addresses(csvd);
	return true;
}

static bool drain_disabled(struct csvd_context *csvd)
{
	const struct csvd_member *me = csvd_member_find(csvd, csvd->node);

	return me != NULL &&
	       (me->flags & NODE_FLAGS_PERMANENTLY_DISABLED) != 0;
}

/* Something of it is on its way, or the last move has not settled. */
static bool drain_busy(struct csvd_context *csvd)
{
	const struct csvd_volume *v = NULL;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (v->config->shared) {
			continue;
		}
		if (v->role == CSVD_TAKING || v->role == CSVD_RELEASING) {
			return true;
		}
		if (v->drained && v->state != CSV_STATE_ACTIVE &&
		    guard_now() < csvd->drain_settled)
		{
			return true;
		}
	}
	return false;
}

static uint32_t drain_target(struct csvd_volume *v)
{
	struct csvd_context *csvd = v->csvd;
	const struct csvd_member *me = csvd_member_find(csvd, csvd->node);
	struct csvd_spread *spread = NULL;
	uint32_t target = me->record->target;

	if (target != CSVD_NO_NODE && target != csvd->node &&
	    csvd_member_usable(csvd, target))
	{
		return target;
	}
	spread = csvd_spread_count(v, csvd);
	if (spread == NULL) {
		return CSVD_NO_NODE;
	}
	target = csvd_spread_target(spread, v);
	talloc_free(spread);
	return target;
}

/* false: nothing more can be moved now. */
static bool drain_next(struct csvd_context *csvd)
{
	struct csvd_volume *v = NULL;
	uint64_t now = guard_now();
	uint32_t target;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (v->config->shared || v->role != CSVD_OWNER ||
		    v->state != CSV_STATE_ACTIVE || now < v->drain_again)
		{
			continue;
		}
		v->drain_again = now + DRAIN_AGAIN_MS;
		target = drain_target(v);
		if (target == CSVD_NO_NODE) {
			DBG_WARNING("volume %s: this node is drained, but no "
				    "other can take it\n",
				    v->name);
			continue;
		}
		csvd->drain_settled = now + DRAIN_SETTLE_MS;
		v->drained = true;
		csvd_release_start(v,
				   target,
				   CSVD_RELEASE_MOVE,
				   "its owner is drained");
		return true;
	}
	return false;
}

static bool drain_owns(struct csvd_context *csvd)
{
	const struct csvd_volume *v = NULL;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (!v->config->shared && v->role != CSVD_IDLE) {
			return true;
		}
	}
	return false;
}

/* The volumes are gone, and the clients, or these had their time. */
static void drain_done(struct csvd_context *csvd)
{
	const struct csvd_member *me = csvd_member_find(csvd, csvd->node);
	unsigned clients = csvd_control_clients(csvd);
	uint64_t limit = csvd->drain_since + me->record->grace_s * 1000ULL;
	int ret;

	if (clients != 0 && guard_now() < limit) {
		return;
	}
	ret = csvd_node_drained(csvd);
	if (ret == 0) {
		DBG_NOTICE("drained: no volume is here, %u clients are\n",
			   clients);
	} else if (!csvd_record_waits(ret) && ret != EAGAIN) {
		DBG_WARNING("that this node is drained cannot be written: "
			    "%s, trying again\n",
			    strerror(ret));
	}
}

static void drain_end(struct csvd_context *csvd)
{
	struct csvd_volume *v = NULL;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		v->drained = false;
		v->drain_again = 0;
	}
	if (csvd->drain_since == 0) {
		return;
	}
	/* whether it is disabled is not known for sure: it may be just now */
	if (!drain_ctdb(csvd, false)) {
		return; /* once more */
	}
	csvd->drain_since = 0;
	csvd->drain_ctdb = 0;
	DBG_NOTICE("not drained any more\n");
}

void csvd_drain_check(struct csvd_context *csvd)
{
	enum csv_node_drain drain = csvd_node_drain(csvd, csvd->node);
	uint64_t now = guard_now();

	if (drain == CSV_NODE_UP) {
		drain_end(csvd);
		return;
	}
	if (csvd->drain_since == 0) {
		csvd->drain_since = now;
		DBG_NOTICE("this node is %s: it gives its volumes away\n",
			   csv_node_drain_str(drain));
		drain_addresses(csvd);
	}
	if (drain_busy(csvd) || drain_next(csvd) || drain_owns(csvd)) {
		return;
	}
	if (drain == CSV_NODE_DRAINING) {
		drain_done(csvd);
	} else if (!drain_disabled(csvd) && now >= csvd->drain_ctdb) {
		csvd->drain_ctdb = now + DRAIN_CTDB_MS;
		(void)drain_ctdb(csvd, true);
	}
}
