/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that was redirected when it sent an operation that is not
 * repeatable, and has direct access now: it looks into the record itself that
 * the former owner kept (local_intent.c).
 */
#include "replace.h"
#include <errno.h>
#include "volume_private.h"

#define RECALL_TRIES 8 /* directories are renamed meanwhile */

static int recall_once(struct csv_backend *b,
		       const struct csv_once *o,
		       struct csv_file *file[2],
		       csv_call_fn *fn,
		       void *args)
{
	struct csv_local_once *run = NULL;
	struct csv_once_answer a;
	int ret;

	ret = csv_local_once_begin(NULL, b, o, &a, &run);
	if (ret != 0) {
		return ret;
	}
	if (a.known) {
		ret = run != NULL ? csv_local_once_settle(run, NULL) : 0;
		return ret != 0 ? ret : a.status;
	}
	ret = fn(b, file, args, CSV_F_REPLAY | (a.flush ? CSV_F_STABLE : 0));
	return run != NULL ? csv_local_once_end(run, ret, NULL) : ret;
}

int csv_recall(struct csv_backend *b,
	       const struct csv_once *o,
	       struct csv_file *file[2],
	       csv_call_fn *fn,
	       void *args)
{
	unsigned tries = RECALL_TRIES;
	int ret;

	do {
		ret = recall_once(b, o, file, fn, args);
	} while (ret == EAGAIN && --tries > 0);
	return ret;
}

/* It was opened before: the same file again, without what happened once. */
static int recall_known(struct csv_backend *b,
			TALLOC_CTX *mem_ctx,
			const struct csv_once *o,
			const struct csv_once_answer *a,
			uint32_t how,
			struct csv_file **file,
			struct csv_stat *st,
			struct csv_fhandle *fh)
{
	how &= ~(uint32_t)(CSV_O_ONCE | CSV_O_STABLE);
	if (a->status != 0) {
		return a->status;
	}
	if (a->fh.length != 0) {
		*fh = a->fh;
		return b->ops->open_fh(b, mem_ctx, fh, how, file, st);
	}
	return b->ops->open(b, mem_ctx, o->cred, o->file[0], o->name[0], how,
			    0, file, st, fh);
}

int csv_recall_open(struct csv_backend *b,
		    TALLOC_CTX *mem_ctx,
		    const struct csv_once *o,
		    uint32_t how,
		    uint32_t mode,
		    struct csv_file **file,
		    struct csv_stat *st,
		    struct csv_fhandle *fh)
{
	struct csv_local_once *run = NULL;
	struct csv_once_answer a;
	int ret;

	how &= ~(uint32_t)CSV_O_REPLAY;
	ret = csv_local_once_begin(NULL, b, o, &a, &run);
	if (ret != 0) {
		return ret;
	}
	if (!a.known) {
		ret = b->ops->open(b, mem_ctx, o->cred, o->file[0],
				   o->name[0], how, mode, file, st, fh);
		if (run != NULL) {
			ret = csv_local_once_end(run, ret, fh);
		}
		return ret;
	}
	ret = recall_known(b, mem_ctx, o, &a, how, file, st, fh);
	if (run != NULL && ret == 0) {
		return csv_local_once_settle(run, fh);
	}
	talloc_free(run);
	return ret;
}
