/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages between csvds.
 */
#include "csvd/publish.h"
#include "csvd/control.h"
#include "csvd/fence_owner.h"
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/node.h"
#include "csvd/owner.h"
#include "lib/volume/state.h"
#include "lib/wire/message.h"
#include "lib/wire/node_info.h"
#include "librpc/gen_ndr/ndr_server_id.h"
#include "gen_ndr/ndr_csv.h"

void csvd_publish_event(struct csvd_volume *v, enum csv_event event)
{
	struct csv_volume_event e = {
		.version = CSV_EVENT_VERSION,
		.volume = csvd_bytes(v->name),
		.epoch = v->rec != NULL ? v->rec->epoch : 0,
		.old_owner = v->rec != NULL ? v->rec->previous : CSVD_NO_NODE,
		.new_owner = v->rec != NULL ? v->rec->owner : CSVD_NO_NODE,
		.state = v->state,
		.event = event,
		.reason = csvd_bytes(v->reason),
	};

	(void)csv_message_send(v->csvd->msg,
			       NULL,
			       MSG_CSV_EVENT,
			       &e,
			       (ndr_push_flags_fn_t)ndr_push_csv_volume_event);
}

/* Children of info's volumes, which end with it. */
static void publish_inactive(struct csvd_context *csvd,
			     struct csv_node_info *info)
{
	const struct csvd_member *m = NULL;

	for (m = csvd->members; m != NULL; m = m->next) {
		info->num_inactive += csvd_member_dead(csvd, m->pnn) ? 1 : 0;
	}
	info->inactive = talloc_zero_array(info->volumes,
					   uint32_t,
					   info->num_inactive);
	info->num_inactive = 0;
	for (m = csvd->members; info->inactive != NULL && m != NULL;
	     m = m->next)
	{
		if (csvd_member_dead(csvd, m->pnn)) {
			info->inactive[info->num_inactive++] = m->pnn;
		}
	}
}

static void publish_fences(struct csvd_context *csvd,
			   struct csv_node_info *info)
{
	struct csvd_volume *v = NULL;
	uint16_t state;

	info->fences = talloc_zero_array(info->volumes,
					 struct csv_node_fence,
					 info->num_volumes);
	for (v = csvd->volumes; info->fences != NULL && v != NULL; v = v->next)
	{
		state = csvd_fence_doing(v);
		if (state != 0) {
			info->fences[info->num_fences++] =
				(struct csv_node_fence){
					.volume = csvd_bytes(v->name),
					.epoch = v->rec->epoch,
					.state = state,
				};
		}
	}
}

static void publish_node_now(struct csvd_context *csvd, bool question)
{
	const struct csvd_member *me = csvd_member_find(csvd, csvd->node);
	const char *address = csvd->config->address;
	struct csv_node_info info = {
		.version = CSV_EVENT_VERSION,
		.node = csvd->node,
		.incarnation = csvd->incarnation,
		.question = question,
		.leaving = csvd->leaving ||
			   csvd_node_drain(csvd, csvd->node) != CSV_NODE_UP,
		.port = csv_serve_port(csvd->serve),
		.plain = csvd->config->plain,
		.host = csvd_bytes(csvd->host),
		.guard_port = csvd->page->port,
		.promise_ms = csvd->promise_ms,
		.clients = csvd->control != NULL ? csvd_control_clients(csvd)
						 : 0,
	};
	struct csvd_volume *v = NULL;

	if (address == NULL && me != NULL) {
		address = me->address;
	}
	info.address = csvd_bytes(address);
	for (v = csvd->volumes; v != NULL; v = v->next) {
		info.num_volumes++;
	}
	info.volumes = talloc_zero_array(csvd,
					 struct csv_node_volume,
					 info.num_volumes);
	if (info.volumes == NULL) {
		return;
	}
	publish_inactive(csvd, &info);
	publish_fences(csvd, &info);
	info.num_volumes = 0;
	for (v = csvd->volumes; v != NULL; v = v->next) {
		info.volumes[info.num_volumes++] = (struct csv_node_volume){
			.name = csvd_bytes(v->name),
			.state = v->state,
			.access = v->access,
			.epoch = v->epoch,
			.reason = csvd_bytes(v->reason),
			.replayed = csvd_control_replayed(v) ? v->epoch : 0,
		};
	}
	(void)csv_message_send(csvd->msg,
			       NULL,
			       MSG_CSV_NODE,
			       &info,
			       (ndr_push_flags_fn_t)ndr_push_csv_node_info);
	talloc_free(info.volumes);
}

void csvd_publish_drain(struct csvd_context *csvd,
			const struct csv_node_record *rec)
{
	(void)csv_message_send(csvd->msg,
			       NULL,
			       MSG_CSV_DRAIN,
			       rec,
			       (ndr_push_flags_fn_t)ndr_push_csv_node_record);
}

static void publish_deferred(struct tevent_context *ev,
			     struct tevent_immediate *im,
			     void *private_data)
{
	struct csvd_context *csvd = private_data;

	talloc_free(im);
	csvd->publish_pending = false;
	publish_node_now(csvd, false);
}

void csvd_publish_node(struct csvd_context *csvd, bool question)
{
	struct tevent_immediate *im = NULL;

	if (csvd->serve == NULL) {
		return; /* too early */
	}
	if (question) {
		publish_node_now(csvd, true);
		return;
	}
	if (csvd->publish_pending) {
		return;
	}
	im = tevent_create_immediate(csvd);
	if (im == NULL) {
		return;
	}
	csvd->publish_pending = true;
	tevent_schedule_immediate(im, csvd->ev, publish_deferred, csvd);
}

int csvd_publish_move(struct csvd_volume *v, uint32_t target)
{
	struct csvd_member *m = csvd_member_find(v->csvd, v->rec->owner);
	struct csv_move_request r = {
		.version = CSV_EVENT_VERSION,
		.volume = csvd_bytes(v->name),
		.epoch = v->rec->epoch,
		.target = target,
	};

	if (m == NULL || m->info == NULL || m->csvd.pid == 0) {
		return ENXIO;
	}
	return csv_message_send(
		v->csvd->msg,
		&m->csvd,
		MSG_CSV_MOVE,
		&r,
		(ndr_push_flags_fn_t)ndr_push_csv_move_request);
}

void csvd_publish_config(struct csvd_context *csvd)
{
	messaging_send_all(csvd->msg, MSG_CSV_CONFIG, NULL, 0);
}

/* A message of ours comes back too: not wanted. */
static bool publish_own(struct messaging_context *msg, struct server_id from)
{
	struct server_id me = messaging_server_id(msg);

	return server_id_equal(&me, &from);
}

static void publish_got_node(struct messaging_context *msg,
			     void *private_data,
			     uint32_t type,
			     struct server_id from,
			     DATA_BLOB *data)
{
	struct csvd_context *csvd = private_data;
	struct csv_node_info *info = NULL;
	struct csvd_member *m = NULL;
	bool ok;

	if (publish_own(msg, from)) {
		return;
	}
	info = talloc_zero(csvd, struct csv_node_info);
	if (info == NULL) {
		return;
	}
	ok = csv_node_info_read(info, data, info);
	m = csvd_member_find(csvd, info->node);
	if (!ok || m == NULL || info->node != from.vnn) {
		talloc_free(info);
		return;
	}
	talloc_free(m->info);
	m->info = talloc_steal(m, info);
	m->csvd = from;
	m->heard = guard_now();
	if (info->question) {
		csvd_publish_node(csvd, false);
	}
	csvd_evaluate_soon(csvd);
}

/* The event says at once what the node's next csv_node_info will say. */
static void publish_note(struct csvd_context *csvd,
			 struct server_id from,
			 const struct csv_volume_event *e)
{
	const struct csvd_member *m = csvd_member_find(csvd, from.vnn);
	char *name = csvd_string(talloc_tos(), &e->volume);
	const struct csv_node_volume *known = csvd_member_volume(m, name);
	struct csv_node_volume *nv =
		discard_const_p(struct csv_node_volume, known);

	talloc_free(name);
	if (nv == NULL || e->new_owner != from.vnn) {
		return;
	}
	nv->state = e->state;
	nv->epoch = e->epoch;
}

static void publish_got_event(struct messaging_context *msg,
			      void *private_data,
			      uint32_t type,
			      struct server_id from,
			      DATA_BLOB *data)
{
	struct csvd_context *csvd = private_data;
	TALLOC_CTX *frame = NULL;
	struct csv_volume_event e = {};

	if (publish_own(msg, from)) {
		return;
	}
	frame = talloc_stackframe();
	if (csv_message_read(frame,
			     data,
			     &e,
			     (ndr_pull_flags_fn_t)ndr_pull_csv_volume_event))
	{
		publish_note(csvd, from, &e);
	}
	TALLOC_FREE(frame);
	csvd_evaluate_soon(csvd);
}

static void publish_got_move(struct messaging_context *msg,
			     void *private_data,
			     uint32_t type,
			     struct server_id from,
			     DATA_BLOB *data)
{
	struct csvd_context *csvd = private_data;
	TALLOC_CTX *frame = talloc_stackframe();
	struct csv_move_request r = {};
	struct csvd_volume *v = NULL;

	if (csv_message_read(frame,
			     data,
			     &r,
			     (ndr_pull_flags_fn_t)ndr_pull_csv_move_request))
	{
		v = csvd_volume_find(csvd, csvd_string(frame, &r.volume));
	}
	if (v != NULL && v->rec != NULL && v->rec->epoch == r.epoch) {
		(void)csvd_owner_move(v, r.target);
	}
	TALLOC_FREE(frame);
}

static void publish_got_config(struct messaging_context *msg,
			       void *private_data,
			       uint32_t type,
			       struct server_id from,
			       DATA_BLOB *data)
{
	struct csvd_context *csvd = private_data;

	csvd->config_changed = true;
	csvd_evaluate_soon(csvd);
}

int csvd_publish_start(struct csvd_context *csvd)
{
	static const struct {
		uint32_t type;
		void (*fn)(struct messaging_context *msg,
			   void *private_data,
			   uint32_t msg_type,
			   struct server_id server_id,
			   DATA_BLOB *data);
	} handlers[] = {
		{MSG_CSV_EVENT, publish_got_event},
		{MSG_CSV_NODE, publish_got_node},
		{MSG_CSV_MOVE, publish_got_move},
		{MSG_CSV_CONFIG, publish_got_config},
	};
	NTSTATUS status;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(handlers); i++) {
		status = messaging_register(csvd->msg,
					    csvd,
					    handlers[i].type,
					    handlers[i].fn);
		if (!NT_STATUS_IS_OK(status)) {
			return map_errno_from_nt_status(status);
		}
	}
	return 0;
}
