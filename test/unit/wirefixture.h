/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One server, in this process or in one of its own, with a volume on a fresh
 * directory, and one plain connection to it with an open file.
 */
#ifndef _TEST_UNIT_WIREFIXTURE_H_
#define _TEST_UNIT_WIREFIXTURE_H_

#include "wirebed.h"

struct wirefixture {
	char dir[64];
	int rootfd;
	struct tevent_context *ev;
	struct wirebed bed;
	struct csv_backend *b;
	struct csv_file *f; /* "f", for reading and writing */
};

extern const struct csv_cred wirefixture_root;

/* Of cmocka: *state is the fixture. */
int wirefixture_setup(void **state);
int wirefixture_setup_fork(void **state);
int wirefixture_teardown(void **state);

/* Its file, when that was closed. 0 or errno. */
int wirefixture_open(struct wirefixture *f);

#endif /* _TEST_UNIT_WIREFIXTURE_H_ */
