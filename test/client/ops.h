/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the parts of the mode "ops" share.
 */
#ifndef _SOFS_TEST_CLIENT_OPS_H_
#define _SOFS_TEST_CLIENT_OPS_H_

#include "client.h"

struct ops_listing;

struct ops {
	struct main_context *ctx;
	struct report *report;
	struct smb3_client *client;
	const char *base;		/* directory of this run */
	const char *dir;		/* directory of this round */
	uint32_t round;
	uint32_t done;
	uint32_t repeated;
	bool stop;
	bool hold;			/* no further round till "go" */
	json_t *longest;		/* operation -> longest in ms */
	struct ops_listing *listing;
};

/* One kind of operation; creates, checks and leaves what the next needs. */
struct ops_step {
	const char *name;
	NTSTATUS (*function)(struct ops *ops, TALLOC_CTX *mem_ctx);
};

extern const struct ops_step ops_steps[];
extern const size_t ops_num_steps;

/* ops_steps.c */
char *ops_path(TALLOC_CTX *mem_ctx, const struct ops *ops, const char *name);
NTSTATUS ops_open(struct ops *ops,
		  const char *path,
		  uint32_t disposition,
		  uint32_t options,
		  struct smb3_handle **handle);
NTSTATUS ops_delete(struct ops *ops, const char *path, uint32_t options);

/* ops_list.c: a listing with many entries, one small request at a time */
struct ops_listing *ops_listing_create(struct ops *ops, uint32_t entries);
void ops_listing_step(struct ops_listing *listing);
void ops_listing_finish(struct ops_listing *listing);

#endif
