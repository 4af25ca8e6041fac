/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operations of the mode "ops", in the order of one round. Each one knows
 * what the server must answer, and checks afterwards that it is so.
 *
 * A step returns the first status that was not the expected one, or
 * NT_STATUS_DATA_ERROR when an answer was good but its content was not.
 */
#include "ops.h"
#include "libcli/security/security.h"
#include "libcli/smb/smb_constants.h"

#define FILE_SIZE (1024 * 1024)
#define CHUNK (256 * 1024)
#define STREAM_SIZE 1500	/* ext4 keeps all xattrs of a file in 4 KiB */

char *ops_path(TALLOC_CTX *mem_ctx, const struct ops *ops, const char *name)
{
	return talloc_asprintf(mem_ctx, "%s\\%s", ops->dir, name);
}

NTSTATUS ops_open(struct ops *ops,
		  const char *path,
		  uint32_t disposition,
		  uint32_t options,
		  struct smb3_handle **handle)
{
	struct smb3_open_params params = {
		.path = path,
		.access_mask = SEC_RIGHTS_FILE_ALL,
		.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
				FILE_SHARE_DELETE,
		.disposition = disposition,
		.create_options = options,
		/* no persistent handles on streams */
		.persistent = strchr(path, ':') == NULL,
	};

	return smb3_open(ops->client, &params, handle);
}

/* Opens what must not open; OK when the answer is the expected refusal. */
static NTSTATUS refused(struct ops *ops,
			const char *path,
			uint32_t disposition,
			NTSTATUS expected)
{
	struct smb3_handle *handle = NULL;
	NTSTATUS status;

	status = ops_open(ops, path, disposition, 0, &handle);
	if (NT_STATUS_EQUAL(status, expected)) {
		return NT_STATUS_OK;
	}
	if (NT_STATUS_IS_OK(status)) {
		smb3_close(handle);
		return NT_STATUS_DATA_ERROR;
	}
	return status;
}

static NTSTATUS close_after(struct smb3_handle *handle, NTSTATUS status)
{
	NTSTATUS closed = smb3_close(handle);

	return NT_STATUS_IS_OK(status) ? closed : status;
}

NTSTATUS ops_delete(struct ops *ops, const char *path, uint32_t options)
{
	struct smb3_handle *handle = NULL;
	uint8_t on = 1;
	NTSTATUS status;

	status = ops_open(ops, path, FILE_OPEN, options, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_set_info(handle,
			       SMB2_0_INFO_FILE,
			       SMB3_INFO_DISPOSITION,
			       0,
			       data_blob_const(&on, 1));
	return close_after(handle, status);
}

static NTSTATUS step_mkdir(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	struct smb3_handle *handle = NULL;
	NTSTATUS status;

	status = ops_open(ops, ops->dir, FILE_CREATE, FILE_DIRECTORY_FILE,
			  &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_close(handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return refused(ops, ops->dir, FILE_CREATE,
		       NT_STATUS_OBJECT_NAME_COLLISION);
}

static uint8_t *pattern(TALLOC_CTX *mem_ctx, const struct ops *ops,
			uint32_t size)
{
	uint8_t *data = talloc_array(mem_ctx, uint8_t, size);
	uint32_t i;

	for (i = 0; data != NULL && i < size; i++) {
		data[i] = (i * 7 + ops->round + (i >> 12)) & 0xff;
	}
	return data;
}

static NTSTATUS write_whole(struct smb3_handle *handle,
			    const uint8_t *data,
			    uint32_t size)
{
	NTSTATUS status = NT_STATUS_OK;
	uint32_t ofs;

	for (ofs = 0; NT_STATUS_IS_OK(status) && ofs < size; ofs += CHUNK) {
		status = smb3_write(handle, ofs, data + ofs,
				    MIN(CHUNK, size - ofs));
	}
	return status;
}

static NTSTATUS check_whole(struct smb3_handle *handle,
			    TALLOC_CTX *mem_ctx,
			    const uint8_t *data,
			    uint32_t size)
{
	uint32_t ofs;

	for (ofs = 0; ofs < size; ofs += CHUNK) {
		uint32_t want = MIN(CHUNK, size - ofs);
		uint8_t *back = NULL;
		uint32_t done = 0;
		NTSTATUS status;

		status = smb3_read(handle, mem_ctx, ofs, want, &back, &done);
		if (!NT_STATUS_IS_OK(status)) {
			return status;
		}
		if (done != want || memcmp(back, data + ofs, want) != 0) {
			return NT_STATUS_DATA_ERROR;
		}
		TALLOC_FREE(back);
	}
	return NT_STATUS_OK;
}

static NTSTATUS step_create(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	const char *path = ops_path(mem_ctx, ops, "file");
	uint8_t *data = pattern(mem_ctx, ops, FILE_SIZE);
	struct smb3_handle *handle = NULL;
	NTSTATUS status;

	status = ops_open(ops, path, FILE_CREATE, 0, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = write_whole(handle, data, FILE_SIZE);
	if (NT_STATUS_IS_OK(status)) {
		status = check_whole(handle, mem_ctx, data, FILE_SIZE);
	}
	status = close_after(handle, status);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return refused(ops, path, FILE_CREATE,
		       NT_STATUS_OBJECT_NAME_COLLISION);
}

static NTSTATUS step_stream(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	const char *path = ops_path(mem_ctx, ops, "file:notes");
	uint8_t *data = pattern(mem_ctx, ops, STREAM_SIZE);
	struct smb3_handle *handle = NULL;
	NTSTATUS status;

	status = ops_open(ops, path, FILE_OPEN_IF, 0, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = write_whole(handle, data, STREAM_SIZE);
	if (NT_STATUS_IS_OK(status)) {
		status = check_whole(handle, mem_ctx, data, STREAM_SIZE);
	}
	return close_after(handle, status);
}

/* FILE_FULL_EA_INFORMATION with one entry, "SOFS" = the round in hex. */
static DATA_BLOB ea_blob(TALLOC_CTX *mem_ctx, uint32_t round)
{
	DATA_BLOB blob = data_blob_talloc_zero(mem_ctx, 8 + 5 + 8);
	char value[9] = {0};

	snprintf(value, sizeof(value), "%08x", round);
	SCVAL(blob.data, 5, 4);
	SSVAL(blob.data, 6, 8);
	memcpy(blob.data + 8, "SOFS", 5);
	memcpy(blob.data + 13, value, 8);
	return blob;
}

static NTSTATUS step_ea(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	const char *path = ops_path(mem_ctx, ops, "file");
	DATA_BLOB want = ea_blob(mem_ctx, ops->round);
	DATA_BLOB got = {};
	struct smb3_handle *handle = NULL;
	NTSTATUS status;

	status = ops_open(ops, path, FILE_OPEN, 0, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_set_info(handle, SMB2_0_INFO_FILE, SMB3_INFO_EA, 0,
			       want);
	if (NT_STATUS_IS_OK(status)) {
		status = smb3_query_info(handle, SMB2_0_INFO_FILE,
					 SMB3_INFO_EA, 0, mem_ctx, &got);
	}
	if (NT_STATUS_IS_OK(status) &&
	    memmem(got.data, got.length, want.data + 13, 8) == NULL)
	{
		status = NT_STATUS_DATA_ERROR;
	}
	return close_after(handle, status);
}

/* A DACL that differs from round to round and keeps us in. */
static struct security_descriptor *acl_of_round(TALLOC_CTX *mem_ctx,
						uint32_t round)
{
	uint32_t mask = round % 2 == 0 ? SEC_RIGHTS_FILE_READ
				       : SEC_RIGHTS_FILE_READ |
						 SEC_RIGHTS_FILE_WRITE;

	return security_descriptor_dacl_create(mem_ctx,
					       0,
					       NULL,
					       NULL,
					       SID_WORLD,
					       SEC_ACE_TYPE_ACCESS_ALLOWED,
					       SEC_RIGHTS_FILE_ALL,
					       0,
					       SID_BUILTIN_USERS,
					       SEC_ACE_TYPE_ACCESS_ALLOWED,
					       mask,
					       0,
					       NULL);
}

static bool same_dacl(const struct security_acl *a,
		      const struct security_acl *b)
{
	uint32_t i;

	if (a == NULL || b == NULL || a->num_aces != b->num_aces) {
		return false;
	}
	for (i = 0; i < a->num_aces; i++) {
		if (a->aces[i].access_mask != b->aces[i].access_mask ||
		    !dom_sid_equal(&a->aces[i].trustee, &b->aces[i].trustee))
		{
			return false;
		}
	}
	return true;
}

static NTSTATUS check_acl(struct smb3_handle *handle,
			  TALLOC_CTX *mem_ctx,
			  const struct security_descriptor *want)
{
	struct security_descriptor *got = NULL;
	DATA_BLOB blob = {};
	NTSTATUS status;

	status = smb3_query_info(handle, SMB2_0_INFO_SECURITY, 0, SECINFO_DACL,
				 mem_ctx, &blob);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = unmarshall_sec_desc(mem_ctx, blob.data, blob.length, &got);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return same_dacl(want->dacl, got->dacl) ? NT_STATUS_OK
						: NT_STATUS_DATA_ERROR;
}

static NTSTATUS step_acl(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	const char *path = ops_path(mem_ctx, ops, "file");
	struct security_descriptor *sd = acl_of_round(mem_ctx, ops->round);
	struct smb3_handle *handle = NULL;
	DATA_BLOB blob = {};
	NTSTATUS status;

	status = marshall_sec_desc(mem_ctx, sd, &blob.data, &blob.length);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = ops_open(ops, path, FILE_OPEN, 0, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_set_info(handle, SMB2_0_INFO_SECURITY, 0, SECINFO_DACL,
			       blob);
	if (NT_STATUS_IS_OK(status)) {
		status = check_acl(handle, mem_ctx, sd);
	}
	return close_after(handle, status);
}

static NTSTATUS rename_to(struct ops *ops,
			  TALLOC_CTX *mem_ctx,
			  const char *from,
			  const char *to)
{
	struct smb3_handle *handle = NULL;
	uint8_t *name = NULL;
	size_t len = 0;
	DATA_BLOB blob = {};
	NTSTATUS status;

	if (!convert_string_talloc(mem_ctx, CH_UNIX, CH_UTF16, to, strlen(to),
				   &name, &len))
	{
		return NT_STATUS_NO_MEMORY;
	}
	blob = data_blob_talloc_zero(mem_ctx, 20 + len);
	SIVAL(blob.data, 16, len);
	memcpy(blob.data + 20, name, len);
	status = ops_open(ops, from, FILE_OPEN, 0, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_set_info(handle, SMB2_0_INFO_FILE, SMB3_INFO_RENAME, 0,
			       blob);
	return close_after(handle, status);
}

static NTSTATUS step_rename(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	const char *from = ops_path(mem_ctx, ops, "file");
	const char *to = ops_path(mem_ctx, ops, "renamed");
	NTSTATUS status;

	status = rename_to(ops, mem_ctx, from, to);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = refused(ops, from, FILE_OPEN,
			 NT_STATUS_OBJECT_NAME_NOT_FOUND);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return refused(ops, to, FILE_CREATE, NT_STATUS_OBJECT_NAME_COLLISION);
}

/* FSCTL_SRV_COPYCHUNK: the key of the source, then every chunk at once. */
static NTSTATUS copy_chunks(struct smb3_handle *from,
			    struct smb3_handle *to,
			    TALLOC_CTX *mem_ctx)
{
	const uint32_t chunks = FILE_SIZE / CHUNK;
	DATA_BLOB key = {};
	DATA_BLOB in = data_blob_talloc_zero(mem_ctx, 32 + 24 * chunks);
	DATA_BLOB out = {};
	NTSTATUS status;
	uint32_t i;

	status = smb3_ioctl(from, FSCTL_SRV_REQUEST_RESUME_KEY, data_blob_null,
			    32, mem_ctx, &key);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	if (key.length < 24) {
		return NT_STATUS_INVALID_NETWORK_RESPONSE;
	}
	memcpy(in.data, key.data, 24);
	SIVAL(in.data, 24, chunks);
	for (i = 0; i < chunks; i++) {
		uint8_t *chunk = in.data + 32 + 24 * i;

		SBVAL(chunk, 0, (uint64_t)i * CHUNK);
		SBVAL(chunk, 8, (uint64_t)i * CHUNK);
		SIVAL(chunk, 16, CHUNK);
	}
	status = smb3_ioctl(to, FSCTL_SRV_COPYCHUNK, in, 12, mem_ctx, &out);
	if (NT_STATUS_IS_OK(status) &&
	    (out.length != 12 || IVAL(out.data, 8) != FILE_SIZE))
	{
		return NT_STATUS_DATA_ERROR;
	}
	return status;
}

/* A key is good for one open only: a reconnect in between makes it void. */
static NTSTATUS copy_with_key(struct ops *ops,
			      struct smb3_handle *from,
			      struct smb3_handle *to,
			      TALLOC_CTX *mem_ctx)
{
	uint32_t reopened;
	NTSTATUS status;

	do {
		reopened = from->reopened;
		status = copy_chunks(from, to, mem_ctx);
		if (!NT_STATUS_EQUAL(status, NT_STATUS_OBJECT_NAME_NOT_FOUND)) {
			break;
		}
		ops->repeated += (reopened != from->reopened);
	} while (reopened != from->reopened);
	return status;
}

static NTSTATUS step_copy(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	uint8_t *data = pattern(mem_ctx, ops, FILE_SIZE);
	struct smb3_handle *from = NULL;
	struct smb3_handle *to = NULL;
	NTSTATUS status;

	status = ops_open(ops, ops_path(mem_ctx, ops, "renamed"), FILE_OPEN, 0,
			  &from);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = ops_open(ops, ops_path(mem_ctx, ops, "copy"), FILE_CREATE, 0,
			  &to);
	if (!NT_STATUS_IS_OK(status)) {
		smb3_close(from);
		return status;
	}
	status = copy_with_key(ops, from, to, mem_ctx);
	if (NT_STATUS_IS_OK(status)) {
		status = check_whole(to, mem_ctx, data, FILE_SIZE);
	}
	status = close_after(to, status);
	return close_after(from, status);
}

static NTSTATUS step_truncate(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	const char *path = ops_path(mem_ctx, ops, "copy");
	struct smb3_handle *handle = NULL;
	uint8_t eof[8] = {0};
	NTSTATUS status;

	SBVAL(eof, 0, 12345);
	status = ops_open(ops, path, FILE_OPEN, 0, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb3_set_info(handle, SMB2_0_INFO_FILE, SMB3_INFO_END_OF_FILE,
			       0, data_blob_const(eof, 8));
	if (NT_STATUS_IS_OK(status)) {
		status = smb3_flush(handle);
	}
	status = close_after(handle, status);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = ops_open(ops, path, FILE_OPEN, 0, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	if (handle->cr.end_of_file != 12345) {
		status = NT_STATUS_DATA_ERROR;
	}
	return close_after(handle, status);
}

static NTSTATUS step_rmdir_full(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	NTSTATUS status = ops_delete(ops, ops->dir, FILE_DIRECTORY_FILE);

	if (NT_STATUS_EQUAL(status, NT_STATUS_DIRECTORY_NOT_EMPTY)) {
		return NT_STATUS_OK;
	}
	return NT_STATUS_IS_OK(status) ? NT_STATUS_DATA_ERROR : status;
}

static NTSTATUS step_unlink(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	const char *names[] = { "copy", "renamed" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const char *path = ops_path(mem_ctx, ops, names[i]);
		NTSTATUS status = ops_delete(ops, path, 0);

		if (!NT_STATUS_IS_OK(status)) {
			return status;
		}
		status = refused(ops, path, FILE_OPEN,
				 NT_STATUS_OBJECT_NAME_NOT_FOUND);
		if (!NT_STATUS_IS_OK(status)) {
			return status;
		}
	}
	return NT_STATUS_OK;
}

static NTSTATUS step_rmdir(struct ops *ops, TALLOC_CTX *mem_ctx)
{
	NTSTATUS status = ops_delete(ops, ops->dir, FILE_DIRECTORY_FILE);

	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return refused(ops, ops->dir, FILE_OPEN,
		       NT_STATUS_OBJECT_NAME_NOT_FOUND);
}

const struct ops_step ops_steps[] = {
	{ "mkdir", step_mkdir },
	{ "create_write_read", step_create },
	{ "stream", step_stream },
	{ "ea", step_ea },
	{ "acl", step_acl },
	{ "rename", step_rename },
	{ "server_side_copy", step_copy },
	{ "truncate", step_truncate },
	{ "rmdir_not_empty", step_rmdir_full },
	{ "unlink", step_unlink },
	{ "rmdir", step_rmdir },
};

const size_t ops_num_steps = ARRAY_SIZE(ops_steps);
