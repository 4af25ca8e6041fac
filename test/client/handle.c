/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Handles: create with DH2Q (persistent) and a lease, reconnect with DH2C,
 * close.
 */
#include "client.h"
#include "librpc/gen_ndr/ndr_misc.h"
#include "librpc/ndr/libndr.h"

#define DH2Q_LEN 32
#define DH2C_LEN 36
#define RQLS_LEN 52

static void push_guid(uint8_t *to, const struct GUID *guid)
{
	struct GUID_ndr_buf buf = { .buf = {0} };

	GUID_to_ndr_buf(guid, &buf);
	memcpy(to, buf.buf, sizeof(buf.buf));
}

static NTSTATUS add_dh2q(TALLOC_CTX *mem_ctx,
			 const struct smb3_handle *handle,
			 struct smb2_create_blobs *blobs)
{
	uint8_t buf[DH2Q_LEN] = {0};
	uint32_t timeout = handle->client->opts->persistent_timeout_ms;

	SIVAL(buf, 0, timeout);
	SIVAL(buf, 4, SMB2_DHANDLE_FLAG_PERSISTENT);
	push_guid(buf + 16, &handle->create_guid);
	return smb2_create_blob_add(mem_ctx,
				    blobs,
				    SMB2_CREATE_TAG_DH2Q,
				    data_blob_const(buf, sizeof(buf)));
}

static NTSTATUS add_dh2c(TALLOC_CTX *mem_ctx,
			 const struct smb3_handle *handle,
			 struct smb2_create_blobs *blobs)
{
	uint8_t buf[DH2C_LEN] = {0};

	SBVAL(buf, 0, handle->fid_persistent);
	SBVAL(buf, 8, handle->fid_volatile);
	push_guid(buf + 16, &handle->create_guid);
	SIVAL(buf, 32, SMB2_DHANDLE_FLAG_PERSISTENT);
	return smb2_create_blob_add(mem_ctx,
				    blobs,
				    SMB2_CREATE_TAG_DH2C,
				    data_blob_const(buf, sizeof(buf)));
}

static NTSTATUS add_lease(TALLOC_CTX *mem_ctx,
			  const struct smb3_handle *handle,
			  uint32_t lease_state,
			  struct smb2_create_blobs *blobs)
{
	uint8_t buf[RQLS_LEN] = {0};
	struct smb2_lease lease = {
		.lease_key.data = {
			handle->params.lease_key[0],
			handle->params.lease_key[1],
		},
		.lease_state = lease_state,
		.lease_version = 2,
	};

	if (handle->params.lease_state == 0) {
		return NT_STATUS_OK;
	}
	if (!smb2_lease_push(&lease, buf, sizeof(buf))) {
		return NT_STATUS_INTERNAL_ERROR;
	}
	return smb2_create_blob_add(mem_ctx,
				    blobs,
				    SMB2_CREATE_TAG_RQLS,
				    data_blob_const(buf, sizeof(buf)));
}

static NTSTATUS create_blobs(TALLOC_CTX *mem_ctx,
			     const struct smb3_handle *handle,
			     bool reopen,
			     struct smb2_create_blobs *blobs)
{
	NTSTATUS status = NT_STATUS_OK;

	if (reopen) {
		status = add_dh2c(mem_ctx, handle, blobs);
	} else if (handle->params.persistent) {
		status = add_dh2q(mem_ctx, handle, blobs);
	}
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	if (!reopen && handle->params.ea.length > 0) {
		status = smb2_create_blob_add(mem_ctx,
					      blobs,
					      SMB2_CREATE_TAG_EXTA,
					      handle->params.ea);
		if (!NT_STATUS_IS_OK(status)) {
			return status;
		}
	}
	return add_lease(mem_ctx,
			 handle,
			 reopen ? handle->lease_state
				: handle->params.lease_state,
			 blobs);
}

static struct tevent_req *create_send(TALLOC_CTX *mem_ctx,
				      struct smb3_handle *handle,
				      bool reopen)
{
	struct smb3_client *client = handle->client;
	const struct smb3_open_params *p = &handle->params;
	struct smb2_create_blobs *blobs = NULL;
	uint8_t oplock = SMB2_OPLOCK_LEVEL_NONE;

	blobs = talloc_zero(mem_ctx, struct smb2_create_blobs);
	if (blobs == NULL ||
	    !NT_STATUS_IS_OK(create_blobs(blobs, handle, reopen, blobs)))
	{
		return NULL;
	}
	if (p->lease_state != 0) {
		oplock = SMB2_OPLOCK_LEVEL_LEASE;
	}
	return smb2cli_create_send(mem_ctx,
				   client->ev,
				   client->link->conn,
				   0,
				   client->link->session,
				   client->link->tcons[p->share],
				   p->path,
				   oplock,
				   SMB2_IMPERSONATION_IMPERSONATION,
				   p->access_mask,
				   p->attributes,
				   p->share_access,
				   p->disposition,
				   p->create_options,
				   blobs);
}

static void parse_lease(struct smb3_handle *handle,
			const struct smb2_create_blobs *blobs)
{
	struct smb2_create_blob *blob = NULL;
	struct smb2_lease lease = {};

	blob = smb2_create_blob_find(blobs, SMB2_CREATE_TAG_RQLS);
	handle->lease_state = 0;
	if (blob == NULL) {
		return;
	}
	if (smb2_lease_pull(blob->data.data, blob->data.length, &lease) > 0) {
		handle->lease_state = lease.lease_state;
	}
}

static void parse_dh2q(struct smb3_handle *handle,
		       const struct smb2_create_blobs *blobs)
{
	struct smb2_create_blob *blob = NULL;

	blob = smb2_create_blob_find(blobs, SMB2_CREATE_TAG_DH2Q);
	if (blob == NULL || blob->data.length < 8) {
		handle->persistent = false;
		return;
	}
	handle->persistent = (IVAL(blob->data.data, 4) &
			      SMB2_DHANDLE_FLAG_PERSISTENT) != 0;
}

static NTSTATUS create_recv(struct tevent_req *subreq,
			    struct smb3_handle *handle,
			    bool reopen)
{
	struct smb2_create_blobs *blobs = NULL;
	NTSTATUS status;

	blobs = talloc_zero(handle, struct smb2_create_blobs);
	if (blobs == NULL) {
		return NT_STATUS_NO_MEMORY;
	}
	status = smb2cli_create_recv(subreq,
				     &handle->fid_persistent,
				     &handle->fid_volatile,
				     &handle->cr,
				     blobs,
				     blobs,
				     NULL);
	if (NT_STATUS_IS_OK(status)) {
		if (!reopen) {
			parse_dh2q(handle, blobs);
		}
		parse_lease(handle, blobs);
		handle->open = true;
	}
	TALLOC_FREE(blobs);
	return status;
}

struct tevent_req *smb3_reopen_send(TALLOC_CTX *mem_ctx,
				    struct smb3_handle *handle)
{
	return create_send(mem_ctx, handle, true);
}

NTSTATUS smb3_reopen_recv(struct tevent_req *req, struct smb3_handle *handle)
{
	return create_recv(req, handle, true);
}

static struct tevent_req *open_send(TALLOC_CTX *mem_ctx,
				    struct smb3_handle *handle,
				    void *args)
{
	return create_send(mem_ctx, handle, false);
}

static NTSTATUS open_recv(struct tevent_req *subreq,
			  struct smb3_handle *handle,
			  void *args)
{
	return create_recv(subreq, handle, false);
}

static const struct smb3_call_ops open_ops = {
	.name = "create",
	.phase = SMB3_PHASE_CREATE,
	.send = open_send,
	.recv = open_recv,
};

static int handle_destructor(struct smb3_handle *handle)
{
	DLIST_REMOVE(handle->client->handles, handle);
	return 0;
}

NTSTATUS smb3_open(struct smb3_client *client,
		   const struct smb3_open_params *params,
		   struct smb3_handle **_handle)
{
	struct smb3_handle *handle = talloc_zero(client, struct smb3_handle);
	NTSTATUS status;

	if (handle == NULL) {
		return NT_STATUS_NO_MEMORY;
	}
	handle->client = client;
	handle->params = *params;
	handle->params.path = talloc_strdup(handle, params->path);
	if (handle->params.path == NULL) {
		TALLOC_FREE(handle);
		return NT_STATUS_NO_MEMORY;
	}
	handle->create_guid = GUID_random();
	DLIST_ADD_END(client->handles, handle);
	talloc_set_destructor(handle, handle_destructor);
	status = smb3_call(client, handle, &open_ops, NULL);
	if (!NT_STATUS_IS_OK(status)) {
		TALLOC_FREE(handle);
		return status;
	}
	*_handle = handle;
	return NT_STATUS_OK;
}

static struct tevent_req *close_send(TALLOC_CTX *mem_ctx,
				     struct smb3_handle *handle,
				     void *args)
{
	struct smb3_client *client = handle->client;

	return smb2cli_close_send(mem_ctx,
				  client->ev,
				  client->link->conn,
				  0,
				  client->link->session,
				  client->link->tcons[handle->params.share],
				  0,
				  handle->fid_persistent,
				  handle->fid_volatile);
}

static NTSTATUS close_recv(struct tevent_req *subreq,
			   struct smb3_handle *handle,
			   void *args)
{
	return smb2cli_close_recv(subreq);
}

static const struct smb3_call_ops close_ops = {
	.name = "close",
	.phase = SMB3_PHASE_CALL,
	.send = close_send,
	.recv = close_recv,
};

/*
 * A close that was in flight when the link was lost may have been done: then
 * the reconnect finds nothing, which is what the caller wants.
 */
NTSTATUS smb3_close(struct smb3_handle *handle)
{
	uint32_t reopened = handle->reopened;
	bool was_good = NT_STATUS_IS_OK(handle->broken);
	NTSTATUS status;

	status = smb3_call(handle->client, handle, &close_ops, NULL);
	if (was_good && handle->reopened == reopened &&
	    NT_STATUS_EQUAL(status, handle->broken) &&
	    NT_STATUS_EQUAL(status, NT_STATUS_OBJECT_NAME_NOT_FOUND))
	{
		handle->client->stats.handles_lost -= 1;
		status = NT_STATUS_OK;
	}
	TALLOC_FREE(handle);
	return status;
}
