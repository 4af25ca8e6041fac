/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests on an open handle: data, locks with lock sequence numbers,
 * information, FSCTLs, listings.
 */
#include "client.h"

struct lock_args {
	uint32_t sequence;
	uint8_t fixed[24];
	uint8_t element[24];
};

struct info_args {
	uint8_t type;
	uint8_t level;
	uint32_t additional;
	uint32_t code;
	uint32_t max_out;
	uint8_t flags;
	const char *mask;
	DATA_BLOB in;
	DATA_BLOB *out;
	TALLOC_CTX *mem_ctx;
};

static struct smbXcli_tcon *tcon_of(const struct smb3_handle *handle)
{
	return handle->client->link->tcons[handle->params.share];
}

/*
 * What was acknowledged on this link, of files on the first share. A stream
 * is no file of its own on the server.
 */
static void count_bytes(const struct smb3_handle *handle,
			const char *key,
			uint32_t bytes)
{
	json_t *number = NULL;

	if (handle->params.share == 0 &&
	    strchr(handle->params.path, ':') == NULL)
	{
		number = json_object_get(handle->client->link->report, key);
		json_integer_set(number, json_integer_value(number) + bytes);
	}
}

static struct tevent_req *write_send(TALLOC_CTX *mem_ctx,
				     struct smb3_handle *handle,
				     void *private_data)
{
	struct smb3_rw_args *args = private_data;
	struct smb3_client *client = handle->client;

	return smb2cli_write_send(mem_ctx,
				  client->ev,
				  client->link->conn,
				  0,
				  client->link->session,
				  tcon_of(handle),
				  args->length,
				  args->offset,
				  handle->fid_persistent,
				  handle->fid_volatile,
				  0,
				  0,
				  args->data);
}

static NTSTATUS write_recv(struct tevent_req *subreq,
			   struct smb3_handle *handle,
			   void *private_data)
{
	struct smb3_rw_args *args = private_data;
	NTSTATUS status = smb2cli_write_recv(subreq, &args->done);

	if (NT_STATUS_IS_OK(status) && args->done != args->length) {
		return NT_STATUS_DISK_FULL;
	}
	if (NT_STATUS_IS_OK(status)) {
		count_bytes(handle, "written_bytes", args->done);
	}
	return status;
}

static const struct smb3_call_ops write_ops = {
	.name = "write",
	.phase = SMB3_PHASE_CALL,
	.send = write_send,
	.recv = write_recv,
};

static struct tevent_req *read_send(TALLOC_CTX *mem_ctx,
				    struct smb3_handle *handle,
				    void *private_data)
{
	struct smb3_rw_args *args = private_data;
	struct smb3_client *client = handle->client;

	return smb2cli_read_send(mem_ctx,
				 client->ev,
				 client->link->conn,
				 0,
				 client->link->session,
				 tcon_of(handle),
				 args->length,
				 args->offset,
				 handle->fid_persistent,
				 handle->fid_volatile,
				 0,
				 0);
}

static NTSTATUS read_recv(struct tevent_req *subreq,
			  struct smb3_handle *handle,
			  void *private_data)
{
	struct smb3_rw_args *args = private_data;
	uint8_t *data = NULL;
	NTSTATUS status;

	status = smb2cli_read_recv(subreq, args->mem_ctx, &data, &args->done);
	if (NT_STATUS_IS_OK(status)) {
		args->data = talloc_memdup(args->mem_ctx, data, args->done);
		count_bytes(handle, "read_bytes", args->done);
	}
	return status;
}

static const struct smb3_call_ops read_ops = {
	.name = "read",
	.phase = SMB3_PHASE_CALL,
	.send = read_send,
	.recv = read_recv,
};

struct tevent_req *smb3_write_send(TALLOC_CTX *mem_ctx,
				   struct smb3_handle *handle,
				   struct smb3_rw_args *args)
{
	return smb3_call_send(mem_ctx,
			      handle->client,
			      handle,
			      &write_ops,
			      args);
}

struct tevent_req *smb3_read_send(TALLOC_CTX *mem_ctx,
				  struct smb3_handle *handle,
				  struct smb3_rw_args *args)
{
	return smb3_call_send(mem_ctx,
			      handle->client,
			      handle,
			      &read_ops,
			      args);
}

NTSTATUS smb3_write(struct smb3_handle *handle,
		    uint64_t offset,
		    const uint8_t *data,
		    uint32_t length)
{
	struct smb3_rw_args args = {
		.offset = offset,
		.length = length,
		.data = discard_const_p(uint8_t, data),
	};

	return smb3_call(handle->client, handle, &write_ops, &args);
}

NTSTATUS smb3_read(struct smb3_handle *handle,
		   TALLOC_CTX *mem_ctx,
		   uint64_t offset,
		   uint32_t length,
		   uint8_t **data,
		   uint32_t *done)
{
	struct smb3_rw_args args = {
		.offset = offset,
		.length = length,
		.mem_ctx = mem_ctx,
	};
	NTSTATUS status;

	status = smb3_call(handle->client, handle, &read_ops, &args);
	if (NT_STATUS_IS_OK(status)) {
		*data = args.data;
		*done = args.done;
	}
	return status;
}

static struct tevent_req *flush_send(TALLOC_CTX *mem_ctx,
				     struct smb3_handle *handle,
				     void *private_data)
{
	struct smb3_client *client = handle->client;

	return smb2cli_flush_send(mem_ctx,
				  client->ev,
				  client->link->conn,
				  0,
				  client->link->session,
				  tcon_of(handle),
				  handle->fid_persistent,
				  handle->fid_volatile);
}

static NTSTATUS flush_recv(struct tevent_req *subreq,
			   struct smb3_handle *handle,
			   void *private_data)
{
	return smb2cli_flush_recv(subreq);
}

static const struct smb3_call_ops flush_ops = {
	.name = "flush",
	.phase = SMB3_PHASE_CALL,
	.send = flush_send,
	.recv = flush_recv,
};

NTSTATUS smb3_flush(struct smb3_handle *handle)
{
	return smb3_call(handle->client, handle, &flush_ops, NULL);
}

static struct tevent_req *lock_send(TALLOC_CTX *mem_ctx,
				    struct smb3_handle *handle,
				    void *private_data)
{
	struct lock_args *args = private_data;
	struct smb3_client *client = handle->client;

	SSVAL(args->fixed, 0, 48);
	SSVAL(args->fixed, 2, 1);
	SIVAL(args->fixed, 4, args->sequence);
	SBVAL(args->fixed, 8, handle->fid_persistent);
	SBVAL(args->fixed, 16, handle->fid_volatile);
	return smb2cli_req_send(mem_ctx,
				client->ev,
				client->link->conn,
				SMB2_OP_LOCK,
				0,
				0,
				0,
				tcon_of(handle),
				client->link->session,
				args->fixed,
				sizeof(args->fixed),
				args->element,
				sizeof(args->element),
				0);
}

static NTSTATUS lock_recv(struct tevent_req *subreq,
			  struct smb3_handle *handle,
			  void *private_data)
{
	static const struct smb2cli_req_expected_response expected[] = {
		{
			.status = NT_STATUS_OK,
			.body_size = 4,
		},
	};

	return smb2cli_req_recv(subreq,
				subreq,
				NULL,
				expected,
				ARRAY_SIZE(expected));
}

static const struct smb3_call_ops lock_ops = {
	.name = "lock",
	.phase = SMB3_PHASE_CALL,
	.send = lock_send,
	.recv = lock_recv,
};

/*
 * The lock sequence (bucket 1..64, a number that grows with each use of the
 * bucket) lets the server know a lock request that it has already done.
 */
static uint32_t lock_next_sequence(struct smb3_handle *handle)
{
	uint32_t bucket = handle->next_bucket;
	uint8_t number;

	if (!handle->persistent) {
		return 0;
	}
	number = (handle->lock_sequence[bucket] + 1) & 0xf;
	handle->lock_sequence[bucket] = number;
	handle->next_bucket = (bucket + 1) % SMB3_LOCK_BUCKETS;
	return ((bucket + 1) << 4) | number;
}

NTSTATUS smb3_lock(struct smb3_handle *handle, const struct smb3_lock *lock)
{
	struct lock_args args = {
		.sequence = lock_next_sequence(handle),
	};

	SBVAL(args.element, 0, lock->offset);
	SBVAL(args.element, 8, lock->length);
	SIVAL(args.element, 16, lock->flags);
	return smb3_call(handle->client, handle, &lock_ops, &args);
}

static struct tevent_req *set_info_send(TALLOC_CTX *mem_ctx,
					struct smb3_handle *handle,
					void *private_data)
{
	struct info_args *args = private_data;
	struct smb3_client *client = handle->client;

	return smb2cli_set_info_send(mem_ctx,
				     client->ev,
				     client->link->conn,
				     0,
				     client->link->session,
				     tcon_of(handle),
				     args->type,
				     args->level,
				     &args->in,
				     args->additional,
				     handle->fid_persistent,
				     handle->fid_volatile);
}

static NTSTATUS set_info_recv(struct tevent_req *subreq,
			      struct smb3_handle *handle,
			      void *private_data)
{
	return smb2cli_set_info_recv(subreq);
}

static const struct smb3_call_ops set_info_ops = {
	.name = "set info",
	.phase = SMB3_PHASE_CALL,
	.send = set_info_send,
	.recv = set_info_recv,
};

NTSTATUS smb3_set_info(struct smb3_handle *handle,
		       uint8_t type,
		       uint8_t level,
		       uint32_t additional,
		       DATA_BLOB in)
{
	struct info_args args = {
		.type = type,
		.level = level,
		.additional = additional,
		.in = in,
	};

	return smb3_call(handle->client, handle, &set_info_ops, &args);
}

static struct tevent_req *query_info_send(TALLOC_CTX *mem_ctx,
					  struct smb3_handle *handle,
					  void *private_data)
{
	struct info_args *args = private_data;
	struct smb3_client *client = handle->client;

	return smb2cli_query_info_send(mem_ctx,
				       client->ev,
				       client->link->conn,
				       0,
				       client->link->session,
				       tcon_of(handle),
				       args->type,
				       args->level,
				       args->max_out,
				       NULL,
				       args->additional,
				       0,
				       handle->fid_persistent,
				       handle->fid_volatile);
}

static NTSTATUS query_info_recv(struct tevent_req *subreq,
				struct smb3_handle *handle,
				void *private_data)
{
	struct info_args *args = private_data;

	return smb2cli_query_info_recv(subreq, args->mem_ctx, args->out);
}

static const struct smb3_call_ops query_info_ops = {
	.name = "query info",
	.phase = SMB3_PHASE_CALL,
	.send = query_info_send,
	.recv = query_info_recv,
};

NTSTATUS smb3_query_info(struct smb3_handle *handle,
			 uint8_t type,
			 uint8_t level,
			 uint32_t additional,
			 TALLOC_CTX *mem_ctx,
			 DATA_BLOB *out)
{
	struct info_args args = {
		.type = type,
		.level = level,
		.additional = additional,
		.max_out = 65536,
		.out = out,
		.mem_ctx = mem_ctx,
	};

	return smb3_call(handle->client, handle, &query_info_ops, &args);
}

static struct tevent_req *ioctl_send(TALLOC_CTX *mem_ctx,
				     struct smb3_handle *handle,
				     void *private_data)
{
	struct info_args *args = private_data;
	struct smb3_client *client = handle->client;

	return smb2cli_ioctl_send(mem_ctx,
				  client->ev,
				  client->link->conn,
				  0,
				  client->link->session,
				  tcon_of(handle),
				  handle->fid_persistent,
				  handle->fid_volatile,
				  args->code,
				  0,
				  &args->in,
				  args->max_out,
				  NULL,
				  SMB2_IOCTL_FLAG_IS_FSCTL);
}

static NTSTATUS ioctl_recv(struct tevent_req *subreq,
			   struct smb3_handle *handle,
			   void *private_data)
{
	struct info_args *args = private_data;

	return smb2cli_ioctl_recv(subreq, args->mem_ctx, NULL, args->out);
}

static const struct smb3_call_ops ioctl_ops = {
	.name = "fsctl",
	.phase = SMB3_PHASE_CALL,
	.send = ioctl_send,
	.recv = ioctl_recv,
};

NTSTATUS smb3_ioctl(struct smb3_handle *handle,
		    uint32_t code,
		    DATA_BLOB in,
		    uint32_t max_out,
		    TALLOC_CTX *mem_ctx,
		    DATA_BLOB *out)
{
	struct info_args args = {
		.code = code,
		.in = in,
		.max_out = max_out,
		.out = out,
		.mem_ctx = mem_ctx,
	};

	return smb3_call(handle->client, handle, &ioctl_ops, &args);
}

static struct tevent_req *list_send(TALLOC_CTX *mem_ctx,
				    struct smb3_handle *handle,
				    void *private_data)
{
	struct info_args *args = private_data;
	struct smb3_client *client = handle->client;

	return smb2cli_query_directory_send(mem_ctx,
					    client->ev,
					    client->link->conn,
					    0,
					    client->link->session,
					    tcon_of(handle),
					    SMB2_FIND_ID_BOTH_DIRECTORY_INFO,
					    args->flags,
					    0,
					    handle->fid_persistent,
					    handle->fid_volatile,
					    args->mask,
					    args->max_out);
}

static NTSTATUS list_recv(struct tevent_req *subreq,
			  struct smb3_handle *handle,
			  void *private_data)
{
	struct info_args *args = private_data;
	uint8_t *data = NULL;
	uint32_t length = 0;
	NTSTATUS status;

	status = smb2cli_query_directory_recv(subreq,
					      args->mem_ctx,
					      &data,
					      &length);
	if (NT_STATUS_IS_OK(status)) {
		*args->out = data_blob_talloc(args->mem_ctx, data, length);
	}
	return status;
}

static const struct smb3_call_ops list_ops = {
	.name = "query directory",
	.phase = SMB3_PHASE_CALL,
	.send = list_send,
	.recv = list_recv,
};

NTSTATUS smb3_query_directory(struct smb3_handle *handle,
			      uint8_t flags,
			      const char *mask,
			      uint32_t max_out,
			      TALLOC_CTX *mem_ctx,
			      DATA_BLOB *out)
{
	struct info_args args = {
		.flags = flags,
		.mask = mask,
		.max_out = max_out,
		.out = out,
		.mem_ctx = mem_ctx,
	};

	return smb3_call(handle->client, handle, &list_ops, &args);
}
