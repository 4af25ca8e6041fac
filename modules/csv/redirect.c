/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Move on connect. A share on a volume that one node mounts is announced as
 * asymmetric. A client that then sets REDIRECT_TO_OWNER at a node without
 * direct I/O is sent to the owner's addresses, by an error that only such a
 * client gets; whoever does not ask is served where it came.
 *
 * Never two redirects in a row: each is written to a volatile clustered
 * database under client address and share before it is answered, and for
 * CSV_REDIRECT_PAUSE_S every node accepts that client there. The times are of
 * the nodes' clocks; if these differ by more, a moving volume can redirect a
 * client more than once. An old record stays, a few bytes per client and
 * share, until all nodes were down.
 */
#include "csv.h"
#include "smbd_park.h"
#include "smbd_tcon.h"
#include "redirect_wire.h"
#include "lib/dbwrap/dbwrap.h"
#include "lib/dbwrap/dbwrap_open.h"
#include "lib/node/addresses.h"
#include "lib/site/site.h"
#include "lib/tsocket/tsocket.h"
#include "lib/util/util_tdb.h"

#define CSV_REDIRECT_DB "csv_redirect.tdb"
#define CSV_REDIRECT_PAUSE_S 10
/* After this the tree connect has waited enough: no second connect. */
#define CSV_REDIRECT_WAITED_S 2.0

static bool csv_can_redirect(void)
{
	static bool said;

	if (smbd_tcon_supported()) {
		return true;
	}
	if (!said) {
		said = true;
		DBG_WARNING("this smbd lacks patch 0020 (tree connect "
			    "contexts): no move on connect\n");
	}
	return false;
}

static const char *csv_move_on_connect(int snum)
{
	return lp_parm_const_string(snum, "csv", "move on connect", "auto");
}

bool csv_redirect_options_ok(int snum, const char *service)
{
	const char *value = csv_move_on_connect(snum);

	if (strequal(value, "auto") || strequal(value, "no")) {
		return true;
	}
	DBG_ERR("[%s]: csv:move on connect = %s is neither auto nor no\n",
		service,
		value);
	return false;
}

static struct db_context *csv_redirect_db(void)
{
	static struct db_context *db;
	static pid_t pid;
	char *path = NULL;

	if (db != NULL && pid == getpid()) {
		return db;
	}
	path = lock_path(talloc_tos(), CSV_REDIRECT_DB);
	if (path == NULL) {
		return NULL;
	}
	pid = getpid();
	db = db_open(NULL,
		     path,
		     0,
		     TDB_DEFAULT | TDB_VOLATILE | TDB_CLEAR_IF_FIRST |
			     TDB_INCOMPATIBLE_HASH,
		     O_RDWR | O_CREAT,
		     0600,
		     DBWRAP_LOCK_ORDER_1,
		     DBWRAP_FLAG_NONE);
	if (db == NULL) {
		DBG_ERR("cannot open %s: %s, no move on connect\n",
			path,
			strerror(errno));
	}
	TALLOC_FREE(path);
	return db;
}

/* "address/share"; both are the same text on every node. */
static char *csv_redirect_key(TALLOC_CTX *mem_ctx,
			      struct connection_struct *conn)
{
	char *address = tsocket_address_inet_addr_string(
		conn->sconn->remote_address, mem_ctx);
	const char *share = lp_const_servicename(SNUM(conn));
	char *key = NULL;

	if (address != NULL) {
		key = talloc_asprintf_strlower_m(mem_ctx,
						 "%s/%s",
						 address,
						 share);
	}
	return key;
}

/* What is unreadable counts as recent: accepting is always right. */
static bool csv_redirect_recent(struct db_context *db, const char *key)
{
	TDB_DATA value = {};
	struct timeval tv = timeval_current();
	NTTIME now = timeval_to_nttime(&tv);
	NTTIME then;
	NTSTATUS status;

	status = dbwrap_fetch_bystring(db, talloc_tos(), key, &value);
	if (NT_STATUS_EQUAL(status, NT_STATUS_NOT_FOUND)) {
		return false;
	}
	if (!NT_STATUS_IS_OK(status) || value.dsize != sizeof(then)) {
		TALLOC_FREE(value.dptr);
		return true;
	}
	then = BVAL(value.dptr, 0);
	TALLOC_FREE(value.dptr);
	/* 100 ns; a clock that is a bit ahead is no reason either */
	return (now > then ? now - then : then - now) <
	       (NTTIME)CSV_REDIRECT_PAUSE_S * 10000000;
}

static bool csv_redirect_remember(struct db_context *db, const char *key)
{
	struct timeval tv = timeval_current();
	uint8_t value[8] = {};
	NTSTATUS status;

	SBVAL(value, 0, timeval_to_nttime(&tv));
	status = dbwrap_store_bystring(
		db,
		key,
		make_tdb_data(value, sizeof(value)),
		TDB_REPLACE);
	if (!NT_STATUS_IS_OK(status)) {
		DBG_WARNING("cannot write " CSV_REDIRECT_DB ": %s\n",
			    nt_errstr(status));
	}
	return NT_STATUS_IS_OK(status);
}

/* true: the tree connect is answered with the owner's addresses. */
static bool csv_redirect_answer(struct connection_struct *conn,
				const char *service,
				uint32_t owner)
{
	struct csv_redirect_addresses addresses = {};
	DATA_BLOB blob = {};
	bool ok;

	/* one that moves meanwhile costs a second try, which is accepted */
	addresses.num = csv_node_addresses(owner,
					   addresses.list,
					   ARRAY_SIZE(addresses.list));
	if (addresses.num == 0) {
		DBG_WARNING("[%s]: no address of the owner, node %" PRIu32
			    ", is known; redirecting the I/O instead\n",
			    service,
			    owner);
		return false;
	}
	blob = csv_redirect_blob(talloc_tos(),
				 smbd_tcon_path(conn),
				 &addresses);
	ok = blob.data != NULL && smbd_tcon_fail(conn,
						 NT_STATUS_BAD_NETWORK_NAME,
						 SMBD_ERROR_SHARE_REDIRECT,
						 blob.data,
						 blob.length);
	data_blob_free(&blob);
	return ok;
}

/* Is this connect for somebody who should be elsewhere, and can be? */
static bool csv_redirect_wanted(struct csv_share *share)
{
	struct connection_struct *conn = share->conn;
	struct csv_volume *vol = share->use->vol;
	double waited = timeval_elapsed(&conn->tcon_req->request_time);

	if (csv_volume_state(vol) != CSV_STATE_ACTIVE ||
	    csv_volume_access(vol) != CSV_ACCESS_REDIRECTED)
	{
		return false;
	}
	/* a node that shall be empty keeps nobody */
	return waited < CSV_REDIRECT_WAITED_S &&
	       (csv_process_drained() ||
		!csv_site_keeps(SNUM(conn),
				get_my_vnn(),
				csv_volume_owner(vol)));
}

static bool csv_redirect_try(struct csv_share *share, const char *service)
{
	struct connection_struct *conn = share->conn;
	uint32_t owner = csv_volume_owner(share->use->vol);
	struct db_context *db = csv_redirect_db();
	char *key = NULL;

	if (db == NULL) {
		return false;
	}
	key = csv_redirect_key(talloc_tos(), conn);
	if (key == NULL || csv_redirect_recent(db, key) ||
	    !csv_redirect_answer(conn, service, owner))
	{
		TALLOC_FREE(key);
		return false;
	}
	if (!csv_redirect_remember(db, key)) {
		TALLOC_FREE(key);
		return false;
	}
	DBG_NOTICE("[%s]: %s is sent to node %" PRIu32 "\n",
		   service,
		   key,
		   owner);
	TALLOC_FREE(key);
	return true;
}

bool csv_redirect_connect(struct csv_share *share, const char *service)
{
	struct connection_struct *conn = share->conn;
	int snum = SNUM(conn);

	if (strequal(csv_move_on_connect(snum), "no") || !lp_clustering() ||
	    !csv_can_redirect())
	{
		return false;
	}
	if (lp_continuous_availability(snum) && lp_persistent_handles()) {
		smbd_tcon_announce(conn,
				   0,
				   SMBD_SHARE_CAP_ASYMMETRIC |
					   SMBD_SHARE_CAP_CLUSTER);
	}
	if (!(smbd_tcon_flags(conn) & SMBD_TCON_REDIRECT_TO_OWNER)) {
		return false;
	}
	smbd_tcon_announce(conn, 0, SMBD_SHARE_CAP_REDIRECT_TO_OWNER);
	return csv_redirect_wanted(share) && csv_redirect_try(share, service);
}
