/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the file of a persistent handle is now. smbd comes back for it by
 * name, which is wrong as soon as a directory above has been renamed; nobody
 * tells smbd of that. The directory's file handle stays right: it is put
 * behind smbd's own cookie of the open (lib/opens/where.h), and when the name
 * does not lead to the file any more, the directory is opened by it and its way
 * up to the share's root looked up, all as root: it is the file that was
 * opened, whoever may see the directories above it now.
 *
 * That costs nothing when the handle is opened (smbd opens files below their
 * directory's handle) and one look when it is reconnected.
 */
#include "csv.h"
#include "lib/opens/where.h"
#include "librpc/gen_ndr/ndr_open_files.h"

#define CSV_MAX_DEPTH 256

void csv_cookie_add_dir(TALLOC_CTX *mem_ctx,
			const struct csv_fhandle *dir,
			DATA_BLOB *cookie)
{
	uint8_t buf[CSV_WHERE_MAX];

	if (!data_blob_append(
		    mem_ctx, cookie, buf, csv_where_push(dir, buf)))
	{
		DBG_WARNING("no memory: found by its name only\n");
	}
}

bool csv_cookie_split(DATA_BLOB *cookie, struct csv_fhandle *dir)
{
	return csv_where_pull(
		cookie->data, cookie->length, dir, &cookie->length);
}

/* The entry of a directory that is this inode; NULL: none. */
static char *csv_entry_name(TALLOC_CTX *mem_ctx,
			    struct vfs_handle_struct *handle,
			    const struct csv_fhandle *fh,
			    uint64_t ino)
{
	const uint32_t how = CSV_O_READ | CSV_O_DIRECTORY;
	struct csv_dirlist *list = NULL;
	struct csv_handle *dir = NULL;
	struct csv_stat st = {};
	uint64_t cookie = 0;
	char *name = NULL;
	bool eof = false;
	uint32_t i;

	if (csv_open_fh(csv_vol(handle), mem_ctx, fh, how, &dir, &st) != 0) {
		return NULL;
	}
	while (name == NULL && !eof &&
	       csv_readdir(dir, mem_ctx, csv_cred_now(handle), cookie, 65536,
			   NULL, &list) == 0)
	{
		eof = list->eof || list->num == 0;
		for (i = 0; name == NULL && i < list->num; i++) {
			const struct csv_dirent *e = &list->entries[i];

			cookie = e->cookie;
			if (e->has_stat && e->st.ino == ino &&
			    !ISDOT(e->name) && !ISDOTDOT(e->name))
			{
				name = talloc_strdup(mem_ctx, e->name);
			}
		}
		TALLOC_FREE(list);
	}
	TALLOC_FREE(dir);
	return name;
}

/* One step up: *fh and *ino become those of the directory above. */
static char *csv_step_up(TALLOC_CTX *mem_ctx,
			 struct vfs_handle_struct *handle,
			 struct csv_fhandle *fh,
			 uint64_t *ino)
{
	const uint32_t how = CSV_O_PATH | CSV_O_DIRECTORY;
	struct csv_handle *dir = NULL;
	struct csv_stat st = {};
	uint64_t below = *ino;
	int ret;

	ret = csv_open_fh_later(csv_vol(handle), mem_ctx, fh, how, &dir);
	if (ret != 0) {
		return NULL;
	}
	ret = csv_statat(csv_vol(handle),
			 csv_cred_now(handle),
			 dir,
			 "..",
			 0,
			 &st,
			 fh);
	TALLOC_FREE(dir);
	if (ret != 0) {
		return NULL;
	}
	*ino = st.ino;
	return csv_entry_name(mem_ctx, handle, fh, below);
}

/*
 * A directory's path below the share's root, with a slash at its end; "" is
 * the root. NULL: it is not below it any more.
 */
static char *csv_dir_path(TALLOC_CTX *mem_ctx,
			  struct vfs_handle_struct *handle,
			  const struct csv_fhandle *dir)
{
	const uint32_t how = CSV_O_PATH | CSV_O_DIRECTORY;
	struct csv_share *share = csv_share_of(handle);
	struct csv_fhandle fh = *dir;
	struct csv_handle *h = NULL;
	struct csv_stat root = {};
	struct csv_stat st = {};
	char *path = talloc_strdup(mem_ctx, "");
	int depth;

	if (share->root == NULL || csv_fstat(share->root, &root) != 0 ||
	    csv_open_fh(csv_vol(handle), mem_ctx, &fh, how, &h, &st) != 0)
	{
		return NULL;
	}
	TALLOC_FREE(h);
	for (depth = 0; path != NULL && st.ino != root.ino; depth++) {
		char *name = NULL;

		if (depth == CSV_MAX_DEPTH) {
			return NULL;
		}
		name = csv_step_up(mem_ctx, handle, &fh, &st.ino);
		if (name == NULL) {
			return NULL;
		}
		path = talloc_asprintf(mem_ctx, "%s/%s", name, path);
	}
	return path;
}

static bool csv_name_leads_to(struct vfs_handle_struct *handle,
			      const char *name,
			      const struct file_id *id)
{
	struct csv_share *share = csv_share_of(handle);
	struct csv_stat st = {};
	struct file_id found;
	SMB_STRUCT_STAT sbuf = {};

	if (share->root == NULL ||
	    csv_statat(csv_vol(handle), csv_cred_now(handle), share->root,
		       name, 0, &st, NULL) != 0)
	{
		return false;
	}
	csv_stat_to_smb(handle, &st, &sbuf);
	found = vfs_file_id_from_sbuf(handle->conn, &sbuf);
	return file_id_equal(&found, id);
}

static char *csv_look_for(TALLOC_CTX *mem_ctx,
			  struct vfs_handle_struct *handle,
			  const struct vfs_default_durable_cookie *c,
			  const struct csv_fhandle *dir)
{
	const char *last = strrchr_m(c->base_name, '/');
	char *path = NULL;
	char *name = NULL;

	last = last != NULL ? last + 1 : c->base_name;
	path = csv_dir_path(mem_ctx, handle, dir);
	if (path == NULL) {
		return NULL;
	}
	name = talloc_asprintf(mem_ctx, "%s%s", path, last);
	if (name == NULL || !csv_name_leads_to(handle, name, &c->id)) {
		return NULL;
	}
	return name;
}

bool csv_cookie_rename(TALLOC_CTX *mem_ctx,
		       struct vfs_handle_struct *handle,
		       const struct csv_fhandle *dir,
		       DATA_BLOB old_cookie,
		       DATA_BLOB *new_cookie)
{
	struct vfs_default_durable_cookie c = {};
	enum ndr_err_code err;
	char *name = NULL;

	err = ndr_pull_struct_blob_all(
		&old_cookie,
		mem_ctx,
		&c,
		(ndr_pull_flags_fn_t)ndr_pull_vfs_default_durable_cookie);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return false;
	}
	become_root();
	if (!csv_name_leads_to(handle, c.base_name, &c.id)) {
		name = csv_look_for(mem_ctx, handle, &c, dir);
	}
	unbecome_root();
	if (name == NULL) {
		return false;
	}
	DBG_NOTICE("%s is %s now\n", c.base_name, name);
	c.base_name = name;
	err = ndr_push_struct_blob(
		new_cookie,
		mem_ctx,
		&c,
		(ndr_push_flags_fn_t)ndr_push_vfs_default_durable_cookie);
	return NDR_ERR_CODE_IS_SUCCESS(err);
}
