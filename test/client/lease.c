/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lease breaks: listens for them on the link and acknowledges one.
 */
#include "client.h"

#define LEASE_BREAK_LEN 44
#define LEASE_ACK_LEN 36

struct lease_ack {
	const struct smb2_lease_key *key;
	uint32_t new_state;
	uint8_t body[LEASE_ACK_LEN];
};

static void break_arrived(struct tevent_req *subreq);

bool smb3_break_listen(struct smb3_client *client)
{
	struct smb3_link *link = client->link;

	link->break_req = smb2cli_req_create(link,
					     client->ev,
					     link->conn,
					     SMB2_OP_BREAK,
					     0,
					     0,
					     0,
					     NULL,
					     NULL,
					     NULL,
					     0,
					     NULL,
					     0,
					     0);
	if (link->break_req == NULL ||
	    !smbXcli_req_set_pending(link->break_req))
	{
		return false;
	}
	tevent_req_set_callback(link->break_req, break_arrived, client);
	return true;
}

static void break_parse(struct smb3_client *client, const struct iovec *iov)
{
	const uint8_t *body = iov[1].iov_base;
	struct smb2_lease_key key = {};

	if (iov[1].iov_len < LEASE_BREAK_LEN || SVAL(body, 0) != 44) {
		return;
	}
	key.data[0] = BVAL(body, 8);
	key.data[1] = BVAL(body, 16);
	if (client->lease_break != NULL) {
		client->lease_break(client,
				    &key,
				    IVAL(body, 28),
				    SVAL(body, 2),
				    (IVAL(body, 4) & 1) != 0,
				    client->lease_break_private);
	}
}

static void break_arrived(struct tevent_req *subreq)
{
	struct smb3_client *client = tevent_req_callback_data(
		subreq, struct smb3_client);
	struct iovec *iov = NULL;
	NTSTATUS status;

	client->link->break_req = NULL;
	status = smb2cli_req_recv(subreq, client->link, &iov, NULL, 0);
	TALLOC_FREE(subreq);
	if (!NT_STATUS_IS_OK(status)) {
		smb3_link_lost(client, status);
		return;
	}
	if (!smb3_break_listen(client)) {
		smb3_link_lost(client, NT_STATUS_NO_MEMORY);
		return;
	}
	break_parse(client, iov);
	TALLOC_FREE(iov);
}

static struct tevent_req *ack_send(TALLOC_CTX *mem_ctx,
				   struct smb3_handle *handle,
				   void *private_data)
{
	struct lease_ack *args = private_data;
	struct smb3_client *client = handle->client;

	SSVAL(args->body, 0, LEASE_ACK_LEN);
	SBVAL(args->body, 8, args->key->data[0]);
	SBVAL(args->body, 16, args->key->data[1]);
	SIVAL(args->body, 24, args->new_state);
	return smb2cli_req_send(mem_ctx,
				client->ev,
				client->link->conn,
				SMB2_OP_BREAK,
				0,
				0,
				0,
				client->link->tcons[handle->params.share],
				client->link->session,
				args->body,
				sizeof(args->body),
				NULL,
				0,
				0);
}

static NTSTATUS ack_recv(struct tevent_req *subreq,
			 struct smb3_handle *handle,
			 void *private_data)
{
	static const struct smb2cli_req_expected_response expected[] = {
		{
			.status = NT_STATUS_OK,
			.body_size = LEASE_ACK_LEN,
		},
	};

	return smb2cli_req_recv(subreq,
				subreq,
				NULL,
				expected,
				ARRAY_SIZE(expected));
}

static const struct smb3_call_ops lease_ack_ops = {
	.name = "lease break acknowledgement",
	.phase = SMB3_PHASE_CALL,
	.send = ack_send,
	.recv = ack_recv,
};

struct tevent_req *smb3_lease_ack_send(TALLOC_CTX *mem_ctx,
				       struct smb3_handle *handle,
				       const struct smb2_lease_key *key,
				       uint32_t new_state)
{
	struct lease_ack *args = talloc_zero(mem_ctx, struct lease_ack);

	if (args == NULL) {
		return NULL;
	}
	args->key = talloc_memdup(args, key, sizeof(*key));
	args->new_state = new_state;
	if (args->key == NULL) {
		return NULL;
	}
	return smb3_call_send(mem_ctx,
			      handle->client,
			      handle,
			      &lease_ack_ops,
			      args);
}
