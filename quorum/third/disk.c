/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk that all nodes see, or a file on a mounted share: direct I/O, so
 * that every read asks the disk or the server.
 *
 * No flush for a slot: a device may forget what it acknowledged when it loses
 * power, but then it is away for longer than any lease. A note is flushed.
 */
#include "quorum/third/third.h"
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct disk_state {
	int fd;
	uint64_t offset;
};

static int disk_offset(struct third_place *place, uint64_t *offset)
{
	char *text = third_option(place, "offset");
	char *end = NULL;

	*offset = 0;
	if (text == NULL) {
		return 0;
	}
	errno = 0;
	*offset = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || *text == '-' ||
	    *offset % QUORUM_SLOT_BLOCK != 0 || *offset > INT64_MAX / 2)
	{
		fprintf(stderr,
			"csv_quorum_third: offset=%s is no multiple of %d\n",
			text,
			QUORUM_SLOT_BLOCK);
		talloc_free(text);
		return EINVAL;
	}
	talloc_free(text);
	return 0;
}

/* The area lies inside the device. */
static int disk_fits(const struct disk_state *d)
{
	uint64_t size = 0;

	if (ioctl(d->fd, BLKGETSIZE64, &size) != 0) {
		return errno;
	}
	return size >= d->offset + QUORUM_AREA_BLOCKS * QUORUM_SLOT_BLOCK
		       ? 0
		       : ENOSPC;
}

static int disk_try_open(struct third_place *place,
			 struct disk_state *d,
			 int flags)
{
	d->fd = open(place->where, O_RDWR | O_CLOEXEC | O_DIRECT | flags, 0600);
	if (d->fd == -1 && errno == EINVAL) {
		/* no direct I/O there; a local file in a test, tmpfs */
		d->fd = open(place->where, O_RDWR | O_CLOEXEC | O_SYNC | flags,
			     0600);
	}
	return d->fd == -1 ? errno : 0;
}

static int disk_begin(struct third_place *place,
		      bool create,
		      mode_t type)
{
	struct disk_state *d = talloc_zero(place, struct disk_state);
	struct stat st = {};
	int ret;

	if (d == NULL) {
		return ENOMEM;
	}
	ret = disk_offset(place, &d->offset);
	if (ret == 0) {
		ret = disk_try_open(place,
				    d,
				    create && type == S_IFREG ? O_CREAT : 0);
	}
	if (ret == 0 && fstat(d->fd, &st) != 0) {
		ret = errno;
	}
	if (ret == 0 && (st.st_mode & S_IFMT) != type) {
		ret = type == S_IFBLK ? ENOTBLK : EISDIR;
	}
	if (ret == 0 && type == S_IFBLK) {
		ret = disk_fits(d);
	}
	if (ret == 0 && type == S_IFREG && create && st.st_size == 0 &&
	    ftruncate(d->fd, QUORUM_AREA_BLOCKS * QUORUM_SLOT_BLOCK) != 0)
	{
		ret = errno;
	}
	place->state = d;
	return ret;
}

static int disk_open(struct third_place *place, bool create)
{
	return disk_begin(place, create, S_IFBLK);
}

static int file_open(struct third_place *place, bool create)
{
	return disk_begin(place, create, S_IFREG);
}

static int disk_read(struct third_place *place, uint8_t *buf, unsigned blocks)
{
	struct disk_state *d = place->state;
	size_t len = blocks * QUORUM_SLOT_BLOCK;
	ssize_t n = pread(d->fd, buf, len, d->offset);

	if (n == -1) {
		return errno;
	}
	return n == (ssize_t)len ? 0 : EIO;
}

static int disk_write(struct third_place *place,
		      unsigned block,
		      const uint8_t *buf)
{
	struct disk_state *d = place->state;
	ssize_t n;

	if (block >= QUORUM_AREA_BLOCKS) {
		return EINVAL; /* never outside of the area */
	}
	n = pwrite(d->fd,
		   buf,
		   QUORUM_SLOT_BLOCK,
		   d->offset + block * QUORUM_SLOT_BLOCK);
	if (n == -1) {
		return errno;
	}
	return n == QUORUM_SLOT_BLOCK ? 0 : EIO;
}

static int disk_write_through(struct third_place *place,
			      unsigned block,
			      const uint8_t *buf)
{
	struct disk_state *d = place->state;
	int ret = disk_write(place, block, buf);

	if (ret != 0) {
		return ret;
	}
	return fdatasync(d->fd) == 0 ? 0 : errno;
}

const struct third_place_ops third_disk_ops = {
	.prefix = "disk:",
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.write_through = disk_write_through,
};

const struct third_place_ops third_file_ops = {
	.prefix = "file:",
	.open = file_open,
	.read = disk_read,
	.write = disk_write,
	.write_through = disk_write_through,
};
