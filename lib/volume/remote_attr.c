/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The remote backend's operations on attributes, extents and xattrs.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "lib/volume/remote_private.h"

int remote_fstat(struct csv_file *file, struct csv_stat *st)
{
	struct csv_handle_req req = { .handle = remote_file(file)->handle };
	struct csv_stat_rep rep;
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_FSTAT,
				 .req = &req,
				 .rep = &rep };
	int ret;

	ret = remote_call(&c);
	if (ret == 0) {
		csv_stat_from_wire(&rep.st, st);
	}
	return ret;
}

int remote_statat(struct csv_file *dir,
		  const struct csv_cred *cred,
		  const char *name,
		  uint32_t flags,
		  struct csv_stat *st,
		  struct csv_fhandle *fh)
{
	struct csv_statat_req req = { .dir = remote_file(dir)->handle,
				      .flags = flags,
				      .want_fh = fh != NULL };
	struct csv_statat_rep rep;
	struct remote_call c = { .rb = remote_file(dir)->rb,
				 .op = CSV_OP_STATAT,
				 .cred = cred,
				 .req = &req,
				 .rep = &rep };
	int ret;

	ret = remote_name(name, &req.name);
	if (ret != 0) {
		return ret;
	}
	c.mem_ctx = talloc_new(c.rb);
	if (c.mem_ctx == NULL) {
		return ENOMEM;
	}
	ret = remote_call(&c);
	if (ret == 0 && st != NULL) {
		csv_stat_from_wire(&rep.st, st);
	}
	if (ret == 0 && fh != NULL) {
		csv_fh_from_wire(&rep.fh, fh);
	}
	talloc_free(c.mem_ctx);
	return ret;
}

int remote_setattr(struct csv_file *file,
		   const struct csv_cred *cred,
		   const char *name,
		   const struct csv_setattr *attr,
		   uint32_t flags)
{
	struct csv_setattr_req req = {
		.handle = remote_file(file)->handle,
		.by_name = name != NULL,
		.flags = flags & ~CSV_F_REPLAY,
		.mask = attr->mask,
		.mode = attr->mode,
		.uid = attr->uid,
		.gid = attr->gid,
		.size = attr->size,
	};
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_SETATTR,
				 .cred = cred,
				 .replay = (flags & CSV_F_REPLAY) != 0,
				 .once = true,
				 .req = &req };
	int ret;

	csv_time_to_wire(&attr->atime, &req.atime);
	csv_time_to_wire(&attr->mtime, &req.mtime);
	ret = remote_name(name, &req.name);
	return ret != 0 ? ret : remote_call(&c);
}

int remote_fallocate(struct csv_file *file,
		     uint32_t mode,
		     int64_t offset,
		     int64_t length)
{
	struct csv_fallocate_req req = { .handle = remote_file(file)->handle,
					 .mode = mode,
					 .offset = offset,
					 .length = length };
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_FALLOCATE,
				 .req = &req };

	return remote_call(&c);
}

int remote_seek(struct csv_file *file,
		int64_t offset,
		int whence,
		int64_t *result)
{
	struct csv_seek_req req = { .handle = remote_file(file)->handle,
				    .offset = offset,
				    .whence = (uint32_t)whence };
	struct csv_number_rep rep;
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_SEEK,
				 .req = &req,
				 .rep = &rep };
	int ret;

	if (offset < 0) {
		return ENXIO; /* as lseek(2) */
	}
	ret = remote_call(&c);
	if (ret == 0) {
		*result = (int64_t)rep.value;
	}
	return ret;
}

int remote_copy_range(struct csv_file *src,
		      int64_t src_off,
		      struct csv_file *dst,
		      int64_t dst_off,
		      uint64_t length,
		      uint32_t flags,
		      uint64_t *copied)
{
	struct csv_copy_req req = { .src = remote_file(src)->handle,
				    .src_offset = src_off,
				    .dst = remote_file(dst)->handle,
				    .dst_offset = dst_off,
				    .length = MIN(length, INT64_MAX),
				    .flags = flags & ~CSV_F_REPLAY };
	struct csv_number_rep rep;
	struct remote_call c = { .rb = remote_file(src)->rb,
				 .op = CSV_OP_COPY_RANGE,
				 .replay = (flags & CSV_F_REPLAY) != 0,
				 .req = &req,
				 .rep = &rep };
	int ret;

	ret = remote_call(&c);
	if (ret == 0) {
		*copied = rep.value;
	}
	return ret;
}

int remote_statfs(struct csv_file *file, struct csv_statfs *sfs)
{
	struct csv_handle_req req = { .handle = remote_file(file)->handle };
	struct csv_statfs_rep rep;
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_STATFS,
				 .req = &req,
				 .rep = &rep };
	int ret;

	ret = remote_call(&c);
	if (ret == 0) {
		sfs->bsize = rep.bsize;
		sfs->blocks = rep.blocks;
		sfs->bfree = rep.bfree;
		sfs->bavail = rep.bavail;
		sfs->files = rep.files;
		sfs->ffree = rep.ffree;
		sfs->namemax = rep.namemax;
		sfs->flags = rep.flags;
	}
	return ret;
}

/* GETXATTR and LISTXATTR: the value of an answer to the caller's buffer. */
static int xattr_get(struct remote_call *c, void *value, size_t *size)
{
	struct csv_xattr_rep rep;
	int ret;

	c->rep = &rep;
	c->mem_ctx = talloc_new(c->rb);
	if (c->mem_ctx == NULL) {
		return ENOMEM;
	}
	ret = remote_call(c);
	if (ret == 0 && value == NULL) {
		*size = rep.size;
	} else if (ret == 0 && rep.value.length > *size) {
		ret = ERANGE;
	} else if (ret == 0) {
		if (rep.value.length != 0) {
			memcpy(value, rep.value.data, rep.value.length);
		}
		*size = rep.value.length;
	}
	talloc_free(c->mem_ctx);
	return ret;
}

int remote_getxattr(struct csv_file *file,
		    const struct csv_cred *cred,
		    const char *name,
		    void *value,
		    size_t *size)
{
	struct csv_xattr_req req = {
		.handle = remote_file(file)->handle,
		.max_size = value == NULL ? 0 : MIN(*size, CSV_MAX_XATTR),
	};
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_GETXATTR,
				 .cred = cred,
				 .req = &req };
	int ret;

	ret = remote_name(name, &req.name);
	return ret != 0 ? ret : xattr_get(&c, value, size);
}

int remote_listxattr(struct csv_file *file,
		     const struct csv_cred *cred,
		     char *list,
		     size_t *size)
{
	struct csv_xattr_req req = {
		.handle = remote_file(file)->handle,
		.max_size = list == NULL ? 0 : MIN(*size, CSV_MAX_XATTR),
	};
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_LISTXATTR,
				 .cred = cred,
				 .req = &req };

	return xattr_get(&c, list, size);
}

int remote_setxattr(struct csv_file *file,
		    const struct csv_cred *cred,
		    const char *name,
		    const void *value,
		    size_t size,
		    uint32_t flags)
{
	struct csv_xattr_req req = {
		.handle = remote_file(file)->handle,
		.flags = flags & ~CSV_F_REPLAY,
		.value = { .data = discard_const_p(uint8_t, value),
			   .length = (uint32_t)size },
	};
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_SETXATTR,
				 .cred = cred,
				 .replay = (flags & CSV_F_REPLAY) != 0,
				 .once = true,
				 .req = &req };
	int ret;

	if (size > CSV_MAX_XATTR) {
		return E2BIG;
	}
	ret = remote_name(name, &req.name);
	return ret != 0 ? ret : remote_call(&c);
}

int remote_removexattr(struct csv_file *file,
		       const struct csv_cred *cred,
		       const char *name,
		       uint32_t flags)
{
	struct csv_xattr_req req = { .handle = remote_file(file)->handle,
				     .flags = flags & ~CSV_F_REPLAY };
	struct remote_call c = { .rb = remote_file(file)->rb,
				 .op = CSV_OP_REMOVEXATTR,
				 .cred = cred,
				 .replay = (flags & CSV_F_REPLAY) != 0,
				 .once = true,
				 .req = &req };
	int ret;

	ret = remote_name(name, &req.name);
	return ret != 0 ? ret : remote_call(&c);
}
