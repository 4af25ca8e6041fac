/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Synchronous operations: run one at the backend of the day until an owner
 * answered. The operations themselves: op_names.c, op_attr.c, op_data.c.
 *
 * Repeating: CSV_E_STALE means "not done", the operation is sent again as it
 * was; CSV_E_LOST means "nobody knows", so it is sent again with
 * CSV_F_REPLAY and the same token, which lets the owner find out. When that is
 * this node now, recall.c does.
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
	const struct csv_once *once; /* NULL: repeatable */
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

static int csv_call_run(struct csv_call *c,
			struct csv_file *file[2],
			uint64_t token)
{
	struct csv_once o;

	if (c->once == NULL || c->replay == 0 ||
	    c->vol->target.access != CSV_ACCESS_DIRECT)
	{
		return c->fn(c->vol->backend, file, c->args, c->replay);
	}
	o = *c->once;
	o.client = c->vol->client;
	o.token = token;
	o.replay = true;
	o.file[0] = file[0];
	o.file[1] = file[1];
	return csv_recall(c->vol->backend, &o, file, c->fn, c->args);
}

static int csv_call_once(struct csv_call *c, uint64_t token, bool *again)
{
	struct csv_volume *vol = c->vol;
	struct csv_file *file[2] = { NULL, NULL };
	uint64_t generation;
	bool sent = false;
	int ret;

	*again = false;
	ret = csv_volume_enter(vol, c->replay != 0);
	if (ret != 0) {
		return ret;
	}
	generation = vol->generation;
	ret = csv_call_files(c, file);
	if (ret == 0) {
		sent = true;
		vol->backend->token = token;
		vol->backend->replaying = c->replay != 0;
		ret = csv_call_run(c, file, token);
		vol->backend->replaying = false;
	}
	if (csv_volume_is_trouble(vol, ret)) {
		*again = true;
		if (sent && ret != CSV_E_STALE) {
			vol->repeating += c->replay == 0 ? 1 : 0;
			c->replay = CSV_F_REPLAY;
			vol->counters.replayed += 1;
		}
		csv_volume_trouble(vol, generation);
	} else {
		csv_account_op(vol);
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
	if (c->replay != 0) {
		c->vol->repeating -= 1;
		csv_volume_check_replayed(c->vol);
	}
	return ret;
}

int csv_call_handle(struct csv_handle *h,
			   int (*fn)(struct csv_backend *b,
				     struct csv_file *file[2],
				     void *args,
				     uint32_t replay),
			   void *args,
			   const struct csv_once *once)
{
	struct csv_call c = {
		.vol = h->vol,
		.h = { h, NULL },
		.fn = fn,
		.args = args,
		.once = once,
	};

	return csv_call(&c);
}

int csv_call_dir(struct csv_volume *vol,
			struct csv_handle *dir,
			int (*fn)(struct csv_backend *b,
				  struct csv_file *file[2],
				  void *args,
				  uint32_t replay),
			void *args,
			const struct csv_once *once)
{
	struct csv_call c = {
		.vol = vol,
		.h = { dir, NULL },
		.fn = fn,
		.args = args,
		.once = once,
	};

	return csv_call(&c);
}

int csv_call_dirs(struct csv_volume *vol,
			 struct csv_handle *dir0,
			 struct csv_handle *dir1,
			 int (*fn)(struct csv_backend *b,
				   struct csv_file *file[2],
				   void *args,
				   uint32_t replay),
			 void *args,
			 const struct csv_once *once)
{
	struct csv_call c = {
		.vol = vol,
		.h = { dir0, dir1 },
		.two = true,
		.fn = fn,
		.args = args,
		.once = once,
	};

	return csv_call(&c);
}
