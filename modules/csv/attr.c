/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Attributes of files and of the volume. The device number comes from the
 * volume's UUID and the inode number from its owner, so that every node's
 * smbd means the same file by the same file_id.
 */
#include "csv.h"
#include "lib/util/statvfs.h"
#include <sys/statvfs.h>

static int csv_stat_at(struct vfs_handle_struct *handle,
		       const struct csv_at *at,
		       uint32_t flags,
		       SMB_STRUCT_STAT *sbuf)
{
	struct csv_stat st = {};
	int ret;

	if (at->dir != NULL && ISDOT(at->name)) {
		ret = csv_fstat(at->dir, &st);
	} else {
		ret = csv_statat(csv_vol(handle),
				 csv_cred_now(handle),
				 at->dir,
				 at->name,
				 flags,
				 &st,
				 NULL);
	}
	if (ret != 0) {
		return csv_ret(ret);
	}
	csv_stat_to_smb(handle, &st, sbuf);
	return 0;
}

static int csv_stat_cwd(struct vfs_handle_struct *handle,
			struct smb_filename *smb_fname,
			uint32_t flags)
{
	struct csv_at at = {};

	if (!csv_at_cwd(handle, smb_fname, &at)) {
		return -1;
	}
	return csv_stat_at(handle, &at, flags, &smb_fname->st);
}

int csv_vfs_stat(struct vfs_handle_struct *handle,
		 struct smb_filename *smb_fname)
{
	return csv_stat_cwd(handle, smb_fname, CSV_F_FOLLOW);
}

int csv_vfs_lstat(struct vfs_handle_struct *handle,
		  struct smb_filename *smb_fname)
{
	return csv_stat_cwd(handle, smb_fname, 0);
}

int csv_vfs_fstatat(struct vfs_handle_struct *handle,
		    const struct files_struct *dirfsp,
		    const struct smb_filename *smb_fname,
		    SMB_STRUCT_STAT *sbuf,
		    int flags)
{
	bool nofollow = (flags & AT_SYMLINK_NOFOLLOW) != 0;
	struct csv_at at = {};

	if (!csv_at(handle, dirfsp, smb_fname, &at)) {
		return -1;
	}
	return csv_stat_at(handle, &at, nofollow ? 0 : CSV_F_FOLLOW, sbuf);
}

/*
 * smbd looks at every file right after it opened it. If nothing was asked of
 * any volume in between, and no event loop can have run, what the open
 * brought is the answer: one trip to the owner saved.
 */
#define CSV_OPENED_FRESH_NS 2000000

static bool csv_stat_opened(struct vfs_handle_struct *handle,
			    struct files_struct *fsp,
			    struct csv_stat *st)
{
	struct csv_fsp *ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);
	struct timespec now;

	/* this call is the one after the open */
	if (ext == NULL || ext->opened_serial == 0 ||
	    ext->opened_serial + 1 != csv_call_serial())
	{
		return false;
	}
	ext->opened_serial = 0;
	clock_gettime_mono(&now);
	if (nsec_time_diff(&now, &ext->opened_at) > CSV_OPENED_FRESH_NS) {
		return false;
	}
	*st = ext->opened;
	return true;
}

static int csv_stat_handle(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   struct csv_handle *h,
			   struct csv_stat *st)
{
	struct csv_fsp *ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);
	const struct csv_dirent *entry = NULL;

	if (csv_stat_opened(handle, fsp, st)) {
		return 0;
	}
	entry = ext == NULL ? NULL : csv_listed_entry(ext->listed);
	if (entry != NULL) {
		*st = entry->st;
		return 0;
	}
	return csv_fstat(h, st);
}

static void csv_stat_above(SMB_STRUCT_STAT *sbuf)
{
	*sbuf = (SMB_STRUCT_STAT) {
		.st_ex_dev = 1,
		.st_ex_ino = 1,
		.st_ex_mode = S_IFDIR | 0755,
		.st_ex_nlink = 2,
		.st_ex_blksize = 4096,
	};
}

int csv_vfs_fstat(struct vfs_handle_struct *handle,
		  struct files_struct *fsp,
		  SMB_STRUCT_STAT *sbuf)
{
	struct csv_handle *h = NULL;
	struct csv_stat st = {};
	int ret;

	if (csv_is_above(handle, fsp)) {
		csv_stat_above(sbuf);
		return 0;
	}
	h = csv_handle_of(handle, fsp);
	if (h == NULL) {
		return -1;
	}
	ret = csv_stat_handle(handle, fsp, h, &st);
	if (ret != 0) {
		return csv_ret(ret);
	}
	csv_stat_to_smb(handle, &st, sbuf);
	return 0;
}

uint64_t csv_vfs_get_alloc_size(struct vfs_handle_struct *handle,
				struct files_struct *fsp,
				const SMB_STRUCT_STAT *sbuf)
{
	uint64_t size = 0;

	if (S_ISDIR(sbuf->st_ex_mode)) {
		return 0;
	}
	size = (uint64_t)sbuf->st_ex_blocks * STAT_ST_BLOCKSIZE;
	if (size == 0) {
		/* data may live in the inode */
		size = MIN(STAT_ST_BLOCKSIZE, get_file_size_stat(sbuf));
	}
	if (fsp != NULL) {
		size = MAX(size, fsp->initial_allocation_size);
	}
	return smb_roundup(handle->conn, size);
}

static int csv_change(struct vfs_handle_struct *handle,
		      struct csv_handle *h,
		      const char *name,
		      const struct csv_setattr *attr)
{
	int ret;

	csv_listed_forget();
	ret = csv_setattr(h,
			  csv_cred_now(handle),
			  name,
			  attr,
			  csv_stable(handle));
	return csv_ret(ret);
}

int csv_vfs_fchmod(struct vfs_handle_struct *handle,
		   struct files_struct *fsp,
		   mode_t mode)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	struct csv_setattr attr = {
		.mask = CSV_ATTR_MODE,
		.mode = mode,
	};

	return h == NULL ? -1 : csv_change(handle, h, NULL, &attr);
}

static struct csv_setattr csv_chown_attr(uid_t uid, gid_t gid)
{
	struct csv_setattr attr = {
		.uid = uid,
		.gid = gid,
	};

	if (uid != (uid_t)-1) {
		attr.mask |= CSV_ATTR_UID;
	}
	if (gid != (gid_t)-1) {
		attr.mask |= CSV_ATTR_GID;
	}
	return attr;
}

int csv_vfs_fchown(struct vfs_handle_struct *handle,
		   struct files_struct *fsp,
		   uid_t uid,
		   gid_t gid)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	struct csv_setattr attr = csv_chown_attr(uid, gid);

	return h == NULL ? -1 : csv_change(handle, h, NULL, &attr);
}

int csv_vfs_lchown(struct vfs_handle_struct *handle,
		   const struct smb_filename *smb_fname,
		   uid_t uid,
		   gid_t gid)
{
	struct csv_share *share = csv_share_of(handle);
	struct csv_setattr attr = csv_chown_attr(uid, gid);
	struct csv_at at = {};

	if (!csv_at_cwd(handle, smb_fname, &at)) {
		return -1;
	}
	if (at.dir == NULL) {
		errno = EINVAL;
		return -1;
	}
	if (at.dir == share->root && ISDOT(at.name)) {
		return csv_change(handle, at.dir, NULL, &attr);
	}
	return csv_change(handle, at.dir, at.name, &attr);
}

/* Times that smbd leaves out stay; the create time is an xattr. */
static void csv_fill_times(struct files_struct *fsp, struct smb_file_time *ft)
{
	SMB_STRUCT_STAT *st = &fsp->fsp_name->st;

	if (is_omit_timespec(&ft->atime)) {
		ft->atime = st->st_ex_atime;
	}
	if (is_omit_timespec(&ft->mtime)) {
		ft->mtime = st->st_ex_mtime;
	}
	if (!is_omit_timespec(&ft->create_time)) {
		set_create_timespec_ea(fsp, ft->create_time);
	}
}

int csv_vfs_fntimes(struct vfs_handle_struct *handle,
		    struct files_struct *fsp,
		    struct smb_file_time *ft)
{
	struct csv_handle *h = NULL;
	struct csv_setattr attr = {
		.mask = CSV_ATTR_ATIME | CSV_ATTR_MTIME,
	};

	if (fsp_is_alternate_stream(fsp)) {
		errno = ENOENT;
		return -1;
	}
	h = csv_handle_of(handle, fsp);
	if (h == NULL) {
		return -1;
	}
	if (ft == NULL) {
		attr.atime = timespec_current();
		attr.mtime = attr.atime;
		return csv_change(handle, h, NULL, &attr);
	}
	csv_fill_times(fsp, ft);
	if (timespec_equal(&ft->atime, &fsp->fsp_name->st.st_ex_atime) &&
	    timespec_equal(&ft->mtime, &fsp->fsp_name->st.st_ex_mtime))
	{
		return 0;
	}
	attr.atime = ft->atime;
	attr.mtime = ft->mtime;
	return csv_change(handle, h, NULL, &attr);
}

int csv_vfs_fstatvfs(struct vfs_handle_struct *handle,
		     struct files_struct *fsp,
		     struct vfs_statvfs_struct *statbuf)
{
	struct csv_statfs sfs = {};
	struct csv_handle *h = csv_handle_of(handle, fsp);
	int ret;

	if (h == NULL) {
		return -1;
	}
	ret = csv_statfs(csv_vol(handle), h, &sfs);
	if (ret != 0) {
		return csv_ret(ret);
	}
	*statbuf = (struct vfs_statvfs_struct) {
		.OptimalTransferSize = sfs.bsize,
		.BlockSize = sfs.bsize,
		.TotalBlocks = sfs.blocks,
		.BlocksAvail = sfs.bfree,
		.UserBlocksAvail = sfs.bavail,
		.TotalFileNodes = sfs.files,
		.FreeFileNodes = sfs.ffree,
		.FsIdentifier = csv_volume_dev(csv_vol(handle)),
		.FsCapabilities = FILE_CASE_SENSITIVE_SEARCH |
				  FILE_CASE_PRESERVED_NAMES |
				  FILE_SUPPORTS_SPARSE_FILES,
	};
	if ((sfs.flags & ST_RDONLY) != 0) {
		statbuf->FsCapabilities |= FILE_READ_ONLY_VOLUME;
	}
	return 0;
}

uint64_t csv_vfs_disk_free(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   uint64_t *bsize,
			   uint64_t *dfree,
			   uint64_t *dsize)
{
	struct vfs_statvfs_struct statbuf = {};

	if (csv_vfs_fstatvfs(handle, fsp, &statbuf) != 0) {
		return (uint64_t)-1;
	}
	statvfs2fsusage(&statbuf, dfree, dsize);
	*bsize = 512;
	return *dfree / 2;
}

/* XFS, ext4 and btrfs all keep nanoseconds. */
uint32_t csv_vfs_fs_capabilities(struct vfs_handle_struct *handle,
				 enum timestamp_set_resolution *p_ts_res)
{
	uint32_t caps = vfs_get_fs_capabilities(handle->conn, p_ts_res);

	*p_ts_res = TIMESTAMP_SET_NT_OR_BETTER;
	return caps;
}

struct file_id csv_vfs_file_id_create(struct vfs_handle_struct *handle,
				      const SMB_STRUCT_STAT *sbuf)
{
	struct file_id id;

	ZERO_STRUCT(id); /* padding too: it is a key */
	id.devid = sbuf->st_ex_dev;
	id.inode = sbuf->st_ex_ino;
	return id;
}

uint64_t csv_vfs_fs_file_id(struct vfs_handle_struct *handle,
			    const SMB_STRUCT_STAT *sbuf)
{
	return sbuf->st_ex_ino;
}
