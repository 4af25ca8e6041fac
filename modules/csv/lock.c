/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Locks, share modes and leases of the kernel: there are none on a volume.
 * Samba's own databases keep them, cluster-wide; connect switches the
 * kernel's off, and what still comes here succeeds without effect, or is
 * refused where success would be a lie.
 */
#include "csv.h"

bool csv_vfs_lock(struct vfs_handle_struct *handle,
		  struct files_struct *fsp,
		  int op,
		  off_t offset,
		  off_t count,
		  int type)
{
	return true;
}

/* Nobody outside Samba holds a lock. */
bool csv_vfs_getlock(struct vfs_handle_struct *handle,
		     struct files_struct *fsp,
		     off_t *poffset,
		     off_t *pcount,
		     int *ptype,
		     pid_t *ppid)
{
	*ptype = F_UNLCK;
	*ppid = 0;
	return true;
}

int csv_vfs_filesystem_sharemode(struct vfs_handle_struct *handle,
				 struct files_struct *fsp,
				 uint32_t share_access,
				 uint32_t access_mask)
{
	errno = ENOTSUP;
	return -1;
}

int csv_vfs_linux_setlease(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   int leasetype)
{
	errno = ENOSYS;
	return -1;
}
