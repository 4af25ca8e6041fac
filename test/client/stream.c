/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The paced write stream: numbered blocks, write-through, one at a time, and
 * the gaps between their acknowledgements.
 *
 * Commands on the control channel: "mark NAME" begins an event, "status"
 * prints the state, "move ADDRESS" leaves the node for another one ("move
 * next": for the next of the list), "stop" ends the stream. Each is answered with one JSON
 * line on stdout, which tells about the event so far (a mark: that ends). A gap counts for the one event during which most of it
 * passed.
 */
#include "client.h"

struct stream_event {
	char *name;
	struct timeval start;
	double longest_gap_ms;
	uint64_t blocks;
};

struct stream {
	struct main_context *ctx;
	struct report *report;
	struct smb3_client *client;
	struct smb3_handle *handle;
	struct GUID run;
	uint8_t *buf;
	uint64_t written;
	bool stop;
	struct timeval started;
	struct timeval last_ack;
	struct timeval gap_start;
	double longest_gap_ms;
	struct timeval latency_start;
	double longest_latency_ms;
	struct stream_event *events;
	size_t num_events;
	struct tevent_timer *progress;
};

static void stream_begin_event(struct stream *s, const char *name)
{
	struct stream_event *event = NULL;

	s->events = talloc_realloc(s, s->events, struct stream_event,
				   s->num_events + 1);
	if (s->events == NULL) {
		smb_panic("no memory");
	}
	event = &s->events[s->num_events];
	*event = (struct stream_event) {
		.name = talloc_strdup(s, name),
		.start = timeval_current(),
	};
	s->num_events += 1;
}

static void stream_answer(const struct stream *s, const char *what,
			  const char *name)
{
	struct timeval now = timeval_current();
	double event_gap_ms = 0;
	json_t *json = NULL;

	if (s->num_events > 0) {
		event_gap_ms = s->events[s->num_events - 1].longest_gap_ms;
	}
	json = json_pack("{s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:i}",
			 "answer", what,
			 "name", name,
			 "address", smb3_address(s->client),
			 "blocks_written", (json_int_t)s->written,
			 "silent_ms", msec_between(s->last_ack, now),
			 "longest_gap_ms", s->longest_gap_ms,
			 "event_longest_gap_ms", event_gap_ms,
			 "reconnects", (int)s->client->stats.reconnects);
	json_dumpf(json, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(json);
}

static void stream_command(const char *command, void *private_data)
{
	struct stream *s = private_data;

	if (strncmp(command, "mark ", 5) == 0) {
		stream_answer(s, "marked", command + 5);
		stream_begin_event(s, command + 5);
	} else if (strcmp(command, "status") == 0) {
		stream_answer(s, "status", "");
	} else if (strncmp(command, "move ", 5) == 0) {
		const char *to = command + 5;

		smb3_move(s->client, strcmp(to, "next") == 0 ? NULL : to);
		stream_answer(s, "moving", to);
	} else if (strcmp(command, "stop") == 0) {
		s->stop = true;
		stream_answer(s, "stopping", "");
	} else {
		stream_answer(s, "unknown", command);
	}
}

static void stream_progress_start(struct stream *s);

static void stream_progress(struct tevent_context *ev,
			    struct tevent_timer *te,
			    struct timeval now,
			    void *private_data)
{
	struct stream *s = private_data;

	fprintf(stderr,
		"\r%8.1f s  %8" PRIu64 " blocks  silent %6.0f ms  "
		"longest %6.0f ms  reconnects %u  %-20.20s",
		timeval_elapsed(&s->started),
		s->written,
		msec_between(s->last_ack, now),
		s->longest_gap_ms,
		s->client->stats.reconnects,
		s->events[s->num_events - 1].name);
	stream_progress_start(s);
}

static void stream_progress_start(struct stream *s)
{
	if (!s->ctx->progress && !isatty(STDERR_FILENO)) {
		return;
	}
	s->progress = tevent_add_timer(s->ctx->ev,
				       s,
				       timeval_current_ofs_msec(200),
				       stream_progress,
				       s);
}

/* Of the events that a gap touches, the one with its largest part. */
static struct stream_event *stream_event_of_gap(struct stream *s,
						struct timeval from,
						struct timeval to)
{
	struct stream_event *best = &s->events[s->num_events - 1];
	struct timeval end = to;
	double most = -1;
	size_t i;

	for (i = s->num_events; i > 0; i--) {
		struct stream_event *event = &s->events[i - 1];
		struct timeval begin = timeval_max(&event->start, &from);
		double part = msec_between(begin, end);

		if (part > most) {
			most = part;
			best = event;
		}
		if (timeval_compare(&event->start, &from) <= 0) {
			break;
		}
		end = event->start;
	}
	return best;
}

/* Everything between two acknowledgements is a gap, the pacing included. */
static void stream_acked(struct stream *s, struct timeval sent)
{
	struct timeval now = timeval_current();
	double gap = msec_between(s->last_ack, now);
	double latency = msec_between(sent, now);
	struct stream_event *event = NULL;

	if (gap > s->longest_gap_ms) {
		s->longest_gap_ms = gap;
		s->gap_start = s->last_ack;
	}
	if (latency > s->longest_latency_ms) {
		s->longest_latency_ms = latency;
		s->latency_start = sent;
	}
	event = stream_event_of_gap(s, s->last_ack, now);
	event->longest_gap_ms = MAX(event->longest_gap_ms, gap);
	s->events[s->num_events - 1].blocks += 1;
	s->last_ack = now;
	s->written += 1;
}

static bool stream_finished(const struct stream *s)
{
	const struct main_context *ctx = s->ctx;

	if (s->stop) {
		return true;
	}
	if (ctx->count > 0 && s->written >= (uint64_t)ctx->count) {
		return true;
	}
	return ctx->seconds > 0 && timeval_elapsed(&s->started) >= ctx->seconds;
}

static void stream_pace(struct stream *s, struct timeval sent)
{
	struct tevent_req *req = NULL;
	struct timeval next;

	next = timeval_add(&sent,
			   s->ctx->interval_ms / 1000,
			   (s->ctx->interval_ms % 1000) * 1000);
	req = tevent_wakeup_send(s, s->ctx->ev, next);
	if (req == NULL) {
		smb_panic("no memory");
	}
	tevent_req_poll(req, s->ctx->ev);
	TALLOC_FREE(req);
}

static void stream_write(struct stream *s)
{
	uint32_t size = s->ctx->block_size;
	NTSTATUS status;

	stream_begin_event(s, "start");
	stream_progress_start(s);
	while (!stream_finished(s)) {
		struct timeval sent = timeval_current();

		block_fill(s->buf, size, &s->run, s->written);
		status = smb3_write(s->handle,
				    s->written * size,
				    s->buf,
				    size);
		if (!NT_STATUS_IS_OK(status)) {
			report_error(s->report,
				     "write of block %" PRIu64 ": %s",
				     s->written,
				     nt_errstr(status));
			break;
		}
		stream_acked(s, sent);
		stream_pace(s, sent);
	}
	if (s->progress != NULL) {
		TALLOC_FREE(s->progress);
		fprintf(stderr, "\n");
	}
}

static NTSTATUS stream_open(struct stream *s)
{
	struct smb3_open_params params = {
		.path = s->ctx->path,
		.access_mask = SEC_FILE_READ_DATA | SEC_FILE_WRITE_DATA |
			       SEC_FILE_READ_ATTRIBUTE | SEC_STD_DELETE,
		.share_access = FILE_SHARE_READ,
		.disposition = FILE_OVERWRITE_IF,
		.create_options = FILE_NON_DIRECTORY_FILE |
				  FILE_WRITE_THROUGH,
		.persistent = true,
	};
	NTSTATUS status;

	status = smb3_client_connect(s->client);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(s->report, "connect: %s", nt_errstr(status));
		return status;
	}
	status = smb3_open(s->client, &params, &s->handle);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(s->report, "open of %s: %s", s->ctx->path,
			     nt_errstr(status));
		return status;
	}
	report_set(s->report, "persistent_granted",
		   json_boolean(s->handle->persistent));
	return NT_STATUS_OK;
}

static void stream_verify(struct stream *s)
{
	struct verify_result result = {};
	NTSTATUS status;

	status = verify_blocks(s->handle,
			       s->report,
			       &s->run,
			       s->ctx->block_size,
			       s->written,
			       &result);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(s->report, "read back: %s", nt_errstr(status));
	}
	verify_report(s->report, "blocks", &result);
}

/* The same file through another address, as another client. */
static void stream_verify_elsewhere(struct stream *s)
{
	struct smb3_open_params params = s->handle->params;
	struct smb3_options opts = s->ctx->opts;
	struct verify_result result = {};
	struct smb3_client *other = NULL;
	struct smb3_handle *handle = NULL;
	NTSTATUS status;

	opts.num_addresses = 1;
	opts.addresses[0] = s->ctx->verify_addresses;
	other = smb3_client_create(s, s->ctx->ev, &opts);
	if (other == NULL) {
		smb_panic("no memory");
	}
	params.access_mask = SEC_FILE_READ_DATA;
	params.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
			      FILE_SHARE_DELETE;
	params.disposition = FILE_OPEN;
	params.persistent = false;
	status = smb3_client_connect(other);
	if (NT_STATUS_IS_OK(status)) {
		status = smb3_open(other, &params, &handle);
	}
	if (NT_STATUS_IS_OK(status)) {
		status = verify_blocks(handle,
				       s->report,
				       &s->run,
				       s->ctx->block_size,
				       s->written,
				       &result);
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(s->report, "read back through %s: %s",
			     s->ctx->verify_addresses, nt_errstr(status));
	}
	verify_report(s->report, "other_blocks", &result);
	report_client(s->report, "other_", other);
	if (handle != NULL) {
		smb3_close(handle);
	}
	smb3_client_close(other);
	TALLOC_FREE(other);
}

static json_t *stream_events_json(const struct stream *s)
{
	json_t *events = json_array();
	size_t i;

	for (i = 0; i < s->num_events; i++) {
		const struct stream_event *e = &s->events[i];

		json_array_append_new(
			events,
			json_pack("{s:s, s:f, s:f, s:I}",
				  "name", e->name,
				  "at_ms", msec_between(s->started, e->start),
				  "longest_gap_ms", e->longest_gap_ms,
				  "blocks_written", (json_int_t)e->blocks));
	}
	return events;
}

static double epoch_seconds(struct timeval t)
{
	return (double)t.tv_sec + t.tv_usec / 1000000.0;
}

static void stream_report_numbers(struct stream *s)
{
	struct report *r = s->report;
	struct GUID_txt_buf txt = {};

	report_set(r, "run_id", json_string(GUID_buf_string(&s->run, &txt)));
	report_set(r, "path", json_string(s->ctx->path));
	report_set(r, "block_size_bytes", json_integer(s->ctx->block_size));
	report_set(r, "interval_ms", json_integer(s->ctx->interval_ms));
	report_set(r, "blocks_written", json_integer(s->written));
	report_set(r, "duration_ms",
		   json_real(msec_between(s->started, s->last_ack)));
	report_set(r, "longest_gap_ms", json_real(s->longest_gap_ms));
	report_set(r, "longest_gap_at_epoch_seconds",
		   json_real(epoch_seconds(s->gap_start)));
	report_set(r, "longest_write_ms", json_real(s->longest_latency_ms));
	report_set(r, "longest_write_at_epoch_seconds",
		   json_real(epoch_seconds(s->latency_start)));
	report_set(r, "events", stream_events_json(s));
}

static void stream_delete_file(struct stream *s)
{
	uint8_t on = 1;
	NTSTATUS status;

	status = smb3_set_info(s->handle,
			       SMB2_0_INFO_FILE,
			       SMB3_INFO_DISPOSITION,
			       0,
			       data_blob_const(&on, 1));
	if (!NT_STATUS_IS_OK(status)) {
		report_error(s->report, "delete: %s", nt_errstr(status));
	}
}

static void stream_run(struct stream *s)
{
	NTSTATUS status;

	status = stream_open(s);
	if (!NT_STATUS_IS_OK(status)) {
		return;
	}
	s->started = s->last_ack = timeval_current();
	stream_answer(s, "ready", s->ctx->path);
	stream_write(s);
	stream_verify(s);
	if (s->ctx->verify_addresses != NULL) {
		stream_verify_elsewhere(s);
	}
	stream_report_numbers(s);
	if (!s->ctx->keep) {
		stream_delete_file(s);
	}
	status = smb3_close(s->handle);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(s->report, "close: %s", nt_errstr(status));
	}
}

int mode_stream(struct main_context *ctx)
{
	struct stream *s = talloc_zero(ctx->ev, struct stream);
	struct control *control = NULL;

	if (s == NULL) {
		return 2;
	}
	s->ctx = ctx;
	s->report = report_create(s, "stream");
	s->run = GUID_random();
	s->buf = talloc_zero_array(s, uint8_t, ctx->block_size);
	s->client = smb3_client_create(s, ctx->ev, &ctx->opts);
	if (s->report == NULL || s->buf == NULL || s->client == NULL) {
		return 2;
	}
	if (ctx->control_path != NULL) {
		control = control_create(s, ctx->ev, ctx->control_path,
					 stream_command, s);
		if (control == NULL) {
			return 2;
		}
	}
	stream_run(s);
	report_client(s->report, "", s->client);
	smb3_client_close(s->client);
	if (!report_write(s->report, ctx->report_path)) {
		return 2;
	}
	return report_errors(s->report) == 0 ? 0 : 1;
}
