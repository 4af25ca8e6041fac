/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The handles of a connection. A number is never given twice, so that a late
 * message cannot reach another file.
 */
#include "replace.h"
#include <errno.h>
#include "csvd/serve_private.h"
#include "lib/volume/local.h"

#define HANDLE_INDEX_BITS 24

static bool table_grow(struct serve_conn *conn)
{
	uint32_t num = conn->num_slots == 0 ? 16 : conn->num_slots * 2;
	struct serve_handle **p = NULL;
	uint32_t i;

	if (num >= 1U << HANDLE_INDEX_BITS) {
		return false;
	}
	p = talloc_realloc(conn, conn->handles, struct serve_handle *, num);
	if (p == NULL) {
		return false;
	}
	for (i = conn->num_slots; i < num; i++) {
		p[i] = NULL;
	}
	conn->handles = p;
	conn->num_slots = num;
	return true;
}

static bool table_slot(struct serve_conn *conn, uint32_t *slot)
{
	uint32_t i;

	for (i = conn->first_free; i < conn->num_slots; i++) {
		if (conn->handles[i] == NULL) {
			break;
		}
	}
	if (i == conn->num_slots && !table_grow(conn)) {
		return false;
	}
	conn->first_free = i + 1;
	*slot = i;
	return true;
}

struct serve_handle *serve_handle_new(struct serve_conn *conn,
				      struct serve_volume *vol,
				      struct csv_file *file,
				      bool root)
{
	struct serve_handle *h = NULL;
	uint32_t slot;

	if (!table_slot(conn, &slot)) {
		return NULL;
	}
	h = talloc_zero(NULL, struct serve_handle);
	if (h == NULL) {
		return NULL;
	}
	conn->generation += 1;
	h->number = conn->generation << HANDLE_INDEX_BITS | slot;
	h->vol = vol;
	h->file = file;
	h->fd = csv_local_fd(file);
	h->root = root;
	conn->handles[slot] = h;
	conn->num_handles += 1;
	vol->handles += 1;
	return h;
}

struct serve_handle *serve_handle_find(struct serve_conn *conn,
				       uint64_t number)
{
	uint32_t slot = number & ((1U << HANDLE_INDEX_BITS) - 1);
	struct serve_handle *h = NULL;

	if (slot >= conn->num_slots) {
		return NULL;
	}
	h = conn->handles[slot];
	return h != NULL && h->number == number ? h : NULL;
}

/* Closing may wait for storage: a worker does it. */
static void handle_free(struct serve_conn *conn, struct serve_handle *h)
{
	struct serve_volume *vol = h->vol;
	struct csv_header none = {};
	struct serve_job *job = NULL;

	if (!h->root) {
		h->file->keep = h->keep;
		job = serve_job_new(NULL, vol, &none);
		if (job != NULL) {
			job->new_file = h->file;
			if (!conn->dead && !h->keep) {
				job->closer = conn;
				conn->closing += 1;
				conn->jobs += 1;
			}
			serve_pool_add(&vol->pool, job);
		} else {
			talloc_free(h->file);
		}
	}
	vol->handles -= 1;
	talloc_free(h);
	serve_volume_check(vol);
}

void serve_handle_put(struct serve_conn *conn, struct serve_handle *h)
{
	h->refs -= 1;
	if (h->refs == 0 && h->closed) {
		handle_free(conn, h);
	}
}

void serve_handle_close(struct serve_conn *conn,
			struct serve_handle *h,
			bool keep)
{
	uint32_t slot = h->number & ((1U << HANDLE_INDEX_BITS) - 1);

	conn->handles[slot] = NULL;
	conn->num_handles -= 1;
	conn->first_free = MIN(conn->first_free, slot);
	h->closed = true;
	h->keep = keep;
	if (h->refs == 0) {
		handle_free(conn, h);
	}
}

void serve_handles_close(struct serve_conn *conn, struct serve_volume *vol)
{
	struct serve_handle *h = NULL;
	uint32_t i;

	for (i = 0; i < conn->num_slots; i++) {
		h = conn->handles[i];
		if (h != NULL && (vol == NULL || h->vol == vol)) {
			serve_handle_close(conn, h, true);
		}
	}
}
