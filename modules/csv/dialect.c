/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MaxClusterDialect ([MS-SMB2] 3.3.5.7): a client of the cluster must be able
 * to come back with its handles on any node, so it may use no dialect that
 * one of them does not speak, nor a higher one than `csv:max cluster dialect`.
 * With the refusal it learns the highest one that it may use, and connects
 * again with that. Who has used this share with its dialect before says so
 * (CLUSTER_RECONNECT) and is let in: a limit that comes later breaks nothing.
 */
#include "csv.h"
#include "smbd_tcon.h"
#include "lib/node/node.h"

static const char *csv_dialect_option(int snum)
{
	return lp_parm_const_string(snum, "csv", "max cluster dialect", "auto");
}

bool csv_dialect_options_ok(int snum, const char *service)
{
	const char *value = csv_dialect_option(snum);

	if (strequal(value, "auto") || strequal(value, "no") ||
	    csv_dialect_by_name(value) != 0)
	{
		return true;
	}
	DBG_ERR("[%s]: csv:max cluster dialect = %s is neither auto, no nor "
		"one of SMB2_02, SMB2_10, SMB3_00, SMB3_02, SMB3_11\n",
		service,
		value);
	return false;
}

/* 0: it speaks SMB1, which has no tree connect that could be refused so. */
static uint16_t csv_dialect_of(const struct connection_struct *conn)
{
	return conn->tcon_req != NULL
		       ? conn->tcon_req->xconn->smb2.server.dialect
		       : 0;
}

/* 0: none. */
static uint16_t csv_dialect_limit(int snum)
{
	const char *value = csv_dialect_option(snum);
	uint16_t nodes = csv_process_max_dialect();
	uint16_t configured = csv_dialect_by_name(value);

	if (strequal(value, "no")) {
		return 0;
	}
	if (nodes == 0 || (configured != 0 && configured < nodes)) {
		return configured;
	}
	return nodes;
}

static bool csv_can_refuse(void)
{
	static bool said;

	if (smbd_tcon_supported() && smbd_tcon_fail_data != NULL) {
		return true;
	}
	if (!said) {
		said = true;
		DBG_WARNING("this smbd lacks patch 0021 (tree connects that "
			    "fail with data): no maximal dialect\n");
	}
	return false;
}

bool csv_dialect_refuse(struct csv_share *share, const char *service)
{
	struct connection_struct *conn = share->conn;
	uint16_t limit = csv_dialect_limit(SNUM(conn));
	uint16_t dialect = csv_dialect_of(conn);
	uint8_t data[2] = {};
	bool ok;

	if (limit == 0 || dialect <= limit || !csv_can_refuse() ||
	    (smbd_tcon_flags(conn) & SMBD_TCON_CLUSTER_RECONNECT))
	{
		return false;
	}
	SSVAL(data, 0, limit);
	ok = smbd_tcon_fail_data(conn,
				 NT_STATUS_SMB_BAD_CLUSTER_DIALECT,
				 data,
				 sizeof(data));
	if (ok) {
		DBG_NOTICE("[%s]: a client speaks %s, and may use %s at most\n",
			   service,
			   csv_dialect_name(dialect),
			   csv_dialect_name(limit));
	}
	return ok;
}
