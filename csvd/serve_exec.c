/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operations, as workers do them on the local backend.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "csvd/serve_private.h"

static const struct csv_backend_ops *ops_of(const struct serve_job *job)
{
	return job->vol->backend->ops;
}

static const struct csv_cred *cred_of(const struct serve_job *job)
{
	return job->cred != NULL ? &job->cred->cred : NULL;
}

static struct csv_file *file_of(const struct serve_job *job, unsigned i)
{
	return job->handle[i]->file;
}

static int exec_answer(struct serve_job *job, const void *rep)
{
	return csv_body_push(csv_body_of(job->h.op, true),
			     job,
			     rep,
			     &job->body,
			     &job->body_len);
}

static int answer_open(struct serve_job *job, const struct csv_stat *st)
{
	struct csv_open_rep rep = {};
	int ret;

	csv_stat_to_wire(st, &rep.st);
	csv_fh_to_wire(&job->fh, &rep.fh);
	ret = exec_answer(job, &rep);
	if (ret != 0) {
		TALLOC_FREE(job->new_file);
	}
	return ret;
}

/* The file that this request made before its answer was lost. */
static int open_replayed(struct serve_job *job)
{
	const struct csv_open_req *req = job->req;
	struct csv_stat st = {};
	int ret;

	ret = ops_of(job)->open_fh(job->vol->backend,
				   NULL,
				   &job->fh,
				   req->how & ~(CSV_O_ONCE | CSV_O_STABLE),
				   &job->new_file,
				   &st);
	return ret == 0 ? answer_open(job, &st) : ret;
}

static int exec_open(struct serve_job *job)
{
	const struct csv_open_req *req = job->req;
	uint32_t how = req->how & ~CSV_O_REPLAY;
	struct csv_stat st = {};
	char *name = NULL;
	bool want_fh = req->want_fh || job->has_token;
	int ret;

	if (job->by_fh) {
		return open_replayed(job);
	}
	name = csv_bytes_str(job, &req->name);
	if (name == NULL) {
		return ENOMEM;
	}
	ret = ops_of(job)->open(job->vol->backend,
				NULL,
				cred_of(job),
				file_of(job, 0),
				name,
				how,
				req->mode,
				&job->new_file,
				&st,
				want_fh ? &job->fh : NULL);
	return ret == 0 ? answer_open(job, &st) : ret;
}

static int exec_open_fh(struct serve_job *job)
{
	const struct csv_open_fh_req *req = job->req;
	struct csv_stat st = {};
	int ret;

	csv_fh_from_wire(&req->fh, &job->fh);
	ret = ops_of(job)->open_fh(job->vol->backend,
				   NULL,
				   &job->fh,
				   req->how,
				   &job->new_file,
				   &st);
	return ret == 0 ? answer_open(job, &st) : ret;
}

static bool read_into_pipe(struct serve_job *job)
{
	if (job->pipe == NULL || !serve_pipe_fill(job->pipe,
						  job->handle[0]->fd,
						  job->io.offset,
						  job->io.length))
	{
		return false;
	}
	job->rdata_len = job->pipe->held;
	job->body_len = CSV_IO_REP_LEN;
	csv_io_rep_push((uint32_t)job->rdata_len, job->body);
	return true;
}

static int exec_read(struct serve_job *job)
{
	size_t n = 0;
	int ret;

	if (job->body == NULL) {
		job->body = talloc_array(job, uint8_t, CSV_IO_REP_LEN);
	}
	if (job->body == NULL) {
		return ENOMEM;
	}
	if (read_into_pipe(job)) {
		return 0;
	}
	if (job->rdata == NULL) {
		job->rdata = talloc_array(job, uint8_t, job->io.length);
	}
	if (job->rdata == NULL) {
		return ENOMEM;
	}
	ret = ops_of(job)->pread(file_of(job, 0),
				 job->rdata,
				 job->io.length,
				 (int64_t)job->io.offset,
				 &n);
	if (ret == 0) {
		job->rdata_len = n;
		job->body_len = CSV_IO_REP_LEN;
		csv_io_rep_push((uint32_t)n, job->body);
	}
	return ret;
}

static int exec_write(struct serve_job *job)
{
	size_t n = 0;
	int ret;

	job->body = talloc_array(job, uint8_t, CSV_IO_REP_LEN);
	if (job->body == NULL) {
		return ENOMEM;
	}
	ret = ops_of(job)->pwrite(file_of(job, 0),
				  job->data,
				  job->data_len,
				  (int64_t)job->io.offset,
				  job->io.flags,
				  &n);
	if (ret == 0) {
		job->body_len = CSV_IO_REP_LEN;
		csv_io_rep_push((uint32_t)n, job->body);
	}
	return ret;
}

static int exec_fsync(struct serve_job *job)
{
	const struct csv_fsync_req *req = job->req;

	return ops_of(job)->fsync(file_of(job, 0), req->flags);
}

static int exec_fstat(struct serve_job *job)
{
	struct csv_stat_rep rep = {};
	struct csv_stat st = {};
	int ret;

	ret = ops_of(job)->fstat(file_of(job, 0), &st);
	if (ret == 0) {
		csv_stat_to_wire(&st, &rep.st);
		ret = exec_answer(job, &rep);
	}
	return ret;
}

static int exec_statat(struct serve_job *job)
{
	const struct csv_statat_req *req = job->req;
	char *name = csv_bytes_str(job, &req->name);
	struct csv_statat_rep rep = {};
	struct csv_stat st = {};
	int ret;

	if (name == NULL) {
		return ENOMEM;
	}
	ret = ops_of(job)->statat(file_of(job, 0),
				  cred_of(job),
				  name,
				  req->flags,
				  &st,
				  req->want_fh ? &job->fh : NULL);
	if (ret == 0) {
		csv_stat_to_wire(&st, &rep.st);
		csv_fh_to_wire(&job->fh, &rep.fh);
		ret = exec_answer(job, &rep);
	}
	return ret;
}

static int exec_setattr(struct serve_job *job)
{
	const struct csv_setattr_req *req = job->req;
	struct csv_setattr attr = {
		.mask = req->mask,
		.mode = req->mode,
		.uid = req->uid,
		.gid = req->gid,
		.size = (int64_t)req->size,
	};
	char *name = NULL;

	csv_time_from_wire(&req->atime, &attr.atime);
	csv_time_from_wire(&req->mtime, &attr.mtime);
	if (req->by_name) {
		name = csv_bytes_str(job, &req->name);
		if (name == NULL) {
			return ENOMEM;
		}
	}
	return ops_of(job)->setattr(file_of(job, 0),
				    cred_of(job),
				    name,
				    &attr,
				    req->flags);
}

/* Values are told in the order wanted: want->num of them. */
static int extra_to_wire(TALLOC_CTX *mem_ctx,
			 const struct csv_extra *x,
			 uint32_t num,
			 struct csv_wire_dirent *w)
{
	uint32_t i;

	w->has_extra = true;
	csv_fh_to_wire(&x->fh, &w->fh);
	w->xattr_names.data = discard_const_p(uint8_t, x->names);
	w->xattr_names.length = x->names_length;
	w->values = talloc_zero_array(mem_ctx, struct csv_wire_value, num);
	if (w->values == NULL) {
		return ENOMEM;
	}
	w->num_values = num;
	for (i = 0; i < num; i++) {
		w->values[i].present = x->values[i].present;
		w->values[i].data.data = discard_const_p(uint8_t,
							 x->values[i].data);
		w->values[i].data.length = x->values[i].length;
	}
	return 0;
}

static int dirent_to_wire(TALLOC_CTX *mem_ctx,
			  const struct csv_dirent *e,
			  uint32_t num_values,
			  struct csv_wire_dirent *w)
{
	w->cookie = e->cookie;
	w->has_stat = e->has_stat;
	w->name.data = discard_const_p(uint8_t, e->name);
	w->name.length = e->name_len;
	if (e->has_stat) {
		csv_stat_to_wire(&e->st, &w->st);
	}
	if (e->extra == NULL) {
		return 0;
	}
	return extra_to_wire(mem_ctx, e->extra, num_values, w);
}

static int answer_dirlist(struct serve_job *job,
			  const struct csv_dirlist *list,
			  uint32_t num,
			  uint32_t num_values)
{
	struct csv_readdir_rep rep = { .eof = list->eof && num == list->num,
				       .num = num };
	uint32_t i;
	int ret = 0;

	rep.entries = talloc_zero_array(job, struct csv_wire_dirent, num);
	if (rep.entries == NULL) {
		return ENOMEM;
	}
	for (i = 0; ret == 0 && i < num; i++) {
		ret = dirent_to_wire(rep.entries,
				     &list->entries[i],
				     num_values,
				     &rep.entries[i]);
	}
	if (ret == 0) {
		ret = exec_answer(job, &rep);
	}
	talloc_free(rep.entries);
	return ret;
}

static int want_of(struct serve_job *job,
		   const struct csv_readdir_req *req,
		   struct csv_want *want)
{
	uint32_t i;

	for (i = 0; i < req->num_xattrs && i < CSV_MAX_WANT; i++) {
		want->xattrs[i] = csv_bytes_str(job, &req->xattrs[i]);
		if (want->xattrs[i] == NULL) {
			return ENOMEM;
		}
		want->num += 1;
	}
	if (req->like.length != 0) {
		want->like = csv_bytes_str(job, &req->like);
		return want->like == NULL ? ENOMEM : 0;
	}
	return 0;
}

static int exec_readdir(struct serve_job *job)
{
	const struct csv_readdir_req *req = job->req;
	struct csv_dirlist *list = NULL;
	struct csv_want want = {};
	bool wanted = false;
	uint32_t num;
	int ret;

	ret = want_of(job, req, &want);
	if (ret != 0) {
		return ret;
	}
	wanted = req->want_extra || want.like != NULL;
	ret = ops_of(job)->readdir(file_of(job, 0),
				   job,
				   cred_of(job),
				   req->cookie,
				   MIN(req->max_bytes, SERVE_MAX_READDIR),
				   wanted ? &want : NULL,
				   &list);
	if (ret != 0) {
		return ret;
	}
	num = list->num;
	ret = answer_dirlist(job, list, num, want.num);
	while (ret == 0 && job->body_len > CSV_WIRE_MAX_BODY && num > 1) {
		TALLOC_FREE(job->body);
		num /= 2;
		ret = answer_dirlist(job, list, num, want.num);
	}
	talloc_free(list);
	return ret;
}

static int name_op(struct serve_job *job,
		   const struct csv_name_req *req,
		   const char *name,
		   const char *target)
{
	const struct csv_backend_ops *ops = ops_of(job);
	const struct csv_cred *cred = cred_of(job);
	struct csv_file *dir = file_of(job, 0);

	switch (job->h.op) {
	case CSV_OP_MKDIR:
		return ops->mkdir(dir, cred, name, req->mode, req->flags);
	case CSV_OP_MKNOD:
		return ops->mknod(dir,
				  cred,
				  name,
				  req->mode,
				  req->rdev,
				  req->flags);
	case CSV_OP_SYMLINK:
		return ops->symlink(dir, cred, name, target, req->flags);
	case CSV_OP_UNLINK:
		return ops->unlink(dir, cred, name, req->flags);
	default:
		return EOPNOTSUPP;
	}
}

static int exec_name(struct serve_job *job)
{
	const struct csv_name_req *req = job->req;
	char *name = csv_bytes_str(job, &req->name);
	char *target = csv_bytes_str(job, &req->target);

	if (name == NULL || target == NULL) {
		return ENOMEM;
	}
	return name_op(job, req, name, target);
}

static int exec_readlink(struct serve_job *job)
{
	const struct csv_name_req *req = job->req;
	char *name = csv_bytes_str(job, &req->name);
	struct csv_bytes_rep rep = {};
	char *target = NULL;
	int ret;

	if (name == NULL) {
		return ENOMEM;
	}
	ret = ops_of(job)->readlink(file_of(job, 0),
				    job,
				    cred_of(job),
				    name,
				    &target);
	if (ret == 0) {
		rep.value = csv_bytes_of(target);
		ret = exec_answer(job, &rep);
	}
	return ret;
}

static int exec_two_names(struct serve_job *job)
{
	const struct csv_two_names_req *req = job->req;
	char *src = csv_bytes_str(job, &req->src_name);
	char *dst = csv_bytes_str(job, &req->dst_name);
	int (*op)(struct csv_file *, const char *, struct csv_file *,
		  const char *, const struct csv_cred *, uint32_t) = NULL;

	if (src == NULL || dst == NULL) {
		return ENOMEM;
	}
	op = job->h.op == CSV_OP_LINK ? ops_of(job)->link
				      : ops_of(job)->rename;
	return op(file_of(job, 0),
		  src,
		  file_of(job, 1),
		  dst,
		  cred_of(job),
		  req->flags);
}

static int exec_fallocate(struct serve_job *job)
{
	const struct csv_fallocate_req *req = job->req;
	int ret;

	ret = ops_of(job)->fallocate(file_of(job, 0),
				     req->mode,
				     (int64_t)req->offset,
				     (int64_t)req->length);
	/* the client keeps nothing to repeat it from */
	return ret == 0 ? ops_of(job)->fsync(file_of(job, 0), CSV_F_DATASYNC)
			: ret;
}

static int exec_seek(struct serve_job *job)
{
	const struct csv_seek_req *req = job->req;
	struct csv_number_rep rep = {};
	int64_t result = 0;
	int ret;

	ret = ops_of(job)->seek(file_of(job, 0),
				(int64_t)req->offset,
				(int)req->whence,
				&result);
	if (ret == 0) {
		rep.value = (uint64_t)result;
		ret = exec_answer(job, &rep);
	}
	return ret;
}

static int exec_copy(struct serve_job *job)
{
	const struct csv_copy_req *req = job->req;
	struct csv_number_rep rep = {};
	int ret;

	ret = ops_of(job)->copy_range(file_of(job, 0),
				      (int64_t)req->src_offset,
				      file_of(job, 1),
				      (int64_t)req->dst_offset,
				      req->length,
				      req->flags,
				      &rep.value);
	return ret == 0 ? exec_answer(job, &rep) : ret;
}

static int exec_statfs(struct serve_job *job)
{
	struct csv_statfs_rep rep = {};
	struct csv_statfs sfs = {};
	int ret;

	ret = ops_of(job)->statfs(file_of(job, 0), &sfs);
	if (ret != 0) {
		return ret;
	}
	rep.bsize = sfs.bsize;
	rep.blocks = sfs.blocks;
	rep.bfree = sfs.bfree;
	rep.bavail = sfs.bavail;
	rep.files = sfs.files;
	rep.ffree = sfs.ffree;
	rep.namemax = sfs.namemax;
	rep.flags = sfs.flags;
	return exec_answer(job, &rep);
}

static int xattr_read(struct serve_job *job,
		      const struct csv_xattr_req *req,
		      const char *name,
		      void *value,
		      size_t *size)
{
	if (job->h.op == CSV_OP_GETXATTR) {
		return ops_of(job)->getxattr(file_of(job, 0),
					     cred_of(job),
					     name,
					     value,
					     size);
	}
	return ops_of(job)->listxattr(file_of(job, 0),
				      cred_of(job),
				      value,
				      size);
}

/* GETXATTR, LISTXATTR */
static int exec_xattr_get(struct serve_job *job)
{
	const struct csv_xattr_req *req = job->req;
	char *name = csv_bytes_str(job, &req->name);
	struct csv_xattr_rep rep = {};
	uint8_t *value = NULL;
	size_t size = req->max_size;
	int ret;

	if (size != 0) {
		value = talloc_array(job, uint8_t, size);
	}
	if (name == NULL || (size != 0 && value == NULL)) {
		return ENOMEM;
	}
	ret = xattr_read(job, req, name, value, &size);
	if (ret != 0) {
		return ret;
	}
	rep.size = (uint32_t)size;
	if (value != NULL) {
		rep.value.data = value;
		rep.value.length = (uint32_t)size;
	}
	return exec_answer(job, &rep);
}

/* SETXATTR, REMOVEXATTR */
static int exec_xattr_set(struct serve_job *job)
{
	const struct csv_xattr_req *req = job->req;
	char *name = csv_bytes_str(job, &req->name);

	if (name == NULL) {
		return ENOMEM;
	}
	if (job->h.op == CSV_OP_REMOVEXATTR) {
		return ops_of(job)->removexattr(file_of(job, 0),
						cred_of(job),
						name,
						req->flags);
	}
	return ops_of(job)->setxattr(file_of(job, 0),
				     cred_of(job),
				     name,
				     req->value.data,
				     req->value.length,
				     req->flags);
}

typedef int exec_fn(struct serve_job *job);

static exec_fn *const exec_fns[] = {
	[CSV_OP_OPEN] = exec_open,
	[CSV_OP_OPEN_FH] = exec_open_fh,
	[CSV_OP_READ] = exec_read,
	[CSV_OP_WRITE] = exec_write,
	[CSV_OP_FSYNC] = exec_fsync,
	[CSV_OP_FSTAT] = exec_fstat,
	[CSV_OP_STATAT] = exec_statat,
	[CSV_OP_SETATTR] = exec_setattr,
	[CSV_OP_READDIR] = exec_readdir,
	[CSV_OP_MKDIR] = exec_name,
	[CSV_OP_MKNOD] = exec_name,
	[CSV_OP_SYMLINK] = exec_name,
	[CSV_OP_READLINK] = exec_readlink,
	[CSV_OP_LINK] = exec_two_names,
	[CSV_OP_RENAME] = exec_two_names,
	[CSV_OP_UNLINK] = exec_name,
	[CSV_OP_FALLOCATE] = exec_fallocate,
	[CSV_OP_SEEK] = exec_seek,
	[CSV_OP_COPY_RANGE] = exec_copy,
	[CSV_OP_STATFS] = exec_statfs,
	[CSV_OP_GETXATTR] = exec_xattr_get,
	[CSV_OP_SETXATTR] = exec_xattr_set,
	[CSV_OP_LISTXATTR] = exec_xattr_get,
	[CSV_OP_REMOVEXATTR] = exec_xattr_set,
};

/*
 * An error of a file system that is shut down is no answer for a client: the
 * volume is about to leave this node, and what was asked is asked again.
 */
static bool exec_storage_gone(const struct serve_job *job)
{
	return (job->status == EIO || job->status == EROFS ||
		job->status == ESHUTDOWN) &&
	       !csv_backend_alive(job->vol->backend);
}

void serve_exec(struct serve_job *job)
{
	unsigned op = job->h.op;

	if (job->conn == NULL) {
		TALLOC_FREE(job->new_file);
		return;
	}
	if (op >= ARRAY_SIZE(exec_fns) || exec_fns[op] == NULL) {
		job->status = EOPNOTSUPP;
		return;
	}
	job->status = job->has_token && !job->by_fh
			      ? serve_once(job, exec_fns[op])
			      : exec_fns[op](job);
	if (exec_storage_gone(job)) {
		job->status = CSV_E_LOST;
	}
}
