/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Durable and persistent handles. smbd does the work, except for two things;
 * one is in whereabouts.c.
 *
 * A client that lost its connection sooner than its smbd noticed names the
 * session that it had; that smbd gives the session's handles back and, a
 * moment later, ends, or goes on with the client's new connection. The record
 * of the open says then that nobody has it. The share mode entry of a
 * persistent handle still has the number of that process, and as long as the
 * process lives smbd takes the handle for one in use: the client is told
 * OBJECT_NAME_NOT_FOUND and has lost it.
 *
 * So a number in the entry that is of a living process is made one of a
 * process that is gone, as it would be after a crash.
 */
#include "csv.h"
#include "serverid.h"
#include "locking/share_mode_lock.h"
#include "librpc/gen_ndr/ndr_open_files.h"

struct csv_given_back {
	const struct smbXsrv_open_global *global;
	struct server_id pid;
	bool lives;
};

static bool csv_given_back_fn(struct share_mode_entry *e,
			      bool *modified,
			      void *private_data)
{
	struct csv_given_back *state = private_data;

	if (e->share_file_id != state->global->open_persistent_id ||
	    !GUID_equal(&e->create_guid, &state->global->create_guid))
	{
		return false;
	}
	state->pid = e->pid;
	state->lives = serverid_exists(&e->pid);
	return true;
}

static bool csv_cookie_file_id(DATA_BLOB cookie, struct file_id *id)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct vfs_default_durable_cookie c;
	enum ndr_err_code err;

	ZERO_STRUCT(c);
	err = ndr_pull_struct_blob_all(
		&cookie,
		frame,
		&c,
		(ndr_pull_flags_fn_t)ndr_pull_vfs_default_durable_cookie);
	*id = c.id;
	TALLOC_FREE(frame);
	return NDR_ERR_CODE_IS_SUCCESS(err);
}

static void csv_given_back_locked(struct share_mode_lock *lck,
				  const struct smbXsrv_open_global *global)
{
	struct csv_given_back state = {.global = global};
	struct server_id gone;

	(void)share_mode_forall_entries(lck, csv_given_back_fn, &state);
	if (!state.lives) {
		return;
	}
	gone = state.pid;
	gone.unique_id = ~gone.unique_id;
	(void)reset_share_mode_entry(lck,
				     state.pid,
				     global->open_persistent_id,
				     gone,
				     UINT64_MAX);
}

/*
 * smbd has looked at the record of the open, and made it ours, before it asks
 * the VFS: whoever the entry names has given the handle back, or is gone.
 */
static void csv_given_back(const struct smbXsrv_open *op, DATA_BLOB cookie)
{
	struct share_mode_lock *lck = NULL;
	struct file_id id = {};

	if (!csv_cookie_file_id(cookie, &id)) {
		return; /* smbd says what is wrong with it */
	}
	lck = get_existing_share_mode_lock(NULL, id);
	if (lck != NULL) {
		csv_given_back_locked(lck, op->global);
		TALLOC_FREE(lck);
	}
}

/* smbd's cookie becomes ours. */
static void csv_cookie_complete(struct vfs_handle_struct *handle,
				struct files_struct *fsp,
				TALLOC_CTX *mem_ctx,
				DATA_BLOB *cookie)
{
	struct csv_fsp *ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);

	if (ext != NULL && ext->dir != NULL) {
		csv_cookie_add_dir(mem_ctx, ext->dir, cookie);
	}
}

NTSTATUS csv_vfs_durable_cookie(struct vfs_handle_struct *handle,
				struct files_struct *fsp,
				TALLOC_CTX *mem_ctx,
				DATA_BLOB *cookie)
{
	NTSTATUS status;

	status = SMB_VFS_NEXT_DURABLE_COOKIE(handle, fsp, mem_ctx, cookie);
	if (NT_STATUS_IS_OK(status)) {
		csv_cookie_complete(handle, fsp, mem_ctx, cookie);
	}
	return status;
}

NTSTATUS csv_vfs_durable_disconnect(struct vfs_handle_struct *handle,
				    struct files_struct *fsp,
				    const DATA_BLOB old_cookie,
				    TALLOC_CTX *mem_ctx,
				    DATA_BLOB *new_cookie)
{
	return SMB_VFS_NEXT_DURABLE_DISCONNECT(handle,
					       fsp,
					       old_cookie,
					       mem_ctx,
					       new_cookie);
}

NTSTATUS csv_vfs_durable_reconnect(struct vfs_handle_struct *handle,
				   struct smb_request *smb1req,
				   struct smbXsrv_open *op,
				   const DATA_BLOB old_cookie,
				   const struct smb2_lease *lease,
				   TALLOC_CTX *mem_ctx,
				   struct files_struct **fsp,
				   DATA_BLOB *new_cookie)
{
	TALLOC_CTX *frame = talloc_stackframe();
	DATA_BLOB cookie = old_cookie;
	DATA_BLOB renamed = data_blob_null;
	struct csv_fhandle dir;
	NTSTATUS status;

	if (csv_cookie_split(&cookie, &dir) &&
	    csv_cookie_rename(frame, handle, &dir, cookie, &renamed))
	{
		cookie = renamed;
	}
	if (op->global->persistent) {
		csv_given_back(op, cookie);
	}
	status = SMB_VFS_NEXT_DURABLE_RECONNECT(handle,
						smb1req,
						op,
						cookie,
						lease,
						mem_ctx,
						fsp,
						new_cookie);
	TALLOC_FREE(frame);
	if (NT_STATUS_IS_OK(status)) {
		csv_cookie_complete(handle, *fsp, mem_ctx, new_cookie);
	}
	return status;
}
