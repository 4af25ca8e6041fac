/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listings. A listing is a directory handle and the cookie of the last entry
 * given out; cookies hold across a change of owner, so a listing simply goes
 * on. Entries come in batches.
 */
#include "csv.h"

#define CSV_DIR_BATCH 65536 /* bytes asked for at once */

struct csv_dir {
	struct csv_handle *h;
	struct csv_dirlist *list;
	uint32_t next;
	uint64_t cookie;
	struct dirent de;
};

DIR *csv_vfs_fdopendir(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       const char *mask,
		       uint32_t attributes)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	struct csv_dir *dir = NULL;

	if (h == NULL) {
		return NULL;
	}
	dir = talloc_zero(handle->conn, struct csv_dir);
	if (dir == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	dir->h = h;
	return (DIR *)dir;
}

/* 0 and no entries left in dir->list: the end */
static int csv_dir_fill(struct vfs_handle_struct *handle, struct csv_dir *dir)
{
	bool more = dir->list == NULL || !dir->list->eof;
	int ret;

	while (more && (dir->list == NULL || dir->next >= dir->list->num)) {
		TALLOC_FREE(dir->list);
		dir->next = 0;
		ret = csv_readdir(dir->h,
				  dir,
				  csv_cred_now(handle),
				  dir->cookie,
				  CSV_DIR_BATCH,
				  &dir->list);
		if (ret != 0) {
			return ret;
		}
		more = dir->list->num == 0 && !dir->list->eof;
	}
	return 0;
}

static unsigned char csv_dirent_type(const struct csv_dirent *entry)
{
	return entry->has_stat ? IFTODT(entry->st.mode) : DT_UNKNOWN;
}

static struct dirent *csv_dir_entry(struct csv_dir *dir)
{
	struct csv_dirent *entry = &dir->list->entries[dir->next];
	size_t max = sizeof(dir->de.d_name) - 1;

	dir->next += 1;
	dir->cookie = entry->cookie;
	dir->de.d_ino = entry->st.ino;
	dir->de.d_off = entry->cookie;
	dir->de.d_reclen = sizeof(dir->de);
	dir->de.d_type = csv_dirent_type(entry);
	if (entry->name_len > max) {
		return NULL; /* longer than any file system's names */
	}
	memcpy(dir->de.d_name, entry->name, entry->name_len);
	dir->de.d_name[entry->name_len] = '\0';
	return &dir->de;
}

struct dirent *csv_vfs_readdir(struct vfs_handle_struct *handle,
			       struct files_struct *dirfsp,
			       DIR *dirp)
{
	struct csv_dir *dir = (struct csv_dir *)dirp;
	struct dirent *de = NULL;
	int ret;

	while (de == NULL) {
		ret = csv_dir_fill(handle, dir);
		if (ret != 0) {
			errno = csv_error(ret);
			return NULL;
		}
		if (dir->next >= dir->list->num) {
			return NULL;
		}
		de = csv_dir_entry(dir);
	}
	return de;
}

void csv_vfs_rewind_dir(struct vfs_handle_struct *handle, DIR *dirp)
{
	struct csv_dir *dir = (struct csv_dir *)dirp;

	TALLOC_FREE(dir->list);
	dir->next = 0;
	dir->cookie = 0;
}

int csv_vfs_closedir(struct vfs_handle_struct *handle, DIR *dirp)
{
	struct csv_dir *dir = (struct csv_dir *)dirp;

	TALLOC_FREE(dir);
	return 0;
}
