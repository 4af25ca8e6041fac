/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A storm of opens: files are opened and closed one after the other as fast
 * as the server answers, or paced by --interval-ms. --count names are used in
 * turn (default 100); every tenth time each of them is deleted, and the next
 * time made again. Commands: "status", "stop".
 */
#include "client.h"

#define STORM_DELETE_EVERY 10

struct storm {
	struct main_context *ctx;
	struct report *report;
	struct smb3_client *client;
	struct timeval started;
	uint64_t opens;
	double longest_ms;
	bool stop;
};

static double storm_per_second(const struct storm *s)
{
	double seconds = timeval_elapsed(&s->started);

	return seconds > 0 ? s->opens / seconds : 0;
}

static void storm_answer(const struct storm *s, const char *what)
{
	json_t *json = json_pack("{s:s, s:I, s:f, s:f, s:i, s:i}",
				 "answer", what,
				 "opens", (json_int_t)s->opens,
				 "opens_per_second", storm_per_second(s),
				 "longest_open_ms", s->longest_ms,
				 "errors", (int)report_errors(s->report),
				 "reconnects",
				 (int)s->client->stats.reconnects);

	json_dumpf(json, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(json);
}

static void storm_command(const char *command, void *private_data)
{
	struct storm *s = private_data;

	if (strcmp(command, "stop") == 0) {
		s->stop = true;
	}
	storm_answer(s, s->stop ? "stopping" : "status");
}

/* One file: opened, or made if it is not there, and closed. */
static NTSTATUS storm_open(struct storm *s, uint32_t name)
{
	struct smb3_open_params params = {
		.access_mask = SEC_FILE_READ_DATA | SEC_FILE_WRITE_DATA |
			       SEC_STD_DELETE,
		.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
				FILE_SHARE_DELETE,
		.disposition = FILE_OPEN_IF,
		.create_options = FILE_NON_DIRECTORY_FILE,
	};
	struct smb3_handle *handle = NULL;
	char *path = talloc_asprintf(s, "%s-%u", s->ctx->path, name);
	NTSTATUS status;

	if (path == NULL) {
		return NT_STATUS_NO_MEMORY;
	}
	if ((s->opens / s->ctx->count + 1) % STORM_DELETE_EVERY == 0) {
		params.create_options |= FILE_DELETE_ON_CLOSE;
	}
	params.path = path;
	status = smb3_open(s->client, &params, &handle);
	if (NT_STATUS_IS_OK(status)) {
		status = smb3_close(handle);
	}
	TALLOC_FREE(path);
	return status;
}

static void storm_pause(struct storm *s, struct timeval began)
{
	struct timeval next = timeval_add(&began,
					  s->ctx->interval_ms / 1000,
					  s->ctx->interval_ms % 1000 * 1000);
	struct tevent_req *req = tevent_wakeup_send(s, s->ctx->ev, next);

	if (req == NULL) {
		smb_panic("no memory");
	}
	tevent_req_poll(req, s->ctx->ev);
	TALLOC_FREE(req);
}

static bool storm_over(const struct storm *s)
{
	const struct main_context *ctx = s->ctx;

	return s->stop || report_errors(s->report) >= 10 ||
	       (ctx->seconds > 0 &&
		timeval_elapsed(&s->started) >= ctx->seconds);
}

static void storm_run(struct storm *s)
{
	NTSTATUS status = smb3_client_connect(s->client);

	if (!NT_STATUS_IS_OK(status)) {
		report_error(s->report, "connect: %s", nt_errstr(status));
		return;
	}
	s->started = timeval_current();
	storm_answer(s, "ready");
	while (!storm_over(s)) {
		struct timeval began = timeval_current();

		status = storm_open(s, s->opens % s->ctx->count);
		if (!NT_STATUS_IS_OK(status)) {
			report_error(s->report, "open %" PRIu64 ": %s",
				     s->opens, nt_errstr(status));
		}
		s->longest_ms = MAX(s->longest_ms,
				    timeval_elapsed(&began) * 1000.0);
		s->opens += 1;
		storm_pause(s, began);
	}
}

int mode_storm(struct main_context *ctx)
{
	struct storm *s = talloc_zero(ctx->ev, struct storm);

	if (s == NULL) {
		return 2;
	}
	ctx->count = ctx->count > 0 ? ctx->count : 100;
	s->ctx = ctx;
	s->report = report_create(s, "storm");
	s->client = smb3_client_create(s, ctx->ev, &ctx->opts);
	if (s->report == NULL || s->client == NULL) {
		return 2;
	}
	if (ctx->control_path != NULL &&
	    control_create(s, ctx->ev, ctx->control_path, storm_command, s) ==
		    NULL)
	{
		return 2;
	}
	storm_run(s);
	report_set(s->report, "opens", json_integer(s->opens));
	report_set(s->report, "opens_per_second",
		   json_real(storm_per_second(s)));
	report_set(s->report, "longest_open_ms", json_real(s->longest_ms));
	report_client(s->report, "", s->client);
	smb3_client_close(s->client);
	if (!report_write(s->report, ctx->report_path)) {
		return 2;
	}
	return report_errors(s->report) == 0 ? 0 : 1;
}
