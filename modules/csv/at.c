/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a VFS call finds its share, the directory and name meant, the virtual
 * handle of an fsp, and the user who asks.
 *
 * smbd's kernel working directory is nowhere near the volume. A relative
 * name at AT_FDCWD is relative to the share's root, for which the tree
 * connect holds a handle; an absolute name must lie below the volume's mount
 * path.
 */
#include "csv.h"

static uint64_t csv_calls;

uint64_t csv_call_serial(void)
{
	return csv_calls;
}

struct csv_share *csv_share_of(struct vfs_handle_struct *handle)
{
	struct csv_share *share = NULL;

	SMB_VFS_HANDLE_GET_DATA(handle, share, struct csv_share, return NULL);
	return share;
}

struct csv_volume *csv_vol(struct vfs_handle_struct *handle)
{
	struct csv_share *share = csv_share_of(handle);

	return share->use->vol;
}

static bool csv_is_cwd(const struct files_struct *fsp)
{
	return fsp_get_pathref_fd(fsp) == AT_FDCWD;
}

struct csv_handle *csv_handle_of(struct vfs_handle_struct *handle,
				 const struct files_struct *fsp)
{
	struct csv_fsp *ext = NULL;
	struct csv_share *share = csv_share_of(handle);

	csv_calls += 1;
	ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);
	if (ext != NULL && ext->h != NULL) {
		return ext->h;
	}
	if (csv_is_cwd(fsp) && share->root != NULL) {
		return share->root;
	}
	errno = EBADF;
	return NULL;
}

/* An absolute path: inside the share, else inside the volume. */
static bool csv_at_absolute(struct csv_share *share,
			    const char *path,
			    struct csv_at *at)
{
	const char *name = csv_volume_name(share->use->vol);
	const char *top = share->conn->connectpath;
	size_t toplen = strlen(top);
	size_t rootlen = strlen(CSV_MOUNT_ROOT);

	if (share->root != NULL && strncmp(path, top, toplen) == 0 &&
	    (path[toplen] == '/' || path[toplen] == '\0'))
	{
		at->dir = share->root;
		path += toplen;
	} else if (strncmp(path, CSV_MOUNT_ROOT, rootlen) == 0 &&
		   strncmp(path + rootlen, name, strlen(name)) == 0)
	{
		at->dir = NULL;
		path += rootlen + strlen(name);
	} else {
		errno = ENOENT;
		return false;
	}
	if (path[0] != '/' && path[0] != '\0') {
		errno = ENOENT;
		return false;
	}
	path += strspn(path, "/");
	at->name = path[0] != '\0' ? path : ".";
	return true;
}

bool csv_is_above(struct vfs_handle_struct *handle,
		  const struct files_struct *fsp)
{
	struct csv_fsp *ext = VFS_FETCH_FSP_EXTENSION(handle, fsp);

	return ext != NULL && ext->above != NULL;
}

/* The absolute path meant, when smbd walks one from "/"; else NULL. */
static char *csv_at_walk(struct vfs_handle_struct *handle,
			 const struct files_struct *dirfsp,
			 const char *name)
{
	struct csv_fsp *ext = NULL;
	char *path = NULL;
	char *real = NULL;

	if (name[0] == '/') {
		return csv_path_normalise(talloc_tos(), name);
	}
	ext = VFS_FETCH_FSP_EXTENSION(handle, dirfsp);
	if (ext == NULL || ext->above == NULL) {
		return NULL;
	}
	path = talloc_asprintf(talloc_tos(), "%s/%s", ext->above, name);
	if (path == NULL) {
		return NULL;
	}
	real = csv_path_normalise(talloc_tos(), path);
	TALLOC_FREE(path);
	return real;
}

const char *csv_at_above(struct vfs_handle_struct *handle,
			 const struct files_struct *dirfsp,
			 const struct smb_filename *smb_fname)
{
	static const char *const above[] = { "/", "/csv" };
	const char *result = NULL;
	char *path = NULL;
	size_t i;

	path = csv_at_walk(handle, dirfsp, smb_fname->base_name);
	if (path == NULL) {
		return NULL;
	}
	for (i = 0; i < ARRAY_SIZE(above); i++) {
		if (strcmp(path, above[i]) == 0) {
			result = above[i];
		}
	}
	TALLOC_FREE(path);
	return result;
}

bool csv_at(struct vfs_handle_struct *handle,
	    const struct files_struct *dirfsp,
	    const struct smb_filename *smb_fname,
	    struct csv_at *at)
{
	struct csv_share *share = csv_share_of(handle);
	const char *name = smb_fname->base_name;

	if (is_named_stream(smb_fname)) {
		errno = ENOENT;
		return false;
	}
	csv_calls += 1;
	csv_park_teardown(share);
	if (name[0] == '/' || csv_is_above(handle, dirfsp)) {
		name = csv_at_walk(handle, dirfsp, name);
		if (name == NULL) {
			errno = ENOMEM;
			return false;
		}
		return csv_at_absolute(share, name, at);
	}
	at->dir = csv_handle_of(handle, dirfsp);
	at->name = name[0] != '\0' ? name : ".";
	return at->dir != NULL;
}

bool csv_at_cwd(struct vfs_handle_struct *handle,
		const struct smb_filename *smb_fname,
		struct csv_at *at)
{
	return csv_at(handle, handle->conn->cwd_fsp, smb_fname, at);
}

/* Valid until the next call; smbd's own umask is always 0. */
const struct csv_cred *csv_cred_now(struct vfs_handle_struct *handle)
{
	static struct csv_cred cred;
	const struct security_unix_token *utok = NULL;

	utok = get_current_utok(handle->conn);
	cred = (struct csv_cred) {
		.uid = utok->uid,
		.gid = utok->gid,
		.umask = 0,
		.num_groups = utok->ngroups,
		.groups = utok->groups,
	};
	return &cred;
}

bool csv_cred_equal(const struct csv_cred *a, const struct csv_cred *b)
{
	size_t size = a->num_groups * sizeof(a->groups[0]);

	return a->uid == b->uid && a->gid == b->gid && a->umask == b->umask &&
	       a->num_groups == b->num_groups &&
	       (size == 0 || memcmp(a->groups, b->groups, size) == 0);
}

uint32_t csv_stable(struct vfs_handle_struct *handle)
{
	struct csv_share *share = csv_share_of(handle);

	return share->stable ? CSV_F_STABLE : 0;
}

/*
 * A volume that was given up says ENXIO, which smbd would tell the client as
 * NT_STATUS_ILLEGAL_FUNCTION; the device is gone.
 */
int csv_error(int error)
{
	return error == ENXIO ? ENODEV : error;
}

int csv_ret(int error)
{
	if (error == 0) {
		return 0;
	}
	errno = csv_error(error);
	return -1;
}

static struct timespec csv_earlier(struct timespec a, struct timespec b)
{
	return timespec_compare(&a, &b) <= 0 ? a : b;
}

/* Where the file system keeps no birth time: the earliest other time. */
static void csv_btime_to_smb(SMB_STRUCT_STAT *sbuf)
{
	struct timespec born;

	born = csv_earlier(sbuf->st_ex_ctime, sbuf->st_ex_mtime);
	if (!null_timespec(sbuf->st_ex_atime)) {
		born = csv_earlier(born, sbuf->st_ex_atime);
	}
	sbuf->st_ex_btime = born;
	sbuf->st_ex_iflags = ST_EX_IFLAG_CALCULATED_BTIME;
}

void csv_stat_to_smb(struct vfs_handle_struct *handle,
		     const struct csv_stat *st,
		     SMB_STRUCT_STAT *sbuf)
{
	bool is_dir = S_ISDIR(st->mode);
	bool fake = lp_fake_directory_create_times(SNUM(handle->conn));

	*sbuf = (SMB_STRUCT_STAT) {
		.st_ex_dev = csv_volume_dev(csv_vol(handle)),
		.st_ex_ino = st->ino,
		.st_ex_mode = st->mode,
		.st_ex_nlink = st->nlink,
		.st_ex_uid = st->uid,
		.st_ex_gid = st->gid,
		.st_ex_rdev = st->rdev,
		.st_ex_size = is_dir ? 0 : st->size,
		.st_ex_atime = st->atime,
		.st_ex_mtime = st->mtime,
		.st_ex_ctime = st->ctime,
		.st_ex_blksize = st->blksize,
		.st_ex_blocks = st->blocks,
	};
	if (is_dir && fake) {
		sbuf->st_ex_btime.tv_sec = 315493200; /* 1980 */
		return;
	}
	if (st->btime.tv_sec != 0) {
		sbuf->st_ex_btime = st->btime;
		return;
	}
	csv_btime_to_smb(sbuf);
}
