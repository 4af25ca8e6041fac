/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Byte-range locks on a persistent handle, and the proof that they hold: a
 * second client (another ClientGuid) asks for the same ranges and is refused,
 * before, during and after whatever the driver does to the server.
 *
 * With --verify-addresses the second client asks there. Commands: "check"
 * probes every range now, "stop" probes once more and ends.
 * Without a control channel it probes every --interval-ms for --seconds.
 */
#include "client.h"

struct locks {
	struct main_context *ctx;
	struct report *report;
	struct smb3_client *owner;
	struct smb3_handle *held;
	struct smb3_client *prober;
	int ranges;
	int probes;
	int refused;
	int stolen;
	bool stop;
	bool check;
};

#define LOCK_STRIDE 4096
#define LOCK_LENGTH 100

static struct smb3_lock lock_range(int i, uint32_t flags)
{
	return (struct smb3_lock) {
		.offset = (uint64_t)i * LOCK_STRIDE,
		.length = LOCK_LENGTH,
		.flags = flags,
	};
}

static NTSTATUS locks_open(struct locks *l,
			   struct smb3_client *client,
			   bool persistent,
			   struct smb3_handle **handle)
{
	struct smb3_open_params params = {
		.path = l->ctx->path,
		.access_mask = SEC_FILE_READ_DATA | SEC_FILE_WRITE_DATA |
			       (persistent ? SEC_STD_DELETE : 0),
		.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
				FILE_SHARE_DELETE,
		.disposition = FILE_OPEN_IF,
		.create_options = FILE_NON_DIRECTORY_FILE,
		.persistent = persistent,
	};

	return smb3_open(client, &params, handle);
}

static void locks_probe_one(struct locks *l, struct smb3_handle *probe, int i)
{
	struct smb3_lock want = lock_range(i, SMB2_LOCK_FLAG_EXCLUSIVE |
					   SMB2_LOCK_FLAG_FAIL_IMMEDIATELY);
	struct smb3_lock undo = lock_range(i, SMB2_LOCK_FLAG_UNLOCK);
	NTSTATUS status;

	status = smb3_lock(probe, &want);
	l->probes += 1;
	if (NT_STATUS_EQUAL(status, NT_STATUS_LOCK_NOT_GRANTED) ||
	    NT_STATUS_EQUAL(status, NT_STATUS_FILE_LOCK_CONFLICT))
	{
		l->refused += 1;
		return;
	}
	if (NT_STATUS_IS_OK(status)) {
		l->stolen += 1;
		report_error(l->report, "range %d is not locked any more", i);
		smb3_lock(probe, &undo);
		return;
	}
	report_error(l->report, "probe of range %d: %s", i, nt_errstr(status));
}

/* While the holder is away, FILE_NOT_AVAILABLE for the open is a refusal. */
static void locks_probe(struct locks *l)
{
	struct smb3_handle *probe = NULL;
	NTSTATUS status;
	int i;

	status = locks_open(l, l->prober, false, &probe);
	if (NT_STATUS_EQUAL(status, NT_STATUS_FILE_NOT_AVAILABLE)) {
		l->probes += 1;
		l->refused += 1;
		return;
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(l->report, "open by the other client: %s",
			     nt_errstr(status));
		return;
	}
	for (i = 0; i < l->ranges; i++) {
		locks_probe_one(l, probe, i);
	}
	smb3_close(probe);
}

static void locks_answer(const struct locks *l, const char *what)
{
	json_t *json = json_pack("{s:s, s:i, s:i, s:i, s:i}",
				 "answer", what,
				 "probes", l->probes,
				 "refused", l->refused,
				 "stolen", l->stolen,
				 "reconnects", (int)l->owner->stats.reconnects);

	json_dumpf(json, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(json);
}

static void locks_command(const char *command, void *private_data)
{
	struct locks *l = private_data;

	if (strcmp(command, "check") == 0) {
		l->check = true;
	} else if (strcmp(command, "stop") == 0) {
		l->stop = true;
	} else {
		locks_answer(l, "unknown");
	}
}

/* A byte in each range, through the handle that holds the locks. */
static void locks_write(struct locks *l)
{
	const uint8_t byte = 0x55;
	NTSTATUS status;
	int i;

	for (i = 0; i < l->ranges; i++) {
		status = smb3_write(l->held,
				    (uint64_t)i * LOCK_STRIDE,
				    &byte,
				    sizeof(byte));
		if (!NT_STATUS_IS_OK(status)) {
			report_error(l->report, "write in range %d: %s", i,
				     nt_errstr(status));
		}
	}
}

static void locks_wait(struct locks *l, struct timeval end)
{
	while (l->ctx->control_path != NULL && !l->stop) {
		if (l->check) {
			l->check = false;
			locks_probe(l);
			locks_answer(l, "checked");
		}
		if (tevent_loop_once(l->ctx->ev) != 0) {
			return;
		}
	}
	while (l->ctx->control_path == NULL && !timeval_expired(&end)) {
		struct tevent_req *req = NULL;

		locks_probe(l);
		req = tevent_wakeup_send(
			l,
			l->ctx->ev,
			timeval_current_ofs_msec(l->ctx->interval_ms));
		if (req == NULL) {
			return;
		}
		tevent_req_poll(req, l->ctx->ev);
		TALLOC_FREE(req);
	}
}

static NTSTATUS locks_take(struct locks *l)
{
	NTSTATUS status = NT_STATUS_OK;
	int i;

	for (i = 0; NT_STATUS_IS_OK(status) && i < l->ranges; i++) {
		struct smb3_lock lock = lock_range(
			i,
			SMB2_LOCK_FLAG_EXCLUSIVE |
				SMB2_LOCK_FLAG_FAIL_IMMEDIATELY);

		status = smb3_lock(l->held, &lock);
	}
	return status;
}

/* Unlocked, the other client must get every range: the probe can succeed. */
static void locks_release(struct locks *l)
{
	struct smb3_handle *probe = NULL;
	NTSTATUS status;
	int free_ranges = 0;
	int i;

	for (i = 0; i < l->ranges; i++) {
		struct smb3_lock lock = lock_range(i, SMB2_LOCK_FLAG_UNLOCK);

		status = smb3_lock(l->held, &lock);
		if (!NT_STATUS_IS_OK(status)) {
			report_error(l->report, "unlock of range %d: %s", i,
				     nt_errstr(status));
		}
	}
	status = locks_open(l, l->prober, false, &probe);
	for (i = 0; NT_STATUS_IS_OK(status) && i < l->ranges; i++) {
		struct smb3_lock lock = lock_range(
			i,
			SMB2_LOCK_FLAG_EXCLUSIVE |
				SMB2_LOCK_FLAG_FAIL_IMMEDIATELY);

		status = smb3_lock(probe, &lock);
		free_ranges += NT_STATUS_IS_OK(status);
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(l->report, "lock after unlock: %s",
			     nt_errstr(status));
	}
	if (probe != NULL) {
		smb3_close(probe);
	}
	report_set(l->report, "ranges_free_after_unlock",
		   json_integer(free_ranges));
}

static void locks_run(struct locks *l)
{
	uint8_t on = 1;
	NTSTATUS status;

	status = smb3_client_connect(l->owner);
	if (NT_STATUS_IS_OK(status)) {
		status = smb3_client_connect(l->prober);
	}
	if (NT_STATUS_IS_OK(status)) {
		status = locks_open(l, l->owner, true, &l->held);
	}
	if (NT_STATUS_IS_OK(status)) {
		status = locks_take(l);
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(l->report, "start: %s", nt_errstr(status));
		return;
	}
	report_set(l->report, "persistent_granted",
		   json_boolean(l->held->persistent));
	locks_probe(l);
	locks_answer(l, "ready");
	locks_wait(l, timeval_current_ofs(l->ctx->seconds, 0));
	locks_write(l);
	locks_probe(l);
	locks_release(l);
	if (!l->ctx->keep) {
		smb3_set_info(l->held, SMB2_0_INFO_FILE, SMB3_INFO_DISPOSITION,
			      0, data_blob_const(&on, 1));
	}
	status = smb3_close(l->held);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(l->report, "close: %s", nt_errstr(status));
	}
}

int mode_locks(struct main_context *ctx)
{
	struct locks *l = talloc_zero(ctx->ev, struct locks);
	struct smb3_options probe_opts = ctx->opts;

	if (l == NULL) {
		return 2;
	}
	l->ctx = ctx;
	l->ranges = ctx->count > 0 ? ctx->count : 8;
	l->report = report_create(l, "locks");
	l->owner = smb3_client_create(l, ctx->ev, &ctx->opts);
	if (ctx->verify_addresses != NULL) {
		probe_opts.addresses[0] = ctx->verify_addresses;
		probe_opts.num_addresses = 1;
	}
	l->prober = smb3_client_create(l, ctx->ev, &probe_opts);
	if (l->report == NULL || l->owner == NULL || l->prober == NULL) {
		return 2;
	}
	if (ctx->control_path != NULL &&
	    control_create(l, ctx->ev, ctx->control_path, locks_command, l) ==
		    NULL)
	{
		return 2;
	}
	locks_run(l);
	report_set(l->report, "ranges", json_integer(l->ranges));
	report_set(l->report, "probes", json_integer(l->probes));
	report_set(l->report, "probes_refused", json_integer(l->refused));
	report_set(l->report, "ranges_stolen", json_integer(l->stolen));
	report_client(l->report, "", l->owner);
	report_client(l->report, "other_", l->prober);
	smb3_client_close(l->prober);
	smb3_client_close(l->owner);
	if (!report_write(l->report, ctx->report_path)) {
		return 2;
	}
	return report_errors(l->report) == 0 ? 0 : 1;
}
