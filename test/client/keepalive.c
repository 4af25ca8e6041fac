/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ECHO while the link is silent: a server that does not answer one within
 * echo_timeout_ms is dead. A request that waits (STATUS_PENDING) is no
 * silence as long as ECHO is answered.
 */
#include "client.h"

static void keepalive_tick(struct tevent_context *ev,
			   struct tevent_timer *te,
			   struct timeval now,
			   void *private_data);

static bool keepalive_arm(struct smb3_client *client)
{
	struct smb3_link *link = client->link;
	uint32_t usec = client->opts->echo_interval_ms * 500;

	link->echo_timer = tevent_add_timer(client->ev,
					    link,
					    timeval_current_ofs_usec(usec),
					    keepalive_tick,
					    client);
	return link->echo_timer != NULL;
}

void smb3_link_heard(struct smb3_client *client)
{
	if (client->link != NULL) {
		client->link->last_reply = timeval_current();
	}
}

static void keepalive_done(struct tevent_req *subreq)
{
	struct smb3_client *client = tevent_req_callback_data(
		subreq, struct smb3_client);
	struct smb3_link *link = client->link;
	double ms;
	NTSTATUS status;

	status = smb2cli_echo_recv(subreq);
	TALLOC_FREE(subreq);
	link->echo_req = NULL;
	if (!NT_STATUS_IS_OK(status)) {
		smb3_link_lost(client, status);
		return;
	}
	ms = timeval_elapsed(&link->echo_sent) * 1000.0;
	client->stats.echoes += 1;
	client->stats.longest_echo_ms = MAX(client->stats.longest_echo_ms, ms);
	smb3_link_heard(client);
}

static void keepalive_send(struct smb3_client *client)
{
	struct smb3_link *link = client->link;

	link->echo_req = smb2cli_echo_send(link, client->ev, link->conn, 0);
	if (link->echo_req == NULL) {
		smb3_link_lost(client, NT_STATUS_LOCAL_DISCONNECT);
		return;
	}
	link->echo_sent = timeval_current();
	tevent_req_set_callback(link->echo_req, keepalive_done, client);
}

static void keepalive_tick(struct tevent_context *ev,
			   struct tevent_timer *te,
			   struct timeval now,
			   void *private_data)
{
	struct smb3_client *client = private_data;
	const struct smb3_options *opts = client->opts;
	struct smb3_link *link = client->link;
	double waited = timeval_elapsed(&link->echo_sent) * 1000.0;
	double silent = timeval_elapsed(&link->last_reply) * 1000.0;

	link->echo_timer = NULL;
	if (link->echo_req != NULL && waited >= opts->echo_timeout_ms) {
		smb3_link_lost(client, NT_STATUS_IO_TIMEOUT);
		return;
	}
	if (link->echo_req == NULL && silent >= opts->echo_interval_ms) {
		keepalive_send(client);
	}
	if (!keepalive_arm(client)) {
		smb3_link_lost(client, NT_STATUS_NO_MEMORY);
	}
}

bool smb3_keepalive_start(struct smb3_client *client)
{
	smb3_link_heard(client);
	return keepalive_arm(client);
}
