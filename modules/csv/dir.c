/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listings. A listing is a directory handle and the cookie of the last entry
 * given out; cookies hold across a change of owner, so a listing simply goes
 * on. Entries come in batches.
 *
 * smbd opens every entry that it lists, looks at its attributes, its xattrs,
 * and closes it: three trips to the owner for each. A client's listing of a
 * redirected volume therefore brings these answers with the entry
 * (csv_extra). They are those that the user who lists would have got, and are
 * given to nobody who would get others.
 *
 * How old may they be? Not older than the request that they answer: they hold
 * only until smbd returns to its event loop (csv_turn), and only until this
 * smbd changes anything itself. So everything that a client is told of an
 * entry was so at some moment between its request and the answer, which is
 * what a local file system promises too. What a batch holds beyond the
 * request's end is thrown away and asked for again.
 */
#include "csv.h"
#include "librpc/gen_ndr/ndr_xattr.h"

#define CSV_DIR_BATCH	  65536	 /* bytes asked for at once */
#define CSV_DIR_BATCH_MAX 131072 /* that an owner answers */
#define CSV_DIR_FIRST	  16384	 /* of a listing whose client is not known */

struct csv_dir {
	struct csv_handle *h;
	struct csv_dirlist *list;
	uint32_t next;
	uint64_t cookie;
	struct dirent de;
	/* only where extras are worth it: a client's listing */
	bool for_client;
	bool extras;		 /* the list has them */
	struct csv_want want;
	struct csv_cred cred;	 /* who listed; groups: talloc child */
	uint64_t turn;		 /* csv_turn when the list was asked for */
	uint32_t used;		 /* bytes of entries given out in that turn */
	struct tevent_immediate *im;
};

/* Grows when smbd returns to its event loop or changes anything. */
static uint64_t csv_turn = 1;

/* The entry that readdir gave out last, with its extra. */
static struct {
	struct csv_dir *dir;
	const struct csv_dirent *entry; /* NULL: none */
	uint64_t serial;
} csv_listed;

void csv_listed_forget(void)
{
	csv_turn += 1;
	csv_listed.entry = NULL;
}

static void csv_dir_turned(struct tevent_context *ev,
			   struct tevent_immediate *im,
			   void *private_data)
{
	csv_listed_forget();
}

static int csv_dir_destructor(struct csv_dir *dir)
{
	if (csv_listed.dir == dir) {
		csv_listed.dir = NULL;
		csv_listed.entry = NULL;
	}
	return 0;
}

static void csv_dir_wants(struct csv_dir *dir, const char *xattr)
{
	if (dir->want.num < CSV_MAX_WANT) {
		dir->want.xattrs[dir->want.num] = xattr;
		dir->want.num += 1;
	}
}

/* What smbd asks of each entry depends on the share's options. */
static void csv_dir_set_wants(struct vfs_handle_struct *handle,
			      struct csv_dir *dir)
{
	int snum = SNUM(handle->conn);

	if (lp_store_dos_attributes(snum)) {
		csv_dir_wants(dir, SAMBA_XATTR_DOS_ATTRIB);
	}
	if (lp_hide_unreadable(snum) || lp_hide_unwriteable_files(snum)) {
		csv_dir_wants(dir,
			      lp_parm_const_string(snum,
						   "acl_xattr",
						   "security_acl_name",
						   XATTR_NTACL_NAME));
		csv_dir_wants(dir, "system.posix_acl_access");
	}
}

/* smbd looks through directories for itself too: without a mask. */
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
	dir->for_client = mask != NULL;
	if (dir->for_client) {
		csv_dir_set_wants(handle, dir);
	}
	talloc_set_destructor(dir, csv_dir_destructor);
	return (DIR *)dir;
}

static void csv_dir_drop(struct csv_dir *dir)
{
	if (csv_listed.dir == dir) {
		csv_listed.entry = NULL;
	}
	TALLOC_FREE(dir->list);
	dir->next = 0;
}

static int csv_dir_keep_cred(struct csv_dir *dir, const struct csv_cred *cred)
{
	size_t size = cred->num_groups * sizeof(cred->groups[0]);
	uint32_t *groups = NULL;

	if (size != 0) {
		groups = talloc_memdup(dir, cred->groups, size);
		if (groups == NULL) {
			return ENOMEM;
		}
	}
	talloc_free(discard_const_p(uint32_t, dir->cred.groups));
	dir->cred = *cred;
	dir->cred.groups = groups;
	return 0;
}

/*
 * A client that takes ten entries with each request shall not make the owner
 * look at hundreds: as many as the request before took, and one.
 */
static uint32_t csv_dir_batch(struct csv_dir *dir)
{
	uint32_t bytes = CSV_DIR_BATCH;

	if (dir->turn != csv_turn) {
		bytes = dir->used != 0 ? dir->used + 512 : CSV_DIR_FIRST;
		bytes = MIN(bytes, CSV_DIR_BATCH_MAX);
		dir->used = 0;
	}
	return bytes;
}

static int csv_dir_read_extras(struct vfs_handle_struct *handle,
			       struct csv_dir *dir)
{
	struct tevent_context *ev = handle->conn->sconn->ev_ctx;
	const struct csv_cred *cred = csv_cred_now(handle);
	uint32_t bytes = csv_dir_batch(dir);
	int ret;

	if (dir->im == NULL) {
		dir->im = tevent_create_immediate(dir);
	}
	ret = dir->im == NULL ? ENOMEM : csv_dir_keep_cred(dir, cred);
	if (ret != 0) {
		return ret;
	}
	tevent_schedule_immediate(dir->im, ev, csv_dir_turned, NULL);
	dir->turn = csv_turn;
	return csv_readdir(dir->h,
			   dir,
			   &dir->cred,
			   dir->cookie,
			   bytes,
			   &dir->want,
			   &dir->list);
}

static int csv_dir_read(struct vfs_handle_struct *handle, struct csv_dir *dir)
{
	enum csv_access access = csv_volume_access(csv_vol(handle));

	dir->extras = dir->for_client && handle->conn->sconn->ev_ctx != NULL &&
		      access == CSV_ACCESS_REDIRECTED;
	if (dir->extras) {
		return csv_dir_read_extras(handle, dir);
	}
	return csv_readdir(dir->h,
			   dir,
			   csv_cred_now(handle),
			   dir->cookie,
			   CSV_DIR_BATCH,
			   NULL,
			   &dir->list);
}

/* 0 and no entries left in dir->list: the end */
static int csv_dir_fill(struct vfs_handle_struct *handle, struct csv_dir *dir)
{
	bool more = dir->list == NULL || !dir->list->eof;
	int ret;

	if (dir->extras && dir->list != NULL && dir->turn != csv_turn &&
	    dir->next < dir->list->num)
	{
		csv_dir_drop(dir); /* too old */
		more = true;
	}
	while (more && (dir->list == NULL || dir->next >= dir->list->num)) {
		csv_dir_drop(dir);
		ret = csv_dir_read(handle, dir);
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

static void csv_dir_listed(struct csv_dir *dir, const struct csv_dirent *entry)
{
	dir->used += csv_dirent_bytes(entry);
	csv_listed.dir = dir;
	csv_listed.entry = entry->extra != NULL ? entry : NULL;
	csv_listed.serial += 1;
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
	csv_dir_listed(dir, entry);
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

	csv_dir_drop(dir);
	dir->cookie = 0;
}

int csv_vfs_closedir(struct vfs_handle_struct *handle, DIR *dirp)
{
	struct csv_dir *dir = (struct csv_dir *)dirp;

	TALLOC_FREE(dir);
	return 0;
}

const struct csv_dirent *csv_listed_at(const struct csv_at *at,
				       const struct csv_cred *cred,
				       uint64_t *serial)
{
	const struct csv_dirent *entry = csv_listed.entry;

	if (entry == NULL || csv_listed.dir->turn != csv_turn ||
	    at->dir != csv_listed.dir->h ||
	    strcmp(at->name, entry->name) != 0 ||
	    !csv_cred_equal(cred, &csv_listed.dir->cred))
	{
		return NULL;
	}
	*serial = csv_listed.serial;
	return entry;
}

const struct csv_dirent *csv_listed_entry(uint64_t serial)
{
	if (serial == 0 || serial != csv_listed.serial ||
	    csv_listed.entry == NULL || csv_listed.dir->turn != csv_turn)
	{
		return NULL;
	}
	return csv_listed.entry;
}

bool csv_listed_by(const struct csv_cred *cred)
{
	return csv_cred_equal(cred, &csv_listed.dir->cred);
}

static const struct csv_value *csv_extra_value(const struct csv_extra *extra,
					       const char *name)
{
	const struct csv_want *want = &csv_listed.dir->want;
	uint32_t i;

	for (i = 0; i < want->num; i++) {
		if (strcmp(want->xattrs[i], name) == 0) {
			return extra->values[i].present ? &extra->values[i]
							: NULL;
		}
	}
	return NULL;
}

/*
 * Of these kinds every user sees all names, so what the user does not have
 * root has not either; and what a user may read root may.
 */
static bool csv_same_for_root(const char *name)
{
	return strncmp(name, "user.", 5) == 0 ||
	       strncmp(name, "security.", 9) == 0 ||
	       strncmp(name, "system.posix_acl_", 17) == 0;
}

bool csv_listed_getxattr(const struct csv_dirent *entry,
			 const struct csv_cred *cred,
			 const char *name,
			 const struct csv_value **value)
{
	if (!csv_same_for_root(name) ||
	    (cred->uid != 0 && !csv_listed_by(cred)))
	{
		return false;
	}
	*value = csv_extra_value(entry->extra, name);
	return *value != NULL || !csv_extra_has(entry->extra, name);
}

static bool csv_is_ascii(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		if ((unsigned char)name[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

/* The entry that is `name` in other case; NULL: none in this list. */
static const char *csv_real_name(const struct csv_dirlist *list,
				 const char *name)
{
	uint32_t i;

	for (i = 0; i < list->num; i++) {
		if (strequal(list->entries[i].name, name)) {
			return list->entries[i].name;
		}
	}
	return NULL;
}

/*
 * smbd looks for a name that does not exist in any other case, whenever a
 * file is made: by reading the whole directory, unless the VFS can do it. The
 * owner reads it, in one trip, and tells the few names that may be meant. A
 * name beyond ASCII may be equal to any: smbd reads the directory.
 */
NTSTATUS csv_vfs_get_real_filename_at(struct vfs_handle_struct *handle,
				      struct files_struct *dirfsp,
				      const char *name,
				      TALLOC_CTX *mem_ctx,
				      char **found_name)
{
	struct csv_want want = {
		.like = name,
	};
	struct csv_dirlist *list = NULL;
	struct csv_handle *h = NULL;
	const char *found = NULL;
	uint64_t cookie = 0;
	bool more = true;
	int ret = 0;

	if (handle->conn->case_sensitive || name[0] == '\0' ||
	    !csv_is_ascii(name) || csv_is_above(handle, dirfsp))
	{
		return NT_STATUS_NOT_SUPPORTED;
	}
	h = csv_handle_of(handle, dirfsp);
	if (h == NULL) {
		return map_nt_error_from_unix(errno);
	}
	while (more && found == NULL) {
		TALLOC_FREE(list);
		ret = csv_readdir(h,
				  talloc_tos(),
				  csv_cred_now(handle),
				  cookie,
				  CSV_DIR_BATCH,
				  &want,
				  &list);
		if (ret != 0) {
			return map_nt_error_from_unix(csv_error(ret));
		}
		found = csv_real_name(list, name);
		more = !list->eof && list->num != 0;
		if (more) {
			cookie = list->entries[list->num - 1].cookie;
		}
	}
	if (found != NULL) {
		*found_name = talloc_strdup(mem_ctx, found);
	}
	TALLOC_FREE(list);
	if (found == NULL) {
		return NT_STATUS_OBJECT_NAME_NOT_FOUND;
	}
	return *found_name != NULL ? NT_STATUS_OK : NT_STATUS_NO_MEMORY;
}
