/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which NT status a client may retry, and when.
 *
 * MS-SMB2 lets a client go on after: the loss of its connection (3.2.7.1); an
 * expired or deleted session and a deleted tree (3.2.5.1); FILE_NOT_AVAILABLE
 * for a replayed request or a reconnect (3.3.5.2.10, 3.3.5.9); and
 * SERVER_UNAVAILABLE for a create. Microsoft's fail-over tests also retry the
 * tree connect of a reconnect. Everything else is final.
 */
#include "client.h"

struct retry_rule {
	NTSTATUS status;
	uint32_t phases;
	bool only_replayed;
	bool only_reconnect;
	enum smb3_verdict verdict;
};

#define LINK_PHASES (SMB3_PHASE_SESSION | SMB3_PHASE_TREE | SMB3_PHASE_REOPEN)
#define CALL_PHASES (SMB3_PHASE_CREATE | SMB3_PHASE_CALL)

static const struct retry_rule rules[] = {
	{
		.status = NT_STATUS_FILE_NOT_AVAILABLE,
		.phases = SMB3_PHASE_REOPEN,
		.verdict = SMB3_VERDICT_RESEND,
	},
	{
		.status = NT_STATUS_FILE_NOT_AVAILABLE,
		.phases = CALL_PHASES,
		.only_replayed = true,
		.verdict = SMB3_VERDICT_RESEND,
	},
	{
		.status = NT_STATUS_SERVER_UNAVAILABLE,
		.phases = SMB3_PHASE_REOPEN | SMB3_PHASE_CREATE,
		.verdict = SMB3_VERDICT_RESEND,
	},
	{
		.status = NT_STATUS_SERVER_UNAVAILABLE,
		.phases = SMB3_PHASE_TREE,
		.only_reconnect = true,
		.verdict = SMB3_VERDICT_RELINK,
	},
	{
		.status = NT_STATUS_BAD_NETWORK_NAME,
		.phases = SMB3_PHASE_TREE,
		.only_reconnect = true,
		.verdict = SMB3_VERDICT_RELINK,
	},
	{
		.status = NT_STATUS_NETWORK_SESSION_EXPIRED,
		.phases = LINK_PHASES | CALL_PHASES,
		.verdict = SMB3_VERDICT_RELINK,
	},
	{
		.status = NT_STATUS_USER_SESSION_DELETED,
		.phases = LINK_PHASES | CALL_PHASES,
		.verdict = SMB3_VERDICT_RELINK,
	},
	{
		.status = NT_STATUS_NETWORK_NAME_DELETED,
		.phases = LINK_PHASES | CALL_PHASES,
		.verdict = SMB3_VERDICT_RELINK,
	},
};

/* Causes on our side of the wire: no server has said anything. */
static const NTSTATUS transport_errors[] = {
	NT_STATUS_CONNECTION_DISCONNECTED,
	NT_STATUS_CONNECTION_RESET,
	NT_STATUS_CONNECTION_REFUSED,
	NT_STATUS_CONNECTION_ABORTED,
	NT_STATUS_CONNECTION_INVALID,
	NT_STATUS_LOCAL_DISCONNECT,
	NT_STATUS_REMOTE_DISCONNECT,
	NT_STATUS_IO_TIMEOUT,
	NT_STATUS_HOST_UNREACHABLE,
	NT_STATUS_NETWORK_UNREACHABLE,
	NT_STATUS_UNEXPECTED_NETWORK_ERROR,
	NT_STATUS_VIRTUAL_CIRCUIT_CLOSED,
};

bool smb3_is_transport_error(NTSTATUS status)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(transport_errors); i++) {
		if (NT_STATUS_EQUAL(status, transport_errors[i])) {
			return true;
		}
	}
	return false;
}

static bool rule_applies(const struct retry_rule *rule,
			 NTSTATUS status,
			 enum smb3_phase phase,
			 bool first_link,
			 bool replayed)
{
	if (!NT_STATUS_EQUAL(rule->status, status)) {
		return false;
	}
	if ((rule->phases & phase) == 0) {
		return false;
	}
	if (rule->only_replayed && !replayed) {
		return false;
	}
	if (rule->only_reconnect && first_link) {
		return false;
	}
	return true;
}

enum smb3_verdict smb3_judge(NTSTATUS status,
			     enum smb3_phase phase,
			     bool first_link,
			     bool replayed)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rule_applies(&rules[i],
				 status,
				 phase,
				 first_link,
				 replayed))
		{
			return rules[i].verdict;
		}
	}
	return SMB3_VERDICT_FINAL;
}

void smb3_count(json_t *counts, NTSTATUS status)
{
	const char *name = nt_errstr(status);
	json_t *old = json_object_get(counts, name);
	json_int_t n = json_integer_value(old);

	json_object_set_new(counts, name, json_integer(n + 1));
}
