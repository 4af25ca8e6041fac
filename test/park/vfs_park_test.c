/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A share that is parked while the file "park_test:file" exists; a tree
 * connect waits for the same, or fails with the NTSTATUS written in the file.
 */

#include "includes.h"
#include "smbd/smbd.h"
#include "smbd/globals.h"
#include "smbd_park.h"

#define POLL_USEC 5000

struct park_test_config {
	struct connection_struct *conn;
	const char *path;
};

struct park_test_wait {
	struct smbd_tcon_wait *wait;
	struct tevent_context *ev;
	char *path;
};

static bool marker_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* The status in the marker file, NT_STATUS_OK if there is none. */
static NTSTATUS marker_status(const char *path)
{
	char line[32] = {};
	FILE *file = fopen(path, "r");
	char *got = NULL;

	if (file == NULL) {
		return NT_STATUS_OK;
	}
	got = fgets(line, sizeof(line), file);
	fclose(file);
	return got == NULL ? NT_STATUS_OK : NT_STATUS(strtoul(line, NULL, 16));
}

static void park_test_poll(struct tevent_context *ev,
			   struct tevent_timer *te,
			   struct timeval now,
			   void *private_data)
{
	struct park_test_config *config = talloc_get_type_abort(
		private_data, struct park_test_config);
	bool want = marker_exists(config->path);

	if (want && !smbd_conn_is_parked(config->conn)) {
		smbd_conn_park(config->conn);
		DBG_ERR("PARKED\n");
	} else if (!want && smbd_conn_is_parked(config->conn)) {
		DBG_ERR("UNPARKED with %zu waiting\n",
			smbd_conn_num_waiting(config->conn));
		smbd_conn_unpark(config->conn);
	}

	(void)tevent_add_timer(ev, config,
			       tevent_timeval_current_ofs(0, POLL_USEC),
			       park_test_poll, config);
}

static void park_test_wait_poll(struct tevent_context *ev,
				struct tevent_timer *te,
				struct timeval now,
				void *private_data)
{
	struct park_test_wait *state = talloc_get_type_abort(
		private_data, struct park_test_wait);
	NTSTATUS status = marker_status(state->path);

	if (!NT_STATUS_IS_OK(status) || !marker_exists(state->path)) {
		smbd_tcon_wait_done(state->wait, status);
		return;
	}
	(void)tevent_add_timer(ev, state,
			       tevent_timeval_current_ofs(0, POLL_USEC),
			       park_test_wait_poll, state);
}

static int park_test_wait_destructor(struct park_test_wait *state)
{
	DBG_ERR("TCON WAIT ENDED\n");
	return 0;
}

/* Have the tree connect of conn wait for the marker to vanish. */
static bool park_test_wait(struct connection_struct *conn, const char *path)
{
	struct smbd_tcon_wait *wait = smbd_tcon_wait(conn);
	struct park_test_wait *state = NULL;

	if (wait == NULL) {
		return false;
	}
	state = talloc_zero(wait, struct park_test_wait);
	if (state == NULL) {
		return false;
	}
	state->wait = wait;
	state->path = talloc_strdup(state, path);
	talloc_set_destructor(state, park_test_wait_destructor);
	DBG_ERR("TCON WAITS\n");
	park_test_wait_poll(conn->sconn->ev_ctx, NULL, timeval_zero(), state);
	return true;
}

static int park_test_connect(struct vfs_handle_struct *handle,
			     const char *service,
			     const char *user)
{
	struct connection_struct *conn = handle->conn;
	const char *path = lp_parm_const_string(SNUM(conn), "park_test",
						"file", NULL);
	struct park_test_config *config = NULL;
	int ret;

	if (path == NULL) {
		errno = EINVAL;
		return -1;
	}
	if (smbd_park_supported() && marker_exists(path) &&
	    park_test_wait(conn, path)) {
		errno = EINPROGRESS;
		return -1;
	}

	ret = SMB_VFS_NEXT_CONNECT(handle, service, user);
	if (ret < 0) {
		return ret;
	}
	if (!smbd_park_supported()) {
		DBG_ERR("smbd has no parking\n");
		return 0;
	}

	config = talloc_zero(conn, struct park_test_config);
	if (config == NULL) {
		SMB_VFS_NEXT_DISCONNECT(handle);
		errno = ENOMEM;
		return -1;
	}
	config->conn = conn;
	/* smb.conf may be loaded again */
	config->path = talloc_strdup(config, path);
	park_test_poll(conn->sconn->ev_ctx, NULL, timeval_zero(), config);
	return 0;
}

static struct vfs_fn_pointers park_test_fns = {
	.connect_fn = park_test_connect,
};


NTSTATUS samba_init_module(TALLOC_CTX *ctx);
NTSTATUS samba_init_module(TALLOC_CTX *ctx)
{
	return smb_register_vfs(SMB_VFS_INTERFACE_VERSION, "park_test",
				&park_test_fns);
}
