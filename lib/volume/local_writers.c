/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who else has this file open for writing?
 *
 * Every open for writing holds a lock of its open file description on one
 * byte, far behind any data and picked at random: csvd's, which are the
 * redirected clients', in one range, those of direct processes in another.
 * When a second writer comes and one of the two is redirected, the file is
 * flushed and marked (writers.h) before the open is answered:
 *
 *   pending = epoch   from here on csvd flushes each write before its answer
 *   flush             covers every unstable write answered before
 *   epoch in the list, flush
 *
 * Direct writers among themselves need nothing: one kernel has their data,
 * and it dies with them. The mark holds to the end of the epoch.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "local_private.h"
#include "writers.h"

#define REDIRECTED_START ((int64_t)1 << 62)
#define RANGE_LENGTH ((int64_t)1 << 40)
#define DIRECT_START (REDIRECTED_START + RANGE_LENGTH)
#define MARKING_BYTE (DIRECT_START + RANGE_LENGTH)
#define MAX_TRIES 16

static bool is_redirected(const struct local_file *f)
{
	return f->lb->cred_mode == CSV_CRED_THREAD;
}

static int lock_byte(int fd, int cmd, short type, int64_t start)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = 1,
	};
	int ret;

	do {
		ret = fcntl(fd, cmd, &fl);
	} while (ret == -1 && errno == EINTR);
	return ret == -1 ? errno : 0;
}

/* Say that this open writes. */
static int enter(const struct local_file *f)
{
	int64_t start = is_redirected(f) ? REDIRECTED_START : DIRECT_START;
	uint64_t number = 0;
	int tries, ret = EAGAIN;

	for (tries = 0; tries < MAX_TRIES && ret == EAGAIN; tries++) {
		if (getrandom(&number, sizeof(number), 0) !=
		    sizeof(number))
		{
			return EIO;
		}
		ret = lock_byte(f->fd,
				F_OFD_SETLK,
				F_WRLCK,
				start + (int64_t)(number % RANGE_LENGTH));
	}
	return ret;
}

/* Does anybody else write, so that what was unstable must not return? */
static int others(const struct local_file *f, bool *found)
{
	struct flock fl = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = REDIRECTED_START,
		.l_len = is_redirected(f) ? 2 * RANGE_LENGTH : RANGE_LENGTH,
	};

	if (fcntl(f->fd, F_OFD_GETLK, &fl) == -1) {
		return errno;
	}
	*found = fl.l_type != F_UNLCK;
	return 0;
}

/* 0: *w is valid, empty without a mark of this file; EINVAL: malformed. */
static int read_mark(const struct local_file *f, struct csv_writers *w)
{
	uint8_t buf[CSV_WRITERS_MAX];
	ssize_t n;

	*w = (struct csv_writers){ .ino = f->ino };
	n = fgetxattr(f->fd, CSV_WRITERS_XATTR, buf, sizeof(buf));
	if (n == -1) {
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : errno;
	}
	if (!csv_writers_pull(buf, (size_t)n, w)) {
		return EINVAL;
	}
	if (w->ino != f->ino) {
		*w = (struct csv_writers){ .ino = f->ino };
	}
	return 0;
}

/* Write it and flush the file, mark and data. */
static int write_mark(struct local_file *f, const struct csv_writers *w)
{
	uint8_t buf[CSV_WRITERS_MAX];
	size_t len = csv_writers_push(w, buf);
	int ret;

	ret = local_root_begin(f->lb);
	if (ret != 0) {
		return ret;
	}
	if (fsetxattr(f->fd, CSV_WRITERS_XATTR, buf, len, 0) == -1) {
		ret = errno;
	}
	local_root_end(f->lb);
	return ret != 0 ? ret : local_fsync_fd(f->lb, f->fd, false);
}

static int mark_locked(struct local_file *f)
{
	uint64_t epoch = f->lb->backend.epoch;
	struct csv_writers w;
	int ret;

	ret = read_mark(f, &w);
	if (ret == EINVAL) {
		w = (struct csv_writers){ .ino = f->ino };
		ret = 0;
	}
	if (ret != 0 || csv_writers_has(&w, f->ino, epoch)) {
		return ret;
	}
	w.pending = epoch;
	ret = write_mark(f, &w);
	if (ret != 0) {
		return ret;
	}
	w.pending = 0;
	csv_writers_add(&w, epoch);
	return write_mark(f, &w);
}

static int mark(struct local_file *f)
{
	int ret = lock_byte(f->fd, F_OFD_SETLKW, F_WRLCK, MARKING_BYTE);

	if (ret != 0) {
		return ret;
	}
	ret = mark_locked(f);
	(void)lock_byte(f->fd, F_OFD_SETLK, F_UNLCK, MARKING_BYTE);
	return ret;
}

int local_writers_open(struct local_file *f)
{
	bool found = false;
	int ret;

	if (!f->regular || !(f->file.how & CSV_O_WRITE)) {
		return 0;
	}
	ret = enter(f);
	if (ret == 0) {
		ret = others(f, &found);
	}
	return ret != 0 || !found ? ret : mark(f);
}

bool csv_local_is_stable_only(const struct csv_file *file)
{
	const struct local_file *f = (const struct local_file *)file;

	return __atomic_load_n(&f->stable_only, __ATOMIC_RELAXED);
}

bool csv_local_stable_only(struct csv_file *file)
{
	struct local_file *f = local_file(file);
	uint64_t epoch = f->lb->backend.epoch;
	struct csv_writers w;
	int ret;

	if (!is_redirected(f) || csv_local_is_stable_only(file)) {
		return is_redirected(f);
	}
	ret = read_mark(f, &w);
	if (ret == 0 && w.pending != epoch &&
	    !csv_writers_has(&w, f->ino, epoch))
	{
		return false;
	}
	__atomic_store_n(&f->stable_only, true, __ATOMIC_RELAXED);
	return true;
}
