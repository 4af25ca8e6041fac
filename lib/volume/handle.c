/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtual handles: made by an open, they outlive owners. What is needed to
 * open the down-level file again is kept: file handle and access; creation,
 * truncation and exclusiveness happened once and are never repeated.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "volume_private.h"
#include "lib/util/dlinklist.h"

static int csv_handle_destructor(struct csv_handle *h)
{
	if (h->vol == NULL) {
		return 0;
	}
	if (h->unstable != NULL && !h->vol->shutdown) {
		csv_unstable_close(h);
	}
	TALLOC_FREE(h->file);
	DLIST_REMOVE(h->vol->handles, h);
	h->vol = NULL;
	return 0;
}

static struct csv_handle *csv_handle_new(TALLOC_CTX *mem_ctx,
					 struct csv_volume *vol,
					 uint32_t how)
{
	struct csv_handle *h = talloc_zero(mem_ctx, struct csv_handle);

	if (h == NULL) {
		return NULL;
	}
	h->vol = vol;
	h->how = how & ~(uint32_t)(CSV_O_ONCE | CSV_O_REPLAY | CSV_O_STABLE);
	DLIST_ADD(vol->handles, h);
	talloc_set_destructor(h, csv_handle_destructor);
	return h;
}

const struct csv_fhandle *csv_handle_fh(const struct csv_handle *h)
{
	return &h->fh;
}

uint32_t csv_handle_how(const struct csv_handle *h)
{
	return h->how;
}

int csv_handle_file(struct csv_handle *h, struct csv_file **file)
{
	struct csv_volume *vol = h->vol;
	int ret;

	if (vol == NULL || h->invalid) {
		return ENXIO;
	}
	if (h->file == NULL) {
		ret = vol->backend->ops->open_fh(vol->backend,
						 h,
						 &h->fh,
						 h->how,
						 &h->file,
						 NULL);
		if (ret != 0) {
			vol->counters.reopen_failed += 1;
			return ret;
		}
		vol->counters.reopened += 1;
	}
	*file = h->file;
	return 0;
}

void csv_handles_close_down_level(struct csv_volume *vol)
{
	struct csv_handle *h = NULL;

	for (h = vol->handles; h != NULL; h = h->next) {
		if (h->file != NULL) {
			h->file->keep = true;
		}
		TALLOC_FREE(h->file);
	}
}

void csv_handles_invalidate(struct csv_volume *vol)
{
	struct csv_handle *h = NULL;

	for (h = vol->handles; h != NULL; h = h->next) {
		h->invalid = true;
	}
}

/* The former owner may have done it, and now there is direct access. */
static int csv_open_recalled(struct csv_handle *h,
			     const struct csv_cred *cred,
			     struct csv_file *dir,
			     const char *name,
			     uint32_t how,
			     uint32_t mode,
			     struct csv_stat *st)
{
	struct csv_volume *vol = h->vol;
	struct csv_once once = {
		.client = vol->client,
		.token = vol->backend->token,
		.op = CSV_OP_OPEN,
		.replay = true,
		.cred = cred,
		.file[0] = dir,
		.name[0] = name,
		.changes = (how & CSV_O_TRUNC) != 0,
	};

	return csv_recall_open(vol->backend,
			       h,
			       &once,
			       how,
			       mode,
			       &h->file,
			       st,
			       &h->fh);
}

/* One try of an open at the backend of the day. */
static int csv_open_once(struct csv_handle *h,
			 const struct csv_cred *cred,
			 struct csv_handle *dir,
			 const char *name,
			 uint32_t how,
			 uint32_t mode,
			 struct csv_stat *st)
{
	struct csv_backend *b = h->vol->backend;
	struct csv_file *dir_file = NULL;
	int ret = 0;

	if (dir == NULL) {
		dir_file = b->ops->root(b);
	} else {
		ret = csv_handle_file(dir, &dir_file);
	}
	if (ret != 0) {
		return ret;
	}
	if ((how & CSV_O_REPLAY) &&
	    h->vol->target.access == CSV_ACCESS_DIRECT)
	{
		if (how & CSV_O_ONCE) {
			return csv_open_recalled(h, cred, dir_file, name, how,
						 mode, st);
		}
		how &= ~(uint32_t)CSV_O_REPLAY;
	}
	return b->ops->open(b,
			    h,
			    cred,
			    dir_file,
			    name,
			    how,
			    mode,
			    &h->file,
			    st,
			    &h->fh);
}

int csv_open(struct csv_volume *vol,
	     TALLOC_CTX *mem_ctx,
	     const struct csv_cred *cred,
	     struct csv_handle *dir,
	     const char *name,
	     uint32_t how,
	     uint32_t mode,
	     struct csv_handle **handle,
	     struct csv_stat *st)
{
	struct csv_handle *h = csv_handle_new(mem_ctx, vol, how);
	uint64_t token = vol->next_token++;
	bool again = true;
	int ret = 0;

	if (h == NULL) {
		return ENOMEM;
	}
	while (again) {
		uint64_t generation;

		ret = csv_volume_enter(vol, (how & CSV_O_REPLAY) != 0);
		if (ret != 0) {
			break;
		}
		generation = vol->generation;
		vol->backend->token = token;
		vol->backend->replaying = (how & CSV_O_REPLAY) != 0;
		ret = csv_open_once(h, cred, dir, name, how, mode, st);
		vol->backend->replaying = false;
		again = csv_volume_is_trouble(vol, ret);
		if (again) {
			if (ret != CSV_E_STALE) {
				vol->repeating += (how & CSV_O_REPLAY) ? 0 : 1;
				how |= CSV_O_REPLAY;
				vol->counters.replayed += 1;
			}
			csv_volume_trouble(vol, generation);
		}
		csv_volume_leave(vol);
	}
	if (how & CSV_O_REPLAY) {
		vol->repeating -= 1;
		csv_volume_check_replayed(vol);
	}
	if (ret != 0) {
		talloc_free(h);
		return ret;
	}
	*handle = h;
	return 0;
}

int csv_open_fh(struct csv_volume *vol,
		TALLOC_CTX *mem_ctx,
		const struct csv_fhandle *fh,
		uint32_t how,
		struct csv_handle **handle,
		struct csv_stat *st)
{
	struct csv_handle *h = NULL;
	int ret;

	if (how & CSV_O_ONCE) {
		return EINVAL;
	}
	h = csv_handle_new(mem_ctx, vol, how);
	if (h == NULL) {
		return ENOMEM;
	}
	h->fh = *fh;
	/* opens the down-level file on its way */
	ret = csv_fstat(h, st);
	if (ret != 0) {
		talloc_free(h);
		return ret;
	}
	*handle = h;
	return 0;
}

int csv_open_fh_later(struct csv_volume *vol,
		      TALLOC_CTX *mem_ctx,
		      const struct csv_fhandle *fh,
		      uint32_t how,
		      struct csv_handle **handle)
{
	const uint32_t known = CSV_O_PATH | CSV_O_NOFOLLOW | CSV_O_DIRECTORY;
	struct csv_handle *h = NULL;

	if ((how & ~known) != 0 || (how & CSV_O_PATH) == 0) {
		return EINVAL;
	}
	h = csv_handle_new(mem_ctx, vol, how);
	if (h == NULL) {
		return ENOMEM;
	}
	h->fh = *fh;
	*handle = h;
	return 0;
}
