/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vfs_ca: what a share with `continuous availability = yes` promises and
 * smbd alone does not keep. It stands above the module that has the files
 * (csv, or none for a local file system) and does nothing on other shares.
 *
 * Written data is stable when it is answered, by every handle, persistent or
 * not, before and after a reconnect:
 *
 * openat	  a file that may be written is opened with O_DSYNC. smbd's
 *		  own O_SYNC is taken back to that: it would also write each
 *		  change of a time stamp, which costs a second device flush.
 *		  smbd loses O_SYNC at a reconnect, but comes by here.
 * fsync	  of such a file has nothing to do. So FLUSH costs nothing and
 *		  a write with the write-through flag is flushed once.
 * ftruncate, fallocate, offload_write
 *		  are followed by a real fsync, unless csv is below, which
 *		  has made them stable itself.
 *
 * A persistent handle is found again when its file was renamed: reconnect.c.
 * A named stream gets none (see ca_create_file()). Another client of the same
 * application instance takes the file: instance.c. A CREATE that is repeated
 * finds what it has made: intent.c.
 */
#include "modules/ca/ca.h"
#include "lib/util/tevent_unix.h"
#include "lib/util/tevent_ntstatus.h"
#include "modules/version.h"

/* A file that was opened for writing on such a share. */
struct ca_fsp {
	bool write_through;
};

struct ca_share *ca_share_of(struct vfs_handle_struct *handle)
{
	return handle->data;
}

static bool ca_write_through(struct vfs_handle_struct *handle,
			     struct files_struct *fsp)
{
	struct ca_fsp *ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);

	return ext != NULL && ext->write_through;
}

/* csv says that all it answers on such a share is stable. */
static bool ca_stable_below(int snum)
{
	return str_list_check(lp_vfs_objects(snum), "csv");
}

static void ca_share_free(void **data)
{
	TALLOC_FREE(*data);
}

static int ca_connect(struct vfs_handle_struct *handle,
		      const char *service,
		      const char *user)
{
	int snum = SNUM(handle->conn);
	struct ca_share *share = NULL;
	int ret;

	ret = SMB_VFS_NEXT_CONNECT(handle, service, user);
	if (ret < 0 || !lp_continuous_availability(snum)) {
		return ret;
	}
	share = talloc_zero(handle->conn, struct ca_share);
	if (share == NULL) {
		SMB_VFS_NEXT_DISCONNECT(handle);
		errno = ENOMEM;
		return -1;
	}
	share->stable_below = ca_stable_below(snum);
	SMB_VFS_HANDLE_SET_DATA(handle,
				share,
				ca_share_free,
				struct ca_share,
				return -1);
	return ret;
}

/*
 * smbd cannot make a durable handle of a named stream, but marks its open as
 * persistent before it finds out: the client is answered that it has none, and
 * when its smbd dies the next one to open the stream is told to wait for it.
 */
static NTSTATUS ca_create_file(struct vfs_handle_struct *handle,
			       struct smb_request *req,
			       struct files_struct *dirfsp,
			       struct smb_filename *smb_fname,
			       uint32_t access_mask,
			       uint32_t share_access,
			       uint32_t create_disposition,
			       uint32_t create_options,
			       uint32_t file_attributes,
			       uint32_t oplock_request,
			       const struct smb2_lease *lease,
			       uint64_t allocation_size,
			       uint32_t private_flags,
			       struct security_descriptor *sd,
			       struct ea_list *ea_list,
			       struct files_struct **result,
			       int *pinfo,
			       const struct smb2_create_blobs *in_blobs,
			       struct smb2_create_blobs *out_blobs)
{
	struct ca_instance instance = {};
	struct ca_create create = {};
	bool promised = ca_share_of(handle) != NULL;
	bool named = false;
	NTSTATUS status;

	if (is_named_stream(smb_fname)) {
		private_flags &= ~NTCREATEX_FLAG_PERSISTENT_OPEN;
	} else if (promised && req != NULL) {
		named = ca_instance_parse(in_blobs, &instance);
	}
	if (named) {
		status = ca_instance_take(
			handle->conn, dirfsp, smb_fname, &instance);
		if (!NT_STATUS_IS_OK(status)) {
			return status;
		}
	}
	if (promised) {
		ca_create_begin(handle,
				req,
				dirfsp,
				smb_fname,
				access_mask,
				create_options,
				&create);
	}
	status = SMB_VFS_NEXT_CREATE_FILE(handle,
					  req,
					  dirfsp,
					  smb_fname,
					  access_mask,
					  share_access,
					  create_disposition,
					  create_options,
					  file_attributes,
					  oplock_request,
					  lease,
					  allocation_size,
					  private_flags,
					  sd,
					  ea_list,
					  result,
					  pinfo,
					  in_blobs,
					  out_blobs);
	if (promised) {
		ca_create_end(handle, &create);
	}
	if (NT_STATUS_IS_OK(status) && named && (*result)->op != NULL) {
		struct smbXsrv_open_global *global = (*result)->op->global;

		/* smbd stores the record before it answers */
		global->app_instance_id = instance.id;
		global->app_instance_vhigh = instance.high;
		global->app_instance_vlow = instance.low;
	}
	return status;
}

static bool ca_opens_for_write(const struct files_struct *fsp, int flags)
{
	if (fsp->fsp_flags.is_pathref || (flags & (O_PATH | O_DIRECTORY)) != 0)
	{
		return false;
	}
	return (flags & O_ACCMODE) != O_RDONLY;
}

static int ca_openat(struct vfs_handle_struct *handle,
		     const struct files_struct *dirfsp,
		     const struct smb_filename *smb_fname,
		     struct files_struct *fsp,
		     const struct vfs_open_how *_how)
{
	struct vfs_open_how how = *_how;
	struct ca_fsp *ext = NULL;
	int fd;

	if (ca_share_of(handle) == NULL ||
	    !ca_opens_for_write(fsp, how.flags)) {
		return ca_create_openat(
			handle, dirfsp, smb_fname, fsp, &how);
	}
	ext = VFS_ADD_FSP_EXTENSION(handle, fsp, struct ca_fsp, NULL);
	if (ext == NULL) {
		errno = ENOMEM;
		return -1;
	}
	how.flags &= ~O_SYNC;
	how.flags |= O_DSYNC;
	fd = ca_create_openat(handle, dirfsp, smb_fname, fsp, &how);
	if (fd == -1) {
		int err = errno;

		VFS_REMOVE_FSP_EXTENSION(handle, fsp);
		errno = err;
		return -1;
	}
	ext->write_through = true;
	return fd;
}

static int ca_close(struct vfs_handle_struct *handle, struct files_struct *fsp)
{
	VFS_REMOVE_FSP_EXTENSION(handle, fsp);
	return SMB_VFS_NEXT_CLOSE(handle, fsp);
}

/* A file's fsync below, if it is one whose changes have to be stable. */
static int ca_sync(struct vfs_handle_struct *handle, struct files_struct *fsp)
{
	struct ca_share *share = ca_share_of(handle);
	struct vfs_aio_state aio_state = {};
	struct tevent_context *ev = NULL;
	struct tevent_req *req = NULL;
	TALLOC_CTX *frame = NULL;
	int ret = -1;

	if (share == NULL || share->stable_below ||
	    !ca_write_through(handle, fsp)) {
		return 0;
	}
	frame = talloc_stackframe();
	aio_state.error = ENOMEM;
	ev = samba_tevent_context_init(frame);
	if (ev != NULL) {
		req = SMB_VFS_NEXT_FSYNC_SEND(frame, ev, handle, fsp);
	}
	if (req != NULL && tevent_req_poll(req, ev)) {
		ret = SMB_VFS_NEXT_FSYNC_RECV(req, &aio_state);
	}
	TALLOC_FREE(frame);
	if (ret == -1) {
		errno = aio_state.error;
	}
	return ret;
}

static int ca_ftruncate(struct vfs_handle_struct *handle,
			struct files_struct *fsp,
			off_t len)
{
	int ret = SMB_VFS_NEXT_FTRUNCATE(handle, fsp, len);

	return ret == 0 ? ca_sync(handle, fsp) : ret;
}

static int ca_fallocate(struct vfs_handle_struct *handle,
			struct files_struct *fsp,
			uint32_t mode,
			off_t offset,
			off_t len)
{
	int ret = SMB_VFS_NEXT_FALLOCATE(handle, fsp, mode, offset, len);

	return ret == 0 ? ca_sync(handle, fsp) : ret;
}

struct ca_fsync_state {
	struct vfs_aio_state aio_state;
	int ret;
};

static void ca_fsync_done(struct tevent_req *subreq)
{
	struct tevent_req *req =
		tevent_req_callback_data(subreq, struct tevent_req);
	struct ca_fsync_state *state =
		tevent_req_data(req, struct ca_fsync_state);

	state->ret = SMB_VFS_NEXT_FSYNC_RECV(subreq, &state->aio_state);
	TALLOC_FREE(subreq);
	tevent_req_done(req);
}

static struct tevent_req *ca_fsync_send(struct vfs_handle_struct *handle,
					TALLOC_CTX *mem_ctx,
					struct tevent_context *ev,
					struct files_struct *fsp)
{
	struct tevent_req *req = NULL;
	struct tevent_req *subreq = NULL;
	struct ca_fsync_state *state = NULL;

	req = tevent_req_create(mem_ctx, &state, struct ca_fsync_state);
	if (req == NULL) {
		return NULL;
	}
	if (ca_write_through(handle, fsp)) {
		tevent_req_done(req);
		return tevent_req_post(req, ev);
	}
	subreq = SMB_VFS_NEXT_FSYNC_SEND(state, ev, handle, fsp);
	if (tevent_req_nomem(subreq, req)) {
		return tevent_req_post(req, ev);
	}
	tevent_req_set_callback(subreq, ca_fsync_done, req);
	return req;
}

static int ca_fsync_recv(struct tevent_req *req,
			 struct vfs_aio_state *aio_state)
{
	struct ca_fsync_state *state =
		tevent_req_data(req, struct ca_fsync_state);
	int ret = -1;

	if (!tevent_req_is_unix_error(req, &aio_state->error)) {
		*aio_state = state->aio_state;
		ret = state->ret;
	}
	tevent_req_received(req);
	return ret;
}

struct ca_offload_state {
	struct vfs_handle_struct *handle;
	struct files_struct *fsp;
	off_t copied;
};

static void ca_offload_done(struct tevent_req *subreq)
{
	struct tevent_req *req =
		tevent_req_callback_data(subreq, struct tevent_req);
	struct ca_offload_state *state =
		tevent_req_data(req, struct ca_offload_state);
	NTSTATUS status;

	status = SMB_VFS_NEXT_OFFLOAD_WRITE_RECV(
		state->handle, subreq, &state->copied);
	TALLOC_FREE(subreq);
	if (tevent_req_nterror(req, status)) {
		return;
	}
	if (ca_sync(state->handle, state->fsp) == -1) {
		tevent_req_nterror(req, map_nt_error_from_unix(errno));
		return;
	}
	tevent_req_done(req);
}

static struct tevent_req *ca_offload_write_send(
	struct vfs_handle_struct *handle,
	TALLOC_CTX *mem_ctx,
	struct tevent_context *ev,
	uint32_t fsctl,
	DATA_BLOB *token,
	off_t transfer_offset,
	struct files_struct *dest_fsp,
	off_t dest_off,
	off_t to_copy)
{
	struct tevent_req *req = NULL;
	struct tevent_req *subreq = NULL;
	struct ca_offload_state *state = NULL;

	req = tevent_req_create(mem_ctx, &state, struct ca_offload_state);
	if (req == NULL) {
		return NULL;
	}
	state->handle = handle;
	state->fsp = dest_fsp;
	subreq = SMB_VFS_NEXT_OFFLOAD_WRITE_SEND(handle,
						 state,
						 ev,
						 fsctl,
						 token,
						 transfer_offset,
						 dest_fsp,
						 dest_off,
						 to_copy);
	if (tevent_req_nomem(subreq, req)) {
		return tevent_req_post(req, ev);
	}
	tevent_req_set_callback(subreq, ca_offload_done, req);
	return req;
}

static NTSTATUS ca_offload_write_recv(struct vfs_handle_struct *handle,
				      struct tevent_req *req,
				      off_t *copied)
{
	struct ca_offload_state *state =
		tevent_req_data(req, struct ca_offload_state);
	NTSTATUS status;

	*copied = state->copied;
	if (tevent_req_is_nterror(req, &status)) {
		tevent_req_received(req);
		return status;
	}
	tevent_req_received(req);
	return NT_STATUS_OK;
}

static struct vfs_fn_pointers ca_fns = {
	.connect_fn = ca_connect,
	.create_file_fn = ca_create_file,
	.openat_fn = ca_openat,
	.close_fn = ca_close,
	.mkdirat_fn = ca_create_mkdirat,
	.renameat_fn = ca_create_renameat,
	.unlinkat_fn = ca_create_unlinkat,
	.ftruncate_fn = ca_ftruncate,
	.fallocate_fn = ca_fallocate,
	.fsync_send_fn = ca_fsync_send,
	.fsync_recv_fn = ca_fsync_recv,
	.offload_write_send_fn = ca_offload_write_send,
	.offload_write_recv_fn = ca_offload_write_recv,
	.durable_cookie_fn = ca_durable_cookie,
	.durable_reconnect_fn = ca_durable_reconnect,
};

NTSTATUS samba_init_module(TALLOC_CTX *mem_ctx)
{
	NTSTATUS status = csv_samba_is_ours();

	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return smb_register_vfs(SMB_VFS_INTERFACE_VERSION, "ca", &ca_fns);
}
