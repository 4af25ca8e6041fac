/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cluster lock, and elections that do not wait.
 */
#include "csvd/quorum.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/note.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "ctdb/include/ctdb_protocol.h"

/* Two broadcasts of a leader and a half. */
#define QUORUM_LEADER_MS 2500

struct csvd_quorum {
	struct csvd_context *csvd;
	uint32_t leader; /* CSVD_NO_NODE: not known */
	uint64_t heard;  /* guard_now(): it said so */
	char *lock; /* as ctdb.conf says; empty: none */
};

static bool quorum_required(void)
{
	return lp_parm_bool(GLOBAL_SECTION_SNUM, "csv", "require quorum", true);
}

/* What ctdb.conf says of a lock, as ctdbd runs with it. */
static const char *quorum_judge(const char *lock)
{
	if (!quorum_required()) {
		return NULL;
	}
	if (lock[0] == '\0') {
		return "CTDB has no cluster lock: set one with "
		       "csv_quorum_helper(8)";
	}
	if (lock[0] != '!') {
		return "CTDB's cluster lock is a file, which an isolated node "
		       "keeps: use csv_quorum_helper(8)";
	}
	return NULL;
}

static int quorum_read_lock(struct csvd_quorum *q)
{
	TDB_DATA lock = {};
	int32_t status = -1;
	int ret;

	ret = ctdbd_control_local(messaging_ctdb_connection(),
				  CTDB_CONTROL_GET_RECLOCK_FILE,
				  0,
				  0,
				  tdb_null,
				  q,
				  &lock,
				  &status);
	if (ret != 0 || status != 0) {
		return ret != 0 ? ret : EIO;
	}
	q->lock = talloc_strndup(q,
				 lock.dsize != 0 ? (const char *)lock.dptr : "",
				 lock.dsize);
	talloc_free(lock.dptr);
	if (q->lock == NULL) {
		return ENOMEM;
	}
	if (quorum_judge(q->lock) != NULL) {
		DBG_ERR("%s; volumes that one node mounts are not owned "
			"here\n",
			quorum_judge(q->lock));
	}
	return 0;
}

/* The leader's broadcast, once a second. */
static int quorum_leader(struct tevent_context *ev,
			 uint32_t src_vnn,
			 uint32_t dst_vnn,
			 uint64_t dst_srvid,
			 const uint8_t *msg,
			 size_t msglen,
			 void *private_data)
{
	struct csvd_quorum *q = private_data;
	uint32_t pnn;

	if (msglen == sizeof(pnn)) {
		memcpy(&pnn, msg, sizeof(pnn)); /* CTDB: in host order */
		q->leader = pnn;
		q->heard = guard_now();
		if (pnn != CTDB_UNKNOWN_PNN) {
			q->csvd->page->leads = pnn == q->csvd->node;
		}
	}
	return 0;
}

int csvd_quorum_start(struct csvd_context *csvd)
{
	struct csvd_quorum *q = talloc_zero(csvd, struct csvd_quorum);
	int ret;

	if (q == NULL) {
		return ENOMEM;
	}
	q->csvd = csvd;
	q->leader = CSVD_NO_NODE;
	ret = quorum_read_lock(q);
	if (ret == 0) {
		ret = csvd_note_start(csvd, q->lock);
	}
	if (ret == 0) {
		ret = register_with_ctdbd(messaging_ctdb_connection(),
					  CTDB_SRVID_LEADER,
					  quorum_leader,
					  q);
	}
	if (ret != 0) {
		talloc_free(q);
		return ret;
	}
	csvd->quorum = q;
	return 0;
}

const char *csvd_quorum_missing(struct csvd_context *csvd)
{
	return csvd->quorum != NULL ? quorum_judge(csvd->quorum->lock)
				    : "CTDB was not asked yet";
}

uint32_t csvd_quorum_leader(struct csvd_context *csvd)
{
	const struct csvd_quorum *q = csvd->quorum;

	if (q == NULL || guard_now() > q->heard + QUORUM_LEADER_MS ||
	    csvd_member_dead(csvd, q->leader))
	{
		return CSVD_NO_NODE;
	}
	return q->leader;
}

bool csvd_quorum_in_view(struct csvd_context *csvd)
{
	const struct csvd_member *m = NULL;
	bool settled = true;
	uint32_t alive = 0;

	for (m = csvd->members; m != NULL; m = m->next) {
		if ((m->flags & NODE_FLAGS_INACTIVE) == 0) {
			alive++;
			/* settled: a node that the map does not name */
			settled &= m->recovered || m->settled;
		} else {
			settled &= !m->recovered;
		}
	}
	if (!quorum_required()) {
		return true;
	}
	if (!settled || alive * 2 < csvd->num_nodes) {
		return false;
	}
	return alive * 2 > csvd->num_nodes ||
	       csvd_quorum_leader(csvd) != CSVD_NO_NODE;
}

bool csvd_quorum_half(struct csvd_context *csvd, uint64_t *in_view)
{
	const struct csvd_member *m = NULL;
	uint32_t alive = 0;

	*in_view = 0;
	for (m = csvd->members; m != NULL; m = m->next) {
		if ((m->flags & NODE_FLAGS_INACTIVE) == 0) {
			alive++;
			*in_view |= m->pnn < 64 ? 1ULL << m->pnn : 0;
		}
	}
	return quorum_required() && alive * 2 <= csvd->num_nodes;
}

void csvd_quorum_node_dead(struct csvd_context *csvd, uint32_t pnn)
{
	struct csvd_quorum *q = csvd->quorum;
	uint32_t unknown = CTDB_UNKNOWN_PNN;
	struct iovec iov = {.iov_base = &unknown, .iov_len = sizeof(unknown)};
	int ret;

	if (q == NULL || q->leader != pnn || pnn == csvd->node) {
		return;
	}
	q->leader = CSVD_NO_NODE;
	/*
	 * "The leader is unknown", as CTDB's own nodes tell each other at the
	 * begin of an election. It takes the cluster lock, so the worst that
	 * this can do when the leader lives is one refused attempt.
	 */
	ret = ctdbd_messaging_send_iov(messaging_ctdb_connection(),
				       csvd->node,
				       CTDB_SRVID_LEADER,
				       &iov,
				       1);
	DBG_NOTICE("node %" PRIu32 " led the cluster and is gone: asked CTDB "
		   "for an election%s%s\n",
		   pnn,
		   ret != 0 ? ": " : "",
		   ret != 0 ? strerror(ret) : "");
}
