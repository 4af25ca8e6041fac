/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes of the name space. On a share with continuous availability each is
 * on stable storage when it is answered.
 */
#include "csv.h"
#include "msdfs.h"

int csv_vfs_mkdirat(struct vfs_handle_struct *handle,
		    struct files_struct *dirfsp,
		    const struct smb_filename *smb_fname,
		    mode_t mode)
{
	struct csv_at at = {};
	int ret;

	if (!csv_at(handle, dirfsp, smb_fname, &at)) {
		return -1;
	}
	csv_listed_forget();
	ret = csv_mkdir(csv_vol(handle),
			csv_cred_now(handle),
			at.dir,
			at.name,
			mode,
			csv_stable(handle));
	return csv_ret(ret);
}

int csv_vfs_mknodat(struct vfs_handle_struct *handle,
		    struct files_struct *dirfsp,
		    const struct smb_filename *smb_fname,
		    mode_t mode,
		    SMB_DEV_T dev)
{
	struct csv_at at = {};
	int ret;

	if (!csv_at(handle, dirfsp, smb_fname, &at)) {
		return -1;
	}
	csv_listed_forget();
	ret = csv_mknod(csv_vol(handle),
			csv_cred_now(handle),
			at.dir,
			at.name,
			mode,
			dev,
			csv_stable(handle));
	return csv_ret(ret);
}

int csv_vfs_renameat(struct vfs_handle_struct *handle,
		     struct files_struct *srcdir_fsp,
		     const struct smb_filename *smb_fname_src,
		     struct files_struct *dstdir_fsp,
		     const struct smb_filename *smb_fname_dst,
		     const struct vfs_rename_how *how)
{
	uint32_t flags = csv_stable(handle);
	struct csv_at src = {};
	struct csv_at dst = {};
	int ret;

	if ((how->flags & ~VFS_RENAME_HOW_NO_REPLACE) != 0) {
		errno = EINVAL;
		return -1;
	}
	if ((how->flags & VFS_RENAME_HOW_NO_REPLACE) != 0) {
		flags |= CSV_F_NOREPLACE;
	}
	if (!csv_at(handle, srcdir_fsp, smb_fname_src, &src) ||
	    !csv_at(handle, dstdir_fsp, smb_fname_dst, &dst))
	{
		return -1;
	}
	csv_listed_forget();
	ret = csv_rename(csv_vol(handle),
			 csv_cred_now(handle),
			 src.dir,
			 src.name,
			 dst.dir,
			 dst.name,
			 flags);
	return csv_ret(ret);
}

int csv_vfs_unlinkat(struct vfs_handle_struct *handle,
		     struct files_struct *dirfsp,
		     const struct smb_filename *smb_fname,
		     int flags)
{
	uint32_t csv_flags = csv_stable(handle);
	struct csv_at at = {};
	int ret;

	if (!csv_at(handle, dirfsp, smb_fname, &at)) {
		return -1;
	}
	if ((flags & AT_REMOVEDIR) != 0) {
		csv_flags |= CSV_F_RMDIR;
	}
	csv_listed_forget();
	ret = csv_unlink(csv_vol(handle),
			 csv_cred_now(handle),
			 at.dir,
			 at.name,
			 csv_flags);
	return csv_ret(ret);
}

int csv_vfs_linkat(struct vfs_handle_struct *handle,
		   struct files_struct *srcfsp,
		   const struct smb_filename *old_smb_fname,
		   struct files_struct *dstfsp,
		   const struct smb_filename *new_smb_fname,
		   int flags)
{
	struct csv_at src = {};
	struct csv_at dst = {};
	int ret;

	if ((flags & ~AT_EMPTY_PATH) != 0) {
		errno = ENOTSUP;
		return -1;
	}
	if (!csv_at(handle, srcfsp, old_smb_fname, &src) ||
	    !csv_at(handle, dstfsp, new_smb_fname, &dst))
	{
		return -1;
	}
	if ((flags & AT_EMPTY_PATH) != 0 &&
	    old_smb_fname->base_name[0] == '\0')
	{
		src.name = "";
	}
	csv_listed_forget();
	ret = csv_link(csv_vol(handle),
		       csv_cred_now(handle),
		       src.dir,
		       src.name,
		       dst.dir,
		       dst.name,
		       csv_stable(handle));
	return csv_ret(ret);
}

static int csv_make_symlink(struct vfs_handle_struct *handle,
			    const char *target,
			    struct files_struct *dirfsp,
			    const struct smb_filename *smb_fname)
{
	struct csv_at at = {};
	int ret;

	if (!csv_at(handle, dirfsp, smb_fname, &at)) {
		return -1;
	}
	csv_listed_forget();
	ret = csv_symlink(csv_vol(handle),
			  csv_cred_now(handle),
			  at.dir,
			  at.name,
			  target,
			  csv_stable(handle));
	return csv_ret(ret);
}

int csv_vfs_symlinkat(struct vfs_handle_struct *handle,
		      const struct smb_filename *link_contents,
		      struct files_struct *dirfsp,
		      const struct smb_filename *new_smb_fname)
{
	return csv_make_symlink(handle,
				link_contents->base_name,
				dirfsp,
				new_smb_fname);
}

/* An empty name reads the symlink that dirfsp itself is. */
static int csv_read_symlink(struct vfs_handle_struct *handle,
			    TALLOC_CTX *mem_ctx,
			    const struct files_struct *dirfsp,
			    const struct smb_filename *smb_fname,
			    char **target)
{
	struct csv_at at = {};
	int ret;

	if (!csv_at(handle, dirfsp, smb_fname, &at)) {
		return -1;
	}
	if (smb_fname->base_name[0] == '\0') {
		at.name = "";
	}
	ret = csv_readlink(csv_vol(handle),
			   mem_ctx,
			   csv_cred_now(handle),
			   at.dir,
			   at.name,
			   target);
	return csv_ret(ret);
}

int csv_vfs_readlinkat(struct vfs_handle_struct *handle,
		       const struct files_struct *dirfsp,
		       const struct smb_filename *smb_fname,
		       char *buf,
		       size_t bufsiz)
{
	char *target = NULL;
	size_t len;
	int ret;

	ret = csv_read_symlink(handle,
			       talloc_tos(),
			       dirfsp,
			       smb_fname,
			       &target);
	if (ret != 0) {
		return -1;
	}
	len = MIN(strlen(target), bufsiz);
	memcpy(buf, target, len);
	TALLOC_FREE(target);
	return len;
}

NTSTATUS csv_vfs_create_dfs_pathat(struct vfs_handle_struct *handle,
				   struct files_struct *dirfsp,
				   const struct smb_filename *smb_fname,
				   const struct referral *reflist,
				   size_t referral_count)
{
	TALLOC_CTX *frame = talloc_stackframe();
	NTSTATUS status = NT_STATUS_OK;
	char *target = NULL;

	target = msdfs_link_string(frame, reflist, referral_count);
	if (target == NULL) {
		status = NT_STATUS_NO_MEMORY;
	} else if (csv_make_symlink(handle, target, dirfsp, smb_fname) != 0) {
		status = map_nt_error_from_unix(errno);
	}
	TALLOC_FREE(frame);
	return status;
}

static NTSTATUS csv_read_dfs_error(int error)
{
	if (error == EINVAL) {
		return NT_STATUS_OBJECT_TYPE_MISMATCH; /* no symlink */
	}
	return map_nt_error_from_unix(error);
}

static NTSTATUS csv_read_dfs(struct vfs_handle_struct *handle,
			     TALLOC_CTX *mem_ctx,
			     struct files_struct *dirfsp,
			     struct smb_filename *smb_fname,
			     const char *target,
			     struct referral **ppreflist,
			     size_t *preferral_count)
{
	bool shuffle = lp_msdfs_shuffle_referrals(SNUM(handle->conn));
	bool ok;
	int ret;

	if (!strnequal(target, "msdfs:", 6)) {
		return NT_STATUS_OBJECT_TYPE_MISMATCH;
	}
	ret = csv_vfs_fstatat(handle,
			      dirfsp,
			      smb_fname,
			      &smb_fname->st,
			      AT_SYMLINK_NOFOLLOW);
	if (ret != 0) {
		return map_nt_error_from_unix(errno);
	}
	if (ppreflist == NULL && preferral_count == NULL) {
		return NT_STATUS_OK;
	}
	ok = parse_msdfs_symlink(mem_ctx,
				 shuffle,
				 target,
				 ppreflist,
				 preferral_count);
	return ok ? NT_STATUS_OK : NT_STATUS_NO_MEMORY;
}

NTSTATUS csv_vfs_read_dfs_pathat(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 struct files_struct *dirfsp,
				 struct smb_filename *smb_fname,
				 struct referral **ppreflist,
				 size_t *preferral_count)
{
	char *target = NULL;
	NTSTATUS status;
	int ret;

	ret = csv_read_symlink(handle,
			       talloc_tos(),
			       dirfsp,
			       smb_fname,
			       &target);
	if (ret != 0) {
		return csv_read_dfs_error(errno);
	}
	status = csv_read_dfs(handle,
			      mem_ctx,
			      dirfsp,
			      smb_fname,
			      target,
			      ppreflist,
			      preferral_count);
	TALLOC_FREE(target);
	return status;
}
