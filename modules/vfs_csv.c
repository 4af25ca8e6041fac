/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vfs_csv: the bottom of Samba's VFS for shares on cluster volumes. It
 * translates Samba's VFS to the volume interface (lib/volume/volume.h) and
 * touches nothing of the kernel's but its own statistics file.
 *
 * What is promised, by table entry. "stable": on a share with `continuous
 * availability` the change is on stable storage when it is answered. "as the
 * user": with the ids and groups that smbd has taken on at that moment.
 *
 * connect, disconnect	  csv/conn.c: options checked, volume attached,
 *			  the parameters that a CSV share needs set; a volume
 *			  that is not Active lets the tree connect wait;
 *			  csv/dialect.c: a client whose dialect not every
 *			  node speaks is told a lower one;
 *			  csv/redirect.c: a client that asks for the owner
 *			  is sent there
 * open_share_root, chdir, realpath
 *			  csv/conn.c: the path exists in the volume only
 * openat, close	  csv/open.c: as the user; a virtual handle; O_SYNC
 *			  where the share or a persistent handle needs it;
 *			  O_NOFOLLOW, RESOLVE_NO_SYMLINKS exact; creation
 *			  stable
 * pread*, pwrite*, fsync_*, lseek, ftruncate, fallocate, fcntl
 *			  csv/data.c: the volume interface's own requests
 * sendfile, recvfile	  csv/data.c: ENOSYS, smbd falls back
 * stat, lstat, fstat, fstatat, get_alloc_size, file_id_create, fs_file_id
 *			  csv/attr.c: the same ids on every node
 * fchmod, fchown, lchown, fntimes
 *			  csv/attr.c: as the user, stable
 * disk_free, fstatvfs, fs_capabilities
 *			  csv/attr.c: the volume's, asked at its owner
 * get_quota, set_quota	  ENOSYS
 * fdopendir, readdir, rewind_dir, closedir, get_real_filename_at
 *			  csv/dir.c: goes on across a change of owner
 * mkdirat, mknodat, renameat, unlinkat, linkat, symlinkat, readlinkat,
 * create_dfs_pathat, read_dfs_pathat
 *			  csv/names.c: as the user, stable
 * fgetxattr, flistxattr, fremovexattr, fsetxattr
 *			  csv/xattr.c: as the user, stable
 * getxattrat_*, get_dos_attributes_*
 *			  ENOSYS: `smbd async dosmode` is switched off
 * sys_acl_get_fd, sys_acl_set_fd, sys_acl_delete_def_fd
 *			  csv/acl.c: POSIX ACLs as the kernel's xattrs
 * sys_acl_blob_get_fd	  Samba's own, over the above
 * offload_*		  csv/offload.c: the data moves at the owner
 * lock, getlock, filesystem_sharemode, linux_setlease
 *			  csv/lock.c: the kernel's are off
 * durable_*		  csv/reconnect.c: vfs_default's, after one correction
 * create_file, fget_nt_acl, fset_nt_acl, f*_dos_attributes, brl_*,
 * strict_lock_check, translate_name, parent_pathname, fstreaminfo,
 * fsctl, *_compression, get_dfs_referrals
 *			  csv/generic.c: vfs_default's, which only calls back
 * rename_stream, fchflags, get_shadow_copy_data
 *			  ENOSYS
 * freaddir_attr, snap_*  csv/generic.c: NT_STATUS_NOT_SUPPORTED
 * aio_force		  false: smbd decides
 */
#include "csv/csv.h"
#include "modules/version.h"

static struct vfs_fn_pointers csv_fns = {
	.connect_fn = csv_vfs_connect,
	.disconnect_fn = csv_vfs_disconnect,
	.open_share_root_fn = csv_vfs_open_share_root,
	.disk_free_fn = csv_vfs_disk_free,
	.get_quota_fn = vfs_not_implemented_get_quota,
	.set_quota_fn = vfs_not_implemented_set_quota,
	.get_shadow_copy_data_fn = vfs_not_implemented_get_shadow_copy_data,
	.fstatvfs_fn = csv_vfs_fstatvfs,
	.fs_capabilities_fn = csv_vfs_fs_capabilities,
	.get_dfs_referrals_fn = csv_vfs_get_dfs_referrals,
	.create_dfs_pathat_fn = csv_vfs_create_dfs_pathat,
	.read_dfs_pathat_fn = csv_vfs_read_dfs_pathat,
	.snap_check_path_fn = csv_vfs_snap_check_path,
	.snap_create_fn = csv_vfs_snap_create,
	.snap_delete_fn = csv_vfs_snap_delete,

	.fdopendir_fn = csv_vfs_fdopendir,
	.readdir_fn = csv_vfs_readdir,
	.freaddir_attr_fn = csv_vfs_freaddir_attr,
	.rewind_dir_fn = csv_vfs_rewind_dir,
	.mkdirat_fn = csv_vfs_mkdirat,
	.closedir_fn = csv_vfs_closedir,

	.openat_fn = csv_vfs_openat,
	.create_file_fn = csv_vfs_create_file,
	.close_fn = csv_vfs_close,
	.pread_fn = csv_vfs_pread,
	.pread_send_fn = csv_vfs_pread_send,
	.pread_recv_fn = csv_vfs_io_recv,
	.pwrite_fn = csv_vfs_pwrite,
	.pwrite_send_fn = csv_vfs_pwrite_send,
	.pwrite_recv_fn = csv_vfs_io_recv,
	.lseek_fn = csv_vfs_lseek,
	.sendfile_fn = csv_vfs_sendfile,
	.recvfile_fn = csv_vfs_recvfile,
	.renameat_fn = csv_vfs_renameat,
	.rename_stream_fn = vfs_not_implemented_rename_stream,
	.fsync_send_fn = csv_vfs_fsync_send,
	.fsync_recv_fn = csv_vfs_fsync_recv,
	.stat_fn = csv_vfs_stat,
	.fstat_fn = csv_vfs_fstat,
	.lstat_fn = csv_vfs_lstat,
	.fstatat_fn = csv_vfs_fstatat,
	.get_alloc_size_fn = csv_vfs_get_alloc_size,
	.unlinkat_fn = csv_vfs_unlinkat,
	.fchmod_fn = csv_vfs_fchmod,
	.fchown_fn = csv_vfs_fchown,
	.lchown_fn = csv_vfs_lchown,
	.chdir_fn = csv_vfs_chdir,
	.fntimes_fn = csv_vfs_fntimes,
	.ftruncate_fn = csv_vfs_ftruncate,
	.fallocate_fn = csv_vfs_fallocate,
	.lock_fn = csv_vfs_lock,
	.filesystem_sharemode_fn = csv_vfs_filesystem_sharemode,
	.fcntl_fn = csv_vfs_fcntl,
	.linux_setlease_fn = csv_vfs_linux_setlease,
	.getlock_fn = csv_vfs_getlock,
	.symlinkat_fn = csv_vfs_symlinkat,
	.readlinkat_fn = csv_vfs_readlinkat,
	.linkat_fn = csv_vfs_linkat,
	.mknodat_fn = csv_vfs_mknodat,
	.realpath_fn = csv_vfs_realpath,
	.fchflags_fn = vfs_not_implemented_fchflags,
	.file_id_create_fn = csv_vfs_file_id_create,
	.fs_file_id_fn = csv_vfs_fs_file_id,
	.fstreaminfo_fn = csv_vfs_fstreaminfo,
	.get_real_filename_at_fn = csv_vfs_get_real_filename_at,
	.brl_lock_windows_fn = csv_vfs_brl_lock_windows,
	.brl_unlock_windows_fn = csv_vfs_brl_unlock_windows,
	.strict_lock_check_fn = csv_vfs_strict_lock_check,
	.translate_name_fn = csv_vfs_translate_name,
	.parent_pathname_fn = csv_vfs_parent_pathname,
	.fsctl_fn = csv_vfs_fsctl,
	.fget_dos_attributes_fn = csv_vfs_fget_dos_attributes,
	.fset_dos_attributes_fn = csv_vfs_fset_dos_attributes,
	.get_dos_attributes_send_fn =
		vfs_not_implemented_get_dos_attributes_send,
	.get_dos_attributes_recv_fn =
		vfs_not_implemented_get_dos_attributes_recv,
	.offload_read_send_fn = csv_vfs_offload_read_send,
	.offload_read_recv_fn = csv_vfs_offload_read_recv,
	.offload_write_send_fn = csv_vfs_offload_write_send,
	.offload_write_recv_fn = csv_vfs_offload_write_recv,
	.fget_compression_fn = csv_vfs_fget_compression,
	.set_compression_fn = csv_vfs_set_compression,

	.fget_nt_acl_fn = csv_vfs_fget_nt_acl,
	.fset_nt_acl_fn = csv_vfs_fset_nt_acl,

	.sys_acl_get_fd_fn = csv_vfs_sys_acl_get_fd,
	.sys_acl_blob_get_fd_fn = posix_sys_acl_blob_get_fd,
	.sys_acl_set_fd_fn = csv_vfs_sys_acl_set_fd,
	.sys_acl_delete_def_fd_fn = csv_vfs_sys_acl_delete_def_fd,

	.getxattrat_send_fn = vfs_not_implemented_getxattrat_send,
	.getxattrat_recv_fn = vfs_not_implemented_getxattrat_recv,
	.fgetxattr_fn = csv_vfs_fgetxattr,
	.flistxattr_fn = csv_vfs_flistxattr,
	.fremovexattr_fn = csv_vfs_fremovexattr,
	.fsetxattr_fn = csv_vfs_fsetxattr,

	.aio_force_fn = vfs_not_implemented_aio_force,

	.durable_cookie_fn = csv_vfs_durable_cookie,
	.durable_disconnect_fn = csv_vfs_durable_disconnect,
	.durable_reconnect_fn = csv_vfs_durable_reconnect,
};

/*
 * An empty entry would fall through to vfs_default and act on whatever the
 * kernel finds: no such module may be loaded.
 */
static bool csv_fns_complete(void)
{
	const size_t num = sizeof(csv_fns) / sizeof(void (*)(void));
	void (*entry)(void) = NULL;
	size_t i;

	for (i = 0; i < num; i++) {
		memcpy(&entry,
		       (const uint8_t *)&csv_fns + i * sizeof(entry),
		       sizeof(entry));
		if (entry == NULL) {
			DBG_ERR("VFS function %zu is missing, refusing to "
				"load\n",
				i);
			return false;
		}
	}
	return true;
}

NTSTATUS samba_init_module(TALLOC_CTX *mem_ctx)
{
	NTSTATUS status = csv_samba_is_ours();

	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	if (!csv_fns_complete()) {
		return NT_STATUS_INTERNAL_ERROR;
	}
	return smb_register_vfs(SMB_VFS_INTERFACE_VERSION, "csv", &csv_fns);
}
