/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extended attributes. Streams, DOS attributes and NT ACLs of the modules
 * above live here; security.* ones come with the root token that smbd has on
 * at that moment.
 */
#include "csv.h"
#include <sys/xattr.h>

/* The entry of the listing that goes on, if that is what fsp is. */
static const struct csv_dirent *csv_listed_of(struct vfs_handle_struct *handle,
					      struct files_struct *fsp)
{
	struct csv_fsp *ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);

	return ext == NULL ? NULL : csv_listed_entry(ext->listed);
}

/* As xattr(7): size 0 asks how large it is. */
static ssize_t csv_xattr_copy(const void *data,
			      size_t length,
			      void *value,
			      size_t size)
{
	if (size != 0 && size < length) {
		errno = ERANGE;
		return -1;
	}
	if (size != 0 && length != 0) {
		memcpy(value, data, length);
	}
	return length;
}

/* false: nobody knows without asking the owner */
static bool csv_getxattr_listed(struct vfs_handle_struct *handle,
				struct files_struct *fsp,
				const char *name,
				void *value,
				size_t size,
				ssize_t *ret)
{
	const struct csv_dirent *entry = csv_listed_of(handle, fsp);
	const struct csv_value *v = NULL;

	if (entry == NULL ||
	    !csv_listed_getxattr(entry, csv_cred_now(handle), name, &v))
	{
		return false;
	}
	if (v == NULL) {
		errno = ENOATTR;
		*ret = -1;
	} else {
		*ret = csv_xattr_copy(v->data, v->length, value, size);
	}
	return true;
}

ssize_t csv_vfs_fgetxattr(struct vfs_handle_struct *handle,
			  struct files_struct *fsp,
			  const char *name,
			  void *value,
			  size_t size)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	size_t len = MIN(size, CSV_MAX_XATTR);
	ssize_t listed;
	int ret;

	if (h == NULL) {
		return -1;
	}
	if (csv_getxattr_listed(handle, fsp, name, value, size, &listed)) {
		return listed;
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
	const struct csv_dirent *entry = csv_listed_of(handle, fsp);
	size_t len = MIN(size, CSV_MAX_XATTR);
	int ret;

	if (h == NULL) {
		return -1;
	}
	if (entry != NULL && csv_listed_by(csv_cred_now(handle))) {
		return csv_xattr_copy(entry->extra->names,
				      entry->extra->names_length,
				      list,
				      size);
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
	csv_listed_forget();
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
	csv_listed_forget();
	ret = csv_setxattr(h,
			   csv_cred_now(handle),
			   name,
			   value,
			   size,
			   csv_flags);
	return csv_ret(ret);
}
