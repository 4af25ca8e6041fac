/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes that the owner has in its memory only. The application was told that
 * they are done and its node lives, so the owner's death must not undo them:
 * a copy is kept until a flush succeeded, and written again to the next owner
 * when the one that had it died. A planned release brings everything to the
 * disk first: then the copies are forgotten.
 *
 * Order: the writes of a handle are repeated in the order of their answers,
 * stable ones among them. A file with a second writer has no unstable writes
 * (writers.h), and what changes a file otherwise flushes it first.
 *
 * A write to a place of which there is a copy replaces that: what is kept is
 * what was written, not how often.
 *
 * A large write is not copied: the packet that it came in is kept.
 *
 * Memory: CSV_UNSTABLE_MAX for each volume and process; half of it starts a
 * flush of the handle that writes. Above it writes are flushed one by one.
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include "volume_private.h"
#include "writers.h"
#include "lib/util/dlinklist.h"

#define NOBODY 65534
#define CSV_UNSTABLE_MAX (64 * 1024 * 1024)
#define CSV_UNSTABLE_BUCKETS 4096

static struct csv_unstable **csv_unstable_bucket(const struct csv_handle *h,
						 int64_t offset)
{
	uint64_t v = (uint64_t)offset + ((uintptr_t)h >> 4);

	v *= UINT64_C(0x9e3779b97f4a7c15);
	return &h->vol->unstable_hash[v >> 52];
}

static struct csv_unstable *csv_unstable_find(const struct csv_handle *h,
					      size_t n,
					      int64_t offset)
{
	struct csv_unstable *u = NULL;

	if (h->unstable == NULL) {
		return NULL;
	}
	u = *csv_unstable_bucket(h, offset);
	while (u != NULL &&
	       (u->h != h || u->offset != offset || u->length != n)) {
		u = u->same_hash;
	}
	return u;
}

static void csv_unstable_hash(struct csv_handle *h, struct csv_unstable *u)
{
	struct csv_unstable **bucket = csv_unstable_bucket(h, u->offset);

	u->h = h;
	u->same_hash = *bucket;
	*bucket = u;
}

static void csv_unstable_unhash(struct csv_handle *h, struct csv_unstable *u)
{
	struct csv_unstable **p = csv_unstable_bucket(h, u->offset);

	while (*p != u) {
		p = &(*p)->same_hash;
	}
	*p = u->same_hash;
}

static bool csv_unstable_hash_ready(struct csv_volume *vol)
{
	if (vol->unstable_hash == NULL) {
		vol->unstable_hash = talloc_zero_array(vol,
						       struct csv_unstable *,
						       CSV_UNSTABLE_BUCKETS);
	}
	return vol->unstable_hash != NULL;
}

static void csv_unstable_free(struct csv_handle *h, struct csv_unstable *u)
{
	csv_unstable_unhash(h, u);
	h->vol->unstable_bytes -= u->length;
	DLIST_REMOVE(h->unstable, u);
	talloc_free(u);
}

static void csv_unstable_forget(struct csv_handle *h)
{
	while (h->unstable != NULL) {
		csv_unstable_free(h, h->unstable);
	}
}

int csv_unstable_commit(struct csv_handle *h, uint64_t serial)
{
	int ret = h->unstable_error;

	while (h->unstable != NULL && h->unstable->serial <= serial) {
		csv_unstable_free(h, h->unstable);
	}
	h->unstable_error = 0;
	return ret;
}

int csv_unstable_settle(struct csv_handle *h)
{
	return h->unstable != NULL ? csv_fsync(h, CSV_F_DATASYNC) : 0;
}

/* The owner's kernel tells of a failed flush once: to us, not to a later one. */
static void csv_unstable_failed(struct csv_handle *h, int error)
{
	if (error != 0 && h->unstable_error == 0) {
		h->unstable_error = error;
	}
}

static void csv_unstable_flushed(struct tevent_req *req)
{
	struct csv_handle *h = tevent_req_callback_data(req,
							struct csv_handle);

	csv_unstable_failed(h, csv_io_recv(req, NULL));
	TALLOC_FREE(req);
	h->committing = false;
}

static void csv_unstable_flush(struct csv_handle *h)
{
	struct tevent_req *req = NULL;

	if (h->committing) {
		return;
	}
	req = csv_fsync_send(h, h->vol->p.ev, h, CSV_F_DATASYNC);
	if (req == NULL) {
		return;
	}
	h->committing = true;
	tevent_req_set_callback(req, csv_unstable_flushed, h);
}

/* Not for a small part of a large packet, of which all would be kept. */
static bool csv_unstable_refers(const void *owner, size_t n)
{
	return owner != NULL && n >= CSV_OWNED_MIN &&
	       talloc_get_size(owner) - n <= n / 8;
}

/* Keep these n bytes, in place of what was kept. false: no memory. */
static bool csv_unstable_hold(struct csv_unstable *u,
			      const void *buf,
			      size_t n,
			      const void *owner)
{
	const void *old = u->holder;

	if (csv_unstable_refers(owner, n)) {
		if (talloc_reference(u, owner) == NULL) {
			return false;
		}
		u->copy = NULL;
		u->data = buf;
		u->holder = owner;
	} else if (u->copy != NULL) {
		memcpy(u->copy, buf, n);
		return true;
	} else {
		uint8_t *copy = talloc_memdup(u, buf, n);

		if (copy == NULL) {
			return false;
		}
		u->copy = copy;
		u->data = copy;
		u->holder = copy;
	}
	if (old != NULL) {
		talloc_unlink(u, discard_const(old));
	}
	return true;
}

static int csv_unstable_write_again(struct csv_handle *h,
				    const uint8_t *buf,
				    size_t n,
				    int64_t offset)
{
	size_t done = 0;
	int ret = 0;

	while (ret == 0 && done < n) {
		size_t part = 0;

		ret = csv_pwrite(h,
				 buf + done,
				 n - done,
				 offset + (int64_t)done,
				 CSV_F_STABLE,
				 &part);
		if (ret == 0 && part == 0) {
			ret = EIO;
		}
		done += part;
	}
	return ret;
}

/*
 * A write that can't be kept goes to the disk, with all before it. When the
 * owner that has it dies meanwhile, the flush of the next one says nothing of
 * it: then it is written there.
 */
static void csv_unstable_bring(struct csv_handle *h,
			       const void *buf,
			       size_t n,
			       int64_t offset)
{
	uint64_t epoch = h->vol->active_epoch;
	int ret = csv_fsync(h, CSV_F_DATASYNC);

	if (ret == 0 && h->vol->active_epoch != epoch) {
		ret = csv_unstable_write_again(h, buf, n, offset);
	}
	csv_unstable_failed(h, ret);
}

void csv_unstable_add(struct csv_handle *h,
		      const void *buf,
		      size_t n,
		      int64_t offset,
		      const void *owner)
{
	struct csv_volume *vol = h->vol;
	struct csv_unstable *u = NULL;

	if (n == 0) {
		return;
	}
	h->unstable_serial += 1;
	u = csv_unstable_find(h, n, offset);
	if (u != NULL && csv_unstable_hold(u, buf, n, owner)) {
		u->serial = h->unstable_serial;
		u->epoch = vol->active_epoch;
		DLIST_DEMOTE(h->unstable, u);
		return;
	}
	if (u != NULL || vol->unstable_bytes + n > CSV_UNSTABLE_MAX) {
		csv_unstable_bring(h, buf, n, offset);
		return;
	}
	u = talloc_zero(h, struct csv_unstable);
	if (u == NULL || !csv_unstable_hash_ready(vol) ||
	    !csv_unstable_hold(u, buf, n, owner))
	{
		talloc_free(u);
		csv_unstable_bring(h, buf, n, offset);
		return;
	}
	u->offset = offset;
	u->length = n;
	u->serial = h->unstable_serial;
	u->epoch = vol->active_epoch;
	vol->unstable_bytes += n;
	DLIST_ADD_END(h->unstable, u);
	csv_unstable_hash(h, u);
	if (vol->unstable_bytes > CSV_UNSTABLE_MAX / 2) {
		csv_unstable_flush(h);
	}
}

static int csv_unstable_write(struct csv_file *file,
			      const struct csv_unstable *u)
{
	const struct csv_backend_ops *ops = file->backend->ops;
	size_t done = 0;

	while (done < u->length) {
		size_t n = 0;
		int ret = ops->pwrite(file,
				      u->data + done,
				      u->length - done,
				      u->offset + (int64_t)done,
				      0,
				      &n);
		if (ret != 0) {
			return ret;
		}
		if (n == 0) {
			return EIO;
		}
		done += n;
	}
	return 0;
}

/*
 * What another writer's open brought to the disk must not return. A mark that
 * is not this file's, or nonsense, voids nothing.
 */
static int csv_unstable_mark(struct csv_file *file, struct csv_writers *w)
{
	const struct csv_backend_ops *ops = file->backend->ops;
	static const struct csv_cred nobody = { .uid = NOBODY, .gid = NOBODY };
	uint8_t buf[CSV_WRITERS_MAX];
	size_t size = sizeof(buf);
	struct csv_stat st = {};
	int ret;

	*w = (struct csv_writers){};
	ret = ops->getxattr(file, &nobody, CSV_WRITERS_XATTR, buf, &size);
	if (ret == CSV_E_LOST || ret == CSV_E_STALE) {
		return ret;
	}
	if (ret != 0) {
		return 0;
	}
	ret = ops->fstat(file, &st);
	if (!csv_writers_pull(buf, size, w) || w->ino != st.ino) {
		*w = (struct csv_writers){};
	}
	return ret;
}

static int csv_unstable_replay_file(struct csv_handle *h, struct csv_file *file)
{
	struct csv_unstable *u = NULL;
	struct csv_unstable *next = NULL;
	struct csv_writers w;
	int ret = csv_unstable_mark(file, &w);

	for (u = h->unstable; u != NULL && ret == 0; u = next) {
		next = u->next;
		if (csv_writers_has(&w, w.ino, u->epoch)) {
			csv_unstable_free(h, u);
			continue;
		}
		ret = csv_unstable_write(file, u);
		if (ret == 0) {
			u->epoch = h->vol->target.epoch;
		}
	}
	return ret;
}

static int csv_unstable_replay_handle(struct csv_handle *h)
{
	struct csv_file *file = NULL;
	int ret;

	ret = csv_handle_file(h, &file);
	if (ret == 0) {
		ret = csv_unstable_replay_file(h, file);
	}
	if (ret == CSV_E_LOST || ret == CSV_E_STALE) {
		return ret;
	}
	if (ret != 0) {
		/* the file is gone, or full: as an fsync that failed */
		csv_unstable_failed(h, ret);
		csv_unstable_forget(h);
	}
	return 0;
}

int csv_unstable_replay(struct csv_volume *vol)
{
	const struct csv_target *t = &vol->target;
	struct csv_handle *h = NULL;
	bool forget = t->clean && t->epoch == vol->active_epoch + 1;
	int ret = 0;

	for (h = vol->handles; h != NULL && ret == 0; h = h->next) {
		if (h->unstable == NULL || h->invalid) {
			continue;
		}
		if (t->epoch == vol->active_epoch) {
			/*
			 * The same owner, its kernel still has them. Others
			 * could not see for a moment that we write.
			 */
			csv_unstable_flush(h);
		} else if (forget) {
			csv_unstable_forget(h);
		} else {
			ret = csv_unstable_replay_handle(h);
		}
	}
	return ret;
}

int csv_settle(struct csv_handle *h)
{
	if (h->vol == NULL || h->invalid || !csv_volume_runs(h->vol)) {
		return 0;
	}
	return csv_unstable_settle(h);
}

/*
 * The application closed the handle, without csv_settle() or while the volume
 * was not Active. What it wrote must outlive the owner all the same, and
 * nothing is left to repeat it from: so it is flushed first, if it can be.
 */
void csv_unstable_close(struct csv_handle *h)
{
	struct csv_file *file = NULL;
	int ret = CSV_E_LOST;

	if (csv_volume_runs(h->vol)) {
		h->vol->busy += 1;
		ret = csv_handle_file(h, &file);
		if (ret == 0) {
			ret = file->backend->ops->fsync(file, CSV_F_DATASYNC);
		}
		h->vol->busy -= 1;
	}
	(void)ret;
	csv_unstable_forget(h);
}
