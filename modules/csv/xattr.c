/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extended attributes. Streams, DOS attributes and NT ACLs of the modules
 * above live here; security.* ones come with the root token that smbd has on
 * at that moment.
 */
#include "csv.h"
#include <sys/xattr.h>

ssize_t csv_vfs_fgetxattr(struct vfs_handle_struct *handle,
			  struct files_struct *fsp,
			  const char *name,
			  void *value,
			  size_t size)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	size_t len = MIN(size, CSV_MAX_XATTR);
	int ret;

	if (h == NULL) {
		return -1;
	}
	ret = csv_getxattr(h,
			   csv_cred_now(handle),
			   name,
			   len != 0 ? value : NULL,
			   &len);
	return ret == 0 ? (ssize_t)len : csv_ret(ret);
}

ssize_t csv_vfs_flistxattr(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   char *list,
			   size_t size)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	size_t len = MIN(size, CSV_MAX_XATTR);
	int ret;

	if (h == NULL) {
		return -1;
	}
	ret = csv_listxattr(h,
			    csv_cred_now(handle),
			    len != 0 ? list : NULL,
			    &len);
	return ret == 0 ? (ssize_t)len : csv_ret(ret);
}

int csv_vfs_fremovexattr(struct vfs_handle_struct *handle,
			 struct files_struct *fsp,
			 const char *name)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	int ret;

	if (h == NULL) {
		return -1;
	}
	ret = csv_removexattr(h,
			      csv_cred_now(handle),
			      name,
			      csv_stable(handle));
	return csv_ret(ret);
}

int csv_vfs_fsetxattr(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      const char *name,
		      const void *value,
		      size_t size,
		      int flags)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	uint32_t csv_flags = csv_stable(handle);
	int ret;

	if (h == NULL) {
		return -1;
	}
	if (size > CSV_MAX_XATTR) {
		errno = E2BIG;
		return -1;
	}
	if ((flags & XATTR_CREATE) != 0) {
		csv_flags |= CSV_F_XCREATE;
	}
	if ((flags & XATTR_REPLACE) != 0) {
		csv_flags |= CSV_F_XREPLACE;
	}
	ret = csv_setxattr(h,
			   csv_cred_now(handle),
			   name,
			   value,
			   size,
			   csv_flags);
	return csv_ret(ret);
}
