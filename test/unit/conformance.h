/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What every backend of the volume interface must do, as one cmocka suite:
 * run by test_local.c against a directory and by test_remote.c against a
 * csvd over loopback.
 *
 * The test program owns the volume: an empty directory, best the root of a
 * freshly made file system with POSIX ACLs. It runs as root when identity is
 * set.
 */
#ifndef _TEST_UNIT_CONFORMANCE_H_
#define _TEST_UNIT_CONFORMANCE_H_

#include <stdbool.h>
#include "lib/volume/backend.h"

struct conformance {
	const char *name; /* of the cmocka group: "local", "remote" */

	/*
	 * A backend on the volume, as another process or node would make it:
	 * called several times, the backends live side by side, each is used
	 * by one thread (the one that made it or, when `shared`, by several
	 * at once). ev is the caller's and outlives the backend. The suite
	 * frees the backend. 0 or errno.
	 */
	int (*create)(void *private_data,
		      TALLOC_CTX *mem_ctx,
		      struct tevent_context *ev,
		      struct csv_backend **backend);

	/*
	 * The volume changes its owner: later backends have a higher epoch.
	 * No backend of this suite exists when it is called. Unmounts and
	 * mounts the file system where the program can. 0 or errno.
	 */
	int (*move)(void *private_data);

	/*
	 * What csv_local_sweep() does on the owner; *removed counts. NULL
	 * where the program cannot reach it.
	 */
	int (*sweep)(void *private_data, unsigned *removed);

	/*
	 * Where the volume is mounted, to make very many files there; NULL:
	 * the backend makes them.
	 */
	const char *path;

	/* cred is looked at: the operations run as the user it names */
	bool identity;
	/* one backend may be used by several threads at the same time */
	bool shared;

	void *private_data;
};

/* Runs all; returns the number of failed tests (cmocka's). */
int conformance_run(const struct conformance *c);

#endif /* _TEST_UNIT_CONFORMANCE_H_ */
