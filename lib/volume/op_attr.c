/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operations on attributes and extended attributes. Each is one
 * function that runs at a backend and one that calls it by csv_call_*().
 */
#include "replace.h"
#include <errno.h>
#include "volume_private.h"

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

	return csv_call_handle(h, csv_do_fstat, &args, NULL);
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

	return csv_call_dir(vol, dir, csv_do_statat, &args, NULL);
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
	struct csv_once once = {
		.op = CSV_OP_SETATTR,
		.cred = cred,
		.name[0] = name,
		.attributes = true,
		.by_name = name != NULL,
		.flags = flags,
	};
	int ret = 0;

	if (attr->mask & CSV_ATTR_SIZE) {
		ret = csv_unstable_settle(h);
	}
	return ret != 0 ? ret : csv_call_handle(h, csv_do_setattr, &args, &once);
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

	return csv_call_dir(vol, h, csv_do_statfs, &args, NULL);
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

	return csv_call_handle(h, csv_do_getxattr, &args, NULL);
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
	struct csv_once once = {
		.op = CSV_OP_SETXATTR,
		.cred = cred,
		.attributes = true,
	};

	return csv_call_handle(h, csv_do_setxattr, &args, &once);
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

	return csv_call_handle(h, csv_do_listxattr, &args, NULL);
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
	struct csv_once once = {
		.op = CSV_OP_REMOVEXATTR,
		.cred = cred,
		.attributes = true,
	};

	return csv_call_handle(h, csv_do_removexattr, &args, &once);
}
