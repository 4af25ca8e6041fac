/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rounds of name-space, attribute and copy operations with known answers, and
 * a listing that goes on beside them.
 *
 * Commands: "status"; "hold", answered with "held" when the round has ended and
 * nothing is asked of the server any more (but ECHO); "go", the next round;
 * "stop". --count is the number of entries to list, --interval-ms the pause
 * after each operation.
 */
#include "ops.h"

static void ops_answer(const struct ops *ops, const char *what)
{
	json_t *json = json_pack("{s:s, s:i, s:i, s:i, s:i}",
				 "answer", what,
				 "rounds", (int)ops->round,
				 "operations", (int)ops->done,
				 "errors", (int)report_errors(ops->report),
				 "reconnects",
				 (int)ops->client->stats.reconnects);

	json_dumpf(json, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(json);
}

static void ops_command(const char *command, void *private_data)
{
	struct ops *ops = private_data;

	if (strcmp(command, "hold") == 0) {
		ops->hold = true; /* ops_wait_go() answers */
		return;
	}
	if (strcmp(command, "go") == 0) {
		ops->hold = false;
	}
	if (strcmp(command, "stop") == 0) {
		ops->stop = true;
	}
	ops_answer(ops, ops->stop ? "stopping" : "status");
}

static void ops_wait_go(struct ops *ops)
{
	if (ops->hold) {
		ops_answer(ops, "held");
	}
	while (ops->hold && !ops->stop) {
		if (tevent_loop_once(ops->ctx->ev) != 0) {
			smb_panic("tevent_loop_once");
		}
	}
}

static void ops_pause(struct ops *ops)
{
	struct tevent_req *req = NULL;

	req = tevent_wakeup_send(
		ops,
		ops->ctx->ev,
		timeval_current_ofs_msec(ops->ctx->interval_ms));
	if (req == NULL) {
		smb_panic("no memory");
	}
	tevent_req_poll(req, ops->ctx->ev);
	TALLOC_FREE(req);
}

/*
 * A handle that cannot be persistent (a stream's) ends with the link: Windows
 * hands that to the application, which does the operation again.
 */
static NTSTATUS ops_do(struct ops *ops, const struct ops_step *step)
{
	TALLOC_CTX *frame = talloc_stackframe();
	uint32_t reconnects = ops->client->stats.reconnects;
	NTSTATUS status;

	status = step->function(ops, frame);
	if (NT_STATUS_EQUAL(status, NT_STATUS_FILE_CLOSED) &&
	    reconnects != ops->client->stats.reconnects &&
	    strcmp(step->name, "stream") == 0)
	{
		ops->repeated += 1;
		status = step->function(ops, frame);
	}
	TALLOC_FREE(frame);
	return status;
}

static bool ops_run_step(struct ops *ops, const struct ops_step *step)
{
	struct timeval start = timeval_current();
	double ms;
	NTSTATUS status;

	status = ops_do(ops, step);
	ms = timeval_elapsed(&start) * 1000.0;
	ops->done += 1;
	if (ms > json_real_value(json_object_get(ops->longest, step->name))) {
		json_object_set_new(ops->longest, step->name, json_real(ms));
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(ops->report, "round %u, %s: %s", ops->round,
			     step->name, nt_errstr(status));
		return false;
	}
	return true;
}

/* A step needs what the one before left: the first error ends the round. */
static void ops_round(struct ops *ops)
{
	char *dir = talloc_asprintf(ops, "%s\\round-%u", ops->base, ops->round);
	size_t i;

	ops->dir = dir;
	for (i = 0; i < ops_num_steps; i++) {
		if (!ops_run_step(ops, &ops_steps[i])) {
			break;
		}
		ops_listing_step(ops->listing);
		ops_pause(ops);
	}
	ops->round += 1;
	TALLOC_FREE(dir);
}

static NTSTATUS ops_start(struct ops *ops)
{
	struct smb3_handle *handle = NULL;
	uint32_t entries = ops->ctx->count > 0 ? ops->ctx->count : 500;
	NTSTATUS status;

	status = smb3_client_connect(ops->client);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = ops_open(ops, ops->base, FILE_CREATE, FILE_DIRECTORY_FILE,
			  &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_close(handle);
	ops->listing = ops_listing_create(ops, entries);
	return status;
}

static void ops_run(struct ops *ops)
{
	struct timeval start = timeval_current();
	NTSTATUS status;

	status = ops_start(ops);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(ops->report, "start: %s", nt_errstr(status));
		return;
	}
	ops_answer(ops, "ready");
	while (!ops->stop && report_errors(ops->report) < 20) {
		ops_round(ops);
		ops_wait_go(ops);
		if (ops->ctx->seconds > 0 &&
		    timeval_elapsed(&start) >= ops->ctx->seconds)
		{
			break;
		}
	}
	ops_listing_finish(ops->listing);
	status = ops_delete(ops, ops->base, FILE_DIRECTORY_FILE);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(ops->report, "clean up: %s", nt_errstr(status));
	}
}

int mode_ops(struct main_context *ctx)
{
	struct ops *ops = talloc_zero(ctx->ev, struct ops);

	if (ops == NULL) {
		return 2;
	}
	ops->ctx = ctx;
	ops->base = ctx->path[0] != '\0' ? ctx->path : "ops";
	ops->report = report_create(ops, "ops");
	ops->longest = json_object();
	ops->client = smb3_client_create(ops, ctx->ev, &ctx->opts);
	if (ops->report == NULL || ops->client == NULL) {
		return 2;
	}
	if (ctx->control_path != NULL &&
	    control_create(ops, ctx->ev, ctx->control_path, ops_command, ops) ==
		    NULL)
	{
		return 2;
	}
	ops_run(ops);
	report_set(ops->report, "rounds", json_integer(ops->round));
	report_set(ops->report, "operations", json_integer(ops->done));
	report_set(ops->report, "repeated", json_integer(ops->repeated));
	report_set(ops->report, "longest_operation_ms", ops->longest);
	report_client(ops->report, "", ops->client);
	smb3_client_close(ops->client);
	if (!report_write(ops->report, ctx->report_path)) {
		return 2;
	}
	return report_errors(ops->report) == 0 ? 0 : 1;
}
