/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What vfs_default does there only calls back into the VFS, from its top, and
 * into Samba's databases: it never touches a descriptor or path of the
 * kernel. So these go on to it. Each was read in 4.25.0; the module refuses
 * to load into another version.
 */
#include "csv.h"

/* Opening, with all of Samba's share modes, leases and access checks. */

NTSTATUS csv_vfs_create_file(struct vfs_handle_struct *handle,
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
			     const struct smb2_create_blobs *in_context_blobs,
			     struct smb2_create_blobs *out_context_blobs)
{
	return SMB_VFS_NEXT_CREATE_FILE(handle,
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
					in_context_blobs,
					out_context_blobs);
}

/* NT ACLs mapped to POSIX ACLs (when no acl_xattr is stacked above). */

NTSTATUS csv_vfs_fget_nt_acl(struct vfs_handle_struct *handle,
			     struct files_struct *fsp,
			     uint32_t security_info,
			     TALLOC_CTX *mem_ctx,
			     struct security_descriptor **ppdesc)
{
	return SMB_VFS_NEXT_FGET_NT_ACL(handle,
					fsp,
					security_info,
					mem_ctx,
					ppdesc);
}

NTSTATUS csv_vfs_fset_nt_acl(struct vfs_handle_struct *handle,
			     struct files_struct *fsp,
			     uint32_t security_info_sent,
			     const struct security_descriptor *psd)
{
	return SMB_VFS_NEXT_FSET_NT_ACL(handle, fsp, security_info_sent, psd);
}

/* DOS attributes, in the xattr user.DOSATTRIB. */

NTSTATUS csv_vfs_fget_dos_attributes(struct vfs_handle_struct *handle,
				     struct files_struct *fsp,
				     uint32_t *dosmode)
{
	return SMB_VFS_NEXT_FGET_DOS_ATTRIBUTES(handle, fsp, dosmode);
}

NTSTATUS csv_vfs_fset_dos_attributes(struct vfs_handle_struct *handle,
				     struct files_struct *fsp,
				     uint32_t dosmode)
{
	return SMB_VFS_NEXT_FSET_DOS_ATTRIBUTES(handle, fsp, dosmode);
}

/* Byte-range locks, in Samba's clustered brlock.tdb. */

NTSTATUS csv_vfs_brl_lock_windows(struct vfs_handle_struct *handle,
				  struct byte_range_lock *br_lck,
				  struct lock_struct *plock)
{
	return SMB_VFS_NEXT_BRL_LOCK_WINDOWS(handle, br_lck, plock);
}

bool csv_vfs_brl_unlock_windows(struct vfs_handle_struct *handle,
				struct byte_range_lock *br_lck,
				const struct lock_struct *plock)
{
	return SMB_VFS_NEXT_BRL_UNLOCK_WINDOWS(handle, br_lck, plock);
}

bool csv_vfs_strict_lock_check(struct vfs_handle_struct *handle,
			       struct files_struct *fsp,
			       struct lock_struct *plock)
{
	return SMB_VFS_NEXT_STRICT_LOCK_CHECK(handle, fsp, plock);
}

/* Names, streams, control codes. */

NTSTATUS csv_vfs_translate_name(struct vfs_handle_struct *handle,
				const char *name,
				enum vfs_translate_direction direction,
				TALLOC_CTX *mem_ctx,
				char **mapped_name)
{
	return SMB_VFS_NEXT_TRANSLATE_NAME(handle,
					   name,
					   direction,
					   mem_ctx,
					   mapped_name);
}

NTSTATUS csv_vfs_parent_pathname(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 const struct smb_filename *smb_fname_in,
				 struct smb_filename **parent_dir_out,
				 struct smb_filename **atname_out)
{
	return SMB_VFS_NEXT_PARENT_PATHNAME(handle,
					    mem_ctx,
					    smb_fname_in,
					    parent_dir_out,
					    atname_out);
}

NTSTATUS csv_vfs_fstreaminfo(struct vfs_handle_struct *handle,
			     struct files_struct *fsp,
			     TALLOC_CTX *mem_ctx,
			     unsigned int *num_streams,
			     struct stream_struct **streams)
{
	return SMB_VFS_NEXT_FSTREAMINFO(handle,
					fsp,
					mem_ctx,
					num_streams,
					streams);
}

NTSTATUS csv_vfs_fsctl(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       TALLOC_CTX *ctx,
		       uint32_t function,
		       uint16_t req_flags,
		       const uint8_t *in_data,
		       uint32_t in_len,
		       uint8_t **out_data,
		       uint32_t max_out_len,
		       uint32_t *out_len)
{
	return SMB_VFS_NEXT_FSCTL(handle,
				  fsp,
				  ctx,
				  function,
				  req_flags,
				  in_data,
				  in_len,
				  out_data,
				  max_out_len,
				  out_len);
}

NTSTATUS csv_vfs_fget_compression(struct vfs_handle_struct *handle,
				  TALLOC_CTX *mem_ctx,
				  struct files_struct *fsp,
				  uint16_t *compression_fmt)
{
	return SMB_VFS_NEXT_FGET_COMPRESSION(handle,
					     mem_ctx,
					     fsp,
					     compression_fmt);
}

NTSTATUS csv_vfs_set_compression(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 struct files_struct *fsp,
				 uint16_t compression_fmt)
{
	return SMB_VFS_NEXT_SET_COMPRESSION(handle,
					    mem_ctx,
					    fsp,
					    compression_fmt);
}

NTSTATUS csv_vfs_get_dfs_referrals(struct vfs_handle_struct *handle,
				   struct dfs_GetDFSReferral *r)
{
	return SMB_VFS_NEXT_GET_DFS_REFERRALS(handle, r);
}

/* What smbd expects to hear where there is nothing: not "not implemented". */

NTSTATUS csv_vfs_freaddir_attr(struct vfs_handle_struct *handle,
			       struct files_struct *fsp,
			       TALLOC_CTX *mem_ctx,
			       struct readdir_attr_data **attr_data)
{
	return NT_STATUS_NOT_SUPPORTED;
}

NTSTATUS csv_vfs_snap_check_path(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 const char *service_path,
				 char **base_volume)
{
	return NT_STATUS_NOT_SUPPORTED;
}

NTSTATUS csv_vfs_snap_create(struct vfs_handle_struct *handle,
			     TALLOC_CTX *mem_ctx,
			     const char *base_volume,
			     time_t *tstamp,
			     bool rw,
			     char **base_path,
			     char **snap_path)
{
	return NT_STATUS_NOT_SUPPORTED;
}

NTSTATUS csv_vfs_snap_delete(struct vfs_handle_struct *handle,
			     TALLOC_CTX *mem_ctx,
			     char *base_path,
			     char *snap_path)
{
	return NT_STATUS_NOT_SUPPORTED;
}
