/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Synchronous operations on data. Each is one
 * function that runs at a backend and one that calls it by csv_call_*().
 */
#include "replace.h"
#include <errno.h>
#include "volume_private.h"

struct csv_args_fallocate {
	uint32_t mode;
	int64_t offset;
	int64_t length;
};

static int csv_do_fallocate(struct csv_backend *b,
			    struct csv_file *file[2],
			    void *args,
			    uint32_t replay)
{
	struct csv_args_fallocate *a = args;

	(void)replay;
	return b->ops->fallocate(file[0], a->mode, a->offset, a->length);
}

int csv_fallocate(struct csv_handle *h,
		  uint32_t mode,
		  int64_t offset,
		  int64_t length)
{
	struct csv_args_fallocate args = {
		.mode = mode,
		.offset = offset,
		.length = length,
	};

	int ret = csv_unstable_settle(h);

	return ret != 0 ? ret : csv_call_handle(h, csv_do_fallocate, &args, NULL);
}

struct csv_args_seek {
	int64_t offset;
	int whence;
	int64_t *result;
};

static int csv_do_seek(struct csv_backend *b,
		       struct csv_file *file[2],
		       void *args,
		       uint32_t replay)
{
	struct csv_args_seek *a = args;

	(void)replay;
	return b->ops->seek(file[0], a->offset, a->whence, a->result);
}

int csv_seek(struct csv_handle *h, int64_t offset, int whence, int64_t *result)
{
	struct csv_args_seek args = {
		.offset = offset,
		.whence = whence,
		.result = result,
	};

	return csv_call_handle(h, csv_do_seek, &args, NULL);
}

struct csv_args_copy_range {
	int64_t src_off;
	int64_t dst_off;
	uint64_t length;
	uint32_t flags;
	uint64_t *copied;
};

static int csv_do_copy_range(struct csv_backend *b,
			     struct csv_file *file[2],
			     void *args,
			     uint32_t replay)
{
	struct csv_args_copy_range *a = args;

	(void)replay;
	return b->ops->copy_range(file[0],
				  a->src_off,
				  file[1],
				  a->dst_off,
				  a->length,
				  a->flags,
				  a->copied);
}

/*
 * The client's side keeps no copy of what the owner copied, so a redirected
 * copy is made stable before it counts.
 */
int csv_copy_range(struct csv_handle *src,
		   int64_t src_off,
		   struct csv_handle *dst,
		   int64_t dst_off,
		   uint64_t length,
		   uint32_t flags,
		   uint64_t *copied)
{
	struct csv_args_copy_range args = {
		.src_off = src_off,
		.dst_off = dst_off,
		.length = length,
		.flags = flags,
		.copied = copied,
	};
	int ret;

	if (src->vol != dst->vol) {
		return EXDEV;
	}
	ret = csv_unstable_settle(dst);
	if (ret != 0) {
		return ret;
	}
	if (csv_volume_access(src->vol) == CSV_ACCESS_REDIRECTED) {
		args.flags |= CSV_F_STABLE;
	}
	return csv_call_dirs(src->vol, src, dst, csv_do_copy_range, &args, NULL);
}

struct csv_args_pread {
	void *buf;
	size_t n;
	int64_t offset;
	size_t *nread;
};

static int csv_do_pread(struct csv_backend *b,
			struct csv_file *file[2],
			void *args,
			uint32_t replay)
{
	struct csv_args_pread *a = args;

	(void)replay;
	return b->ops->pread(file[0], a->buf, a->n, a->offset, a->nread);
}

int csv_pread(struct csv_handle *h,
	      void *buf,
	      size_t n,
	      int64_t offset,
	      size_t *nread)
{
	struct csv_args_pread args = {
		.buf = buf,
		.n = n,
		.offset = offset,
		.nread = nread,
	};
	int ret = csv_call_handle(h, csv_do_pread, &args, NULL);

	if (ret == 0) {
		csv_account_read(h, *nread);
	}
	return ret;
}

struct csv_args_pwrite {
	const void *buf;
	size_t n;
	int64_t offset;
	uint32_t flags;
	size_t *nwritten;
};

static int csv_do_pwrite(struct csv_backend *b,
			 struct csv_file *file[2],
			 void *args,
			 uint32_t replay)
{
	struct csv_args_pwrite *a = args;

	(void)replay;
	return b->ops->pwrite(file[0],
			      a->buf,
			      a->n,
			      a->offset,
			      a->flags,
			      a->nwritten);
}

int csv_pwrite(struct csv_handle *h,
	       const void *buf,
	       size_t n,
	       int64_t offset,
	       uint32_t flags,
	       size_t *nwritten)
{
	struct csv_args_pwrite args = {
		.buf = buf,
		.n = n,
		.offset = offset,
		.flags = flags,
		.nwritten = nwritten,
	};
	int ret = csv_call_handle(h, csv_do_pwrite, &args, NULL);

	if (ret == 0) {
		csv_account_write(h, buf, *nwritten, offset, flags, NULL);
	}
	return ret;
}

struct csv_args_fsync {
	uint32_t flags;
};

static int csv_do_fsync(struct csv_backend *b,
			struct csv_file *file[2],
			void *args,
			uint32_t replay)
{
	struct csv_args_fsync *a = args;

	(void)replay;
	return b->ops->fsync(file[0], a->flags);
}

int csv_fsync(struct csv_handle *h, uint32_t flags)
{
	struct csv_args_fsync args = {
		.flags = flags,
	};
	uint64_t serial = h->unstable_serial;
	int ret = csv_call_handle(h, csv_do_fsync, &args, NULL);

	return ret != 0 ? ret : csv_unstable_commit(h, serial);
}
