/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For tests of the wire: a server in this process, or in one of its own, and
 * clients with the right keys.
 */
#ifndef _TEST_UNIT_WIREBED_H_
#define _TEST_UNIT_WIREBED_H_

#include <sys/types.h>
#include "csvd/serve.h"
#include "lib/volume/volume.h"
#include "lib/wire/conn.h"

#define BED_CLIENT 1 /* node numbers */
#define BED_SERVER 2

struct wirebed {
	uint8_t secret[CSV_SECRET_SIZE];
	uint32_t generation; /* the valid one */
	bool plain;
	struct csv_serve *serve; /* in this process */
	uint16_t port;
	pid_t pid; /* of a forked server, or 0 */
	int control; /* write end: closing it ends the forked server */
};

/* A server that serves nothing yet. 0 or errno. */
int wirebed_serve(struct wirebed *bed, TALLOC_CTX *mem_ctx, bool plain);

/* The same in a forked process, with a volume "vol" of epoch 1 on dir. */
int wirebed_fork(struct wirebed *bed, const char *dir, bool plain);
void wirebed_end_fork(struct wirebed *bed);

/* The key of this pair; identity: CSV_PSK_IDENTITY_MAX bytes. */
void wirebed_key(const struct wirebed *bed, uint8_t *psk, char *identity);

/* For csv_volume_event(): the volume is redirected to this server. */
void wirebed_target(const struct wirebed *bed,
		    uint64_t epoch,
		    char identity[CSV_PSK_IDENTITY_MAX],
		    struct csv_target *t);

/* csv_remote_create() with the right parameters. */
int wirebed_remote(struct wirebed *bed,
		   TALLOC_CTX *mem_ctx,
		   struct tevent_context *ev,
		   uint64_t epoch,
		   struct csv_backend **backend);
/* csv_conn_connect() likewise. */
int wirebed_conn(struct wirebed *bed,
		 TALLOC_CTX *mem_ctx,
		 struct tevent_context *ev,
		 struct csv_conn **conn);

#endif /* _TEST_UNIT_WIREBED_H_ */
