/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tree connects. Each failure says in one log line which option, volume or
 * path it was.
 *
 * The share's path exists in the volume, not in this machine's name space:
 * realpath is arithmetic, chdir goes nowhere near it, and the root's stat
 * comes from the volume.
 */
#include "csv.h"
#include <limits.h>

static const char *csv_option(int snum, const char *name, const char *def)
{
	const char *value = NULL;

	value = lp_parm_const_string(snum, "csv", name, def);
	if (value == NULL || value[0] == '\0') {
		return def;
	}
	return value;
}

static bool csv_volume_name_ok(const char *service, const char *name)
{
	if (name == NULL) {
		DBG_ERR("[%s]: csv:volume is missing\n", service);
		return false;
	}
	if (strlen(name) > CSV_VOLUME_NAME_MAX || strchr(name, '/') != NULL) {
		DBG_ERR("[%s]: csv:volume = %s is no name of a volume\n",
			service,
			name);
		return false;
	}
	return true;
}

/* The normalised path becomes the tree connect's own. */
static char *csv_share_path(struct connection_struct *conn,
			    const char *service,
			    const char *volume)
{
	char *path = NULL;
	char *sub = NULL;
	bool ok;

	path = csv_path_normalise(talloc_tos(), conn->connectpath);
	if (path != NULL) {
		sub = csv_path_in_volume(conn, path, volume);
	}
	if (sub == NULL) {
		DBG_ERR("[%s]: path %s is not inside " CSV_MOUNT_ROOT "%s\n",
			service,
			conn->connectpath,
			volume);
		TALLOC_FREE(path);
		return NULL;
	}
	ok = set_conn_connectpath(conn, path);
	TALLOC_FREE(path);
	if (!ok) {
		TALLOC_FREE(sub);
	}
	return sub;
}

static struct csv_use *csv_share_use(int snum,
				     const char *service,
				     const char *volume)
{
	struct csv_use *use = NULL;
	const char *socket = csv_option(snum, "socket", CSV_CONTROL_SOCKET);
	int ret;

	ret = csv_use_get(volume, socket, &use);
	if (ret == ENOENT) {
		DBG_ERR("[%s]: there is no volume %s\n", service, volume);
		return NULL;
	}
	if (ret != 0) {
		DBG_ERR("[%s]: csvd at %s does not give volume %s: %s\n",
			service,
			socket,
			volume,
			strerror(ret));
		return NULL;
	}
	return use;
}

static struct csv_share *csv_share_create(struct connection_struct *conn,
					  const char *service)
{
	int snum = SNUM(conn);
	const char *volume = csv_option(snum, "volume", NULL);
	struct csv_share *share = NULL;
	bool ok;

	ok = csv_options_check(snum) && csv_volume_name_ok(service, volume) &&
	     csv_redirect_options_ok(snum, service) &&
	     csv_dialect_options_ok(snum, service);
	if (!ok) {
		errno = EINVAL;
		return NULL;
	}
	share = talloc_zero(conn, struct csv_share);
	if (share == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	share->conn = conn;
	share->stable = lp_continuous_availability(snum);
	share->sub = csv_share_path(conn, service, volume);
	if (share->sub == NULL) {
		TALLOC_FREE(share);
		errno = ENOENT;
		return NULL;
	}
	share->use = csv_share_use(snum, service, volume);
	if (share->use == NULL) {
		TALLOC_FREE(share);
		errno = ENODEV;
		return NULL;
	}
	return share;
}

int csv_vfs_connect(struct vfs_handle_struct *handle,
		    const char *service,
		    const char *user)
{
	struct connection_struct *conn = handle->conn;
	struct csv_share *share = NULL;

	if (IS_IPC(conn) || IS_PRINT(conn)) {
		DBG_ERR("[%s]: not a disk share\n", service);
		errno = EINVAL;
		return -1;
	}
	csv_options_force(SNUM(conn));
	share = csv_share_create(conn, service);
	if (share == NULL) {
		return -1;
	}
	if (csv_dialect_refuse(share, service)) {
		csv_use_put_later(share->use);
		TALLOC_FREE(share);
		errno = EPROTO;
		return -1;
	}
	if (csv_park_connect(conn, share->use)) {
		TALLOC_FREE(share);
		errno = EAGAIN;
		return -1;
	}
	if (csv_redirect_connect(share, service)) {
		csv_use_put_later(share->use);
		TALLOC_FREE(share);
		errno = EREMCHG;
		return -1;
	}
	DLIST_ADD(share->use->shares, share);
	handle->data = share;
	conn->have_proc_fds = false;
	conn->open_how_resolve = VFS_OPEN_HOW_RESOLVE_NO_SYMLINKS |
				 VFS_OPEN_HOW_RESOLVE_NO_XDEV;
	return 0;
}

void csv_vfs_disconnect(struct vfs_handle_struct *handle)
{
	struct csv_share *share = csv_share_of(handle);
	struct csv_use *use = NULL;

	if (share == NULL) {
		return;
	}
	csv_park_teardown(share);
	use = share->use;
	DLIST_REMOVE(use->shares, share);
	TALLOC_FREE(share->root);
	handle->data = NULL;
	TALLOC_FREE(share);
	csv_use_put(use);
}

static int csv_share_open_root(struct csv_share *share,
			       const struct csv_cred *cred,
			       struct csv_stat *st)
{
	uint32_t how = CSV_O_PATH | CSV_O_DIRECTORY | CSV_O_NOSYMLINKS;
	struct csv_handle *root = NULL;
	int ret;

	ret = csv_open(share->use->vol,
		       share,
		       cred,
		       NULL,
		       share->sub,
		       how,
		       0,
		       &root,
		       st);
	if (ret != 0) {
		return ret;
	}
	TALLOC_FREE(share->root);
	share->root = root;
	share->root_invalid = false;
	return 0;
}

void csv_share_reopen_root(struct csv_share *share)
{
	static const struct csv_cred root_cred;
	struct csv_stat st = {};
	int ret;

	if (!share->root_invalid || share->root == NULL) {
		return;
	}
	become_root();
	ret = csv_share_open_root(share, &root_cred, &st);
	unbecome_root();
	if (ret != 0) {
		DBG_ERR("%s cannot be opened again: %s, the share stays "
			"unusable for this client\n",
			share->conn->connectpath,
			strerror(ret));
	}
}

int csv_vfs_open_share_root(struct vfs_handle_struct *handle,
			    struct files_struct *root_fsp,
			    const char *connectpath)
{
	struct csv_share *share = csv_share_of(handle);
	struct csv_stat st = {};
	SMB_STRUCT_STAT sbuf = {};
	int ret;

	ret = csv_share_open_root(share, csv_cred_now(handle), &st);
	if (ret != 0) {
		return csv_ret(ret);
	}
	csv_stat_to_smb(handle, &st, &sbuf);
	return vfs_set_share_root(root_fsp, connectpath, &sbuf);
}

/*
 * The share's root is a handle; but smbd must not stay in some other share's
 * directory meanwhile.
 */
int csv_vfs_chdir(struct vfs_handle_struct *handle,
		  const struct smb_filename *smb_fname)
{
	return chdir("/");
}

struct smb_filename *csv_vfs_realpath(struct vfs_handle_struct *handle,
				      TALLOC_CTX *ctx,
				      const struct smb_filename *smb_fname)
{
	const char *name = smb_fname->base_name;
	struct smb_filename *result = NULL;
	char *path = NULL;
	char *real = NULL;

	if (name[0] == '/') {
		path = talloc_strdup(ctx, name);
	} else {
		path = talloc_asprintf(ctx,
				       "%s/%s",
				       handle->conn->connectpath,
				       name);
	}
	if (path != NULL) {
		real = csv_path_normalise(ctx, path);
	}
	if (real != NULL) {
		result = cp_smb_basename(ctx, real);
	}
	TALLOC_FREE(path);
	TALLOC_FREE(real);
	if (result == NULL) {
		errno = ENOMEM;
	}
	return result;
}
