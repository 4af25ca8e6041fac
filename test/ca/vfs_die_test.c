/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * An smbd that is killed in the middle of a CREATE. It stands below ca. The
 * file die:file names one point; whose smbd comes by removes the file and
 * is killed by SIGKILL:
 *
 * before	nothing is made yet
 * made		a file is made, a directory has its temporary name
 * marked	the attribute of who made it is set
 * named	a directory has its own name
 * opened	the open is done, the handle is not stored
 * stored	the handle is stored, the answer is not sent
 */

#include "includes.h"
#include "smbd/smbd.h"

static bool die_test_cookie; /* the next question is after the record */

static void die_test_at(struct connection_struct *conn, const char *point)
{
	const char *file = lp_parm_const_string(
		SNUM(conn), "die", "file", NULL);
	int err = errno;
	char want[32] = {};
	FILE *in = NULL;

	become_root();
	in = file == NULL ? NULL : fopen(file, "r");
	if (in != NULL) {
		if (fscanf(in, "%31s", want) == 1 && strcmp(want, point) == 0 &&
		    unlink(file) == 0)
		{
			kill(getpid(), SIGKILL);
		}
		fclose(in);
	}
	unbecome_root();
	errno = err;
}

static NTSTATUS die_test_create_file(struct vfs_handle_struct *handle,
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
				     files_struct **result,
				     int *pinfo,
				     const struct smb2_create_blobs *in,
				     struct smb2_create_blobs *out)
{
	NTSTATUS status;

	die_test_at(handle->conn, "before");
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
					  in,
					  out);
	if (NT_STATUS_IS_OK(status)) {
		die_test_at(handle->conn, "opened");
	}
	return status;
}

static int die_test_openat(struct vfs_handle_struct *handle,
			   const struct files_struct *dirfsp,
			   const struct smb_filename *smb_fname,
			   struct files_struct *fsp,
			   const struct vfs_open_how *how)
{
	int fd = SMB_VFS_NEXT_OPENAT(handle, dirfsp, smb_fname, fsp, how);

	if (fd != -1 && (how->flags & O_EXCL) != 0) {
		die_test_at(handle->conn, "made");
	}
	return fd;
}

static int die_test_mkdirat(struct vfs_handle_struct *handle,
			    struct files_struct *dirfsp,
			    const struct smb_filename *smb_fname,
			    mode_t mode)
{
	int ret = SMB_VFS_NEXT_MKDIRAT(handle, dirfsp, smb_fname, mode);

	if (ret == 0) {
		die_test_at(handle->conn, "made");
	}
	return ret;
}

static int die_test_fsetxattr(struct vfs_handle_struct *handle,
			      struct files_struct *fsp,
			      const char *name,
			      const void *value,
			      size_t size,
			      int flags)
{
	int ret = SMB_VFS_NEXT_FSETXATTR(
		handle, fsp, name, value, size, flags);

	if (strstr(name, "sofs") != NULL) {
		die_test_at(handle->conn, "marked");
	}
	return ret;
}

static int die_test_renameat(struct vfs_handle_struct *handle,
			     struct files_struct *src_dirfsp,
			     const struct smb_filename *src,
			     struct files_struct *dst_dirfsp,
			     const struct smb_filename *dst,
			     const struct vfs_rename_how *how)
{
	int ret = SMB_VFS_NEXT_RENAMEAT(
		handle, src_dirfsp, src, dst_dirfsp, dst, how);

	if (ret == 0) {
		die_test_at(handle->conn, "named");
	}
	return ret;
}

static NTSTATUS die_test_durable_cookie(struct vfs_handle_struct *handle,
					struct files_struct *fsp,
					TALLOC_CTX *mem_ctx,
					DATA_BLOB *cookie)
{
	die_test_cookie = true;
	return SMB_VFS_NEXT_DURABLE_COOKIE(handle, fsp, mem_ctx, cookie);
}

static uint64_t die_test_get_alloc_size(struct vfs_handle_struct *handle,
					struct files_struct *fsp,
					const SMB_STRUCT_STAT *sbuf)
{
	if (die_test_cookie) {
		die_test_cookie = false;
		die_test_at(handle->conn, "stored");
	}
	return SMB_VFS_NEXT_GET_ALLOC_SIZE(handle, fsp, sbuf);
}

static struct vfs_fn_pointers die_test_fns = {
	.create_file_fn = die_test_create_file,
	.openat_fn = die_test_openat,
	.mkdirat_fn = die_test_mkdirat,
	.fsetxattr_fn = die_test_fsetxattr,
	.renameat_fn = die_test_renameat,
	.durable_cookie_fn = die_test_durable_cookie,
	.get_alloc_size_fn = die_test_get_alloc_size,
};

NTSTATUS samba_init_module(TALLOC_CTX *mem_ctx)
{
	return smb_register_vfs(
		SMB_VFS_INTERFACE_VERSION, "die_test", &die_test_fns);
}
