/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many sessions with many open handles each, held until told to stop: for
 * tests of memory and descriptors. --count handles in all, --sessions clients.
 * Commands: "more N" opens N further handles, "status", "stop".
 */
#include "client.h"

struct many {
	struct main_context *ctx;
	struct report *report;
	struct smb3_client **clients;
	uint32_t sessions;
	uint32_t opened;
	uint32_t wanted;
	bool stop;
};

static void many_answer(const struct many *m, const char *what)
{
	json_t *json = json_pack("{s:s, s:i, s:i, s:i}",
				 "answer", what,
				 "sessions", (int)m->sessions,
				 "handles", (int)m->opened,
				 "errors", (int)report_errors(m->report));

	json_dumpf(json, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(json);
}

static void many_command(const char *command, void *private_data)
{
	struct many *m = private_data;

	if (strncmp(command, "more ", 5) == 0) {
		m->wanted += strtoul(command + 5, NULL, 10);
		return;
	}
	m->stop = strcmp(command, "stop") == 0;
	many_answer(m, m->stop ? "stopping" : "status");
}

static bool many_open_one(struct many *m, uint32_t i)
{
	struct smb3_client *client = m->clients[i % m->sessions];
	struct smb3_handle *handle = NULL;
	struct smb3_open_params params = {
		.access_mask = SEC_FILE_READ_DATA | SEC_FILE_WRITE_DATA |
			       SEC_STD_DELETE,
		.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
				FILE_SHARE_DELETE,
		.disposition = FILE_OPEN_IF,
		.create_options = FILE_NON_DIRECTORY_FILE |
				  FILE_DELETE_ON_CLOSE,
		.persistent = true,
	};
	char *path = talloc_asprintf(m, "%s-%u", m->ctx->path, i);
	NTSTATUS status;

	params.path = path;
	status = smb3_open(client, &params, &handle);
	TALLOC_FREE(path);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(m->report, "open %u: %s", i, nt_errstr(status));
		return false;
	}
	m->opened += 1;
	return true;
}

static void many_open(struct many *m)
{
	uint32_t i;

	for (i = m->opened;
	     i < m->wanted && report_errors(m->report) < 10;
	     i++)
	{
		many_open_one(m, i);
	}
	m->wanted = m->opened;
}

static bool many_connect(struct many *m)
{
	uint32_t i;

	m->clients = talloc_zero_array(m, struct smb3_client *, m->sessions);
	for (i = 0; m->clients != NULL && i < m->sessions; i++) {
		NTSTATUS status;

		m->clients[i] = smb3_client_create(m, m->ctx->ev,
						   &m->ctx->opts);
		if (m->clients[i] == NULL) {
			return false;
		}
		status = smb3_client_connect(m->clients[i]);
		if (!NT_STATUS_IS_OK(status)) {
			report_error(m->report, "connect %u: %s", i,
				     nt_errstr(status));
			return false;
		}
	}
	return m->clients != NULL;
}

static void many_hold(struct many *m)
{
	struct timeval end = timeval_current_ofs(m->ctx->seconds, 0);

	while (!m->stop) {
		if (m->ctx->control_path == NULL && timeval_expired(&end)) {
			return;
		}
		if (tevent_loop_once(m->ctx->ev) != 0) {
			return;
		}
		if (m->wanted > m->opened) {
			many_open(m);
			many_answer(m, "opened");
		}
	}
}

/* A byte through every handle: each one still works. */
static void many_write(struct many *m)
{
	const uint8_t byte = 1;
	uint32_t i;

	for (i = 0; i < m->sessions; i++) {
		struct smb3_handle *handle = m->clients[i]->handles;

		while (handle != NULL) {
			struct smb3_handle *next = handle->next;
			NTSTATUS status = smb3_write(handle, 0, &byte, 1);

			if (!NT_STATUS_IS_OK(status)) {
				report_error(m->report, "write: %s",
					     nt_errstr(status));
			}
			smb3_close(handle);
			handle = next;
		}
	}
}

static void many_run(struct many *m)
{
	if (!many_connect(m)) {
		return;
	}
	m->wanted = MAX(m->ctx->count, 1);
	many_open(m);
	many_answer(m, "ready");
	many_hold(m);
	many_write(m);
}

int mode_many(struct main_context *ctx)
{
	struct many *m = talloc_zero(ctx->ev, struct many);
	uint32_t i;

	if (m == NULL) {
		return 2;
	}
	m->ctx = ctx;
	m->sessions = ctx->sessions > 0 ? ctx->sessions : 1;
	m->report = report_create(m, "many");
	if (m->report == NULL) {
		return 2;
	}
	if (ctx->control_path != NULL &&
	    control_create(m, ctx->ev, ctx->control_path, many_command, m) ==
		    NULL)
	{
		return 2;
	}
	many_run(m);
	report_set(m->report, "sessions", json_integer(m->sessions));
	report_set(m->report, "handles", json_integer(m->opened));
	for (i = 0; m->clients != NULL && i < m->sessions; i++) {
		smb3_client_close(m->clients[i]);
	}
	if (!report_write(m->report, ctx->report_path)) {
		return 2;
	}
	return report_errors(m->report) == 0 ? 0 : 1;
}
