/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening and closing. smbd gets a number that looks like a descriptor but
 * is none of the kernel's: they begin where no process' descriptors reach, so
 * a kernel call on one fails with EBADF and never hits another file.
 */
#include "csv.h"
#include <limits.h>

#define CSV_FIRST_FD 0x40000000

static int csv_next_fd(void)
{
	static int last = CSV_FIRST_FD - 1;

	if (last == INT_MAX) {
		last = CSV_FIRST_FD - 1;
	}
	last += 1;
	return last;
}

static uint32_t csv_how_access(int flags)
{
	switch (flags & O_ACCMODE) {
	case O_WRONLY:
		return CSV_O_WRITE;
	case O_RDWR:
		return CSV_O_READ | CSV_O_WRITE;
	default:
		return CSV_O_READ;
	}
}

static uint32_t csv_how_flags(int flags)
{
	static const struct {
		int flag;
		uint32_t how;
	} map[] = {
		{ O_CREAT, CSV_O_CREAT },
		{ O_EXCL, CSV_O_EXCL },
		{ O_TRUNC, CSV_O_TRUNC },
		{ O_APPEND, CSV_O_APPEND },
		{ O_NONBLOCK, CSV_O_NONBLOCK },
		{ O_SYNC, CSV_O_SYNC },
		{ O_DSYNC, CSV_O_SYNC },
	};
	uint32_t how = csv_how_access(flags);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(map); i++) {
		if ((flags & map[i].flag) == map[i].flag) {
			how |= map[i].how;
		}
	}
	return how;
}

/*
 * What smbd loses when a client reconnects a persistent handle is that the
 * handle was write-through (it opens with plain O_RDWR); a file that a client
 * may write on a share with continuous availability always is.
 */
static bool csv_must_sync(struct csv_share *share,
			  const struct files_struct *fsp,
			  uint32_t how)
{
	if ((how & CSV_O_WRITE) == 0) {
		return false;
	}
	if (share->stable) {
		return true;
	}
	return fsp->op != NULL && fsp->op->global->persistent;
}

static uint32_t csv_how(struct csv_share *share,
			const struct files_struct *fsp,
			const struct vfs_open_how *vfs_how)
{
	int flags = vfs_how->flags;
	uint32_t how = 0;

	if (fsp->fsp_flags.is_pathref || (flags & O_PATH) != 0) {
		how = CSV_O_PATH;
	} else {
		how = csv_how_flags(flags);
		if (csv_must_sync(share, fsp, how)) {
			how |= CSV_O_SYNC;
		}
		if (share->stable && (how & CSV_O_ONCE) != 0) {
			how |= CSV_O_STABLE;
		}
	}
	if ((flags & O_DIRECTORY) != 0) {
		how |= CSV_O_DIRECTORY;
	}
	if ((flags & O_NOFOLLOW) != 0) {
		how |= CSV_O_NOFOLLOW;
	}
	if ((vfs_how->resolve & VFS_OPEN_HOW_RESOLVE_NO_SYMLINKS) != 0) {
		how |= CSV_O_NOSYMLINKS;
	}
	return how;
}

static void csv_fsp_destroy(void *p_data)
{
	struct csv_fsp *ext = p_data;

	TALLOC_FREE(ext->h);
	TALLOC_FREE(ext->dir);
}

static int csv_fsp_open(struct vfs_handle_struct *handle,
			const struct csv_at *at,
			struct files_struct *fsp,
			uint32_t how,
			mode_t mode)
{
	const struct csv_dirent *entry = NULL;
	struct csv_fsp *ext = NULL;
	TALLOC_CTX *mem_ctx = NULL;
	uint64_t listed = 0;
	int ret;

	ext = VFS_ADD_FSP_EXTENSION(handle,
				    fsp,
				    struct csv_fsp,
				    csv_fsp_destroy);
	if (ext == NULL) {
		return ENOMEM;
	}
	TALLOC_FREE(ext->h);
	TALLOC_FREE(ext->dir);
	ext->above = NULL;
	ext->listed = 0;
	mem_ctx = VFS_MEMCTX_FSP_EXTENSION(handle, fsp);
	if ((how & CSV_O_ONCE) != 0) {
		csv_listed_forget();
	}
	if (how == (CSV_O_PATH | CSV_O_NOFOLLOW)) {
		entry = csv_listed_at(at, csv_cred_now(handle), &listed);
	}
	if (entry != NULL) {
		ret = csv_open_fh_later(csv_vol(handle),
					mem_ctx,
					&entry->extra->fh,
					how,
					&ext->h);
		ext->opened = entry->st;
		ext->listed = listed;
	} else {
		ret = csv_open(csv_vol(handle),
			       mem_ctx,
			       csv_cred_now(handle),
			       at->dir,
			       at->name,
			       how,
			       mode,
			       &ext->h,
			       &ext->opened);
	}
	if (ret != 0) {
		VFS_REMOVE_FSP_EXTENSION(handle, fsp);
		return ret;
	}
	ext->opened_serial = csv_call_serial();
	clock_gettime_mono(&ext->opened_at);
	return 0;
}

/* "/" and "/csv" can be walked through, no more. */
static int csv_fsp_open_above(struct vfs_handle_struct *handle,
			      struct files_struct *fsp,
			      const char *above)
{
	struct csv_fsp *ext = NULL;

	if (!fsp->fsp_flags.is_pathref) {
		return EACCES;
	}
	ext = VFS_ADD_FSP_EXTENSION(handle,
				    fsp,
				    struct csv_fsp,
				    csv_fsp_destroy);
	if (ext == NULL) {
		return ENOMEM;
	}
	TALLOC_FREE(ext->h);
	ext->above = above;
	return 0;
}

/* Where to look for the file when its client comes back (whereabouts.c). */
static void csv_note_dir(struct vfs_handle_struct *handle,
			 const struct csv_at *at,
			 struct files_struct *fsp)
{
	struct csv_fsp *ext = NULL;

	if (fsp->fsp_flags.is_pathref || fsp->op == NULL ||
	    !fsp->op->global->persistent || at->dir == NULL ||
	    strchr_m(at->name, '/') != NULL)
	{
		return;
	}
	ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);
	ext->dir = talloc_memdup(VFS_MEMCTX_FSP_EXTENSION(handle, fsp),
				 csv_handle_fh(at->dir),
				 sizeof(struct csv_fhandle));
}

int csv_vfs_openat(struct vfs_handle_struct *handle,
		   const struct files_struct *dirfsp,
		   const struct smb_filename *smb_fname,
		   struct files_struct *fsp,
		   const struct vfs_open_how *how)
{
	const uint64_t known = VFS_OPEN_HOW_RESOLVE_NO_SYMLINKS |
			       VFS_OPEN_HOW_WITH_BACKUP_INTENT |
			       VFS_OPEN_HOW_RESOLVE_NO_XDEV;
	struct csv_share *share = csv_share_of(handle);
	struct csv_at at = {};
	const char *above = NULL;
	uint32_t csv_flags;
	int ret;

	fsp->fsp_flags.have_proc_fds = false;
	if ((how->resolve & ~known) != 0) {
		errno = ENOSYS;
		return -1;
	}
	above = csv_at_above(handle, dirfsp, smb_fname);
	if (above != NULL) {
		ret = csv_fsp_open_above(handle, fsp, above);
	} else if (csv_at(handle, dirfsp, smb_fname, &at)) {
		csv_flags = csv_how(share, fsp, how);
		ret = csv_fsp_open(handle, &at, fsp, csv_flags, how->mode);
		if (ret == 0) {
			csv_note_dir(handle, &at, fsp);
		}
	} else {
		ret = errno;
	}
	if (ret != 0) {
		return csv_ret(ret);
	}
	return csv_next_fd();
}

int csv_vfs_close(struct vfs_handle_struct *handle, struct files_struct *fsp)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	int ret = h != NULL ? csv_settle(h) : 0;

	VFS_REMOVE_FSP_EXTENSION(handle, fsp);
	return csv_ret(ret);
}
