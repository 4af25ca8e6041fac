/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Session setup (SPNEGO) with the previous session id, as a client does that
 * comes back. Guest and anonymous sessions are refused: without a key nothing
 * is signed.
 */
#include "client.h"
#include "auth_generic.h"
#include "auth/gensec/gensec.h"
#include "auth/credentials/credentials.h"

struct setup_state {
	struct smb3_client *client;
	struct smbXcli_session *session;
	struct auth_generic_state *auth;
	DATA_BLOB from_server;
	DATA_BLOB to_server;
	struct iovec *recv_iov;
	bool local_ready;
	bool remote_ready;
};

static void setup_local_step(struct tevent_req *req);
static void setup_remote_done(struct tevent_req *subreq);

static NTSTATUS setup_gensec(struct setup_state *state)
{
	const struct smb3_options *opts = state->client->opts;
	struct gensec_security *gensec = NULL;
	NTSTATUS status;

	status = auth_generic_client_prepare(state, &state->auth);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = auth_generic_set_creds(state->auth, opts->creds);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	gensec = state->auth->gensec_security;
	gensec_want_feature(gensec, GENSEC_FEATURE_SESSION_KEY);
	status = gensec_set_target_service(gensec, "cifs");
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = gensec_set_target_hostname(gensec, opts->server);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return auth_generic_client_start(state->auth, GENSEC_OID_SPNEGO);
}

struct tevent_req *smb3_session_setup_send(TALLOC_CTX *mem_ctx,
					   struct smb3_client *client)
{
	struct smbXcli_conn *conn = client->link->conn;
	struct tevent_req *req = NULL;
	struct setup_state *state = NULL;
	const DATA_BLOB *offer = NULL;
	NTSTATUS status;

	req = tevent_req_create(mem_ctx, &state, struct setup_state);
	if (req == NULL) {
		return NULL;
	}
	state->client = client;
	state->session = smbXcli_session_create(client->link, conn);
	if (tevent_req_nomem(state->session, req)) {
		return tevent_req_post(req, client->ev);
	}
	client->link->session = state->session;

	status = setup_gensec(state);
	if (tevent_req_nterror(req, status)) {
		return tevent_req_post(req, client->ev);
	}
	offer = smbXcli_conn_server_gss_blob(conn);
	if (offer != NULL) {
		state->from_server = *offer;
	}
	setup_local_step(req);
	if (!tevent_req_is_in_progress(req)) {
		return tevent_req_post(req, client->ev);
	}
	return req;
}

static NTSTATUS setup_finish(struct setup_state *state)
{
	struct smb3_client *client = state->client;
	DATA_BLOB key = {};
	NTSTATUS status;

	if (smbXcli_session_is_guest(state->session)) {
		return NT_STATUS_LOGON_FAILURE;
	}
	status = gensec_session_key(state->auth->gensec_security, state, &key);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = smb2cli_session_set_session_key(state->session,
						 key,
						 state->recv_iov);
	data_blob_clear_free(&key);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	if (client->opts->encrypt) {
		status = smb2cli_session_encryption_on(state->session);
	}
	return status;
}

static void setup_remote_step(struct tevent_req *req)
{
	struct setup_state *state = tevent_req_data(req, struct setup_state);
	struct smb3_client *client = state->client;
	struct tevent_req *subreq = NULL;

	subreq = smb2cli_session_setup_send(state,
					    client->ev,
					    client->link->conn,
					    0,
					    state->session,
					    0,
					    0,
					    0,
					    client->previous_session_id,
					    &state->to_server);
	if (tevent_req_nomem(subreq, req)) {
		return;
	}
	tevent_req_set_callback(subreq, setup_remote_done, req);
}

static void setup_local_step(struct tevent_req *req)
{
	struct setup_state *state = tevent_req_data(req, struct setup_state);
	NTSTATUS status;

	if (state->local_ready) {
		tevent_req_nterror(req, NT_STATUS_INVALID_NETWORK_RESPONSE);
		return;
	}
	status = gensec_update(state->auth->gensec_security,
			       state,
			       state->from_server,
			       &state->to_server);
	state->from_server = data_blob_null;
	if (NT_STATUS_IS_OK(status)) {
		state->local_ready = true;
	} else if (!NT_STATUS_EQUAL(status,
				    NT_STATUS_MORE_PROCESSING_REQUIRED)) {
		tevent_req_nterror(req, status);
		return;
	}
	if (state->local_ready && state->remote_ready) {
		status = setup_finish(state);
		if (!tevent_req_nterror(req, status)) {
			tevent_req_done(req);
		}
		return;
	}
	setup_remote_step(req);
}

static void setup_remote_done(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);
	struct setup_state *state = tevent_req_data(req, struct setup_state);
	NTSTATUS status;

	TALLOC_FREE(state->recv_iov);
	status = smb2cli_session_setup_recv(subreq,
					    state,
					    &state->recv_iov,
					    &state->from_server);
	TALLOC_FREE(subreq);
	if (NT_STATUS_IS_OK(status)) {
		state->remote_ready = true;
	} else if (!NT_STATUS_EQUAL(status,
				    NT_STATUS_MORE_PROCESSING_REQUIRED)) {
		tevent_req_nterror(req, status);
		return;
	}
	if (state->local_ready && state->remote_ready) {
		status = setup_finish(state);
		if (!tevent_req_nterror(req, status)) {
			tevent_req_done(req);
		}
		return;
	}
	setup_local_step(req);
}

NTSTATUS smb3_session_setup_recv(struct tevent_req *req)
{
	return tevent_req_simple_recv_ntstatus(req);
}
