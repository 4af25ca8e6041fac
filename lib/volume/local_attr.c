/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes, extended attributes and file handles. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "local_private.h"

#define STATX_WANTED (STATX_BASIC_STATS | STATX_BTIME)

static struct timespec from_statx(const struct statx_timestamp *ts)
{
	return (struct timespec){
		.tv_sec = ts->tv_sec,
		.tv_nsec = ts->tv_nsec,
	};
}

static int do_statx(int dirfd, const char *name, int flags, struct csv_stat *st)
{
	struct statx stx;

	if (statx(dirfd,
		  name,
		  flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_WANTED,
		  &stx) == -1)
	{
		return errno;
	}
	*st = (struct csv_stat){
		.ino = stx.stx_ino,
		.mode = stx.stx_mode,
		.nlink = stx.stx_nlink,
		.uid = stx.stx_uid,
		.gid = stx.stx_gid,
		.rdev = makedev(stx.stx_rdev_major, stx.stx_rdev_minor),
		.size = (int64_t)stx.stx_size,
		.blocks = (int64_t)stx.stx_blocks,
		.blksize = stx.stx_blksize,
		.atime = from_statx(&stx.stx_atime),
		.mtime = from_statx(&stx.stx_mtime),
		.ctime = from_statx(&stx.stx_ctime),
	};
	if (stx.stx_mask & STATX_BTIME) {
		st->btime = from_statx(&stx.stx_btime);
	}
	return 0;
}

int local_stat_fd(int fd, struct csv_stat *st)
{
	return do_statx(fd, "", AT_EMPTY_PATH, st);
}

int local_stat_at(int dirfd, const char *name, struct csv_stat *st)
{
	return do_statx(dirfd, name, 0, st);
}

int local_fhandle_fd(int fd, struct csv_fhandle *fh)
{
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + CSV_MAX_FHANDLE];
	} u;
	int mount_id = 0;

	u.h.handle_bytes = CSV_MAX_FHANDLE;
	if (name_to_handle_at(fd, "", &u.h, &mount_id, AT_EMPTY_PATH) == -1) {
		return errno;
	}
	*fh = (struct csv_fhandle){
		.type = (uint32_t)u.h.handle_type,
		.length = u.h.handle_bytes,
	};
	memcpy(fh->data, u.h.f_handle, u.h.handle_bytes);
	return 0;
}

/* The hidden name does not count. */
static int stat_file(const struct local_file *f, struct csv_stat *st)
{
	int ret;

	ret = local_stat_fd(f->fd, st);
	if (ret == 0 && f->hidden && st->nlink > 0) {
		st->nlink--;
	}
	return ret;
}

int local_fstat(struct csv_file *file, struct csv_stat *st)
{
	return stat_file(local_file(file), st);
}

/* One component that is no symlink, the most frequent case: one call. */
static bool stat_quick(const struct local_file *d,
		       const char *name,
		       uint32_t flags,
		       struct csv_stat *st,
		       int *ret)
{
	if (strchr(name, '/') != NULL || strcmp(name, "..") == 0 ||
	    strcmp(name, CSV_HIDDEN_DIR) == 0)
	{
		return false;
	}
	*ret = local_stat_at(d->fd, name, st);
	return *ret != 0 || !S_ISLNK(st->mode) || !(flags & CSV_F_FOLLOW);
}

static int resolve_path(const struct local_file *d,
			const char *name,
			uint32_t flags,
			int *fd)
{
	int oflags = O_PATH | ((flags & CSV_F_FOLLOW) ? 0 : O_NOFOLLOW);

	return local_resolve(d->lb, d->fd, name, oflags, 0, false, fd);
}

int local_statat(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t flags,
		 struct csv_stat *st,
		 struct csv_fhandle *fh)
{
	struct local_file *d = local_file(dir);
	int ret, fd = -1;

	ret = local_user(d->lb, cred);
	if (ret != 0) {
		return ret;
	}
	if (name[0] == '\0') {
		ret = stat_file(d, st);
		if (ret == 0 && fh != NULL) {
			ret = local_fhandle_fd(d->fd, fh);
		}
		return ret;
	}
	if (fh == NULL && stat_quick(d, name, flags, st, &ret)) {
		return ret;
	}
	ret = resolve_path(d, name, flags, &fd);
	if (ret != 0) {
		return ret;
	}
	ret = local_stat_fd(fd, st);
	if (ret == 0 && fh != NULL) {
		ret = local_fhandle_fd(fd, fh);
	}
	close(fd);
	return ret;
}

static int set_size(int fd, int64_t size)
{
	struct local_procpath p;

	if (size < 0) {
		return EINVAL;
	}
	if (ftruncate(fd, size) == 0) {
		return 0;
	}
	if (errno != EBADF && errno != EINVAL) {
		return errno;
	}
	/* not open for writing: the user's right to the file decides */
	if (truncate(local_procpath(&p, fd), size) == -1) {
		return errno;
	}
	return 0;
}

static int set_owner(int fd, const struct csv_setattr *a)
{
	uid_t uid = (a->mask & CSV_ATTR_UID) ? a->uid : (uid_t)-1;
	gid_t gid = (a->mask & CSV_ATTR_GID) ? a->gid : (gid_t)-1;

	if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ==
	    -1)
	{
		return errno;
	}
	return 0;
}

static int set_mode(int fd, uint32_t mode)
{
	struct local_procpath p;
	struct stat st;

	if (fstat(fd, &st) == -1) {
		return errno;
	}
	if (S_ISLNK(st.st_mode)) {
		return EOPNOTSUPP;
	}
	if (chmod(local_procpath(&p, fd), mode & 07777) == -1) {
		return errno;
	}
	return 0;
}

static int set_times(int fd, const struct csv_setattr *a)
{
	struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_nsec = UTIME_OMIT},
	};

	if (a->mask & CSV_ATTR_ATIME) {
		times[0] = a->atime;
	}
	if (a->mask & CSV_ATTR_MTIME) {
		times[1] = a->mtime;
	}
	if (utimensat(fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ==
	    -1)
	{
		return errno;
	}
	return 0;
}

/* The order matters: a change of owner clears set-id bits, a size mtime. */
static int apply(int fd, const struct csv_setattr *a)
{
	int ret = 0;

	if (a->mask & CSV_ATTR_SIZE) {
		ret = set_size(fd, a->size);
	}
	if (ret == 0 && (a->mask & (CSV_ATTR_UID | CSV_ATTR_GID))) {
		ret = set_owner(fd, a);
	}
	if (ret == 0 && (a->mask & CSV_ATTR_MODE)) {
		ret = set_mode(fd, a->mode);
	}
	if (ret == 0 && (a->mask & (CSV_ATTR_ATIME | CSV_ATTR_MTIME))) {
		ret = set_times(fd, a);
	}
	return ret;
}

int local_setattr(struct csv_file *file,
		  const struct csv_cred *cred,
		  const char *name,
		  const struct csv_setattr *attr,
		  uint32_t flags)
{
	struct local_file *f = local_file(file);
	bool stable = (flags & CSV_F_STABLE) || (file->how & CSV_O_SYNC);
	int fd = f->fd;
	int ret;

	ret = local_user(f->lb, cred);
	if (ret == 0 && name != NULL) {
		ret = resolve_path(f, name, flags, &fd);
	}
	if (ret != 0) {
		return ret;
	}
	ret = apply(fd, attr);
	if (ret == 0 && stable) {
		ret = local_sync(f->lb, fd, -1, -1);
	}
	if (name != NULL) {
		close(fd);
	}
	return ret;
}

int local_statfs(struct csv_file *file, struct csv_statfs *sfs)
{
	struct statvfs v;

	if (fstatvfs(local_file(file)->fd, &v) == -1) {
		return errno;
	}
	*sfs = (struct csv_statfs){
		.bsize = v.f_frsize,
		.blocks = v.f_blocks,
		.bfree = v.f_bfree,
		.bavail = v.f_bavail,
		.files = v.f_files,
		.ffree = v.f_ffree,
		.namemax = (uint32_t)v.f_namemax,
		.flags = (uint32_t)v.f_flag,
	};
	return 0;
}

/*
 * Extended attributes are reached through /proc: that works for O_PATH
 * descriptors as well and costs the same.
 */
int local_getxattr(struct csv_file *file,
		   const struct csv_cred *cred,
		   const char *name,
		   void *value,
		   size_t *size)
{
	struct local_file *f = local_file(file);
	size_t room = value == NULL ? 0 : *size;
	struct local_procpath p;
	ssize_t n;
	int ret;

	ret = local_user(f->lb, cred);
	if (ret != 0) {
		return ret;
	}
	n = getxattr(local_procpath(&p, f->fd), name, value, room);
	if (n == -1) {
		return errno;
	}
	/* room 0 means "how big?" to the kernel, with or without a buffer */
	*size = (size_t)n;
	return 0;
}

/* After a change of an attribute that shall be stable. */
static int sync_changed(struct local_file *f, uint32_t flags)
{
	if (!(flags & CSV_F_STABLE) && !(f->file.how & CSV_O_SYNC)) {
		return 0;
	}
	return local_sync(f->lb, f->fd, -1, -1);
}

int local_setxattr(struct csv_file *file,
		   const struct csv_cred *cred,
		   const char *name,
		   const void *value,
		   size_t size,
		   uint32_t flags)
{
	struct local_file *f = local_file(file);
	struct local_procpath p;
	int how = 0;
	int ret;

	if (size > CSV_MAX_XATTR) {
		return E2BIG;
	}
	ret = local_user(f->lb, cred);
	if (ret != 0) {
		return ret;
	}
	how |= (flags & CSV_F_XCREATE) ? XATTR_CREATE : 0;
	how |= (flags & CSV_F_XREPLACE) ? XATTR_REPLACE : 0;
	if (setxattr(local_procpath(&p, f->fd), name, value, size, how) == -1) {
		return errno;
	}
	return sync_changed(f, flags);
}

int local_listxattr(struct csv_file *file,
		    const struct csv_cred *cred,
		    char *list,
		    size_t *size)
{
	struct local_file *f = local_file(file);
	size_t room = list == NULL ? 0 : *size;
	struct local_procpath p;
	ssize_t n;
	int ret;

	ret = local_user(f->lb, cred);
	if (ret != 0) {
		return ret;
	}
	n = listxattr(local_procpath(&p, f->fd), list, room);
	if (n == -1) {
		return errno;
	}
	*size = (size_t)n;
	return 0;
}

int local_removexattr(struct csv_file *file,
		      const struct csv_cred *cred,
		      const char *name,
		      uint32_t flags)
{
	struct local_file *f = local_file(file);
	struct local_procpath p;
	int ret;

	ret = local_user(f->lb, cred);
	if (ret != 0) {
		return ret;
	}
	if (removexattr(local_procpath(&p, f->fd), name) == -1) {
		return errno;
	}
	return sync_changed(f, flags);
}
