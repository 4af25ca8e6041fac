/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One attempt to make a link: TCP, negotiate, session setup, the tree
 * connects, then the reconnect of every persistent handle. Ends with the
 * first failure that is not the failure of one handle only.
 */
#include "client.h"
#include "lib/async_req/async_sock.h"
#include "libcli/smb/smb_util.h"
#include "libcli/smb/smb2_negotiate_context.h"
#include "lib/param/param.h"

struct link_open_state {
	struct smb3_client *client;
	int fd;
	struct tevent_req *tcp; /* uses fd */
	struct smbXcli_transport *transport;
	size_t share;
	struct smb3_handle *handle;
	struct timeval reopen_start;
};

static void link_tcp_done(struct tevent_req *subreq);
static void link_negotiate_done(struct tevent_req *subreq);
static void link_session_done(struct tevent_req *subreq);
static void link_tree_next(struct tevent_req *req);
static void link_tree_done(struct tevent_req *subreq);
static void link_reopen_next(struct tevent_req *req);
static void link_reopen_done(struct tevent_req *subreq);

static void link_open_cleanup(struct tevent_req *req,
			      enum tevent_req_state req_state)
{
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);

	TALLOC_FREE(state->tcp);
	if (state->fd != -1) {
		close(state->fd);
		state->fd = -1;
	}
}

static bool link_address(struct smb3_client *client,
			 struct sockaddr_storage *ss,
			 socklen_t *len)
{
	const char *text = smb3_address(client);
	char *host = talloc_strdup(client, text);
	uint16_t port = client->opts->port;
	char *colon = NULL;
	bool ok;

	if (host == NULL) {
		return false;
	}
	colon = strrchr(host, ':');
	if (colon != NULL && strchr(host, ':') == colon) {
		*colon = '\0';
		port = atoi(colon + 1);
	}
	ok = interpret_string_addr(ss, host, AI_NUMERICHOST);
	TALLOC_FREE(host);
	if (!ok) {
		return false;
	}
	set_sockaddr_port((struct sockaddr *)ss, port);
	*len = ss->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					 : sizeof(struct sockaddr_in);
	return true;
}

static bool link_tcp_start(struct tevent_req *req)
{
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct smb3_client *client = state->client;
	struct sockaddr_storage ss = {};
	struct tevent_req *subreq = NULL;
	socklen_t len = 0;
	int on = 1;

	if (!link_address(client, &ss, &len)) {
		tevent_req_nterror(req, NT_STATUS_INVALID_ADDRESS);
		return false;
	}
	state->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (state->fd == -1) {
		tevent_req_nterror(req, map_nt_error_from_unix(errno));
		return false;
	}
	set_blocking(state->fd, false);
	setsockopt(state->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	subreq = async_connect_send(state,
				    client->ev,
				    state->fd,
				    (struct sockaddr *)&ss,
				    len,
				    NULL,
				    NULL,
				    NULL);
	if (tevent_req_nomem(subreq, req)) {
		return false;
	}
	if (!tevent_req_set_endtime(
		    subreq,
		    client->ev,
		    timeval_current_ofs_msec(client->opts->connect_timeout_ms)))
	{
		tevent_req_oom(req);
		return false;
	}
	tevent_req_set_callback(subreq, link_tcp_done, req);
	state->tcp = subreq;
	return true;
}

struct tevent_req *smb3_link_open_send(TALLOC_CTX *mem_ctx,
				       struct smb3_client *client)
{
	struct tevent_req *req = NULL;
	struct link_open_state *state = NULL;

	req = tevent_req_create(mem_ctx, &state, struct link_open_state);
	if (req == NULL) {
		return NULL;
	}
	state->client = client;
	state->fd = -1;
	tevent_req_set_cleanup_fn(req, link_open_cleanup);
	client->link = talloc_zero(client, struct smb3_link);
	if (tevent_req_nomem(client->link, req)) {
		return tevent_req_post(req, client->ev);
	}
	client->link->phase = SMB3_PHASE_CONNECT;
	client->link->opened = timeval_current();
	if (!link_tcp_start(req)) {
		return tevent_req_post(req, client->ev);
	}
	return req;
}

static struct smbXcli_conn *link_make_conn(struct link_open_state *state)
{
	struct smb3_client *client = state->client;
	const struct smb_transport tp = {
		.type = SMB_TRANSPORT_TYPE_TCP,
		.port = client->opts->port,
	};
	struct smb311_capabilities caps = smb311_capabilities_parse(
		"client",
		lp_client_smb3_signing_algorithms(),
		lp_client_smb3_encryption_algorithms(),
		false);

	state->transport = smbXcli_transport_bsd(state,
						 &state->fd,
						 TLS_VERIFY_PEER_NO_CHECK,
						 &tp);
	if (state->transport == NULL) {
		return NULL;
	}
	return smbXcli_conn_create(client->link,
				   &state->transport,
				   client->opts->server,
				   client->opts->sign ? SMB_SIGNING_REQUIRED
						      : SMB_SIGNING_IF_REQUIRED,
				   0,
				   &client->client_guid,
				   SMB2_CAP_ALL,
				   &caps);
}

static void link_tcp_done(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct smb3_client *client = state->client;
	int err = 0;
	int ret;

	ret = async_connect_recv(subreq, &err);
	state->tcp = NULL;
	TALLOC_FREE(subreq);
	if (ret == -1) {
		tevent_req_nterror(req, map_nt_error_from_unix(err));
		return;
	}
	client->link->phase = SMB3_PHASE_NEGOTIATE;
	client->link->conn = link_make_conn(state);
	if (tevent_req_nomem(client->link->conn, req)) {
		return;
	}
	subreq = smbXcli_negprot_send(state,
				      client->ev,
				      client->link->conn,
				      client->opts->echo_timeout_ms,
				      PROTOCOL_SMB3_11,
				      PROTOCOL_SMB3_11,
				      client->opts->max_credits,
				      NULL);
	if (tevent_req_nomem(subreq, req)) {
		return;
	}
	tevent_req_set_callback(subreq, link_negotiate_done, req);
}

static void link_negotiate_done(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct smb3_client *client = state->client;
	NTSTATUS status;

	status = smbXcli_negprot_recv(subreq, NULL, NULL);
	TALLOC_FREE(subreq);
	if (tevent_req_nterror(req, status)) {
		return;
	}
	client->link->phase = SMB3_PHASE_SESSION;
	if (!smb3_keepalive_start(client) || !smb3_break_listen(client)) {
		tevent_req_oom(req);
		return;
	}
	subreq = smb3_session_setup_send(state, client);
	if (tevent_req_nomem(subreq, req)) {
		return;
	}
	tevent_req_set_callback(subreq, link_session_done, req);
}

static void link_session_done(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct smb3_client *client = state->client;
	struct smbXcli_session *session = NULL;
	NTSTATUS status;

	status = smb3_session_setup_recv(subreq);
	TALLOC_FREE(subreq);
	if (tevent_req_nterror(req, status)) {
		return;
	}
	session = client->link->session;
	client->previous_session_id = smb2cli_session_current_id(session);
	smb2cli_session_reset_channel_sequence(session,
					       client->channel_sequence);
	client->link->phase = SMB3_PHASE_TREE;
	link_tree_next(req);
}

static void link_tree_next(struct tevent_req *req)
{
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct smb3_client *client = state->client;
	const struct smb3_options *opts = client->opts;
	struct smb3_link *link = client->link;
	struct tevent_req *subreq = NULL;

	if (state->share == opts->num_shares) {
		link->phase = SMB3_PHASE_REOPEN;
		state->handle = client->handles;
		state->reopen_start = timeval_current();
		link_reopen_next(req);
		return;
	}
	subreq = smb3_tcon_send(state, client, state->share);
	if (tevent_req_nomem(subreq, req)) {
		return;
	}
	tevent_req_set_callback(subreq, link_tree_done, req);
}

static void link_tree_done(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	NTSTATUS status;

	status = smb3_tcon_recv(subreq);
	TALLOC_FREE(subreq);
	if (tevent_req_nterror(req, status)) {
		return;
	}
	smb3_link_heard(state->client);
	state->share += 1;
	link_tree_next(req);
}

/* A handle that is no longer open and cannot come back is broken. */
static bool link_reopen_wanted(struct smb3_handle *handle)
{
	if (!handle->open || !NT_STATUS_IS_OK(handle->broken)) {
		return false;
	}
	if (!handle->persistent) {
		handle->open = false;
		handle->broken = NT_STATUS_FILE_CLOSED;
		handle->client->stats.handles_lost += 1;
		return false;
	}
	return true;
}

static void link_reopen_next(struct tevent_req *req)
{
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct tevent_req *subreq = NULL;

	while (state->handle != NULL && !link_reopen_wanted(state->handle)) {
		state->handle = state->handle->next;
	}
	if (state->handle == NULL) {
		tevent_req_done(req);
		return;
	}
	subreq = smb3_reopen_send(state, state->handle);
	if (tevent_req_nomem(subreq, req)) {
		return;
	}
	tevent_req_set_callback(subreq, link_reopen_done, req);
}

static void link_reopen_again(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);

	tevent_wakeup_recv(subreq);
	TALLOC_FREE(subreq);
	link_reopen_next(req);
}

static void link_reopen_later(struct tevent_req *req)
{
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct tevent_req *subreq = NULL;

	subreq = tevent_wakeup_send(state,
				    state->client->ev,
				    timeval_current_ofs_msec(50));
	if (tevent_req_nomem(subreq, req)) {
		return;
	}
	tevent_req_set_callback(subreq, link_reopen_again, req);
}

static bool link_reopen_may_wait(struct link_open_state *state)
{
	double waited = timeval_elapsed(&state->reopen_start) * 1000.0;

	return waited < state->client->opts->give_up_ms;
}

static void link_reopen_done(struct tevent_req *subreq)
{
	struct tevent_req *req = tevent_req_callback_data(
		subreq, struct tevent_req);
	struct link_open_state *state = tevent_req_data(
		req, struct link_open_state);
	struct smb3_client *client = state->client;
	struct smb3_handle *handle = state->handle;
	enum smb3_verdict verdict;
	NTSTATUS status;

	status = smb3_reopen_recv(subreq, handle);
	TALLOC_FREE(subreq);
	smb3_trace(client, "reconnect of %s: %s", handle->params.path,
		   nt_errstr(status));
	if (NT_STATUS_IS_OK(status)) {
		smb3_link_heard(client);
		client->stats.handles_reconnected += 1;
		handle->reopened += 1;
		state->handle = handle->next;
		link_reopen_next(req);
		return;
	}
	verdict = smb3_judge(status, SMB3_PHASE_REOPEN, false, true);
	if (smb3_is_transport_error(status) ||
	    verdict == SMB3_VERDICT_RELINK)
	{
		tevent_req_nterror(req, status);
		return;
	}
	if (verdict == SMB3_VERDICT_RESEND && link_reopen_may_wait(state)) {
		smb3_count(client->stats.retried_status, status);
		link_reopen_later(req);
		return;
	}
	handle->broken = status;
	handle->open = false;
	client->stats.handles_lost += 1;
	state->handle = handle->next;
	link_reopen_next(req);
}

NTSTATUS smb3_link_open_recv(struct tevent_req *req)
{
	return tevent_req_simple_recv_ntstatus(req);
}
