/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operations on names: listings, and what makes, moves, removes entries. Each is one
 * function that runs at a backend and one that calls it by csv_call_*().
 */
#include "replace.h"
#include <errno.h>
#include "volume_private.h"

struct csv_args_readdir {
	TALLOC_CTX *mem_ctx;
	const struct csv_cred *cred;
	uint64_t cookie;
	uint32_t max_bytes;
	const struct csv_want *want;
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
			       a->want,
			       a->list);
}

int csv_readdir(struct csv_handle *dir,
		TALLOC_CTX *mem_ctx,
		const struct csv_cred *cred,
		uint64_t cookie,
		uint32_t max_bytes,
		const struct csv_want *want,
		struct csv_dirlist **list)
{
	struct csv_args_readdir args = {
		.mem_ctx = mem_ctx,
		.cred = cred,
		.cookie = cookie,
		.max_bytes = max_bytes,
		.want = want,
		.list = list,
	};

	return csv_call_handle(dir, csv_do_readdir, &args, NULL);
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
	struct csv_once once = {
		.op = CSV_OP_MKDIR,
		.cred = cred,
		.name[0] = name,
	};

	return csv_call_dir(vol, dir, csv_do_mkdir, &args, &once);
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
	struct csv_once once = {
		.op = CSV_OP_MKNOD,
		.cred = cred,
		.name[0] = name,
	};

	return csv_call_dir(vol, dir, csv_do_mknod, &args, &once);
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
	struct csv_once once = {
		.op = CSV_OP_SYMLINK,
		.cred = cred,
		.name[0] = name,
	};

	return csv_call_dir(vol, dir, csv_do_symlink, &args, &once);
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

	return csv_call_dir(vol, dir, csv_do_readlink, &args, NULL);
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
	struct csv_once once = {
		.op = CSV_OP_LINK,
		.cred = cred,
		.name[0] = src_name,
		.name[1] = dst_name,
	};

	return csv_call_dirs(vol, src_dir, dst_dir, csv_do_link, &args, &once);
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
	struct csv_once once = {
		.op = CSV_OP_RENAME,
		.cred = cred,
		.name[0] = src_name,
		.name[1] = dst_name,
	};

	return csv_call_dirs(vol, src_dir, dst_dir, csv_do_rename, &args, &once);
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
	struct csv_once once = {
		.op = CSV_OP_UNLINK,
		.cred = cred,
		.name[0] = name,
	};

	return csv_call_dir(vol, dir, csv_do_unlink, &args, &once);
}
