/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The remote backend's operations on names.
 */
#include "replace.h"
#include <errno.h>
#include "lib/volume/remote_private.h"

/* From the answer to an open to a file; the handle is closed on failure. */
static int open_take(struct remote_backend *rb,
		     TALLOC_CTX *mem_ctx,
		     const struct csv_open_rep *rep,
		     uint32_t how,
		     struct csv_file **file,
		     struct csv_stat *st,
		     struct csv_fhandle *fh)
{
	struct remote_file *f = NULL;
	int ret;

	ret = remote_file_new(rb, mem_ctx, rep->handle, how, &f);
	if (ret != 0) {
		return ret;
	}
	if (st != NULL) {
		csv_stat_from_wire(&rep->st, st);
	}
	if (fh != NULL) {
		csv_fh_from_wire(&rep->fh, fh);
	}
	*file = &f->file;
	return 0;
}

int remote_open(struct csv_backend *b,
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
	struct remote_backend *rb = remote_backend(b);
	TALLOC_CTX *frame = NULL;
	struct csv_open_req req = { .dir = remote_file(dir)->handle,
				    .how = how & ~CSV_O_REPLAY,
				    .mode = mode,
				    .want_fh = fh != NULL };
	struct csv_open_rep rep;
	struct remote_call c = { .rb = rb,
				 .op = CSV_OP_OPEN,
				 .cred = cred,
				 .replay = (how & CSV_O_REPLAY) != 0,
				 .once = (how & CSV_O_ONCE) != 0,
				 .req = &req,
				 .rep = &rep };
	int ret;

	ret = remote_name(name, &req.name);
	if (ret != 0) {
		return ret;
	}
	frame = talloc_new(rb);
	if (frame == NULL) {
		return ENOMEM;
	}
	c.mem_ctx = frame;
	ret = remote_call(&c);
	if (ret == 0) {
		ret = open_take(rb, mem_ctx, &rep, how, file, st, fh);
	}
	talloc_free(frame);
	return ret;
}

int remote_open_fh(struct csv_backend *b,
		   TALLOC_CTX *mem_ctx,
		   const struct csv_fhandle *fh,
		   uint32_t how,
		   struct csv_file **file,
		   struct csv_stat *st)
{
	struct remote_backend *rb = remote_backend(b);
	struct csv_open_fh_req req = { .how = how };
	struct csv_open_rep rep;
	struct remote_call c = { .rb = rb,
				 .op = CSV_OP_OPEN_FH,
				 .req = &req,
				 .rep = &rep };
	int ret;

	if (how & (CSV_O_ONCE | CSV_O_REPLAY) ||
	    fh->length > CSV_MAX_FHANDLE) {
		return EINVAL;
	}
	csv_fh_to_wire(fh, &req.fh);
	ret = remote_call(&c);
	if (ret == 0) {
		ret = open_take(rb, mem_ctx, &rep, how, file, st, NULL);
	}
	return ret;
}

/* What it points to stays with the answer's memory. */
static struct csv_extra *extra_take(TALLOC_CTX *mem_ctx,
				    const struct csv_wire_dirent *w)
{
	struct csv_extra *x = talloc_zero(mem_ctx, struct csv_extra);
	uint32_t i;

	if (x == NULL) {
		return NULL;
	}
	csv_fh_from_wire(&w->fh, &x->fh);
	x->names = (const char *)w->xattr_names.data;
	x->names_length = w->xattr_names.length;
	for (i = 0; i < w->num_values && i < CSV_MAX_WANT; i++) {
		x->values[i] = (struct csv_value) {
			.present = w->values[i].present,
			.length = w->values[i].data.length,
			.data = w->values[i].data.data,
		};
	}
	return x;
}

static int dirent_take(struct csv_dirlist *list,
		       const struct csv_wire_dirent *w,
		       struct csv_dirent *e)
{
	e->cookie = w->cookie;
	e->name_len = w->name.length;
	e->name = csv_bytes_str(list->entries, &w->name);
	e->has_stat = w->has_stat;
	csv_stat_from_wire(&w->st, &e->st);
	if (w->has_extra) {
		e->extra = extra_take(list, w);
	}
	return e->name == NULL || (w->has_extra && e->extra == NULL) ? ENOMEM
								     : 0;
}

static int dirlist_take(struct csv_dirlist *list,
			const struct csv_readdir_rep *rep)
{
	uint32_t i;
	int ret = 0;

	list->num = rep->num;
	list->eof = rep->eof;
	list->entries = talloc_zero_array(list, struct csv_dirent, rep->num);
	if (list->entries == NULL) {
		return ENOMEM;
	}
	for (i = 0; ret == 0 && i < rep->num; i++) {
		ret = dirent_take(list, &rep->entries[i], &list->entries[i]);
	}
	return ret;
}

static int want_push(const struct csv_want *want,
		     struct csv_bytes xattrs[CSV_MAX_WANT],
		     struct csv_readdir_req *req)
{
	uint32_t i;
	int ret = 0;

	if (want == NULL) {
		return 0;
	}
	if (want->like != NULL) {
		return remote_name(want->like, &req->like);
	}
	if (want->num > CSV_MAX_WANT) {
		return EINVAL;
	}
	for (i = 0; ret == 0 && i < want->num; i++) {
		ret = remote_name(want->xattrs[i], &xattrs[i]);
	}
	req->want_extra = true;
	req->num_xattrs = want->num;
	req->xattrs = xattrs;
	return ret;
}

int remote_readdir(struct csv_file *dir,
		   TALLOC_CTX *mem_ctx,
		   const struct csv_cred *cred,
		   uint64_t cookie,
		   uint32_t max_bytes,
		   const struct csv_want *want,
		   struct csv_dirlist **_list)
{
	struct remote_backend *rb = remote_file(dir)->rb;
	struct csv_readdir_req req = { .dir = remote_file(dir)->handle,
				       .cookie = cookie,
				       .max_bytes = max_bytes };
	struct csv_bytes xattrs[CSV_MAX_WANT] = {};
	struct csv_dirlist *list = NULL;
	struct csv_readdir_rep rep;
	struct remote_call c = { .rb = rb,
				 .op = CSV_OP_READDIR,
				 .cred = cred,
				 .req = &req,
				 .rep = &rep };
	int ret;

	ret = want_push(want, xattrs, &req);
	if (ret != 0) {
		return ret;
	}
	list = talloc_zero(mem_ctx, struct csv_dirlist);
	if (list == NULL) {
		return ENOMEM;
	}
	c.mem_ctx = list;
	ret = remote_call(&c);
	if (ret == 0) {
		ret = dirlist_take(list, &rep);
	}
	if (ret != 0) {
		talloc_free(list);
		return ret;
	}
	*_list = list;
	return 0;
}

/* MKDIR, MKNOD, SYMLINK, UNLINK */
static int name_call(struct csv_file *dir,
		     const struct csv_cred *cred,
		     enum csv_op op,
		     const char *name,
		     const char *target,
		     struct csv_name_req *req)
{
	struct remote_backend *rb = remote_file(dir)->rb;
	struct remote_call c = { .rb = rb,
				 .op = op,
				 .cred = cred,
				 .replay = (req->flags & CSV_F_REPLAY) != 0,
				 .once = true,
				 .req = req };
	int ret;

	req->dir = remote_file(dir)->handle;
	req->flags &= ~CSV_F_REPLAY;
	ret = remote_name(name, &req->name);
	if (ret == 0) {
		ret = remote_name(target, &req->target);
	}
	return ret != 0 ? ret : remote_call(&c);
}

int remote_mkdir(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t mode,
		 uint32_t flags)
{
	struct csv_name_req req = { .flags = flags, .mode = mode };

	return name_call(dir, cred, CSV_OP_MKDIR, name, NULL, &req);
}

int remote_mknod(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t mode,
		 uint64_t rdev,
		 uint32_t flags)
{
	struct csv_name_req req = { .flags = flags,
				    .mode = mode,
				    .rdev = rdev };

	return name_call(dir, cred, CSV_OP_MKNOD, name, NULL, &req);
}

int remote_symlink(struct csv_file *dir,
		   const struct csv_cred *cred,
		   const char *name,
		   const char *target,
		   uint32_t flags)
{
	struct csv_name_req req = { .flags = flags };

	return name_call(dir, cred, CSV_OP_SYMLINK, name, target, &req);
}

int remote_unlink(struct csv_file *dir,
		  const struct csv_cred *cred,
		  const char *name,
		  uint32_t flags)
{
	struct csv_name_req req = { .flags = flags };

	return name_call(dir, cred, CSV_OP_UNLINK, name, NULL, &req);
}

int remote_readlink(struct csv_file *dir,
		    TALLOC_CTX *mem_ctx,
		    const struct csv_cred *cred,
		    const char *name,
		    char **target)
{
	struct remote_backend *rb = remote_file(dir)->rb;
	struct csv_name_req req = { .dir = remote_file(dir)->handle };
	struct csv_bytes_rep rep;
	struct remote_call c = { .rb = rb,
				 .op = CSV_OP_READLINK,
				 .cred = cred,
				 .req = &req,
				 .rep = &rep };
	char *s = NULL;
	int ret;

	ret = remote_name(name, &req.name);
	if (ret != 0) {
		return ret;
	}
	c.mem_ctx = talloc_new(rb);
	if (c.mem_ctx == NULL) {
		return ENOMEM;
	}
	ret = remote_call(&c);
	if (ret == 0) {
		s = csv_bytes_str(mem_ctx, &rep.value);
		ret = s == NULL ? ENOMEM : 0;
	}
	talloc_free(c.mem_ctx);
	if (ret == 0) {
		*target = s;
	}
	return ret;
}

/* LINK, RENAME */
static int two_names(struct csv_file *src_dir,
		     const char *src_name,
		     struct csv_file *dst_dir,
		     const char *dst_name,
		     const struct csv_cred *cred,
		     enum csv_op op,
		     uint32_t flags)
{
	struct remote_backend *rb = remote_file(src_dir)->rb;
	struct csv_two_names_req req = {
		.src_dir = remote_file(src_dir)->handle,
		.dst_dir = remote_file(dst_dir)->handle,
		.flags = flags & ~CSV_F_REPLAY,
	};
	struct remote_call c = { .rb = rb,
				 .op = op,
				 .cred = cred,
				 .replay = (flags & CSV_F_REPLAY) != 0,
				 .once = true,
				 .req = &req };
	int ret;

	ret = remote_name(src_name, &req.src_name);
	if (ret == 0) {
		ret = remote_name(dst_name, &req.dst_name);
	}
	return ret != 0 ? ret : remote_call(&c);
}

int remote_link(struct csv_file *src_dir,
		const char *src_name,
		struct csv_file *dst_dir,
		const char *dst_name,
		const struct csv_cred *cred,
		uint32_t flags)
{
	return two_names(src_dir,
			 src_name,
			 dst_dir,
			 dst_name,
			 cred,
			 CSV_OP_LINK,
			 flags);
}

int remote_rename(struct csv_file *src_dir,
		  const char *src_name,
		  struct csv_file *dst_dir,
		  const char *dst_name,
		  const struct csv_cred *cred,
		  uint32_t flags)
{
	return two_names(src_dir,
			 src_name,
			 dst_dir,
			 dst_name,
			 cred,
			 CSV_OP_RENAME,
			 flags);
}
