/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Data, synchronously. Stable means that the data and what is needed to read
 * them back (size, extents) are on stable storage: RWF_DSYNC, which flushes
 * this write's range only, or fdatasync(2) where a call has no such flag.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>
#include "local_private.h"

/* One call must not keep a thread, or smbd, for too long. */
#define MAX_COPY (64 * 1024 * 1024)
#define COPY_BUFFER (1024 * 1024)

static bool stable(const struct local_file *f, uint32_t flags)
{
	return (flags & CSV_F_STABLE) || (f->file.how & CSV_O_SYNC);
}

static int sync_data(struct local_file *f, uint32_t flags)
{
	if (!stable(f, flags)) {
		return 0;
	}
	return fdatasync(f->fd) == -1 ? errno : local_still_up(f->fd);
}

int local_fallocate(struct csv_file *file,
		    uint32_t mode,
		    int64_t offset,
		    int64_t length)
{
	struct local_file *f = local_file(file);
	int ret;

	ret = local_data_user(f->lb);
	if (ret != 0) {
		return ret;
	}
	do {
		ret = fallocate(f->fd, (int)mode, offset, length);
	} while (ret == -1 && errno == EINTR);
	return ret == -1 ? errno : sync_data(f, 0);
}

int local_seek(struct csv_file *file,
	       int64_t offset,
	       int whence,
	       int64_t *result)
{
	off_t ret;

	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		return EINVAL;
	}
	ret = lseek(local_file(file)->fd, offset, whence);
	if (ret == -1) {
		return errno;
	}
	*result = ret;
	return 0;
}

/* Where the kernel cannot copy between these two. */
static int copy_by_hand(int src,
			int64_t src_off,
			int dst,
			int64_t dst_off,
			size_t length,
			uint64_t *copied)
{
	size_t n = length < COPY_BUFFER ? length : COPY_BUFFER;
	char *buf = talloc_array(NULL, char, n);
	ssize_t got, put = 0;
	int ret = 0;

	if (buf == NULL) {
		return ENOMEM;
	}
	got = pread(src, buf, n, src_off);
	if (got > 0) {
		put = pwrite(dst, buf, (size_t)got, dst_off);
	}
	if (got == -1 || put == -1) {
		ret = errno;
	} else {
		*copied = (uint64_t)put;
	}
	talloc_free(buf);
	return ret;
}

int local_copy_range(struct csv_file *src,
		     int64_t src_off,
		     struct csv_file *dst,
		     int64_t dst_off,
		     uint64_t length,
		     uint32_t flags,
		     uint64_t *copied)
{
	struct local_file *s = local_file(src);
	struct local_file *d = local_file(dst);
	size_t n = length < MAX_COPY ? (size_t)length : MAX_COPY;
	off_t from = src_off, to = dst_off;
	uint64_t done = 0;
	ssize_t ret;
	int err;

	if (src_off < 0 || dst_off < 0) {
		return EINVAL;
	}
	err = local_data_user(d->lb);
	if (err != 0) {
		return err;
	}
	ret = copy_file_range(s->fd, &from, d->fd, &to, n, 0);
	if (ret >= 0) {
		done = (uint64_t)ret;
	} else if (errno == EXDEV || errno == EOPNOTSUPP || errno == ENOSYS) {
		err = copy_by_hand(s->fd, src_off, d->fd, dst_off, n, &done);
	} else {
		err = errno;
	}
	if (err == 0 && done > 0) {
		err = sync_data(d, flags);
	}
	if (err == 0) {
		*copied = done;
	}
	return err;
}

int local_pread(struct csv_file *file,
		void *buf,
		size_t n,
		int64_t offset,
		size_t *nread)
{
	ssize_t ret;

	if (n > CSV_MAX_DATA) {
		return EINVAL;
	}
	do {
		ret = pread(local_file(file)->fd, buf, n, offset);
	} while (ret == -1 && errno == EINTR);
	if (ret == -1) {
		return errno;
	}
	*nread = (size_t)ret;
	return 0;
}

int local_pwrite(struct csv_file *file,
		 const void *buf,
		 size_t n,
		 int64_t offset,
		 uint32_t flags,
		 size_t *nwritten)
{
	struct local_file *f = local_file(file);
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = n};
	bool dsync = stable(f, flags) || csv_local_is_stable_only(file);
	int how = dsync ? RWF_DSYNC : 0;
	ssize_t ret;
	int err = 0;

	if (n > CSV_MAX_DATA || offset < 0) {
		return EINVAL;
	}
	err = local_data_user(f->lb);
	if (err != 0) {
		return err;
	}
	do {
		ret = pwritev2(f->fd, &iov, 1, offset, how);
	} while (ret == -1 && errno == EINTR);
	if (ret == -1) {
		return errno;
	}
	*nwritten = (size_t)ret;
	if (dsync) {
		err = local_still_up(f->fd);
	} else if (csv_local_stable_only(file)) {
		err = local_fsync_fd(f->lb, f->fd, true);
	}
	return err;
}

int local_fsync(struct csv_file *file, uint32_t flags)
{
	struct local_file *f = local_file(file);

	return local_fsync_fd(f->lb, f->fd, (flags & CSV_F_DATASYNC) != 0);
}
