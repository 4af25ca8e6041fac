/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests about nodes.
 */
#include "csvd/request_private.h"
#include "ctdb/include/ctdb_protocol.h"
#include "csvd/control.h"
#include "csvd/members.h"
#include "csvd/node.h"
#include "csvd/owner.h"
#include "csvd/publish.h"
#include "csvd/record.h"
#include "csvd/spread.h"
#include "csvd/supervisor.h"

#define NODE_GRACE_S 30

/* This node, until csvd ends or `node resume`: at its shutdown. */
int request_node_leave(struct request *r)
{
	r->csvd->exit_when_idle = json_is_true(json_object_get(r->in, "exit"));
	csvd_owner_leave(r->csvd);
	return 0;
}

/* The node that is named, or this one. */
static int node_named(struct request *r, struct csvd_member **m)
{
	const char *name = request_string(r, "node");
	uint32_t pnn = r->csvd->node;

	if (name != NULL) {
		pnn = csvd_member_by_name(r->csvd, name);
	}
	*m = csvd_member_find(r->csvd, pnn);
	if (*m == NULL) {
		return request_fail(r,
				    ENOENT,
				    "no such node: %s",
				    name != NULL ? name : "?");
	}
	json_object_set_new(r->out, "node", json_integer(pnn));
	return 0;
}

static int node_can_be_drained(struct request *r, const struct csvd_member *m)
{
	const struct csvd_member *other = NULL;

	if (csvd_member_dead(r->csvd, m->pnn)) {
		return request_fail(r,
				    EHOSTDOWN,
				    "node %" PRIu32 " is down: there is "
				    "nothing to drain",
				    m->pnn);
	}
	if (m->pnn != r->csvd->node && m->info == NULL) {
		return request_fail(r,
				    EHOSTUNREACH,
				    "csvd of node %" PRIu32 " has not been "
				    "heard of",
				    m->pnn);
	}
	if (csvd_node_drain(r->csvd, m->pnn) == CSV_NODE_DRAINED) {
		return request_fail(r,
				    EALREADY,
				    "node %" PRIu32 " is drained already",
				    m->pnn);
	}
	for (other = r->csvd->members; other != NULL; other = other->next) {
		if (other != m && csvd_member_usable(r->csvd, other->pnn)) {
			return 0;
		}
	}
	return request_fail(r,
			    EHOSTUNREACH,
			    "node %" PRIu32 " is the last one that can own "
			    "volumes",
			    m->pnn);
}

/* What the node will do about its volumes, as far as that is known now. */
static json_t *node_plan(struct request *r, uint32_t node, uint32_t target)
{
	struct csvd_spread *spread = csvd_spread_count(r->mem_ctx, r->csvd);
	json_t *plan = json_array();
	struct csvd_volume *v = NULL;
	uint32_t to;

	for (v = r->csvd->volumes; spread != NULL && v != NULL; v = v->next) {
		if (v->config->shared || v->rec == NULL || v->rec->clean ||
		    v->rec->owner != node)
		{
			continue;
		}
		to = target != CSVD_NO_NODE ? target
					    : csvd_spread_target(spread, v);
		csvd_spread_moved(spread, node, to);
		json_array_append_new(
			plan,
			json_pack("{s:s,s:o}",
				  "volume",
				  v->name,
				  "to",
				  to != CSVD_NO_NODE ? json_integer(to)
						     : json_null()));
	}
	return plan;
}

static int node_order(struct request *r,
		      uint32_t node,
		      const struct csvd_node_order *order,
		      const char *what)
{
	int ret = csvd_node_order(r->csvd, node, order);

	if (ret != 0) {
		return request_fail(r,
				    ret,
				    "node %" PRIu32 " cannot be %s: %s",
				    node,
				    what,
				    csvd_record_error(r->csvd, ret));
	}
	DBG_NOTICE("an administrator has node %" PRIu32 " %s\n", node, what);
	return 0;
}

int request_node_drain(struct request *r)
{
	const json_t *grace = json_object_get(r->in, "grace_seconds");
	struct csvd_node_order order = {
		.drain = CSV_NODE_DRAINING,
		.grace_s = json_is_integer(grace) ? json_integer_value(grace)
						  : NODE_GRACE_S,
	};
	struct csvd_member *m = NULL;
	int ret;

	ret = node_named(r, &m);
	if (ret == 0) {
		ret = node_can_be_drained(r, m);
	}
	if (ret == 0) {
		ret = request_target(r, &order.target);
	}
	if (ret == 0 && order.target == m->pnn) {
		ret = request_fail(r,
				   EINVAL,
				   "node %" PRIu32 " cannot take its own "
				   "volumes",
				   m->pnn);
	}
	if (ret != 0) {
		return ret;
	}
	json_object_set_new(r->out, "plan", node_plan(r, m->pnn, order.target));
	if (json_is_true(json_object_get(r->in, "dry_run"))) {
		return 0;
	}
	return node_order(r, m->pnn, &order, "drained");
}

static const char *node_host(struct request *r, const struct csvd_member *m)
{
	if (m->pnn == r->csvd->node) {
		return r->csvd->host;
	}
	if (m->info != NULL) {
		return csvd_string(r->mem_ctx, &m->info->host);
	}
	return m->address;
}

/* How many volumes its record says that it owns. */
static unsigned node_owns(const struct csvd_context *csvd, uint32_t node)
{
	const struct csvd_volume *v = NULL;
	unsigned n = 0;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		n += v->rec != NULL && v->rec->owner == node && !v->rec->clean;
	}
	return n;
}

static json_t *node_text(const char *text)
{
	return text != NULL && text[0] != '\0' ? json_string(text)
					       : json_null();
}

/* Processes; null: its csvd has not told. */
static json_t *node_clients(struct request *r, const struct csvd_member *m)
{
	if (m->pnn == r->csvd->node) {
		return json_integer(csvd_control_clients(r->csvd));
	}
	if (csvd_member_dead(r->csvd, m->pnn) || m->info == NULL) {
		return json_null();
	}
	return json_integer(m->info->clients);
}

static json_t *node_json(struct request *r, const struct csvd_member *m)
{
	const struct csv_node_record *rec = m->record;
	const char *drain = csv_node_drain_str(
		csvd_node_drain(r->csvd, m->pnn));
	json_t *out = json_object();

	json_object_set_new(out, "node", json_integer(m->pnn));
	json_object_set_new(out, "host", json_string(node_host(r, m)));
	json_object_set_new(out, "address", json_string(m->address));
	json_object_set_new(
		out,
		"alive",
		json_boolean(!csvd_member_dead(r->csvd, m->pnn)));
	json_object_set_new(
		out,
		"disabled",
		json_boolean((m->flags & NODE_FLAGS_PERMANENTLY_DISABLED) !=
			     0));
	json_object_set_new(out, "drain", json_string(drain));
	json_object_set_new(out, "clients", node_clients(r, m));
	json_object_set_new(out,
			    "volumes",
			    json_integer(node_owns(r->csvd, m->pnn)));
	json_object_set_new(
		out,
		"samba_version",
		node_text(rec != NULL ? csvd_string(r->mem_ctx,
						    &rec->samba_version)
				      : NULL));
	json_object_set_new(
		out,
		"max_dialect",
		node_text(rec != NULL ? csv_dialect_name(rec->max_dialect)
				      : NULL));
	return out;
}

int request_node_state(struct request *r)
{
	json_t *nodes = json_array();
	const struct csvd_member *m = NULL;

	for (m = r->csvd->members; m != NULL; m = m->next) {
		json_array_append_new(nodes, node_json(r, m));
	}
	json_object_set_new(r->out, "nodes", nodes);
	json_object_set_new(
		r->out,
		"max_dialect",
		node_text(csv_dialect_name(r->csvd->max_dialect)));
	json_object_set_new(r->out, "node", json_integer(r->csvd->node));
	json_object_set_new(r->out, "leaving", json_boolean(r->csvd->leaving));
	json_object_set_new(r->out,
			    "owns",
			    json_boolean(csvd_owner_owns(r->csvd)));
	json_object_set_new(r->out,
			    "clients",
			    json_integer(csvd_control_clients(r->csvd)));
	return 0;
}

int request_node_resume(struct request *r)
{
	const struct csvd_node_order order = {
		.drain = CSV_NODE_UP,
		.target = CSVD_NO_NODE,
	};
	struct csvd_member *m = NULL;
	int ret;

	ret = node_named(r, &m);
	if (ret != 0) {
		return ret;
	}
	if (m->pnn == r->csvd->node) {
		r->csvd->leaving = false;
		r->csvd->exit_when_idle = false;
		csvd_supervisor_leaving(r->csvd->supervisor_fd, false);
		csvd_publish_node(r->csvd, false);
		csvd_evaluate_soon(r->csvd);
	}
	if (csvd_node_drain(r->csvd, m->pnn) == CSV_NODE_UP) {
		return 0;
	}
	return node_order(r, m->pnn, &order, "resumed");
}
