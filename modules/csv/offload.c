/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Server-side copy: the data moves where the files are, in steps of one MiB
 * with a turn of the event loop between them, so that other requests of the
 * client go on. What cannot be copied so (streams, ranges of one file that
 * overlap, a file system that declines) is read and written.
 *
 * A token names a source that is open on a share of this module; a copy from
 * or to a share of another kind finds no token, and the client copies itself.
 */
#include "csv.h"
#include "modules/offload_token.h"
#include "librpc/gen_ndr/ioctl.h"
#include "lib/util/tevent_ntstatus.h"
#include "lib/util/sys_rw.h"

#define CSV_COPY_STEP (1024 * 1024)
#define CSV_COPY_RETRY_US 20000

static struct vfs_offload_ctx *csv_offload_ctx;

struct csv_offload_read_state {
	DATA_BLOB token;
};

static NTSTATUS csv_offload_token(TALLOC_CTX *mem_ctx,
				  struct files_struct *fsp,
				  uint32_t fsctl,
				  DATA_BLOB *token)
{
	NTSTATUS status;

	if (fsctl != FSCTL_SRV_REQUEST_RESUME_KEY) {
		return NT_STATUS_INVALID_DEVICE_REQUEST; /* no reflinks */
	}
	status = vfs_offload_token_ctx_init(fsp->conn->sconn->client,
					    &csv_offload_ctx);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = vfs_offload_token_create_blob(mem_ctx, fsp, fsctl, token);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return vfs_offload_token_db_store_fsp(csv_offload_ctx, fsp, token);
}

struct tevent_req *csv_vfs_offload_read_send(TALLOC_CTX *mem_ctx,
					     struct tevent_context *ev,
					     struct vfs_handle_struct *handle,
					     struct files_struct *fsp,
					     uint32_t fsctl,
					     uint32_t ttl,
					     off_t offset,
					     size_t to_copy)
{
	struct csv_offload_read_state *state = NULL;
	struct tevent_req *req = NULL;
	NTSTATUS status;

	req = tevent_req_create(mem_ctx,
				&state,
				struct csv_offload_read_state);
	if (req == NULL) {
		return NULL;
	}
	status = csv_offload_token(state, fsp, fsctl, &state->token);
	if (!tevent_req_nterror(req, status)) {
		tevent_req_done(req);
	}
	return tevent_req_post(req, ev);
}

NTSTATUS csv_vfs_offload_read_recv(struct tevent_req *req,
				   struct vfs_handle_struct *handle,
				   TALLOC_CTX *mem_ctx,
				   uint32_t *flags,
				   uint64_t *xferlen,
				   DATA_BLOB *token_blob)
{
	struct csv_offload_read_state *state = NULL;
	NTSTATUS status;

	state = tevent_req_data(req, struct csv_offload_read_state);
	if (tevent_req_is_nterror(req, &status)) {
		tevent_req_received(req);
		return status;
	}
	*flags = 0;
	*xferlen = 0;
	token_blob->length = state->token.length;
	token_blob->data = talloc_move(mem_ctx, &state->token.data);
	tevent_req_received(req);
	return NT_STATUS_OK;
}

struct csv_offload_write_state {
	struct tevent_context *ev;
	struct vfs_handle_struct *handle;
	struct files_struct *src_fsp;
	struct files_struct *dst_fsp;
	off_t src_off;
	off_t dst_off;
	off_t remaining;
	off_t copied;
	bool by_hand;
	uint8_t *buf;
};

static void csv_offload_step(struct tevent_req *subreq);

static bool csv_offload_fsctl_ok(uint32_t fsctl)
{
	return fsctl == FSCTL_SRV_COPYCHUNK ||
	       fsctl == FSCTL_SRV_COPYCHUNK_WRITE;
}

static bool csv_offload_range_ok(off_t offset, off_t length)
{
	return offset >= 0 && length >= 0 && offset <= INT64_MAX - length;
}

/* Ranges of one file must not overlap for the file system to copy them. */
static bool csv_offload_by_hand(const struct csv_offload_write_state *state)
{
	bool same;

	if (fsp_is_alternate_stream(state->src_fsp) ||
	    fsp_is_alternate_stream(state->dst_fsp))
	{
		return true;
	}
	same = file_id_equal(&state->src_fsp->file_id,
			     &state->dst_fsp->file_id);
	return same && sys_io_ranges_overlap(state->remaining,
					     state->src_off,
					     state->remaining,
					     state->dst_off);
}

static NTSTATUS csv_offload_start(struct csv_offload_write_state *state,
				  uint32_t fsctl,
				  DATA_BLOB *token)
{
	NTSTATUS status;
	bool ok;

	status = vfs_offload_token_ctx_init(state->handle->conn->sconn->client,
					    &csv_offload_ctx);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = vfs_offload_token_db_fetch_fsp(csv_offload_ctx,
						token,
						&state->src_fsp);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	status = vfs_offload_token_check_handles(fsctl,
						 state->src_fsp,
						 state->dst_fsp);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	ok = change_to_user_and_service_by_fsp(state->src_fsp);
	if (!ok) {
		return NT_STATUS_ACCESS_DENIED;
	}
	status = vfs_stat_fsp(state->src_fsp);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	if (state->src_fsp->fsp_name->st.st_ex_size <
	    state->src_off + state->remaining)
	{
		return NT_STATUS_INVALID_VIEW_SIZE; /* as Windows says */
	}
	state->by_hand = csv_offload_by_hand(state);
	return NT_STATUS_OK;
}

static bool csv_offload_next(struct tevent_req *req, uint32_t delay_us)
{
	struct csv_offload_write_state *state = NULL;
	struct tevent_req *subreq = NULL;

	state = tevent_req_data(req, struct csv_offload_write_state);
	subreq = tevent_wakeup_send(state,
				    state->ev,
				    tevent_timeval_current_ofs(0, delay_us));
	if (tevent_req_nomem(subreq, req)) {
		return false;
	}
	tevent_req_set_callback(subreq, csv_offload_step, req);
	return true;
}

struct tevent_req *csv_vfs_offload_write_send(
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
	struct csv_offload_write_state *state = NULL;
	struct tevent_req *req = NULL;
	NTSTATUS status;
	bool ok;

	req = tevent_req_create(mem_ctx,
				&state,
				struct csv_offload_write_state);
	if (req == NULL) {
		return NULL;
	}
	state->ev = ev;
	state->handle = handle;
	state->dst_fsp = dest_fsp;
	state->src_off = transfer_offset;
	state->dst_off = dest_off;
	state->remaining = to_copy;

	if (!csv_offload_fsctl_ok(fsctl)) {
		tevent_req_nterror(req, NT_STATUS_INVALID_DEVICE_REQUEST);
		return tevent_req_post(req, ev);
	}
	if (to_copy == 0) {
		tevent_req_done(req);
		return tevent_req_post(req, ev);
	}
	if (!csv_offload_range_ok(transfer_offset, to_copy) ||
	    !csv_offload_range_ok(dest_off, to_copy))
	{
		tevent_req_nterror(req, NT_STATUS_INVALID_PARAMETER);
		return tevent_req_post(req, ev);
	}
	status = csv_offload_start(state, fsctl, token);
	ok = change_to_user_and_service_by_fsp(dest_fsp);
	SMB_ASSERT(ok);
	if (tevent_req_nterror(req, status)) {
		return tevent_req_post(req, ev);
	}
	if (!csv_offload_next(req, 0)) {
		return tevent_req_post(req, ev);
	}
	return req;
}

static bool csv_offload_lock_ok(struct files_struct *fsp,
				off_t offset,
				off_t length,
				enum brl_type type)
{
	struct lock_struct lock;

	init_strict_lock_struct(fsp,
				fsp->op->global->open_persistent_id,
				offset,
				length,
				type,
				&lock);
	return SMB_VFS_STRICT_LOCK_CHECK(fsp->conn, fsp, &lock);
}

/* 0 and *done 0: the source ended */
static int csv_offload_read_write(struct csv_offload_write_state *state,
				  size_t n,
				  size_t *done)
{
	ssize_t nread;
	ssize_t nwritten;

	if (state->buf == NULL) {
		state->buf = talloc_array(state, uint8_t, CSV_COPY_STEP);
	}
	if (state->buf == NULL) {
		return ENOMEM;
	}
	if (!change_to_user_and_service_by_fsp(state->src_fsp)) {
		return EACCES;
	}
	nread = SMB_VFS_PREAD(state->src_fsp, state->buf, n, state->src_off);
	if (nread == -1) {
		return errno;
	}
	if (!change_to_user_and_service_by_fsp(state->dst_fsp)) {
		return EACCES;
	}
	nwritten = SMB_VFS_PWRITE(state->dst_fsp,
				  state->buf,
				  nread,
				  state->dst_off);
	if (nwritten == -1) {
		return errno;
	}
	*done = nwritten;
	return 0;
}

static int csv_offload_copy(struct csv_offload_write_state *state,
			    size_t n,
			    size_t *done)
{
	struct csv_handle *src = csv_handle_of(state->handle, state->src_fsp);
	struct csv_handle *dst = csv_handle_of(state->handle, state->dst_fsp);
	uint64_t copied = 0;
	int ret;

	if (src == NULL || dst == NULL) {
		return EXDEV; /* the source is on another volume */
	}
	ret = csv_copy_range(src,
			     state->src_off,
			     dst,
			     state->dst_off,
			     n,
			     csv_stable(state->handle),
			     &copied);
	*done = copied;
	return ret;
}

static bool csv_offload_declined(int error)
{
	return error == EXDEV || error == EOPNOTSUPP || error == ENOSYS ||
	       error == EINVAL;
}

static NTSTATUS csv_offload_move(struct csv_offload_write_state *state)
{
	size_t n = MIN(state->remaining, CSV_COPY_STEP);
	size_t done = 0;
	int ret = EXDEV;

	if (!csv_offload_lock_ok(state->src_fsp,
				 state->src_off,
				 n,
				 READ_LOCK) ||
	    !csv_offload_lock_ok(state->dst_fsp,
				 state->dst_off,
				 n,
				 WRITE_LOCK))
	{
		return NT_STATUS_FILE_LOCK_CONFLICT;
	}
	if (!state->by_hand) {
		ret = csv_offload_copy(state, n, &done);
		state->by_hand = csv_offload_declined(ret);
	}
	if (state->by_hand) {
		ret = csv_offload_read_write(state, n, &done);
	}
	if (ret != 0) {
		return map_nt_error_from_unix(ret);
	}
	if (done == 0 || done > n) {
		return NT_STATUS_IO_DEVICE_ERROR; /* the source shrank */
	}
	state->src_off += done;
	state->dst_off += done;
	state->copied += done;
	state->remaining -= done;
	return NT_STATUS_OK;
}

static void csv_offload_step(struct tevent_req *subreq)
{
	struct csv_offload_write_state *state = NULL;
	struct tevent_req *req = NULL;
	enum csv_state volume_state;
	NTSTATUS status;
	bool ok;

	req = tevent_req_callback_data(subreq, struct tevent_req);
	state = tevent_req_data(req, struct csv_offload_write_state);
	ok = tevent_wakeup_recv(subreq);
	TALLOC_FREE(subreq);
	if (!ok) {
		tevent_req_nterror(req, NT_STATUS_INTERNAL_ERROR);
		return;
	}
	volume_state = csv_volume_state(csv_vol(state->handle));
	if (volume_state != CSV_STATE_ACTIVE &&
	    volume_state != CSV_STATE_INIT)
	{
		csv_offload_next(req, CSV_COPY_RETRY_US);
		return;
	}
	ok = change_to_user_and_service_by_fsp(state->dst_fsp);
	if (!ok) {
		tevent_req_nterror(req, NT_STATUS_ACCESS_DENIED);
		return;
	}
	status = csv_offload_move(state);
	if (tevent_req_nterror(req, status)) {
		return;
	}
	if (state->remaining == 0) {
		tevent_req_done(req);
		return;
	}
	csv_offload_next(req, 0);
}

NTSTATUS csv_vfs_offload_write_recv(struct vfs_handle_struct *handle,
				    struct tevent_req *req,
				    off_t *copied)
{
	struct csv_offload_write_state *state = NULL;
	NTSTATUS status;

	state = tevent_req_data(req, struct csv_offload_write_state);
	if (tevent_req_is_nterror(req, &status)) {
		*copied = 0;
		tevent_req_received(req);
		return status;
	}
	*copied = state->copied;
	tevent_req_received(req);
	return NT_STATUS_OK;
}
