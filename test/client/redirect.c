/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tree connect as Windows makes it with SyncRedirect: the first one, on a
 * connection that has other things to do, is plain. If the share is
 * asymmetric the client starts over with a connection and a ClientGuid for
 * this share alone, asks for the owner, and goes where an error with a share
 * redirect context ([MS-SMB2] 2.2.2.2.2) sends it.
 */
#include "client.h"

#define REDIRECT_HEAD 24
#define REDIRECT_ADDRESS 24
#define ASYMMETRIC_CAPS                                                        \
	(SMB2_SHARE_CAP_CONTINUOUS_AVAILABILITY | SMB2_SHARE_CAP_CLUSTER |     \
	 SMB2_SHARE_CAP_ASYMMETRIC)
/* Named so by newer Sambas only. */
#define TREE_FLAG_REDIRECT_TO_OWNER 0x0002
#define ERROR_SHARE_REDIRECT 0x72645253

struct smb3_tcon_state {
	struct smb3_client *client;
	size_t share;
	uint8_t fixed[8];
};

static void smb3_tcon_done(struct tevent_req *subreq);

struct tevent_req *smb3_tcon_send(TALLOC_CTX *mem_ctx,
				  struct smb3_client *client,
				  size_t share)
{
	struct smb3_link *link = client->link;
	struct tevent_req *req = NULL;
	struct tevent_req *subreq = NULL;
	struct smb3_tcon_state *state = NULL;
	uint16_t flags = 0;
	char *unc = NULL;
	uint8_t *dyn = NULL;
	size_t dyn_len = 0;

	req = tevent_req_create(mem_ctx, &state, struct smb3_tcon_state);
	if (req == NULL) {
		return NULL;
	}
	state->client = client;
	state->share = share;
	link->tcons[share] = smbXcli_tcon_create(link);
	unc = talloc_asprintf(state,
			      "\\\\%s\\%s",
			      client->opts->server,
			      client->opts->shares[share]);
	if (link->tcons[share] == NULL || unc == NULL ||
	    !convert_string_talloc(state,
				   CH_UNIX,
				   CH_UTF16,
				   unc,
				   strlen(unc),
				   &dyn,
				   &dyn_len))
	{
		tevent_req_oom(req);
		return tevent_req_post(req, client->ev);
	}
	if (client->ever_up) {
		flags |= SMB2_SHAREFLAG_CLUSTER_RECONNECT;
	}
	if (client->isolated) {
		flags |= TREE_FLAG_REDIRECT_TO_OWNER;
	}
	SSVAL(state->fixed, 0, 9);
	SSVAL(state->fixed, 2, flags);
	SSVAL(state->fixed, 4, SMB2_HDR_BODY + sizeof(state->fixed));
	SSVAL(state->fixed, 6, dyn_len);
	subreq = smb2cli_req_send(state,
				  client->ev,
				  link->conn,
				  SMB2_OP_TCON,
				  SMB2_HDR_FLAG_SIGNED,
				  0,
				  0,
				  NULL,
				  link->session,
				  state->fixed,
				  sizeof(state->fixed),
				  dyn,
				  dyn_len,
				  0);
	if (tevent_req_nomem(subreq, req)) {
		return tevent_req_post(req, client->ev);
	}
	tevent_req_set_callback(subreq, smb3_tcon_done, req);
	return req;
}

/* The text of the n-th address; NULL: of no known family, or no memory. */
static char *redirect_address(TALLOC_CTX *mem_ctx, const uint8_t *entry)
{
	char text[INET6_ADDRSTRLEN] = "";
	int family = IVAL(entry, 0) == 1   ? AF_INET
		     : IVAL(entry, 0) == 2 ? AF_INET6
					   : AF_UNSPEC;

	if (family == AF_UNSPEC ||
	    inet_ntop(family, entry + 8, text, sizeof(text)) == NULL)
	{
		return NULL;
	}
	return talloc_strdup(mem_ctx, text);
}

/* Where the error sends us: its first address, all lengths checked. */
static char *redirect_parse(TALLOC_CTX *mem_ctx, const struct iovec *iov)
{
	const uint8_t *body = iov[1].iov_base;
	const uint8_t *dyn = iov[2].iov_base;
	size_t len = iov[2].iov_len;
	uint32_t data_len;
	uint32_t num;

	if (iov[1].iov_len < 8 || CVAL(body, 2) != 1 ||
	    IVAL(body, 4) > len || IVAL(body, 4) < 8)
	{
		return NULL;
	}
	data_len = IVAL(dyn, 0);
	if (IVAL(dyn, 4) != ERROR_SHARE_REDIRECT ||
	    data_len > IVAL(body, 4) - 8 || data_len < REDIRECT_HEAD)
	{
		return NULL;
	}
	dyn += 8;
	num = IVAL(dyn, 20);
	if (IVAL(dyn, 0) != 48 || IVAL(dyn, 4) != 3 || num == 0 ||
	    num > (data_len - REDIRECT_HEAD) / REDIRECT_ADDRESS)
	{
		return NULL;
	}
	return redirect_address(mem_ctx, dyn + REDIRECT_HEAD);
}

/* Goes on from where it was sent; never twice in a row. */
static NTSTATUS redirect_follow(struct smb3_client *client,
				const struct iovec *iov)
{
	char *to = redirect_parse(client, iov);

	if (to == NULL || client->redirected) {
		TALLOC_FREE(to);
		return NT_STATUS_BAD_NETWORK_NAME;
	}
	TALLOC_FREE(client->moved_to);
	client->moved_to = to;
	client->redirected = true;
	client->stats.redirects += 1;
	return NT_STATUS_RETRY;
}

static void tcon_answer(struct smb3_tcon_state *state,
			const struct iovec *iov)
{
	const uint8_t *body = iov[1].iov_base;

	smb2cli_tcon_set_values(state->client->link->tcons[state->share],
				state->client->link->session,
				IVAL(iov[0].iov_base, SMB2_HDR_TID),
				CVAL(body, 2),
				IVAL(body, 4),
				IVAL(body, 8),
				IVAL(body, 12));
}

static bool tcon_wants_isolation(struct smb3_client *client,
				 const struct iovec *iov)
{
	uint32_t caps = IVAL(iov[1].iov_base, 8);

	return client->opts->move_on_connect && !client->isolated &&
	       !client->ever_up &&
	       (caps & ASYMMETRIC_CAPS) == ASYMMETRIC_CAPS;
}

static void smb3_tcon_done(struct tevent_req *subreq)
{
	static const struct smb2cli_req_expected_response expected[] = {
		{ .status = NT_STATUS_OK, .body_size = 0x10 },
		{ .status = NT_STATUS_BAD_NETWORK_NAME, .body_size = 0x09 },
	};
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);
	struct smb3_tcon_state *state = tevent_req_data(
		req, struct smb3_tcon_state);
	struct smb3_client *client = state->client;
	struct iovec *iov = NULL;
	NTSTATUS status;

	status = smb2cli_req_recv(
		subreq, state, &iov, expected, ARRAY_SIZE(expected));
	TALLOC_FREE(subreq);
	if (NT_STATUS_EQUAL(status, NT_STATUS_BAD_NETWORK_NAME) &&
	    iov != NULL && client->isolated)
	{
		status = redirect_follow(client, iov);
	}
	if (tevent_req_nterror(req, status)) {
		return;
	}
	if (tcon_wants_isolation(client, iov)) {
		client->isolated = true;
		client->client_guid = GUID_random();
		tevent_req_nterror(req, NT_STATUS_RETRY);
		return;
	}
	tcon_answer(state, iov);
	tevent_req_done(req);
}

NTSTATUS smb3_tcon_recv(struct tevent_req *req)
{
	return tevent_req_simple_recv_ntstatus(req);
}
