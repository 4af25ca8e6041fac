/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the cluster knows of its nodes.
 *
 * The highest dialect that a client may use is the lowest one of those that
 * the smbds of all active nodes speak: a handle must be able to come back on
 * any of them. Versions of Samba matter only by that. A node that is down
 * limits nobody; who used a higher dialect before it came says so
 * (CLUSTER_RECONNECT) and goes on.
 */
#include "csvd/node.h"
#include "csvd/control.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/publish.h"
#include "csvd/record.h"
#include "lib/util/util_file.h"

#define NODE_AGAIN_MS 1000
#define NODE_FILE "drained"

struct node_facts {
	uint16_t max_dialect;
	struct csv_bytes samba_version;
};

static uint16_t node_dialect(void)
{
	static const struct {
		enum protocol_types protocol;
		const char *name;
	} known[] = {
		{PROTOCOL_SMB3_11, "SMB3_11"},
		{PROTOCOL_SMB3_02, "SMB3_02"},
		{PROTOCOL_SMB3_00, "SMB3_00"},
		{PROTOCOL_SMB2_10, "SMB2_10"},
		{PROTOCOL_SMB2_02, "SMB2_02"},
	};
	int protocol = lp_server_max_protocol();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (protocol >= (int)known[i].protocol) {
			return csv_dialect_by_name(known[i].name);
		}
	}
	return 0;
}

static struct node_facts node_facts(void)
{
	return (struct node_facts){
		.max_dialect = node_dialect(),
		.samba_version = csvd_bytes(samba_version_string()),
	};
}

static bool node_facts_equal(const struct csv_node_record *rec,
			     const struct node_facts *facts)
{
	return rec != NULL && rec->max_dialect == facts->max_dialect &&
	       csvd_bytes_equal(&rec->samba_version, samba_version_string());
}

static int node_write_facts(struct csv_node_record *rec, void *private_data)
{
	const struct node_facts *facts = private_data;

	rec->max_dialect = facts->max_dialect;
	rec->samba_version = facts->samba_version;
	return 0;
}

static void node_load(struct csvd_context *csvd, struct csvd_member *m)
{
	struct csv_node_record *rec = NULL;
	int ret;

	ret = csvd_record_node(csvd, m, m->pnn, &rec);
	if (ret == EIO) {
		return; /* CTDB will answer again */
	}
	if (ret == EILSEQ && m->record != NULL) {
		DBG_ERR("the record of node %" PRIu32 " is damaged, ignoring "
			"it\n",
			m->pnn);
	}
	talloc_free(m->record);
	m->record = rec;
}

void csvd_nodes_load(struct csvd_context *csvd)
{
	struct csvd_member *m = NULL;

	for (m = csvd->members; m != NULL; m = m->next) {
		node_load(csvd, m);
	}
}

enum csv_node_drain csvd_node_drain(struct csvd_context *csvd, uint32_t node)
{
	const struct csvd_member *m = csvd_member_find(csvd, node);

	return m != NULL && m->record != NULL ? m->record->drain : CSV_NODE_UP;
}

/* Of all active nodes that have told. */
static uint16_t node_max_dialect(struct csvd_context *csvd)
{
	const struct csvd_member *m = NULL;
	uint16_t lowest = node_dialect(), dialect;

	for (m = csvd->members; m != NULL; m = m->next) {
		dialect = m->record != NULL ? m->record->max_dialect : 0;
		if (m->pnn != csvd->node && dialect != 0 &&
		    !csvd_member_dead(csvd, m->pnn) &&
		    (lowest == 0 || dialect < lowest))
		{
			lowest = dialect;
		}
	}
	return lowest;
}

static void node_write(struct csvd_context *csvd, struct csvd_member *me)
{
	struct node_facts facts = node_facts();
	int ret;

	if (node_facts_equal(me->record, &facts) ||
	    guard_now() < csvd->node_again)
	{
		return;
	}
	csvd->node_again = guard_now() + NODE_AGAIN_MS;
	ret = csvd_record_node_change(csvd,
				      csvd->node,
				      node_write_facts,
				      &facts);
	if (ret != 0) {
		DBG_INFO("what this node's smbd is cannot be written: %s\n",
			 csvd_record_error(csvd, ret));
		return;
	}
	node_load(csvd, me);
	csvd_publish_config(csvd);
}

static uint64_t node_now_us(void)
{
	struct timeval tv = timeval_current();

	return (uint64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

static int node_write_order(struct csv_node_record *rec, void *private_data)
{
	const struct csvd_node_order *order = private_data;

	if (rec->drain != order->drain) {
		rec->drain_changed = node_now_us();
	}
	rec->drain = order->drain;
	rec->target = order->target;
	rec->grace_s = order->grace_s;
	return 0;
}

static int node_write_drained(struct csv_node_record *rec, void *private_data)
{
	if (rec->drain != CSV_NODE_DRAINING) {
		return EAGAIN;
	}
	rec->drain = CSV_NODE_DRAINED;
	rec->drain_changed = node_now_us();
	return 0;
}

static int node_change(struct csvd_context *csvd,
		       uint32_t node,
		       int (*fn)(struct csv_node_record *rec,
				 void *private_data),
		       void *private_data)
{
	struct csvd_member *m = csvd_member_find(csvd, node);
	int ret;

	ret = csvd_record_node_change(csvd, node, fn, private_data);
	if (ret != 0 || m == NULL) {
		return ret;
	}
	node_load(csvd, m);
	if (m->record != NULL) {
		csvd_publish_drain(csvd, m->record);
	}
	csvd_publish_config(csvd);
	csvd_evaluate_soon(csvd);
	return 0;
}

int csvd_node_order(struct csvd_context *csvd,
		    uint32_t node,
		    const struct csvd_node_order *order)
{
	return node_change(csvd,
			   node,
			   node_write_order,
			   discard_const_p(struct csvd_node_order, order));
}

int csvd_node_drained(struct csvd_context *csvd)
{
	return node_change(csvd, csvd->node, node_write_drained, NULL);
}

/* One number a line: for 55.sofs, in the directory of csvd's socket. */
static void node_file(struct csvd_context *csvd, const char *text)
{
	TALLOC_CTX *frame = talloc_stackframe();
	char *dir = talloc_strdup(frame, csvd->config->socket_path);
	char *slash = dir != NULL ? strrchr(dir, '/') : NULL;
	char *path = NULL, *fresh = NULL;
	bool ok = false;

	if (slash != NULL) {
		*slash = '\0';
		path = talloc_asprintf(frame, "%s/" NODE_FILE, dir);
		fresh = talloc_asprintf(frame, "%s/" NODE_FILE ".new", dir);
	}
	if (path != NULL && fresh != NULL) {
		ok = file_save(fresh, text, strlen(text)) &&
		     rename(fresh, path) == 0;
	}
	if (!ok) {
		DBG_WARNING(NODE_FILE " cannot be written: %s; DNS keeps "
			    "drained nodes\n",
			    strerror(errno));
	}
	TALLOC_FREE(frame);
}

static void node_tell_drained(struct csvd_context *csvd)
{
	const struct csvd_member *m = NULL;
	char *text = talloc_strdup(csvd, "");

	for (m = csvd->members; text != NULL && m != NULL; m = m->next) {
		if (csvd_node_drain(csvd, m->pnn) != CSV_NODE_UP) {
			text = talloc_asprintf_append(text,
						      "%" PRIu32 "\n",
						      m->pnn);
		}
	}
	if (text == NULL || (csvd->drained_nodes != NULL &&
			     strcmp(text, csvd->drained_nodes) == 0))
	{
		talloc_free(text);
		return;
	}
	talloc_free(csvd->drained_nodes);
	csvd->drained_nodes = text;
	node_file(csvd, text);
	csvd_control_node(csvd);
	csvd_publish_node(csvd, false);
}

void csvd_nodes_check(struct csvd_context *csvd)
{
	struct csvd_member *me = csvd_member_find(csvd, csvd->node);
	uint16_t dialect;

	if (me == NULL) {
		return;
	}
	node_write(csvd, me);
	node_tell_drained(csvd);
	dialect = node_max_dialect(csvd);
	if (dialect == csvd->max_dialect) {
		return;
	}
	if (csvd->max_dialect != 0 || dialect != node_dialect()) {
		DBG_NOTICE("clients may use dialects up to %s now\n",
			   csv_dialect_name(dialect));
	}
	csvd->max_dialect = dialect;
	csvd_control_node(csvd);
}
