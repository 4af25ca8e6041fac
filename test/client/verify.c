/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads a stream's file back: each block once, in its place, with its content.
 *
 * lost: no good block number N at place N. doubled: a good block found in a
 * place that is not its own, or behind the end of what was written.
 */
#include "client.h"

/* Blocks in one read request. */
static uint32_t verify_batch(uint32_t block_size)
{
	return MAX(1, (1024 * 1024) / block_size);
}

static void verify_one(struct report *report,
		       const uint8_t *buf,
		       uint32_t block_size,
		       const struct GUID *run,
		       uint64_t place,
		       uint64_t count,
		       struct verify_result *result)
{
	enum block_verdict verdict;
	uint64_t found = 0;

	verdict = block_check(buf, block_size, run, place, &found);
	if (place >= count) {
		if (verdict == BLOCK_OK || verdict == BLOCK_MISPLACED) {
			result->doubled += 1;
			report_error(report,
				     "block %" PRIu64 " behind the end",
				     found);
		} else if (verdict != BLOCK_EMPTY) {
			result->corrupt += 1;
			report_error(report, "unknown data behind the end");
		}
		return;
	}
	if (verdict == BLOCK_OK) {
		result->verified += 1;
		return;
	}
	result->lost += 1;
	if (verdict == BLOCK_MISPLACED) {
		result->doubled += 1;
		report_error(report,
			     "place %" PRIu64 " holds block %" PRIu64,
			     place,
			     found);
		return;
	}
	if (verdict != BLOCK_EMPTY) {
		result->corrupt += 1;
	}
	report_error(report,
		     "block %" PRIu64 " is %s",
		     place,
		     verdict == BLOCK_EMPTY
			     ? "missing"
			     : verdict == BLOCK_FOREIGN ? "of another run"
							: "corrupt");
}

static void verify_buffer(struct report *report,
			  const uint8_t *data,
			  uint32_t length,
			  uint32_t block_size,
			  const struct GUID *run,
			  uint64_t first,
			  uint64_t count,
			  struct verify_result *result)
{
	uint32_t i;

	for (i = 0; i < length / block_size; i++) {
		verify_one(report,
			   data + (size_t)i * block_size,
			   block_size,
			   run,
			   first + i,
			   count,
			   result);
	}
	if (length % block_size != 0) {
		result->corrupt += 1;
		report_error(report, "the file ends inside a block");
	}
}

NTSTATUS verify_blocks(struct smb3_handle *handle,
		       struct report *report,
		       const struct GUID *run,
		       uint32_t block_size,
		       uint64_t count,
		       struct verify_result *result)
{
	uint32_t batch = verify_batch(block_size);
	uint64_t place = 0;

	while (true) {
		TALLOC_CTX *frame = talloc_stackframe();
		uint8_t *data = NULL;
		uint32_t done = 0;
		NTSTATUS status;

		status = smb3_read(handle,
				   frame,
				   place * block_size,
				   batch * block_size,
				   &data,
				   &done);
		if (NT_STATUS_EQUAL(status, NT_STATUS_END_OF_FILE)) {
			TALLOC_FREE(frame);
			break;
		}
		if (!NT_STATUS_IS_OK(status)) {
			TALLOC_FREE(frame);
			return status;
		}
		verify_buffer(report,
			      data,
			      done,
			      block_size,
			      run,
			      place,
			      count,
			      result);
		place += (done + block_size - 1) / block_size;
		TALLOC_FREE(frame);
	}
	for (; place < count; place++) {
		result->lost += 1;
		report_error(report, "block %" PRIu64 " is missing", place);
	}
	return NT_STATUS_OK;
}

void verify_report(struct report *report,
		   const char *prefix,
		   const struct verify_result *result)
{
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {
		{ "verified", result->verified },
		{ "lost", result->lost },
		{ "doubled", result->doubled },
		{ "corrupt", result->corrupt },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		char *key = talloc_asprintf(report,
					    "%s_%s",
					    prefix,
					    rows[i].key);

		report_set(report, key, json_integer(rows[i].value));
		TALLOC_FREE(key);
	}
}

struct verify_input {
	struct GUID run;
	uint64_t count;
	uint32_t block_size;
};

static bool verify_load(const char *path, struct verify_input *in)
{
	json_error_t err = {};
	json_t *json = json_load_file(path, 0, &err);
	const char *run = NULL;
	json_int_t count = 0;
	int size = 0;
	bool ok;

	if (json == NULL) {
		fprintf(stderr, "smb3client: %s: %s\n", path, err.text);
		return false;
	}
	ok = json_unpack(json,
			 "{s:s, s:I, s:i}",
			 "run_id", &run,
			 "blocks_written", &count,
			 "block_size_bytes", &size) == 0 &&
	     NT_STATUS_IS_OK(GUID_from_string(run, &in->run)) &&
	     size >= BLOCK_MIN_SIZE && count >= 0;
	if (!ok) {
		fprintf(stderr, "smb3client: %s is no report of a stream\n",
			path);
	}
	in->count = count;
	in->block_size = size;
	json_decref(json);
	return ok;
}

static NTSTATUS verify_run(struct main_context *ctx,
			   struct smb3_client *client,
			   struct report *report,
			   const struct verify_input *in,
			   struct verify_result *result)
{
	struct smb3_open_params params = {
		.path = ctx->path,
		.access_mask = SEC_FILE_READ_DATA | SEC_FILE_READ_ATTRIBUTE,
		.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
				FILE_SHARE_DELETE,
		.disposition = FILE_OPEN,
		.create_options = FILE_NON_DIRECTORY_FILE,
		.persistent = true,
	};
	struct smb3_handle *handle = NULL;
	NTSTATUS status;

	status = smb3_client_connect(client);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_open(client, &params, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = verify_blocks(handle,
			       report,
			       &in->run,
			       in->block_size,
			       in->count,
			       result);
	smb3_close(handle);
	return status;
}

int mode_verify(struct main_context *ctx)
{
	struct report *report = report_create(ctx->ev, "verify");
	struct smb3_client *client = NULL;
	struct verify_input in = {};
	struct verify_result result = {};
	NTSTATUS status;

	if (ctx->stream_report == NULL) {
		fprintf(stderr, "smb3client: verify needs --stream-report\n");
		return 2;
	}
	if (!verify_load(ctx->stream_report, &in)) {
		return 2;
	}
	client = smb3_client_create(ctx->ev, ctx->ev, &ctx->opts);
	if (report == NULL || client == NULL) {
		return 2;
	}
	status = verify_run(ctx, client, report, &in, &result);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(report, "verify: %s", nt_errstr(status));
	}
	report_set(report, "blocks_expected", json_integer(in.count));
	verify_report(report, "blocks", &result);
	report_client(report, "", client);
	smb3_client_close(client);
	if (!report_write(report, ctx->report_path)) {
		return 2;
	}
	return report_errors(report) == 0 ? 0 : 1;
}
