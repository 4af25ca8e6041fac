/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine: keeps one link alive and sends each call until it is answered
 * with a status that may not be retried.
 *
 * A link is never torn down inside a callback of its own requests:
 * smb3_link_lost() only marks it and schedules the work.
 */
#include "client.h"
#include "auth/credentials/credentials.h"

struct smb3_call {
	struct smb3_call *prev, *next;
	struct tevent_req *req;
	struct smb3_client *client;
	struct smb3_handle *handle;
	const struct smb3_call_ops *ops;
	void *args;
	struct tevent_req *subreq;
	uint32_t sent;
	bool done;
	struct timeval not_before;
	struct timeval first_refusal;
};

static void client_relink(struct tevent_context *ev,
			  struct tevent_immediate *im,
			  void *private_data);
static void client_pump(struct smb3_client *client);
static void client_try_next(struct smb3_client *client, NTSTATUS status);

void smb3_trace(struct smb3_client *client, const char *fmt, ...)
{
	struct timeval now = timeval_current();
	va_list ap;

	if (!client->opts->verbose) {
		return;
	}
	fprintf(stderr, "%ld.%03ld ", (long)now.tv_sec % 100000,
		(long)now.tv_usec / 1000);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

const char *smb3_address(const struct smb3_client *client)
{
	return client->moved_to != NULL
		       ? client->moved_to
		       : client->opts->addresses[client->address];
}

static int client_destructor(struct smb3_client *client)
{
	json_decref(client->stats.retried_status);
	json_decref(client->stats.connection_failures);
	json_decref(client->stats.links);
	return 0;
}

struct smb3_client *smb3_client_create(TALLOC_CTX *mem_ctx,
				       struct tevent_context *ev,
				       const struct smb3_options *opts)
{
	struct smb3_client *client = talloc_zero(mem_ctx, struct smb3_client);

	if (client == NULL) {
		return NULL;
	}
	client->ev = ev;
	client->opts = opts;
	client->client_guid = GUID_random();
	client->state = SMB3_CLIENT_DOWN;
	client->lost_since = timeval_current();
	client->stats.retried_status = json_object();
	client->stats.connection_failures = json_object();
	client->stats.links = json_array();
	talloc_set_destructor(client, client_destructor);
	client->relink_im = tevent_create_immediate(client);
	if (client->relink_im == NULL) {
		TALLOC_FREE(client);
		return NULL;
	}
	return client;
}

static int call_destructor(struct smb3_call *call)
{
	if (!call->done) {
		DLIST_REMOVE(call->client->calls, call);
		call->done = true;
	}
	return 0;
}

static void call_finish(struct smb3_call *call, NTSTATUS status)
{
	call_destructor(call);
	if (!tevent_req_nterror(call->req, status)) {
		tevent_req_done(call->req);
	}
}

/* Fails every call: the client gave up. */
static void client_die(struct smb3_client *client, NTSTATUS status)
{
	smb3_trace(client, "gives up: %s", nt_errstr(status));
	client->state = SMB3_CLIENT_DEAD;
	client->dead_status = status;
	while (client->calls != NULL) {
		struct smb3_call *call = client->calls;

		tevent_req_defer_callback(call->req, client->ev);
		call_finish(call, status);
	}
}

void smb3_link_lost(struct smb3_client *client, NTSTATUS status)
{
	if (client->closing || client->state == SMB3_CLIENT_DOWN ||
	    client->state == SMB3_CLIENT_DEAD)
	{
		return;
	}
	smb3_trace(client, "link lost: %s", nt_errstr(status));
	if (smb3_is_transport_error(status)) {
		smb3_count(client->stats.connection_failures, status);
	}
	if (client->state == SMB3_CLIENT_OPENING) {
		client_try_next(client, status);
		return;
	}
	client->lost_since = timeval_current();
	client->attempts = 0;
	client->channel_sequence += 1;
	client->state = SMB3_CLIENT_DOWN;
	tevent_schedule_immediate(client->relink_im,
				  client->ev,
				  client_relink,
				  client);
}

void smb3_move(struct smb3_client *client, const char *address)
{
	if (client->closing || client->state == SMB3_CLIENT_DEAD) {
		return;
	}
	smb3_trace(client, "moves to %s", address != NULL ? address : "another");
	client->stats.moves += 1;
	smb3_link_lost(client, NT_STATUS_RETRY);
	TALLOC_FREE(client->moved_to);
	if (address != NULL) {
		client->moved_to = talloc_strdup(client, address);
	} else {
		client->address = (client->address + 1) %
				  client->opts->num_addresses;
	}
}

static void client_record_link(struct smb3_client *client)
{
	struct smb3_link *link = client->link;
	double down = timeval_elapsed(&client->lost_since) * 1000.0;
	const char *address = smb3_address(client);

	link->report = json_pack(
		"{s:s, s:f, s:f, s:i, s:I, s:I}",
		"address", address,
		"down_ms", down,
		"open_ms", timeval_elapsed(&link->opened) * 1000.0,
		"attempts", (int)client->attempts + 1,
		"read_bytes", (json_int_t)0,
		"written_bytes", (json_int_t)0);
	json_array_append_new(client->stats.links, link->report);
	if (client->ever_up) {
		client->stats.reconnects += 1;
	}
	smb3_trace(client, "link up to %s after %.0f ms", address, down);
}

/* Next address; a short pause after each whole round. */
static void client_relink_timer(struct tevent_context *ev,
				struct tevent_timer *te,
				struct timeval now,
				void *private_data)
{
	struct smb3_client *client = private_data;

	client->relink_timer = NULL;
	client_relink(ev, NULL, client);
}

static void client_try_next(struct smb3_client *client, NTSTATUS status)
{
	double down = timeval_elapsed(&client->lost_since) * 1000.0;
	uint32_t rounds;
	uint32_t pause_ms = 0;

	client->attempts += 1;
	TALLOC_FREE(client->moved_to);
	client->address = (client->address + 1) % client->opts->num_addresses;
	if (down >= client->opts->give_up_ms) {
		client_die(client, status);
		return;
	}
	rounds = client->attempts / client->opts->num_addresses;
	if (client->attempts % client->opts->num_addresses == 0) {
		pause_ms = MIN(25 << MIN(rounds, 4), 250);
	}
	client->state = SMB3_CLIENT_DOWN;
	client->relink_timer = tevent_add_timer(
		client->ev,
		client,
		timeval_current_ofs_msec(pause_ms),
		client_relink_timer,
		client);
	if (client->relink_timer == NULL) {
		client_die(client, NT_STATUS_NO_MEMORY);
	}
}

static void client_open_failed(struct smb3_client *client,
			       enum smb3_phase phase,
			       NTSTATUS status)
{
	enum smb3_verdict verdict;

	smb3_trace(client, "%s: %s (phase %#x)",
		   smb3_address(client),
		   nt_errstr(status), phase);
	if (phase == SMB3_PHASE_TREE &&
	    NT_STATUS_EQUAL(status, NT_STATUS_RETRY))
	{
		client->state = SMB3_CLIENT_DOWN;
		tevent_schedule_immediate(client->relink_im,
					  client->ev,
					  client_relink,
					  client);
		return;
	}
	if (phase <= SMB3_PHASE_NEGOTIATE || smb3_is_transport_error(status)) {
		smb3_count(client->stats.connection_failures, status);
		client_try_next(client, status);
		return;
	}
	verdict = smb3_judge(status, phase, !client->ever_up, false);
	if (verdict == SMB3_VERDICT_FINAL) {
		client_die(client, status);
		return;
	}
	smb3_count(client->stats.retried_status, status);
	client_try_next(client, status);
}

static void client_opened(struct tevent_req *subreq)
{
	struct smb3_client *client = tevent_req_callback_data(
		subreq, struct smb3_client);
	enum smb3_phase phase = client->link->phase;
	NTSTATUS status;

	status = smb3_link_open_recv(subreq);
	client->open_req = NULL;
	TALLOC_FREE(subreq);
	if (client->state != SMB3_CLIENT_OPENING) {
		return;
	}
	if (!NT_STATUS_IS_OK(status)) {
		client_open_failed(client, phase, status);
		return;
	}
	client_record_link(client);
	client->link->phase = SMB3_PHASE_CALL;
	client->state = SMB3_CLIENT_UP;
	client->attempts = 0;
	client->ever_up = true;
	client->redirected = false;
	client_pump(client);
}

static void client_drop_link(struct smb3_client *client)
{
	struct smb3_call *call = NULL;

	TALLOC_FREE(client->open_req);
	for (call = client->calls; call != NULL; call = call->next) {
		TALLOC_FREE(call->subreq);
	}
	if (client->link != NULL && client->link->conn != NULL) {
		TALLOC_FREE(client->link->echo_req);
		TALLOC_FREE(client->link->break_req);
		smbXcli_conn_disconnect(client->link->conn,
					NT_STATUS_LOCAL_DISCONNECT);
	}
	TALLOC_FREE(client->link);
}

static void client_relink(struct tevent_context *ev,
			  struct tevent_immediate *im,
			  void *private_data)
{
	struct smb3_client *client = private_data;

	client_drop_link(client);
	TALLOC_FREE(client->relink_timer);
	client->state = SMB3_CLIENT_OPENING;
	client->open_req = smb3_link_open_send(client, client);
	if (client->open_req == NULL) {
		client_die(client, NT_STATUS_NO_MEMORY);
		return;
	}
	tevent_req_set_callback(client->open_req, client_opened, client);
}

NTSTATUS smb3_client_connect(struct smb3_client *client)
{
	client->lost_since = timeval_current();
	client_relink(client->ev, NULL, client);
	while (client->state != SMB3_CLIENT_UP) {
		if (client->state == SMB3_CLIENT_DEAD) {
			return client->dead_status;
		}
		if (tevent_loop_once(client->ev) != 0) {
			return NT_STATUS_INTERNAL_ERROR;
		}
	}
	return NT_STATUS_OK;
}

void smb3_client_close(struct smb3_client *client)
{
	if (client == NULL) {
		return;
	}
	if (client->state == SMB3_CLIENT_UP) {
		client->closing = true;
		smb2cli_logoff(client->link->conn,
			       client->opts->echo_timeout_ms,
			       client->link->session);
	}
	client->closing = true;
	client_drop_link(client);
	TALLOC_FREE(client->relink_timer);
}

/* Calls */

static void call_sub_done(struct tevent_req *subreq);

static void client_pump_timer(struct tevent_context *ev,
			      struct tevent_timer *te,
			      struct timeval now,
			      void *private_data)
{
	struct smb3_client *client = private_data;

	client->pump_timer = NULL;
	client_pump(client);
}

static void client_pump_at(struct smb3_client *client, struct timeval when)
{
	if (client->pump_timer == NULL) {
		client->pump_timer = tevent_add_timer(client->ev,
						      client,
						      when,
						      client_pump_timer,
						      client);
	}
}

static bool call_may_go(struct smb3_call *call)
{
	struct timeval now = timeval_current();

	if (call->subreq != NULL) {
		return false;
	}
	if (timeval_compare(&call->not_before, &now) > 0) {
		client_pump_at(call->client, call->not_before);
		return false;
	}
	return true;
}

static void call_send(struct smb3_call *call)
{
	struct smb3_client *client = call->client;
	struct smbXcli_session *session = client->link->session;

	if (call->sent > 0) {
		client->stats.replays += 1;
		smb2cli_session_start_replay(session);
	}
	call->subreq = call->ops->send(call, call->handle, call->args);
	smb2cli_session_stop_replay(session);
	if (call->subreq == NULL) {
		call_finish(call, NT_STATUS_NO_MEMORY);
		return;
	}
	call->sent += 1;
	tevent_req_set_callback(call->subreq, call_sub_done, call);
}

/* Two credits stay back: one for ECHO, one for a lease break. */
static bool client_has_credit(struct smb3_client *client)
{
	uint32_t max_dyn_len = 2 * 65536;

	return smb2cli_conn_req_possible(client->link->conn, &max_dyn_len) &&
	       smb2cli_conn_get_cur_credits(client->link->conn) > 2;
}

static void client_pump(struct smb3_client *client)
{
	struct smb3_call *call = NULL;
	struct smb3_call *next = NULL;

	for (call = client->calls; call != NULL; call = next) {
		next = call->next;
		if (client->state != SMB3_CLIENT_UP) {
			return;
		}
		if (!client_has_credit(client)) {
			return;
		}
		if (!call_may_go(call)) {
			continue;
		}
		if (call->handle != NULL &&
		    !NT_STATUS_IS_OK(call->handle->broken))
		{
			tevent_req_defer_callback(call->req, client->ev);
			call_finish(call, call->handle->broken);
			continue;
		}
		call_send(call);
	}
}

static bool call_may_wait(struct smb3_call *call)
{
	double waited;

	if (timeval_is_zero(&call->first_refusal)) {
		call->first_refusal = timeval_current();
	}
	waited = timeval_elapsed(&call->first_refusal) * 1000.0;
	return waited < call->client->opts->give_up_ms;
}

static void call_refused(struct smb3_call *call, NTSTATUS status)
{
	struct smb3_client *client = call->client;
	enum smb3_verdict verdict;

	verdict = smb3_judge(status,
			     call->ops->phase,
			     !client->ever_up,
			     call->sent > 1);
	if (verdict == SMB3_VERDICT_FINAL || !call_may_wait(call)) {
		call_finish(call, status);
		client_pump(client);
		return;
	}
	smb3_trace(client, "%s: %s, again", call->ops->name,
		   nt_errstr(status));
	smb3_count(client->stats.retried_status, status);
	if (verdict == SMB3_VERDICT_RELINK) {
		smb3_link_lost(client, status);
		return;
	}
	call->not_before = timeval_current_ofs_msec(50);
	client_pump(client);
}

static void call_sub_done(struct tevent_req *subreq)
{
	struct smb3_call *call = tevent_req_callback_data(
		subreq, struct smb3_call);
	struct smb3_client *client = call->client;
	bool lost;
	NTSTATUS status;

	status = call->ops->recv(subreq, call->handle, call->args);
	TALLOC_FREE(subreq);
	call->subreq = NULL;
	lost = !smbXcli_conn_is_connected(client->link->conn);
	if (lost && !NT_STATUS_IS_OK(status)) {
		status = NT_STATUS_CONNECTION_DISCONNECTED;
	}
	if (smb3_is_transport_error(status)) {
		smb3_link_lost(client, status);
		return;
	}
	smb3_link_heard(client);
	if (!NT_STATUS_IS_OK(status)) {
		call_refused(call, status);
		return;
	}
	call_finish(call, NT_STATUS_OK);
	client_pump(client);
}

struct tevent_req *smb3_call_send(TALLOC_CTX *mem_ctx,
				  struct smb3_client *client,
				  struct smb3_handle *handle,
				  const struct smb3_call_ops *ops,
				  void *args)
{
	struct tevent_req *req = NULL;
	struct smb3_call *call = NULL;

	req = tevent_req_create(mem_ctx, &call, struct smb3_call);
	if (req == NULL) {
		return NULL;
	}
	call->req = req;
	call->client = client;
	call->handle = handle;
	call->ops = ops;
	call->args = args;
	if (client->state == SMB3_CLIENT_DEAD) {
		call->done = true;
		tevent_req_nterror(req, client->dead_status);
		return tevent_req_post(req, client->ev);
	}
	DLIST_ADD_END(client->calls, call);
	talloc_set_destructor(call, call_destructor);
	tevent_req_defer_callback(req, client->ev);
	client_pump(client);
	return req;
}

NTSTATUS smb3_call_recv(struct tevent_req *req)
{
	return tevent_req_simple_recv_ntstatus(req);
}

NTSTATUS smb3_call(struct smb3_client *client,
		   struct smb3_handle *handle,
		   const struct smb3_call_ops *ops,
		   void *args)
{
	struct tevent_req *req = NULL;
	NTSTATUS status;

	req = smb3_call_send(client, client, handle, ops, args);
	if (req == NULL) {
		return NT_STATUS_NO_MEMORY;
	}
	if (!tevent_req_poll(req, client->ev)) {
		TALLOC_FREE(req);
		return NT_STATUS_INTERNAL_ERROR;
	}
	status = smb3_call_recv(req);
	TALLOC_FREE(req);
	return status;
}
