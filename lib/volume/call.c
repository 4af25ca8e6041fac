/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The synchronous operations of the volume interface. Each is one function
 * that runs at the backend of the day and one that runs it until an owner
 * answered (csv_call).
 *
 * Repeating: CSV_E_STALE means "not done", the operation is sent again as it
 * was; CSV_E_LOST means "nobody knows", so it is sent again with
 * CSV_F_REPLAY and the same token, which lets the owner find out.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "volume_private.h"

struct csv_call {
	struct csv_volume *vol;
	struct csv_handle *h[2]; /* NULL: the root */
	bool two;		 /* h[1] is used */
	uint32_t replay;	 /* CSV_F_REPLAY after CSV_E_LOST */
	int (*fn)(struct csv_backend *b, struct csv_file *file[2], void *args,
		  uint32_t replay);
	void *args;
};

static int csv_call_files(struct csv_call *c, struct csv_file *file[2])
{
	struct csv_backend *b = c->vol->backend;
	int num = c->two ? 2 : 1;
	int ret = 0;
	int i;

	for (i = 0; i < num && ret == 0; i++) {
		if (c->h[i] == NULL) {
			file[i] = b->ops->root(b);
			continue;
		}
		ret = csv_handle_file(c->h[i], &file[i]);
	}
	return ret;
}

static int csv_call_once(struct csv_call *c, uint64_t token, bool *again)
{
	struct csv_volume *vol = c->vol;
	struct csv_file *file[2] = { NULL, NULL };
	uint64_t generation;
	bool sent = false;
	int ret;

	*again = false;
	ret = csv_volume_enter(vol);
	if (ret != 0) {
		return ret;
	}
	generation = vol->generation;
	ret = csv_call_files(c, file);
	if (ret == 0) {
		sent = true;
		vol->backend->token = token;
		ret = c->fn(vol->backend, file, c->args, c->replay);
	}
	if (csv_volume_is_trouble(vol, ret)) {
		*again = true;
		if (sent && ret != CSV_E_STALE) {
			c->replay = CSV_F_REPLAY;
			vol->counters.replayed += 1;
		}
		csv_volume_trouble(vol, generation);
	} else if (vol->target.access == CSV_ACCESS_DIRECT) {
		vol->counters.direct_ops += 1;
	} else {
		vol->counters.redirected_ops += 1;
	}
	csv_volume_leave(vol);
	return ret;
}

static int csv_call(struct csv_call *c)
{
	uint64_t token;
	bool again = true;
	int ret = ENXIO;

	if (c->vol == NULL) {
		return ENXIO;
	}
	token = c->vol->next_token++;
	while (again) {
		ret = csv_call_once(c, token, &again);
	}
	return ret;
}

static int csv_call_handle(struct csv_handle *h,
			   int (*fn)(struct csv_backend *b,
				     struct csv_file *file[2],
				     void *args,
				     uint32_t replay),
			   void *args)
{
	struct csv_call c = {
		.vol = h->vol,
		.h = { h, NULL },
		.fn = fn,
		.args = args,
	};

	return csv_call(&c);
}

static int csv_call_dir(struct csv_volume *vol,
			struct csv_handle *dir,
			int (*fn)(struct csv_backend *b,
				  struct csv_file *file[2],
				  void *args,
				  uint32_t replay),
			void *args)
{
	struct csv_call c = {
		.vol = vol,
		.h = { dir, NULL },
		.fn = fn,
		.args = args,
	};

	return csv_call(&c);
}

static int csv_call_dirs(struct csv_volume *vol,
			 struct csv_handle *dir0,
			 struct csv_handle *dir1,
			 int (*fn)(struct csv_backend *b,
				   struct csv_file *file[2],
				   void *args,
				   uint32_t replay),
			 void *args)
{
	struct csv_call c = {
		.vol = vol,
		.h = { dir0, dir1 },
		.two = true,
		.fn = fn,
		.args = args,
	};

	return csv_call(&c);
}

struct csv_args_fstat {
	struct csv_stat *st;
};

static int csv_do_fstat(struct csv_backend *b,
			struct csv_file *file[2],
			void *args,
			uint32_t replay)
{
	struct csv_args_fstat *a = args;

	(void)replay;
	return b->ops->fstat(file[0], a->st);
}

int csv_fstat(struct csv_handle *h, struct csv_stat *st)
{
	struct csv_args_fstat args = {
		.st = st,
	};

	return csv_call_handle(h, csv_do_fstat, &args);
}

struct csv_args_statat {
	const struct csv_cred *cred;
	const char *name;
	uint32_t flags;
	struct csv_stat *st;
	struct csv_fhandle *fh;
};

static int csv_do_statat(struct csv_backend *b,
			 struct csv_file *file[2],
			 void *args,
			 uint32_t replay)
{
	struct csv_args_statat *a = args;

	(void)replay;
	return b->ops->statat(file[0],
			      a->cred,
			      a->name,
			      a->flags,
			      a->st,
			      a->fh);
}

int csv_statat(struct csv_volume *vol,
	       const struct csv_cred *cred,
	       struct csv_handle *dir,
	       const char *name,
	       uint32_t flags,
	       struct csv_stat *st,
	       struct csv_fhandle *fh)
{
	struct csv_args_statat args = {
		.cred = cred,
		.name = name,
		.flags = flags,
		.st = st,
		.fh = fh,
	};

	return csv_call_dir(vol, dir, csv_do_statat, &args);
}

struct csv_args_setattr {
	const struct csv_cred *cred;
	const char *name;
	const struct csv_setattr *attr;
	uint32_t flags;
};

static int csv_do_setattr(struct csv_backend *b,
			  struct csv_file *file[2],
			  void *args,
			  uint32_t replay)
{
	struct csv_args_setattr *a = args;

	return b->ops->setattr(file[0],
			       a->cred,
			       a->name,
			       a->attr,
			       a->flags | replay);
}

int csv_setattr(struct csv_handle *h,
		const struct csv_cred *cred,
		const char *name,
		const struct csv_setattr *attr,
		uint32_t flags)
{
	struct csv_args_setattr args = {
		.cred = cred,
		.name = name,
		.attr = attr,
		.flags = flags,
	};

	return csv_call_handle(h, csv_do_setattr, &args);
}

struct csv_args_readdir {
	TALLOC_CTX *mem_ctx;
	const struct csv_cred *cred;
	uint64_t cookie;
	uint32_t max_bytes;
	struct csv_dirlist **list;
};

static int csv_do_readdir(struct csv_backend *b,
			  struct csv_file *file[2],
			  void *args,
			  uint32_t replay)
{
	struct csv_args_readdir *a = args;

	(void)replay;
	return b->ops->readdir(file[0],
			       a->mem_ctx,
			       a->cred,
			       a->cookie,
			       a->max_bytes,
			       a->list);
}

int csv_readdir(struct csv_handle *dir,
		TALLOC_CTX *mem_ctx,
		const struct csv_cred *cred,
		uint64_t cookie,
		uint32_t max_bytes,
		struct csv_dirlist **list)
{
	struct csv_args_readdir args = {
		.mem_ctx = mem_ctx,
		.cred = cred,
		.cookie = cookie,
		.max_bytes = max_bytes,
		.list = list,
	};

	return csv_call_handle(dir, csv_do_readdir, &args);
}

struct csv_args_mkdir {
	const struct csv_cred *cred;
	const char *name;
	uint32_t mode;
	uint32_t flags;
};

static int csv_do_mkdir(struct csv_backend *b,
			struct csv_file *file[2],
			void *args,
			uint32_t replay)
{
	struct csv_args_mkdir *a = args;

	return b->ops->mkdir(file[0],
			     a->cred,
			     a->name,
			     a->mode,
			     a->flags | replay);
}

int csv_mkdir(struct csv_volume *vol,
	      const struct csv_cred *cred,
	      struct csv_handle *dir,
	      const char *name,
	      uint32_t mode,
	      uint32_t flags)
{
	struct csv_args_mkdir args = {
		.cred = cred,
		.name = name,
		.mode = mode,
		.flags = flags,
	};

	return csv_call_dir(vol, dir, csv_do_mkdir, &args);
}

struct csv_args_mknod {
	const struct csv_cred *cred;
	const char *name;
	uint32_t mode;
	uint64_t rdev;
	uint32_t flags;
};

static int csv_do_mknod(struct csv_backend *b,
			struct csv_file *file[2],
			void *args,
			uint32_t replay)
{
	struct csv_args_mknod *a = args;

	return b->ops->mknod(file[0],
			     a->cred,
			     a->name,
			     a->mode,
			     a->rdev,
			     a->flags | replay);
}

int csv_mknod(struct csv_volume *vol,
	      const struct csv_cred *cred,
	      struct csv_handle *dir,
	      const char *name,
	      uint32_t mode,
	      uint64_t rdev,
	      uint32_t flags)
{
	struct csv_args_mknod args = {
		.cred = cred,
		.name = name,
		.mode = mode,
		.rdev = rdev,
		.flags = flags,
	};

	return csv_call_dir(vol, dir, csv_do_mknod, &args);
}

struct csv_args_symlink {
	const struct csv_cred *cred;
	const char *name;
	const char *target;
	uint32_t flags;
};

static int csv_do_symlink(struct csv_backend *b,
			  struct csv_file *file[2],
			  void *args,
			  uint32_t replay)
{
	struct csv_args_symlink *a = args;

	return b->ops->symlink(file[0],
			       a->cred,
			       a->name,
			       a->target,
			       a->flags | replay);
}

int csv_symlink(struct csv_volume *vol,
		const struct csv_cred *cred,
		struct csv_handle *dir,
		const char *name,
		const char *target,
		uint32_t flags)
{
	struct csv_args_symlink args = {
		.cred = cred,
		.name = name,
		.target = target,
		.flags = flags,
	};

	return csv_call_dir(vol, dir, csv_do_symlink, &args);
}

struct csv_args_readlink {
	TALLOC_CTX *mem_ctx;
	const struct csv_cred *cred;
	const char *name;
	char **target;
};

static int csv_do_readlink(struct csv_backend *b,
			   struct csv_file *file[2],
			   void *args,
			   uint32_t replay)
{
	struct csv_args_readlink *a = args;

	(void)replay;
	return b->ops->readlink(file[0],
				a->mem_ctx,
				a->cred,
				a->name,
				a->target);
}

int csv_readlink(struct csv_volume *vol,
		 TALLOC_CTX *mem_ctx,
		 const struct csv_cred *cred,
		 struct csv_handle *dir,
		 const char *name,
		 char **target)
{
	struct csv_args_readlink args = {
		.mem_ctx = mem_ctx,
		.cred = cred,
		.name = name,
		.target = target,
	};

	return csv_call_dir(vol, dir, csv_do_readlink, &args);
}

struct csv_args_link {
	const struct csv_cred *cred;
	const char *src_name;
	const char *dst_name;
	uint32_t flags;
};

static int csv_do_link(struct csv_backend *b,
		       struct csv_file *file[2],
		       void *args,
		       uint32_t replay)
{
	struct csv_args_link *a = args;

	return b->ops->link(file[0],
			    a->src_name,
			    file[1],
			    a->dst_name,
			    a->cred,
			    a->flags | replay);
}

int csv_link(struct csv_volume *vol,
	     const struct csv_cred *cred,
	     struct csv_handle *src_dir,
	     const char *src_name,
	     struct csv_handle *dst_dir,
	     const char *dst_name,
	     uint32_t flags)
{
	struct csv_args_link args = {
		.cred = cred,
		.src_name = src_name,
		.dst_name = dst_name,
		.flags = flags,
	};

	return csv_call_dirs(vol, src_dir, dst_dir, csv_do_link, &args);
}

struct csv_args_rename {
	const struct csv_cred *cred;
	const char *src_name;
	const char *dst_name;
	uint32_t flags;
};

static int csv_do_rename(struct csv_backend *b,
			 struct csv_file *file[2],
			 void *args,
			 uint32_t replay)
{
	struct csv_args_rename *a = args;

	return b->ops->rename(file[0],
			      a->src_name,
			      file[1],
			      a->dst_name,
			      a->cred,
			      a->flags | replay);
}

int csv_rename(struct csv_volume *vol,
	       const struct csv_cred *cred,
	       struct csv_handle *src_dir,
	       const char *src_name,
	       struct csv_handle *dst_dir,
	       const char *dst_name,
	       uint32_t flags)
{
	struct csv_args_rename args = {
		.cred = cred,
		.src_name = src_name,
		.dst_name = dst_name,
		.flags = flags,
	};

	return csv_call_dirs(vol, src_dir, dst_dir, csv_do_rename, &args);
}

struct csv_args_unlink {
	const struct csv_cred *cred;
	const char *name;
	uint32_t flags;
};

static int csv_do_unlink(struct csv_backend *b,
			 struct csv_file *file[2],
			 void *args,
			 uint32_t replay)
{
	struct csv_args_unlink *a = args;

	return b->ops->unlink(file[0], a->cred, a->name, a->flags | replay);
}

int csv_unlink(struct csv_volume *vol,
	       const struct csv_cred *cred,
	       struct csv_handle *dir,
	       const char *name,
	       uint32_t flags)
{
	struct csv_args_unlink args = {
		.cred = cred,
		.name = name,
		.flags = flags,
	};

	return csv_call_dir(vol, dir, csv_do_unlink, &args);
}

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

	return csv_call_handle(h, csv_do_fallocate, &args);
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

	return csv_call_handle(h, csv_do_seek, &args);
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

	if (src->vol != dst->vol) {
		return EXDEV;
	}
	if (csv_volume_access(src->vol) == CSV_ACCESS_REDIRECTED) {
		args.flags |= CSV_F_STABLE;
	}
	return csv_call_dirs(src->vol, src, dst, csv_do_copy_range, &args);
}

struct csv_args_statfs {
	struct csv_statfs *sfs;
};

static int csv_do_statfs(struct csv_backend *b,
			 struct csv_file *file[2],
			 void *args,
			 uint32_t replay)
{
	struct csv_args_statfs *a = args;

	(void)replay;
	return b->ops->statfs(file[0], a->sfs);
}

int csv_statfs(struct csv_volume *vol,
	       struct csv_handle *h,
	       struct csv_statfs *sfs)
{
	struct csv_args_statfs args = {
		.sfs = sfs,
	};

	return csv_call_dir(vol, h, csv_do_statfs, &args);
}

struct csv_args_getxattr {
	const struct csv_cred *cred;
	const char *name;
	void *value;
	size_t *size;
};

static int csv_do_getxattr(struct csv_backend *b,
			   struct csv_file *file[2],
			   void *args,
			   uint32_t replay)
{
	struct csv_args_getxattr *a = args;

	(void)replay;
	return b->ops->getxattr(file[0], a->cred, a->name, a->value, a->size);
}

int csv_getxattr(struct csv_handle *h,
		 const struct csv_cred *cred,
		 const char *name,
		 void *value,
		 size_t *size)
{
	struct csv_args_getxattr args = {
		.cred = cred,
		.name = name,
		.value = value,
		.size = size,
	};

	return csv_call_handle(h, csv_do_getxattr, &args);
}

struct csv_args_setxattr {
	const struct csv_cred *cred;
	const char *name;
	const void *value;
	size_t size;
	uint32_t flags;
};

static int csv_do_setxattr(struct csv_backend *b,
			   struct csv_file *file[2],
			   void *args,
			   uint32_t replay)
{
	struct csv_args_setxattr *a = args;

	return b->ops->setxattr(file[0],
				a->cred,
				a->name,
				a->value,
				a->size,
				a->flags | replay);
}

int csv_setxattr(struct csv_handle *h,
		 const struct csv_cred *cred,
		 const char *name,
		 const void *value,
		 size_t size,
		 uint32_t flags)
{
	struct csv_args_setxattr args = {
		.cred = cred,
		.name = name,
		.value = value,
		.size = size,
		.flags = flags,
	};

	return csv_call_handle(h, csv_do_setxattr, &args);
}

struct csv_args_listxattr {
	const struct csv_cred *cred;
	char *list;
	size_t *size;
};

static int csv_do_listxattr(struct csv_backend *b,
			    struct csv_file *file[2],
			    void *args,
			    uint32_t replay)
{
	struct csv_args_listxattr *a = args;

	(void)replay;
	return b->ops->listxattr(file[0], a->cred, a->list, a->size);
}

int csv_listxattr(struct csv_handle *h,
		  const struct csv_cred *cred,
		  char *list,
		  size_t *size)
{
	struct csv_args_listxattr args = {
		.cred = cred,
		.list = list,
		.size = size,
	};

	return csv_call_handle(h, csv_do_listxattr, &args);
}

struct csv_args_removexattr {
	const struct csv_cred *cred;
	const char *name;
	uint32_t flags;
};

static int csv_do_removexattr(struct csv_backend *b,
			      struct csv_file *file[2],
			      void *args,
			      uint32_t replay)
{
	struct csv_args_removexattr *a = args;

	return b->ops->removexattr(file[0],
				   a->cred,
				   a->name,
				   a->flags | replay);
}

int csv_removexattr(struct csv_handle *h,
		    const struct csv_cred *cred,
		    const char *name,
		    uint32_t flags)
{
	struct csv_args_removexattr args = {
		.cred = cred,
		.name = name,
		.flags = flags,
	};

	return csv_call_handle(h, csv_do_removexattr, &args);
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
	int ret = csv_call_handle(h, csv_do_pread, &args);

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
	int ret = csv_call_handle(h, csv_do_pwrite, &args);

	if (ret == 0) {
		csv_account_write(h, buf, *nwritten, offset, flags);
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
	int ret = csv_call_handle(h, csv_do_fsync, &args);

	if (ret == 0) {
		csv_unstable_commit(h, serial);
	}
	return ret;
}
