/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The members of the cluster. CTDB tells when it finished a recovery; between
 * two of those its node map is read four times a second, so that fencing can
 * begin before the recovery is over.
 */
#include "csvd/members.h"
#include "csvd/guard.h"
#include "csvd/guard_client.h"
#include "csvd/node.h"
#include "csvd/publish.h"
#include "csvd/quorum.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "util_tdb.h"
#include "ctdb/include/ctdb_protocol.h"

#define MEMBERS_POLL_MS 250
/* A csvd speaks once a second; an answer of its guard decides, not this. */
#define MEMBERS_SILENT_MS 3000

struct csvd_member *csvd_member_find(struct csvd_context *csvd, uint32_t pnn)
{
	struct csvd_member *m = NULL;

	for (m = csvd->members; m != NULL; m = m->next) {
		if (m->pnn == pnn) {
			return m;
		}
	}
	return NULL;
}

bool csvd_member_dead(struct csvd_context *csvd, uint32_t pnn)
{
	const struct csvd_member *m = csvd_member_find(csvd, pnn);

	return m == NULL || (m->flags & NODE_FLAGS_INACTIVE) != 0;
}

bool csvd_member_usable(struct csvd_context *csvd, uint32_t pnn)
{
	const struct csvd_member *m = csvd_member_find(csvd, pnn);

	if (csvd_node_drain(csvd, pnn) != CSV_NODE_UP) {
		return false;
	}
	if (pnn == csvd->node) {
		return csvd->active && !csvd->leaving;
	}
	/* CTDB's leader may not reach it to spread that it was banned */
	return m != NULL && (m->flags & NODE_FLAGS_INACTIVE) == 0 &&
	       m->info != NULL && !m->info->leaving &&
	       !csvd_member_misses(m, pnn);
}

bool csvd_member_silent(struct csvd_context *csvd, uint32_t pnn)
{
	const struct csvd_member *m = csvd_member_find(csvd, pnn);

	return m != NULL && m->heard != 0 && pnn != csvd->node &&
	       guard_now() > m->heard + MEMBERS_SILENT_MS;
}

bool csvd_member_misses(const struct csvd_member *m, uint32_t pnn)
{
	uint32_t i;

	for (i = 0; m->info != NULL && i < m->info->num_inactive; i++) {
		if (m->info->inactive[i] == pnn) {
			return true;
		}
	}
	return false;
}

bool csvd_members_majority(struct csvd_context *csvd)
{
	const struct csvd_member *m = NULL;
	uint32_t alive = 0;

	for (m = csvd->members; m != NULL; m = m->next) {
		if ((m->flags & NODE_FLAGS_INACTIVE) == 0) {
			alive++;
		}
	}
	return alive * 2 > csvd->num_nodes;
}

const struct csv_node_volume *csvd_member_volume(const struct csvd_member *m,
						 const char *name)
{
	uint32_t i;

	if (m == NULL || m->info == NULL) {
		return NULL;
	}
	for (i = 0; i < m->info->num_volumes; i++) {
		if (csvd_bytes_equal(&m->info->volumes[i].name, name)) {
			return &m->info->volumes[i];
		}
	}
	return NULL;
}

int csvd_members_tunable(const char *name, uint32_t *value)
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

uint32_t csvd_member_by_name(struct csvd_context *csvd, const char *name)
{
	const struct csvd_member *m = NULL;
	unsigned long number;
	char *end = NULL;

	number = strtoul(name, &end, 10);
	if (isdigit((unsigned char)name[0]) && *end == '\0') {
		m = number < CSVD_NO_NODE ? csvd_member_find(csvd, number)
					  : NULL;
		return m != NULL ? m->pnn : CSVD_NO_NODE;
	}
	for (m = csvd->members; m != NULL; m = m->next) {
		if (strcmp(m->address, name) == 0 ||
		    (m->pnn == csvd->node && strcmp(csvd->host, name) == 0) ||
		    (m->info != NULL &&
		     csvd_bytes_equal(&m->info->host, name))) {
			return m->pnn;
		}
	}
	return CSVD_NO_NODE;
}

static void members_changed(struct csvd_context *csvd,
			    struct csvd_member *m,
			    uint32_t flags)
{
	bool was_dead = (m->flags & NODE_FLAGS_INACTIVE) != 0;
	bool dead = (flags & NODE_FLAGS_INACTIVE) != 0;

	if (flags & ~m->flags & NODE_FLAGS_DISCONNECTED) {
		csvd_quorum_node_dead(csvd, m->pnn);
	}
	m->flags = flags;
	m->settled = false;
	if (was_dead == dead) {
		return;
	}
	m->died = dead ? guard_now() : 0;
	m->joined = dead ? m->joined : guard_now();
	DBG_NOTICE("node %" PRIu32 " is %s member of the cluster\n",
		   m->pnn,
		   dead ? "no active" : "an active");
	if (m->pnn != csvd->node && dead) {
		/* its host name is kept in mind for the fence agent */
		m->csvd = (struct server_id){};
	}
	csvd_publish_node(csvd, !dead); /* also tells whom we miss */
	csvd_evaluate_soon(csvd);
}

static int members_node(uint32_t total,
			const struct ctdb_node_and_flags *nf,
			void *private_data)
{
	struct csvd_context *csvd = private_data;
	struct csvd_member *m = csvd_member_find(csvd, nf->pnn);
	struct sockaddr_storage ss = {};

	csvd->num_nodes = total;
	if (m == NULL) {
		m = talloc_zero(csvd, struct csvd_member);
		if (m == NULL) {
			return ENOMEM;
		}
		m->pnn = nf->pnn;
		m->flags = NODE_FLAGS_DISCONNECTED;
		DLIST_ADD_END(csvd->members, m);
	}
	memcpy(&ss, &nf->addr, sizeof(nf->addr));
	print_sockaddr(m->address, sizeof(m->address), &ss);
	if (m->flags != nf->flags) {
		members_changed(csvd, m, nf->flags);
	}
	return 0;
}

/*
 * Who was in CTDB's last recovery: its VNN map, which is a generation, a
 * number and as many nodes. Without an answer: nobody.
 */
static void members_recovered(struct csvd_context *csvd)
{
	struct csvd_member *m = NULL;
	TDB_DATA map = {};
	uint32_t num = 0, i, pnn;
	int32_t status = -1;
	int ret;

	ret = ctdbd_control_local(messaging_ctdb_connection(),
				  CTDB_CONTROL_GETVNNMAP,
				  0,
				  0,
				  tdb_null,
				  csvd,
				  &map,
				  &status);
	for (m = csvd->members; m != NULL; m = m->next) {
		m->recovered = false;
	}
	if (ret == 0 && status == 0 && map.dsize >= 2 * sizeof(num)) {
		memcpy(&num, map.dptr + sizeof(num), sizeof(num));
		num = MIN(num, map.dsize / sizeof(num) - 2);
	}
	for (i = 0; i < num; i++) {
		memcpy(&pnn, map.dptr + (2 + i) * sizeof(pnn), sizeof(pnn));
		m = csvd_member_find(csvd, pnn);
		if (m != NULL) {
			m->recovered = true;
		}
	}
	talloc_free(map.dptr);
}

void csvd_members_refresh(struct csvd_context *csvd)
{
	struct csvd_member *me = NULL;
	int ret;

	ret = ctdbd_nodes_foreach(messaging_ctdb_connection(),
				  members_node,
				  csvd);
	if (ret != 0) {
		DBG_WARNING("CTDB gives no node map, asking again\n");
		return;
	}
	members_recovered(csvd);
	if (csvd->reconfigured) {
		for (me = csvd->members; me != NULL; me = me->next) {
			me->settled = true;
		}
	}
	me = csvd_member_find(csvd, csvd->node);
	csvd->active = me != NULL && (me->flags & NODE_FLAGS_INACTIVE) == 0;
	if (csvd->active) {
		csvd_guard_reached(csvd);
	}
}

static void members_poll(struct tevent_context *ev,
			 struct tevent_timer *te,
			 struct timeval now,
			 void *private_data)
{
	struct csvd_context *csvd = private_data;

	csvd_members_refresh(csvd);
	te = tevent_add_timer(csvd->ev,
			      csvd,
			      tevent_timeval_current_ofs(
				      0, MEMBERS_POLL_MS * 1000),
			      members_poll,
			      csvd);
	if (te == NULL) {
		smb_panic("no memory");
	}
}

/* May be called from inside a call to ctdbd: only makes a note. */
static int members_reconfigured(struct tevent_context *ev,
				uint32_t src_vnn,
				uint32_t dst_vnn,
				uint64_t dst_srvid,
				const uint8_t *msg,
				size_t msglen,
				void *private_data)
{
	struct csvd_context *csvd = private_data;

	csvd->reconfigured = true; /* csvd_evaluate() clears it */
	csvd_evaluate_soon(csvd);
	return 0;
}

int csvd_members_start(struct csvd_context *csvd)
{
	int ret;

	ret = register_with_ctdbd(messaging_ctdb_connection(),
				  CTDB_SRVID_RECONFIGURE,
				  members_reconfigured,
				  csvd);
	if (ret != 0) {
		return ret;
	}
	members_poll(csvd->ev, NULL, timeval_current(), csvd);
	return csvd->num_nodes != 0 ? 0 : EIO;
}
