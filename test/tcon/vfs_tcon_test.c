/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A share whose connect_fn logs what the TREE_CONNECT carried and does what
 * the client's contexts tell it to.
 */

#include "includes.h"
#include "smbd/smbd.h"
#include "smbd/globals.h"
#include "smbd_park.h"
#include "smbd_tcon.h"

/* share flags, capabilities */
#define TCON_TEST_ANNOUNCE 0x7f01
/* status, error id, data of the error context */
#define TCON_TEST_FAIL 0x7f02
/* milliseconds to wait before what is above */
#define TCON_TEST_WAIT 0x7f03
/* as FAIL, but connect_fn succeeds */
#define TCON_TEST_FAIL_NOT 0x7f04

/* status, data of that status */
#define TCON_TEST_FAIL_DATA 0x7f05

static bool tcon_test_waited;

/* FNV-1a */
static uint32_t tcon_test_hash(const uint8_t *data, size_t length)
{
	uint32_t hash = 0x811c9dc5;
	size_t i;

	for (i = 0; i < length; i++) {
		hash = (hash ^ data[i]) * 0x01000193;
	}
	return hash;
}

static void tcon_test_log_type(struct connection_struct *conn, uint16_t type)
{
	const uint8_t *data = NULL;
	size_t length = 0;
	size_t n;

	for (n = 0; smbd_tcon_context(conn, type, n, &data, &length); n++) {
		DBG_ERR("CONTEXT %x %zu %zu %08x\n",
			type,
			n,
			length,
			tcon_test_hash(data, length));
	}
}

static void tcon_test_log(struct connection_struct *conn)
{
	static const uint16_t types[] = {
		SMBD_TCON_REMOTED_IDENTITY,
		TCON_TEST_ANNOUNCE,
		TCON_TEST_FAIL,
		TCON_TEST_WAIT,
		TCON_TEST_FAIL_NOT,
		TCON_TEST_FAIL_DATA,
	};
	size_t i;

	DBG_ERR("TCON %x %s\n", smbd_tcon_flags(conn), smbd_tcon_path(conn));
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		tcon_test_log_type(conn, types[i]);
	}
}

static void tcon_test_waited_enough(struct tevent_context *ev,
				    struct tevent_timer *te,
				    struct timeval now,
				    void *private_data)
{
	smbd_tcon_wait_done(private_data, NT_STATUS_OK);
}

static bool tcon_test_waits(struct connection_struct *conn)
{
	struct smbd_tcon_wait *wait = NULL;
	const uint8_t *data = NULL;
	struct timeval due;
	size_t length = 0;

	if (!smbd_tcon_context(conn, TCON_TEST_WAIT, 0, &data, &length) ||
	    length != 4)
	{
		return false;
	}
	tcon_test_waited = !tcon_test_waited;
	if (!tcon_test_waited) {
		return false;
	}
	wait = smbd_tcon_wait(conn);
	if (wait == NULL) {
		return false;
	}
	due = timeval_current_ofs_msec(IVAL(data, 0));
	(void)tevent_add_timer(conn->sconn->ev_ctx,
			       wait,
			       due,
			       tcon_test_waited_enough,
			       wait);
	return true;
}

static bool tcon_test_fails(struct connection_struct *conn, uint16_t type)
{
	const uint8_t *data = NULL;
	size_t length = 0;

	if (!smbd_tcon_context(conn, type, 0, &data, &length) || length < 8) {
		return false;
	}
	return smbd_tcon_fail(conn,
			      NT_STATUS(IVAL(data, 0)),
			      IVAL(data, 4),
			      data + 8,
			      length - 8);
}

static bool tcon_test_fails_with_data(struct connection_struct *conn)
{
	const uint8_t *data = NULL;
	size_t length = 0;

	if (!smbd_tcon_context(conn, TCON_TEST_FAIL_DATA, 0, &data, &length) ||
	    length < 4 || smbd_tcon_fail_data == NULL)
	{
		return false;
	}
	return smbd_tcon_fail_data(conn,
				   NT_STATUS(IVAL(data, 0)),
				   data + 4,
				   length - 4);
}

/* For dialects without contexts: the share says what to fail with. */
static bool tcon_test_fails_always(struct connection_struct *conn)
{
	const char *text = lp_parm_const_string(SNUM(conn),
						"tcon_test",
						"fail data",
						NULL);

	return text != NULL && smbd_tcon_fail_data != NULL &&
	       smbd_tcon_fail_data(conn,
				   NT_STATUS_ACCESS_DENIED,
				   (const uint8_t *)text,
				   strlen(text));
}

static void tcon_test_announces(struct connection_struct *conn)
{
	const uint8_t *data = NULL;
	size_t length = 0;

	if (smbd_tcon_context(conn, TCON_TEST_ANNOUNCE, 0, &data, &length) &&
	    length == 8)
	{
		smbd_tcon_announce(conn, IVAL(data, 0), IVAL(data, 4));
	}
}

static int tcon_test_connect(struct vfs_handle_struct *handle,
			     const char *service,
			     const char *user)
{
	struct connection_struct *conn = handle->conn;
	uint32_t always = lp_parm_ulong(SNUM(conn), "tcon_test", "caps", 0);

	if (!smbd_tcon_supported()) {
		DBG_ERR("smbd has no tree connect contexts\n");
		return SMB_VFS_NEXT_CONNECT(handle, service, user);
	}
	tcon_test_log(conn);
	smbd_tcon_announce(conn, 0, always);
	tcon_test_announces(conn);
	if (tcon_test_waits(conn)) {
		errno = EAGAIN;
		return -1;
	}
	if (tcon_test_fails(conn, TCON_TEST_FAIL) ||
	    tcon_test_fails_with_data(conn) || tcon_test_fails_always(conn))
	{
		errno = EACCES;
		return -1;
	}
	(void)tcon_test_fails(conn, TCON_TEST_FAIL_NOT);
	return SMB_VFS_NEXT_CONNECT(handle, service, user);
}

static void tcon_test_disconnect(struct vfs_handle_struct *handle)
{
	if (smbd_tcon_supported()) {
		DBG_ERR("GONE\n");
		tcon_test_log(handle->conn);
	}
	SMB_VFS_NEXT_DISCONNECT(handle);
}

static struct vfs_fn_pointers tcon_test_fns = {
	.connect_fn = tcon_test_connect,
	.disconnect_fn = tcon_test_disconnect,
};

NTSTATUS samba_init_module(TALLOC_CTX *ctx);
NTSTATUS samba_init_module(TALLOC_CTX *ctx)
{
	return smb_register_vfs(SMB_VFS_INTERFACE_VERSION,
				"tcon_test",
				&tcon_test_fns);
}
