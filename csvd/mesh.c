/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Broken links between members.
 */
#include "csvd/mesh.h"
#include "csvd/control.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/publish.h"
#include "csvd/quorum.h"
#include "lib/wire/message.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "util_tdb.h"
#include "ctdb/include/ctdb_protocol.h"
#include "gen_ndr/ndr_csv.h"

#define MESH_AGAIN_MS 1000
#define MESH_LEAVE_MS 200
/* CTDB connects one by one, and tries again once a second. */
#define MESH_JOIN_MS 5000
/* What was asked is worth a look at its guard for this long. */
#define MESH_ASKED_MS 5000
#define MESH_BAN_S 300 /* where CTDB does not tell its own time */

struct csvd_mesh {
	uint32_t a, b;	 /* the pair, CSVD_NO_NODE: none */
	uint64_t since;	 /* guard_now(): both were asked what they see */
	uint32_t loser;	 /* who was asked to go */
	uint64_t sent;	 /* guard_now(): at last */
	bool leaves;	 /* this node, in a moment */
};

/* A member that takes part, as this node sees and as itself says. */
static bool mesh_takes_part(struct csvd_context *csvd,
			    const struct csvd_member *m)
{
	return m->pnn != csvd->node && m->info != NULL &&
	       !csvd_member_dead(csvd, m->pnn) &&
	       guard_now() > m->joined + MESH_JOIN_MS &&
	       !csvd_member_silent(csvd, m->pnn) &&
	       !csvd_member_misses(m, m->pnn);
}

static bool mesh_pair(struct csvd_context *csvd,
		      const struct csvd_member **a,
		      const struct csvd_member **b)
{
	const struct csvd_member *m = NULL, *n = NULL;

	for (m = csvd->members; m != NULL; m = m->next) {
		if (!mesh_takes_part(csvd, m)) {
			continue;
		}
		for (n = m->next; n != NULL; n = n->next) {
			if (mesh_takes_part(csvd, n) &&
			    csvd_member_misses(m, n->pnn) &&
			    csvd_member_misses(n, m->pnn))
			{
				*a = m;
				*b = n;
				return true;
			}
		}
	}
	return false;
}

static unsigned mesh_owns(struct csvd_context *csvd, uint32_t pnn)
{
	const struct csvd_volume *v = NULL;
	unsigned num = 0;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (v->rec != NULL && v->rec->owner == pnn && !v->rec->clean) {
			num++;
		}
	}
	return num;
}

uint32_t csvd_mesh_loser(struct csvd_context *csvd,
			 uint32_t a,
			 uint32_t b,
			 uint32_t leader)
{
	unsigned owned_a, owned_b;

	/* its recoveries leave the other one out in any case */
	if (leader == a || leader == b) {
		return leader == a ? b : a;
	}
	if (leader != csvd->node) {
		return CSVD_NO_NODE;
	}
	owned_a = mesh_owns(csvd, a);
	owned_b = mesh_owns(csvd, b);
	if (owned_a != owned_b) {
		return owned_a < owned_b ? a : b;
	}
	return MAX(a, b);
}

static void mesh_send(struct csvd_context *csvd,
		      const struct csvd_member *loser,
		      uint32_t missed)
{
	struct csvd_mesh *mesh = csvd->mesh;
	struct csv_ban_request r = {
		.version = CSV_EVENT_VERSION,
		.node = loser->pnn,
		.missed = missed,
	};

	if (mesh->loser != loser->pnn) {
		DBG_ERR("nodes %" PRIu32 " and %" PRIu32 " do not see each "
			"other, this one sees both: asking node %" PRIu32
			" to ban itself\n",
			mesh->a,
			mesh->b,
			loser->pnn);
	}
	mesh->loser = loser->pnn;
	mesh->sent = guard_now();
	(void)csv_message_send(csvd->msg,
			       &loser->csvd,
			       MSG_CSV_BAN,
			       &r,
			       (ndr_push_flags_fn_t)ndr_push_csv_ban_request);
}

void csvd_mesh_check(struct csvd_context *csvd)
{
	const struct csvd_member *a = NULL, *b = NULL;
	struct csvd_mesh *mesh = csvd->mesh;
	uint32_t loser;

	if (mesh == NULL || csvd->volumes == NULL ||
	    !csvd_members_majority(csvd) || !mesh_pair(csvd, &a, &b))
	{
		if (mesh != NULL) {
			mesh->a = CSVD_NO_NODE;
		}
		return;
	}
	if (mesh->a != a->pnn || mesh->b != b->pnn) {
		mesh->a = a->pnn;
		mesh->b = b->pnn;
		mesh->loser = CSVD_NO_NODE;
		mesh->since = guard_now();
		/* do both still reach us, or are we about to miss one, too? */
		csvd_publish_node(csvd, true);
		return;
	}
	loser = csvd_mesh_loser(csvd,
				a->pnn,
				b->pnn,
				csvd_quorum_leader(csvd));
	if (loser == CSVD_NO_NODE || a->heard <= mesh->since ||
	    b->heard <= mesh->since ||
	    guard_now() < mesh->sent + MESH_AGAIN_MS)
	{
		return;
	}
	mesh_send(csvd,
		  loser == a->pnn ? a : b,
		  loser == a->pnn ? b->pnn : a->pnn);
}

bool csvd_mesh_asked(struct csvd_context *csvd, uint32_t pnn)
{
	const struct csvd_mesh *mesh = csvd->mesh;

	return mesh != NULL && mesh->loser == pnn && mesh->sent != 0 &&
	       guard_now() <= mesh->sent + MESH_ASKED_MS;
}

/* CTDB bans only itself, for as long as its tunable says. */
static void mesh_ban(struct tevent_context *ev,
		     struct tevent_timer *te,
		     struct timeval now,
		     void *private_data)
{
	struct csvd_context *csvd = private_data;
	struct ctdb_ban_state ban = {.pnn = csvd->node, .time = MESH_BAN_S};
	int32_t status = -1;
	int ret;

	csvd->mesh->leaves = false;
	(void)csvd_members_tunable("RecoveryBanPeriod", &ban.time);
	DBG_ERR("banning this node for %" PRIu32 " s\n", ban.time);
	ret = ctdbd_control_local(messaging_ctdb_connection(),
				  CTDB_CONTROL_SET_BAN_STATE,
				  0,
				  0,
				  make_tdb_data((uint8_t *)&ban, sizeof(ban)),
				  NULL,
				  NULL,
				  &status);
	if (ret != 0 || status != 0) {
		DBG_ERR("CTDB does not ban this node: %s\n",
			ret != 0 ? strerror(ret) : "refused");
	}
	csvd_members_refresh(csvd);
}

/*
 * The smbds end before the ban: while CTDB freezes its databases it does not
 * notice, and still tells the nodes that their clients go to that they live.
 */
static void mesh_leave(struct csvd_context *csvd,
		       uint32_t from,
		       uint32_t missed)
{
	struct csvd_mesh *mesh = csvd->mesh;

	if (mesh->leaves) {
		return;
	}
	DBG_ERR("this node does not see node %" PRIu32 ", node %" PRIu32
		" sees both: this one leaves, so that the others go on\n",
		missed,
		from);
	if (csvd->control != NULL) {
		csvd_control_end(csvd);
	}
	mesh->leaves = tevent_add_timer(csvd->ev,
					mesh,
					timeval_current_ofs(
						0, MESH_LEAVE_MS * 1000),
					mesh_ban,
					csvd) != NULL;
}

static void mesh_got_ban(struct messaging_context *msg,
			 void *private_data,
			 uint32_t type,
			 struct server_id from,
			 DATA_BLOB *data)
{
	struct csvd_context *csvd = private_data;
	TALLOC_CTX *frame = talloc_stackframe();
	struct csv_ban_request r = {};
	const struct csvd_member *missed = NULL;

	if (csv_message_read(frame,
			     data,
			     &r,
			     (ndr_pull_flags_fn_t)ndr_pull_csv_ban_request) &&
	    r.node == csvd->node)
	{
		missed = csvd_member_find(csvd, r.missed);
	}
	/* what this node sees itself decides, as far as it can */
	if (csvd->active && missed != NULL &&
	    csvd_member_dead(csvd, missed->pnn) &&
	    !csvd_member_dead(csvd, from.vnn))
	{
		mesh_leave(csvd, from.vnn, missed->pnn);
	}
	TALLOC_FREE(frame);
}

int csvd_mesh_start(struct csvd_context *csvd)
{
	NTSTATUS status;

	csvd->mesh = talloc_zero(csvd, struct csvd_mesh);
	if (csvd->mesh == NULL) {
		return ENOMEM;
	}
	csvd->mesh->a = CSVD_NO_NODE;
	csvd->mesh->loser = CSVD_NO_NODE;
	status = messaging_register(csvd->msg, csvd, MSG_CSV_BAN, mesh_got_ban);
	return NT_STATUS_IS_OK(status) ? 0 : map_errno_from_nt_status(status);
}
