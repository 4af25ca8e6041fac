/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening files, by name as the user, by handle as root. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "local_private.h"

#define HOW_ALL                                                             \
	(CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT | CSV_O_EXCL | CSV_O_TRUNC | \
	 CSV_O_APPEND | CSV_O_DIRECTORY | CSV_O_NOFOLLOW | CSV_O_PATH |      \
	 CSV_O_SYNC | CSV_O_NONBLOCK | CSV_O_NOSYMLINKS | CSV_O_STABLE)

/* A name may lose its file again and again while we open it. */
#define MAX_TRIES 16

/*
 * CSV_O_SYNC is not O_DSYNC: io_uring would then flush inside the submitting
 * call; the backend's writes see to it (local_data.c).
 */
static const struct {
	uint32_t how;
	int oflags;
} how_map[] = {
	{CSV_O_CREAT, O_CREAT},
	{CSV_O_EXCL, O_EXCL},
	{CSV_O_TRUNC, O_TRUNC},
	{CSV_O_APPEND, O_APPEND},
	{CSV_O_NONBLOCK, O_NONBLOCK},
};

static int path_flags(uint32_t how)
{
	int oflags = 0;

	if (how & CSV_O_DIRECTORY) {
		oflags |= O_DIRECTORY;
	}
	if (how & CSV_O_NOFOLLOW) {
		oflags |= O_NOFOLLOW;
	}
	return oflags;
}

static int how_to_oflags(struct local_backend *lb, uint32_t how, int *oflags)
{
	uint32_t access = how & (CSV_O_READ | CSV_O_WRITE);
	size_t i;

	if ((how & ~(uint32_t)HOW_ALL) != 0) {
		return EINVAL;
	}
	*oflags = path_flags(how);
	if (how & CSV_O_PATH) {
		*oflags |= O_PATH;
		return (how & (CSV_O_WRITE | CSV_O_ONCE)) ? EINVAL : 0;
	}
	if (access == 0) {
		return EINVAL;
	}
	if (access == (CSV_O_READ | CSV_O_WRITE)) {
		*oflags |= O_RDWR;
	} else if (access == CSV_O_WRITE) {
		*oflags |= O_WRONLY;
	}
	for (i = 0; i < sizeof(how_map) / sizeof(how_map[0]); i++) {
		if (how & how_map[i].how) {
			*oflags |= how_map[i].oflags;
		}
	}
	if (lb->cred_mode == CSV_CRED_THREAD) {
		/* nobody's FIFO keeps a thread of csvd */
		*oflags |= O_NONBLOCK;
	}
	return 0;
}

static int file_destructor(struct local_file *f)
{
	struct local_backend *lb = f->lb;
	bool last = false;

	if (f->regular) {
		last = local_table_remove(f);
	}
	close(f->fd);
	pthread_mutex_destroy(&f->dir_mutex);
	__atomic_sub_fetch(&lb->backend.num_files, 1, __ATOMIC_RELAXED);
	if (last && !f->file.keep) {
		local_hidden_closed(lb, f->ino);
	}
	return 0;
}

int local_file_new(struct local_backend *lb,
		   TALLOC_CTX *mem_ctx,
		   int fd,
		   uint32_t how,
		   const struct csv_stat *st,
		   struct local_file **file)
{
	struct local_file *f = NULL;

	f = talloc_zero(mem_ctx, struct local_file);
	if (f == NULL) {
		close(fd);
		return ENOMEM;
	}
	f->file.backend = &lb->backend;
	f->file.how = how & ~(uint32_t)(CSV_O_ONCE | CSV_O_STABLE);
	f->lb = lb;
	f->fd = fd;
	f->ino = st->ino;
	f->regular = S_ISREG(st->mode);
	pthread_mutex_init(&f->dir_mutex, NULL);
	__atomic_add_fetch(&lb->backend.num_files, 1, __ATOMIC_RELAXED);
	if (f->regular) {
		local_table_add(f);
	}
	talloc_set_destructor(f, file_destructor);
	*file = f;
	return 0;
}

static int file_opened(struct local_backend *lb,
		       TALLOC_CTX *mem_ctx,
		       int fd,
		       uint32_t how,
		       const struct csv_stat *st,
		       struct local_file **file)
{
	struct local_file *f = NULL;
	int ret;

	ret = local_file_new(lb, mem_ctx, fd, how, st, &f);
	if (ret != 0) {
		return ret;
	}
	ret = local_writers_open(f);
	if (ret != 0) {
		talloc_free(f);
		return ret;
	}
	*file = f;
	return 0;
}

int csv_local_fd(const struct csv_file *file)
{
	return ((const struct local_file *)file)->fd;
}

/* Open again, with other flags, what an O_PATH descriptor stands for. */
static int reopen_fd(int pathfd, int oflags, int *fd)
{
	struct local_procpath p;
	int ret;

	do {
		ret = open(local_procpath(&p, pathfd),
			   (oflags & ~O_NOFOLLOW) | O_CLOEXEC);
	} while (ret == -1 && errno == EINTR);
	if (ret == -1) {
		return errno;
	}
	*fd = ret;
	return 0;
}

/*
 * A lease kept a non-blocking open out: somebody is just deleting the file.
 * That takes no time: wait for it, unless it is no regular file (any more).
 */
static int reopen_leased(int pathfd, int oflags, int *fd)
{
	struct stat st;

	if (fstat(pathfd, &st) == -1) {
		return errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return EAGAIN;
	}
	oflags &= ~(O_NONBLOCK | O_CREAT | O_EXCL);
	return reopen_fd(pathfd, oflags, fd);
}

/* ESTALE: try again. */
static int open_name_once(struct local_backend *lb,
			  int dirfd,
			  const char *name,
			  int oflags,
			  mode_t mode,
			  bool nosymlinks,
			  int *fd)
{
	int pathfd = -1;
	int ret;

	ret = local_resolve(lb, dirfd, name, oflags, mode, nosymlinks, fd);
	if (ret != EAGAIN || !(oflags & O_NONBLOCK)) {
		return ret;
	}
	ret = local_resolve(lb,
			    dirfd,
			    name,
			    O_PATH | (oflags & (O_NOFOLLOW | O_DIRECTORY)),
			    0,
			    nosymlinks,
			    &pathfd);
	if (ret != 0) {
		/* deleted by now: a new look may find or make another */
		return ret == ENOENT ? ESTALE : ret;
	}
	ret = reopen_leased(pathfd, oflags, fd);
	close(pathfd);
	return ret;
}

/*
 * As open_name_once(); *created says whether the file is new. Costs a second
 * open for new files, saves a flush for those that exist.
 */
static int open_name_created(struct local_backend *lb,
			     int dirfd,
			     const char *name,
			     int oflags,
			     mode_t mode,
			     bool nosymlinks,
			     int *fd,
			     bool *created)
{
	int existing = oflags & ~(O_CREAT | O_EXCL);
	int ret = ENOENT;

	*created = true;
	if (!(oflags & O_EXCL)) {
		ret = open_name_once(lb,
				     dirfd,
				     name,
				     existing,
				     0,
				     nosymlinks,
				     fd);
	}
	if (ret == 0) {
		*created = (oflags & O_TRUNC) != 0;
		return 0;
	}
	if (ret != ENOENT) {
		return ret;
	}
	return open_name_once(lb, dirfd, name, oflags, mode, nosymlinks, fd);
}

/* Where the log of the object does not cover its name. */
static int sync_created(struct local_backend *lb,
			int fd,
			int dirfd,
			const char *name)
{
	struct local_parent parent;
	int ret;

	if (lb->wsync) {
		return 0;
	}
	if (lb->one_log) {
		return local_sync(lb, fd, -1, -1);
	}
	ret = local_parent_open(lb, dirfd, name, &parent);
	if (ret == 0) {
		ret = local_sync(lb, fd, parent.fd, -1);
	}
	local_parent_close(&parent);
	return ret;
}

static int open_name(struct local_backend *lb,
		     struct local_file *dir,
		     const char *name,
		     uint32_t how,
		     mode_t mode,
		     int *fd)
{
	bool nosymlinks = (how & CSV_O_NOSYMLINKS) != 0;
	bool stable = ((how & CSV_O_STABLE) || lb->stable_names) &&
		      (how & CSV_O_ONCE);
	bool created = false;
	int oflags = 0;
	int ret;

	ret = how_to_oflags(lb, how, &oflags);
	if (ret != 0) {
		return ret;
	}
	if (name[0] == '\0') {
		return (how & CSV_O_CREAT) ? ENOENT
					   : reopen_fd(dir->fd, oflags, fd);
	}
	if (!stable || lb->wsync) {
		return open_name_once(lb,
				      dir->fd,
				      name,
				      oflags,
				      mode,
				      nosymlinks,
				      fd);
	}
	ret = open_name_created(lb,
				dir->fd,
				name,
				oflags,
				mode,
				nosymlinks,
				fd,
				&created);
	if (ret == 0 && created) {
		ret = sync_created(lb, *fd, dir->fd, name);
		if (ret != 0) {
			close(*fd);
		}
	}
	return ret;
}

/* What was opened, unless it was deleted in that moment: ESTALE. */
static int stat_opened(int fd, struct csv_stat *st, struct csv_fhandle *fh)
{
	int ret;

	ret = local_stat_fd(fd, st);
	if (ret != 0) {
		return ret;
	}
	if (st->nlink == 0) {
		return ESTALE;
	}
	return fh == NULL ? 0 : local_fhandle_fd(fd, fh);
}

static int open_checked(struct local_backend *lb,
			struct local_file *dir,
			const char *name,
			uint32_t how,
			mode_t mode,
			int *fd,
			struct csv_stat *st,
			struct csv_fhandle *fh)
{
	int tries, ret = ENOENT;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		ret = open_name(lb, dir, name, how, mode, fd);
		if (ret == ESTALE && name[0] != '\0') {
			continue;
		}
		if (ret != 0) {
			return ret;
		}
		ret = stat_opened(*fd, st, fh);
		if (ret == 0 && S_ISDIR(st->mode) && (how & CSV_O_CREAT)) {
			ret = EISDIR;
		}
		if (ret == 0) {
			return 0;
		}
		close(*fd);
		if (ret != ESTALE || name[0] == '\0') {
			return ret;
		}
	}
	return ENOENT;
}

int local_open(struct csv_backend *b,
	       TALLOC_CTX *mem_ctx,
	       const struct csv_cred *cred,
	       struct csv_file *dir,
	       const char *name,
	       uint32_t how,
	       uint32_t mode,
	       struct csv_file **file,
	       struct csv_stat *st,
	       struct csv_fhandle *fh)
{
	struct local_backend *lb = local_backend(b);
	struct local_file *d = local_file(dir);
	struct local_file *f = NULL;
	struct csv_stat own_st;
	int fd = -1;
	int ret;

	ret = local_user(lb, cred);
	if (ret != 0) {
		return ret;
	}
	ret = open_checked(lb, d, name, how, mode, &fd, &own_st, fh);
	if (ret != 0) {
		return ret;
	}
	ret = file_opened(lb, mem_ctx, fd, how, &own_st, &f);
	if (ret != 0) {
		return ret;
	}
	if (name[0] == '\0') {
		f->hidden = d->hidden;
	}
	if (st != NULL) {
		*st = own_st;
	}
	*file = &f->file;
	return 0;
}

static int open_handle(struct local_backend *lb,
		       const struct csv_fhandle *fh,
		       int oflags,
		       int *fd)
{
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + CSV_MAX_FHANDLE];
	} u;
	int pathfd = -1;
	int ret;

	u.h.handle_bytes = fh->length;
	u.h.handle_type = (int)fh->type;
	memcpy(u.h.f_handle, fh->data, fh->length);
	*fd = open_by_handle_at(lb->rootfd, &u.h, oflags | O_CLOEXEC);
	if (*fd != -1) {
		return 0;
	}
	if (errno == EAGAIN && (oflags & O_NONBLOCK)) {
		pathfd = open_by_handle_at(lb->rootfd,
					   &u.h,
					   O_PATH | O_CLOEXEC);
		if (pathfd != -1) {
			ret = reopen_leased(pathfd, oflags, fd);
			close(pathfd);
			return ret;
		}
	}
	/* no entry in any directory: it is gone */
	return errno == ENOENT ? ESTALE : errno;
}

/* As root. */
static int open_handle_checked(struct local_backend *lb,
			       const struct csv_fhandle *fh,
			       int oflags,
			       int *fd,
			       struct csv_stat *st,
			       bool *hidden)
{
	int ret;

	ret = open_handle(lb, fh, oflags, fd);
	if (ret != 0) {
		return ret;
	}
	ret = stat_opened(*fd, st, NULL);
	if (ret == 0 && st->ino == lb->hidden_ino) {
		ret = ESTALE;
	}
	if (ret != 0) {
		close(*fd);
		return ret;
	}
	*hidden = S_ISREG(st->mode) && local_hidden_has(lb, st->ino);
	return 0;
}

int local_open_fh(struct csv_backend *b,
		  TALLOC_CTX *mem_ctx,
		  const struct csv_fhandle *fh,
		  uint32_t how,
		  struct csv_file **file,
		  struct csv_stat *st)
{
	struct local_backend *lb = local_backend(b);
	struct local_file *f = NULL;
	struct csv_stat own_st;
	bool hidden = false;
	int oflags = 0, fd = -1;
	int ret;

	if ((how & CSV_O_ONCE) || fh->length > CSV_MAX_FHANDLE) {
		return EINVAL;
	}
	ret = how_to_oflags(lb, how, &oflags);
	if (ret != 0) {
		return ret;
	}
	ret = local_root_begin(lb);
	if (ret != 0) {
		return ret;
	}
	ret = open_handle_checked(lb, fh, oflags, &fd, &own_st, &hidden);
	local_root_end(lb);
	if (ret != 0) {
		return ret;
	}
	ret = file_opened(lb, mem_ctx, fd, how, &own_st, &f);
	if (ret != 0) {
		return ret;
	}
	f->hidden = hidden;
	if (st != NULL) {
		*st = own_st;
		st->nlink -= hidden ? 1 : 0;
	}
	*file = &f->file;
	return 0;
}
