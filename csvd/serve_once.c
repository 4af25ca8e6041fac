/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operations that are not repeatable, in a worker: with a record on the
 * volume before and after (local_intent.c), so that whoever owns it next knows
 * whether they happened.
 */
#include "replace.h"
#include <errno.h>
#include <sys/stat.h>
#include "csvd/serve_private.h"
#include "lib/volume/local.h"

#define ONCE_TRIES 8 /* directories are renamed meanwhile, again and again */

static int fill_names(struct serve_job *job,
		      struct csv_once *o,
		      const struct csv_bytes *name0,
		      const struct csv_bytes *name1)
{
	o->name[0] = csv_bytes_str(job, name0);
	if (name1 != NULL) {
		o->file[1] = job->handle[1]->file;
		o->name[1] = csv_bytes_str(job, name1);
	}
	return o->name[0] == NULL || (name1 != NULL && o->name[1] == NULL)
		       ? ENOMEM
		       : 0;
}

static int once_fill(struct serve_job *job, struct csv_once *o)
{
	const struct csv_open_req *open_req = job->req;
	const struct csv_name_req *name_req = job->req;
	const struct csv_two_names_req *two_req = job->req;
	const struct csv_setattr_req *attr_req = job->req;

	*o = (struct csv_once){
		.client = (const uint8_t *)&job->conn->client,
		.token = job->token,
		.op = job->h.op,
		.replay = job->replay,
		.cred = job->cred != NULL ? &job->cred->cred : NULL,
		.file = { job->handle[0]->file, NULL },
	};
	switch (job->h.op) {
	case CSV_OP_OPEN:
		o->changes = (open_req->how & CSV_O_TRUNC) != 0;
		return fill_names(job, o, &open_req->name, NULL);
	case CSV_OP_LINK:
	case CSV_OP_RENAME:
		return fill_names(job,
				  o,
				  &two_req->src_name,
				  &two_req->dst_name);
	case CSV_OP_SETATTR:
		o->attributes = true;
		o->by_name = attr_req->by_name;
		o->flags = attr_req->flags;
		return o->by_name ? fill_names(job, o, &attr_req->name, NULL)
				  : 0;
	case CSV_OP_SETXATTR:
	case CSV_OP_REMOVEXATTR:
		o->attributes = true;
		return 0;
	default:
		return fill_names(job, o, &name_req->name, NULL);
	}
}

/* Whether the operation makes itself stable, whatever the client wants. */
static void once_flush(struct serve_job *job, bool flush)
{
	struct csv_open_req *open_req = job->req;
	struct csv_name_req *name_req = job->req;
	struct csv_two_names_req *two_req = job->req;
	struct csv_setattr_req *attr_req = job->req;
	struct csv_xattr_req *xattr_req = job->req;
	uint32_t bit = CSV_F_STABLE;
	uint32_t *flags = NULL;

	switch (job->h.op) {
	case CSV_OP_OPEN:
		flags = &open_req->how;
		bit = CSV_O_STABLE;
		break;
	case CSV_OP_LINK:
	case CSV_OP_RENAME:
		flags = &two_req->flags;
		break;
	case CSV_OP_SETATTR:
		flags = &attr_req->flags;
		break;
	case CSV_OP_SETXATTR:
	case CSV_OP_REMOVEXATTR:
		flags = &xattr_req->flags;
		break;
	default:
		flags = &name_req->flags;
		break;
	}
	*flags = flush ? *flags | bit : *flags & ~bit;
}

/* An open that makes and changes nothing, since the file is there. */
static bool once_is_there(struct serve_job *job, const struct csv_once *o)
{
	const struct csv_open_req *req = job->req;
	struct csv_backend *b = job->vol->backend;
	struct csv_stat st;

	return job->h.op == CSV_OP_OPEN && !o->replay &&
	       !(req->how & (CSV_O_EXCL | CSV_O_TRUNC)) &&
	       b->ops->statat(o->file[0],
			      o->cred,
			      o->name[0],
			      (req->how & CSV_O_NOFOLLOW) ? 0 : CSV_F_FOLLOW,
			      &st,
			      NULL) == 0 &&
	       S_ISREG(st.mode);
}

/* It happened: the answer, and for an open the file. */
static int once_known(struct serve_job *job,
		      const struct csv_once_answer *a,
		      struct csv_local_once *run,
		      int (*fn)(struct serve_job *job))
{
	struct csv_open_req *req = job->req;
	const struct csv_fhandle *fh = NULL;
	int ret = a->status;

	if (job->h.op == CSV_OP_OPEN && ret == 0) {
		job->by_fh = a->fh.length != 0;
		job->fh = a->fh;
		req->how &= ~(CSV_O_ONCE | CSV_O_STABLE);
		ret = fn(job);
		fh = ret == 0 ? &job->fh : NULL;
	}
	if (run != NULL && ret == 0) {
		ret = csv_local_once_settle(run, fh);
	} else {
		talloc_free(run);
	}
	return ret;
}

static int once_try(struct serve_job *job,
		    const struct csv_once *o,
		    int (*fn)(struct serve_job *job))
{
	struct csv_local_once *run = NULL;
	struct csv_once_answer a;
	int ret;

	ret = csv_local_once_begin(job, job->vol->backend, o, &a, &run);
	if (ret != 0) {
		return ret;
	}
	if (a.known) {
		return once_known(job, &a, run, fn);
	}
	once_flush(job, a.flush);
	serve_fault(SERVE_FAULT_BEGUN, job);
	ret = fn(job);
	serve_fault(SERVE_FAULT_MADE, job);
	if (run != NULL) {
		ret = csv_local_once_end(run,
					 ret,
					 job->h.op == CSV_OP_OPEN ? &job->fh
								  : NULL);
	}
	return ret;
}

int serve_once(struct serve_job *job, int (*fn)(struct serve_job *job))
{
	struct csv_open_req *req = job->req;
	unsigned tries = ONCE_TRIES;
	struct csv_once o;
	int ret = once_fill(job, &o);

	if (ret != 0) {
		return ret;
	}
	if (once_is_there(job, &o)) {
		req->how &= ~CSV_O_CREAT;
		ret = fn(job);
		if (ret != ENOENT) {
			return ret;
		}
		req->how |= CSV_O_CREAT;
	}
	do {
		ret = once_try(job, &o, fn);
	} while (ret == EAGAIN && --tries > 0);
	if (ret != 0 && job->new_file != NULL) {
		job->new_file->keep = true;
		TALLOC_FREE(job->new_file);
	}
	return ret;
}
