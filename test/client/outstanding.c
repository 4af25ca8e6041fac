/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many requests at once on one file, kept outstanding, and what goes on
 * beside them on the same connection: ECHO, I/O on a second share of the same
 * session, and the answer to lease breaks.
 *
 * --count requests (half reads, half writes of --block bytes) are always in
 * flight: the one that ends is sent again. The second share is the first of
 * --more-shares. Commands: "mark NAME" starts the numbers anew for an event,
 * "status", "stop".
 */
#include "client.h"

struct outstanding;

struct slot {
	struct outstanding *o;
	struct smb3_rw_args args;
	bool write;
	struct timeval sent;
	struct tevent_req *req;
};

/* What is measured between two marks. */
struct window {
	char *name;
	uint64_t completed;
	uint64_t echoes;
	uint64_t other_ios;
	uint64_t breaks;
	double longest_request_ms;
	double longest_echo_ms;
	double longest_other_io_ms;
	double longest_break_ack_ms;
	uint32_t least_outstanding;
};

struct outstanding {
	struct main_context *ctx;
	struct report *report;
	struct smb3_client *client;
	struct smb3_handle *handle;
	struct smb3_handle *other;
	struct smb3_handle *leased;
	struct slot *slots;
	uint32_t depth;
	uint32_t in_flight;
	bool stop;
	struct window *windows;
	size_t num_windows;
	struct timeval break_at;
	uint8_t *buf;
};

static struct window *window_now(struct outstanding *o)
{
	return &o->windows[o->num_windows - 1];
}

static void window_begin(struct outstanding *o, const char *name)
{
	o->windows = talloc_realloc(o, o->windows, struct window,
				    o->num_windows + 1);
	if (o->windows == NULL) {
		smb_panic("no memory");
	}
	o->windows[o->num_windows] = (struct window) {
		.name = talloc_strdup(o, name),
		.least_outstanding = o->depth,
	};
	o->num_windows += 1;
}

static json_t *window_json(const struct window *w)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:i}",
			 "name", w->name,
			 "completed", (json_int_t)w->completed,
			 "echoes", (json_int_t)w->echoes,
			 "other_ios", (json_int_t)w->other_ios,
			 "lease_breaks", (json_int_t)w->breaks,
			 "longest_request_ms", w->longest_request_ms,
			 "longest_echo_ms", w->longest_echo_ms,
			 "longest_other_io_ms", w->longest_other_io_ms,
			 "longest_break_ack_ms", w->longest_break_ack_ms,
			 "least_outstanding", (int)w->least_outstanding);
}

static void out_answer(struct outstanding *o, const char *what)
{
	json_t *json = window_json(window_now(o));

	json_object_set_new(json, "answer", json_string(what));
	json_object_set_new(json, "outstanding", json_integer(o->in_flight));
	json_object_set_new(json, "reconnects",
			    json_integer(o->client->stats.reconnects));
	json_dumpf(json, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(json);
}

static void out_command(const char *command, void *private_data)
{
	struct outstanding *o = private_data;

	if (strncmp(command, "mark ", 5) == 0) {
		window_begin(o, command + 5);
		out_answer(o, "marked");
		return;
	}
	o->stop = o->stop || strcmp(command, "stop") == 0;
	out_answer(o, o->stop ? "stopping" : "status");
}

static void slot_done(struct tevent_req *req);

static void slot_send(struct slot *slot)
{
	struct outstanding *o = slot->o;

	slot->sent = timeval_current();
	slot->args.done = 0;
	slot->args.mem_ctx = o->slots;
	if (slot->write) {
		slot->req = smb3_write_send(o, o->handle, &slot->args);
	} else {
		slot->req = smb3_read_send(o, o->handle, &slot->args);
	}
	if (slot->req == NULL) {
		smb_panic("no memory");
	}
	o->in_flight += 1;
	tevent_req_set_callback(slot->req, slot_done, slot);
}

static void slot_done(struct tevent_req *req)
{
	struct slot *slot = tevent_req_callback_data_void(req);
	struct outstanding *o = slot->o;
	struct window *w = window_now(o);
	double ms = timeval_elapsed(&slot->sent) * 1000.0;
	NTSTATUS status;

	status = smb3_call_recv(req);
	TALLOC_FREE(req);
	slot->req = NULL;
	o->in_flight -= 1;
	w->completed += 1;
	w->longest_request_ms = MAX(w->longest_request_ms, ms);
	if (!slot->write) {
		TALLOC_FREE(slot->args.data);
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(o->report, "%s: %s", slot->write ? "write" : "read",
			     nt_errstr(status));
		o->stop = true;
	}
	if (!o->stop) {
		slot_send(slot);
		w->least_outstanding = MIN(w->least_outstanding,
					   o->in_flight);
	}
}

static void out_echo(struct outstanding *o)
{
	struct window *w = NULL;
	struct timeval start = timeval_current();
	struct tevent_req *req = NULL;
	NTSTATUS status;

	if (o->client->state != SMB3_CLIENT_UP) {
		return;
	}
	req = smb2cli_echo_send(o, o->ctx->ev, o->client->link->conn, 0);
	if (req == NULL || !tevent_req_poll(req, o->ctx->ev)) {
		TALLOC_FREE(req);
		return;
	}
	status = smb2cli_echo_recv(req);
	TALLOC_FREE(req);
	w = window_now(o);
	if (NT_STATUS_IS_OK(status)) {
		w->echoes += 1;
		w->longest_echo_ms = MAX(w->longest_echo_ms,
					 timeval_elapsed(&start) * 1000.0);
		smb3_link_heard(o->client);
	}
}

/* A write and a read of one block on the second share. */
static void out_other_io(struct outstanding *o)
{
	struct timeval start = timeval_current();
	uint8_t *data = NULL;
	uint32_t done = 0;
	struct window *w = NULL;
	NTSTATUS status;

	if (o->other == NULL) {
		return;
	}
	status = smb3_write(o->other, 0, o->buf, o->ctx->block_size);
	if (NT_STATUS_IS_OK(status)) {
		status = smb3_read(o->other, o, 0, o->ctx->block_size, &data,
				   &done);
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(o->report, "second share: %s", nt_errstr(status));
		o->stop = true;
		return;
	}
	if (done != talloc_get_size(o->buf) ||
	    memcmp(data, o->buf, done) != 0)
	{
		report_error(o->report, "second share: wrong data");
	}
	TALLOC_FREE(data);
	w = window_now(o);
	w->other_ios += 1;
	w->longest_other_io_ms = MAX(w->longest_other_io_ms,
				     timeval_elapsed(&start) * 1000.0);
}

static void out_ack_done(struct tevent_req *req)
{
	struct outstanding *o = tevent_req_callback_data(
		req, struct outstanding);
	struct window *w = window_now(o);
	double ms = timeval_elapsed(&o->break_at) * 1000.0;
	NTSTATUS status;

	status = smb3_call_recv(req);
	TALLOC_FREE(req);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(o->report, "lease break acknowledgement: %s",
			     nt_errstr(status));
		return;
	}
	w->longest_break_ack_ms = MAX(w->longest_break_ack_ms, ms);
}

static void out_lease_break(struct smb3_client *client,
			    const struct smb2_lease_key *key,
			    uint32_t new_state,
			    uint16_t epoch,
			    bool ack_required,
			    void *private_data)
{
	struct outstanding *o = private_data;
	struct tevent_req *req = NULL;

	window_now(o)->breaks += 1;
	smb3_trace(client, "lease break to %u, epoch %u%s", new_state, epoch,
		   ack_required ? ", to be acknowledged" : "");
	if (!ack_required || o->leased == NULL) {
		return;
	}
	o->break_at = timeval_current();
	req = smb3_lease_ack_send(o, o->leased, key, new_state);
	if (req == NULL) {
		smb_panic("no memory");
	}
	tevent_req_set_callback(req, out_ack_done, o);
}

static NTSTATUS out_open(struct outstanding *o,
			 size_t share,
			 const char *suffix,
			 uint32_t lease_state,
			 struct smb3_handle **handle)
{
	struct smb3_open_params params = {
		.share = share,
		.access_mask = SEC_FILE_READ_DATA | SEC_FILE_WRITE_DATA |
			       SEC_STD_DELETE,
		.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
				FILE_SHARE_DELETE,
		.disposition = FILE_OPEN_IF,
		.create_options = FILE_NON_DIRECTORY_FILE |
				  FILE_WRITE_THROUGH,
		.persistent = lease_state == 0,
		.lease_state = lease_state,
		.lease_key = { 0x736f6673, getpid() },
	};
	char *path = talloc_asprintf(o, "%s%s", o->ctx->path, suffix);

	params.path = path;
	return smb3_open(o->client, &params, handle);
}

static NTSTATUS out_start(struct outstanding *o)
{
	const uint32_t lease = SMB2_LEASE_READ | SMB2_LEASE_HANDLE |
			       SMB2_LEASE_WRITE;
	uint32_t size = o->ctx->block_size;
	NTSTATUS status;
	uint32_t i;

	status = smb3_client_connect(o->client);
	if (NT_STATUS_IS_OK(status)) {
		status = out_open(o, 0, "", 0, &o->handle);
	}
	if (NT_STATUS_IS_OK(status) && o->ctx->opts.num_shares > 1) {
		status = out_open(o, 1, "-other", 0, &o->other);
	}
	if (NT_STATUS_IS_OK(status) && o->other != NULL) {
		status = out_open(o, 1, "-leased", lease, &o->leased);
	}
	for (i = 0; NT_STATUS_IS_OK(status) && i < o->depth; i++) {
		status = smb3_write(o->handle, (uint64_t)i * size, o->buf,
				    size);
	}
	return status;
}

static void out_slots(struct outstanding *o)
{
	uint32_t i;

	for (i = 0; i < o->depth; i++) {
		struct slot *slot = &o->slots[i];

		*slot = (struct slot) {
			.o = o,
			.write = i % 2 == 0,
			.args = {
				.offset = (uint64_t)i * o->ctx->block_size,
				.length = o->ctx->block_size,
				.data = o->buf,
			},
		};
		slot_send(slot);
	}
}

static void out_pause(struct outstanding *o)
{
	struct tevent_req *req = NULL;

	req = tevent_wakeup_send(
		o,
		o->ctx->ev,
		timeval_current_ofs_msec(o->ctx->interval_ms));
	if (req == NULL) {
		smb_panic("no memory");
	}
	tevent_req_poll(req, o->ctx->ev);
	TALLOC_FREE(req);
}

static void out_finish(struct outstanding *o)
{
	struct smb3_handle *handles[] = { o->handle, o->other, o->leased };
	uint8_t on = 1;
	size_t i;

	while (o->in_flight > 0) {
		if (tevent_loop_once(o->ctx->ev) != 0) {
			return;
		}
	}
	for (i = 0; i < ARRAY_SIZE(handles); i++) {
		if (handles[i] == NULL) {
			continue;
		}
		if (!o->ctx->keep) {
			smb3_set_info(handles[i], SMB2_0_INFO_FILE,
				      SMB3_INFO_DISPOSITION, 0,
				      data_blob_const(&on, 1));
		}
		smb3_close(handles[i]);
	}
}

static void out_run(struct outstanding *o)
{
	struct timeval end;
	NTSTATUS status;

	status = out_start(o);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(o->report, "start: %s", nt_errstr(status));
		return;
	}
	report_set(o->report, "lease_granted",
		   json_boolean(o->leased != NULL &&
				o->leased->lease_state != 0));
	out_slots(o);
	end = timeval_current_ofs(o->ctx->seconds, 0);
	out_answer(o, "ready");
	while (!o->stop) {
		out_echo(o);
		out_other_io(o);
		out_pause(o);
		if (o->ctx->seconds > 0 && timeval_expired(&end)) {
			o->stop = true;
		}
	}
	out_finish(o);
}

static void out_report(struct outstanding *o)
{
	json_t *events = json_array();
	size_t i;

	for (i = 0; i < o->num_windows; i++) {
		json_array_append_new(events, window_json(&o->windows[i]));
	}
	report_set(o->report, "outstanding_requests",
		   json_integer(o->depth));
	report_set(o->report, "events", events);
	report_client(o->report, "", o->client);
}

int mode_outstanding(struct main_context *ctx)
{
	struct outstanding *o = talloc_zero(ctx->ev, struct outstanding);

	if (o == NULL) {
		return 2;
	}
	o->ctx = ctx;
	o->depth = ctx->count > 0 ? ctx->count : 50;
	o->report = report_create(o, "outstanding");
	o->buf = talloc_zero_array(o, uint8_t, ctx->block_size);
	o->slots = talloc_zero_array(o, struct slot, o->depth);
	o->client = smb3_client_create(o, ctx->ev, &ctx->opts);
	if (o->report == NULL || o->buf == NULL || o->slots == NULL ||
	    o->client == NULL)
	{
		return 2;
	}
	memset(o->buf, 0xa5, ctx->block_size);
	o->client->lease_break = out_lease_break;
	o->client->lease_break_private = o;
	window_begin(o, "start");
	if (ctx->control_path != NULL &&
	    control_create(o, ctx->ev, ctx->control_path, out_command, o) ==
		    NULL)
	{
		return 2;
	}
	out_run(o);
	out_report(o);
	smb3_client_close(o->client);
	if (!report_write(o->report, ctx->report_path)) {
		return 2;
	}
	return report_errors(o->report) == 0 ? 0 : 1;
}
