/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The name of a persistent handle's file. smbd keeps the one that was opened
 * in the cookie of the open, and comes back for that: a client whose file was
 * renamed meanwhile is told OBJECT_NAME_NOT_FOUND.
 *
 * Whoever renames an open file through smbd, on any node, also writes the new
 * name into its share mode record, which the handle keeps alive. If the name
 * in the cookie does not lead to the file any more and that one does, the
 * cookie gets it before smbd looks.
 */
#include "modules/ca/ca.h"
#include "locking/share_mode_lock.h"
#include "librpc/gen_ndr/ndr_open_files.h"

/* A module below may have put something behind smbd's own cookie. */
struct ca_cookie {
	struct vfs_default_durable_cookie c;
	DATA_BLOB rest;
};

static bool ca_cookie_pull(TALLOC_CTX *mem_ctx,
			   DATA_BLOB blob,
			   struct ca_cookie *cookie)
{
	struct ndr_pull *ndr = ndr_pull_init_blob(&blob, mem_ctx);
	enum ndr_err_code err;

	if (ndr == NULL) {
		return false;
	}
	err = ndr_pull_vfs_default_durable_cookie(ndr,
						  NDR_SCALARS | NDR_BUFFERS,
						  &cookie->c);
	if (!NDR_ERR_CODE_IS_SUCCESS(err) || ndr->offset > blob.length) {
		return false;
	}
	cookie->rest = data_blob_const(blob.data + ndr->offset,
				       blob.length - ndr->offset);
	return true;
}

static bool ca_cookie_push(TALLOC_CTX *mem_ctx,
			   const struct ca_cookie *cookie,
			   DATA_BLOB *blob)
{
	enum ndr_err_code err;

	err = ndr_push_struct_blob(
		blob,
		mem_ctx,
		&cookie->c,
		(ndr_push_flags_fn_t)ndr_push_vfs_default_durable_cookie);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return false;
	}
	return data_blob_append(mem_ctx,
				blob,
				cookie->rest.data,
				cookie->rest.length);
}

static bool ca_name_leads_to(struct connection_struct *conn,
			     const char *name,
			     const struct file_id *id)
{
	struct smb_filename smb_fname = {
		.base_name = discard_const_p(char, name)};
	struct file_id found;

	if (SMB_VFS_LSTAT(conn, &smb_fname) == -1) {
		return false;
	}
	found = vfs_file_id_from_sbuf(conn, &smb_fname.st);
	return file_id_equal(&found, id);
}

/* The name as it was written at the last rename; NULL: there is none. */
static char *ca_name_now(TALLOC_CTX *mem_ctx, struct file_id id)
{
	struct share_mode_lock *lck = get_existing_share_mode_lock(NULL, id);
	char *name = NULL;

	if (lck != NULL) {
		name = share_mode_filename(mem_ctx, lck);
		TALLOC_FREE(lck);
	}
	return name;
}

/* false: the cookie is good as it is, or nothing better is known. */
static bool ca_rename_cookie(TALLOC_CTX *mem_ctx,
			     struct connection_struct *conn,
			     DATA_BLOB old_cookie,
			     DATA_BLOB *new_cookie)
{
	struct ca_cookie cookie = {};
	char *name = NULL;

	if (!ca_cookie_pull(mem_ctx, old_cookie, &cookie) ||
	    ca_name_leads_to(conn, cookie.c.base_name, &cookie.c.id))
	{
		return false;
	}
	name = ca_name_now(mem_ctx, cookie.c.id);
	if (name == NULL || strcmp(name, cookie.c.base_name) == 0) {
		return false;
	}
	DBG_NOTICE("%s is %s now\n", cookie.c.base_name, name);
	cookie.c.base_name = name;
	return ca_cookie_push(mem_ctx, &cookie, new_cookie);
}

NTSTATUS ca_durable_cookie(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   TALLOC_CTX *mem_ctx,
			   DATA_BLOB *cookie)
{
	NTSTATUS status;

	status = SMB_VFS_NEXT_DURABLE_COOKIE(handle, fsp, mem_ctx, cookie);
	if (NT_STATUS_IS_OK(status) && ca_share_of(handle) != NULL &&
	    fsp->op->global->persistent)
	{
		ca_note_add(handle->conn, mem_ctx, cookie);
	}
	return status;
}

NTSTATUS ca_durable_reconnect(struct vfs_handle_struct *handle,
			      struct smb_request *smb1req,
			      struct smbXsrv_open *op,
			      const DATA_BLOB old_cookie,
			      const struct smb2_lease *lease,
			      TALLOC_CTX *mem_ctx,
			      struct files_struct **fsp,
			      DATA_BLOB *new_cookie)
{
	bool ours = ca_share_of(handle) != NULL && op->global->persistent;
	TALLOC_CTX *frame = talloc_stackframe();
	DATA_BLOB renamed = data_blob_null;
	DATA_BLOB cookie = old_cookie;
	NTSTATUS status;

	ca_note_remove(&cookie);
	if (ours && ca_rename_cookie(frame, handle->conn, cookie, &renamed)) {
		cookie = renamed;
	}
	status = SMB_VFS_NEXT_DURABLE_RECONNECT(handle,
						smb1req,
						op,
						cookie,
						lease,
						mem_ctx,
						fsp,
						new_cookie);
	if (NT_STATUS_IS_OK(status) && ours) {
		ca_note_add(handle->conn, mem_ctx, new_cookie);
	}
	TALLOC_FREE(frame);
	return status;
}
