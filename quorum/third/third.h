/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to csv_quorum_third, the process that keeps a third vote: the slots
 * of lib/quorum/slots.h on some place.
 *
 * A place is QUORUM_AREA_BLOCKS blocks: the first says what it is, then one
 * per node. Reading and writing may block; whoever waits gives up by itself.
 */
#ifndef _QUORUM_THIRD_H_
#define _QUORUM_THIRD_H_

#include "replace.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>
#include "lib/quorum/lease.h"
#include "lib/quorum/slots.h"

#define QUORUM_AREA_BLOCKS (QUORUM_MAX_NODES + 1)

struct third_place;

struct third_place_ops {
	const char *prefix; /* of the place's name, with the colon */
	/* create: it need not be there yet. 0 or errno; said on stderr. */
	int (*open)(struct third_place *place, bool create);
	/* `blocks` blocks from the first one on. 0 or errno. */
	int (*read)(struct third_place *place, uint8_t *buf, unsigned blocks);
	/* One block, nothing else. 0 or errno. */
	int (*write)(struct third_place *place,
		     unsigned block,
		     const uint8_t *buf);
	/* The same, and it survives a power cut of the place. NULL: what is
	   written does so anyway. */
	int (*write_through)(struct third_place *place,
			     unsigned block,
			     const uint8_t *buf);
};

struct third_place {
	const struct third_place_ops *ops;
	const char *where;   /* without prefix and options */
	const char *options; /* ",name=value,…" or empty */
	const char *run_dir;
	uint8_t uuid[QUORUM_SLOT_UUID];
	bool has_uuid; /* given in the place's name */
	uint32_t timeout_ms;
	void *state;
};

extern const struct third_place_ops third_disk_ops;
extern const struct third_place_ops third_file_ops;
extern const struct third_place_ops third_smb_ops;
extern const struct third_place_ops third_azure_ops;

/* The value of an option of the place's name; NULL: not given. */
char *third_option(const struct third_place *place, const char *name);

/* The file of the option auth=, if only root can read it. NULL and 0: there
   is no such option. 0 or errno, said on stderr. */
int third_auth_file(const struct third_place *place, FILE **file);

/* A named place; NULL, said on stderr, if there is no such kind. */
struct third_place *third_place_parse(TALLOC_CTX *mem_ctx,
				      const char *name,
				      const char *run_dir);

/* Write an empty area; refuses to overwrite what is none. Exit status. */
int third_init(struct third_place *place, const char *name);

/* Answer the messages of the voter on the standard input. Exit status. */
int third_serve(struct third_place *place,
		uint32_t node,
		unsigned slots,
		uint32_t lease_ms);

#endif /* _QUORUM_THIRD_H_ */
