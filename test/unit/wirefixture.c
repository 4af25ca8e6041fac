/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See wirefixture.h.
 */
#include "replace.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "csvd/serve_private.h"
#include "wirefixture.h"

const struct csv_cred wirefixture_root = { .umask = 022 };

static int setup_dir(void **state)
{
	struct wirefixture *f = talloc_zero(NULL, struct wirefixture);

	*state = f;
	f->ev = tevent_context_init(f);
	snprintf(f->dir, sizeof(f->dir), "%s/csv-conn-XXXXXX",
		 getenv("TMPDIR") != NULL && strlen(getenv("TMPDIR")) < 40
			 ? getenv("TMPDIR")
			 : "/tmp");
	if (mkdtemp(f->dir) == NULL) {
		return -1;
	}
	f->rootfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->rootfd == -1 ? -1 : 0;
}

int wirefixture_open(struct wirefixture *f)
{
	return f->b->ops->open(f->b, f, &wirefixture_root,
			       f->b->ops->root(f->b), "f",
			       CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644,
			       &f->f, NULL, NULL);
}

int wirefixture_setup(void **state)
{
	struct wirefixture *f = NULL;
	int ret = setup_dir(state);

	f = *state;
	if (ret == 0) {
		ret = wirebed_serve(&f->bed, f, true);
	}
	if (ret == 0) {
		ret = csv_serve_start(f->bed.serve, "vol", f->rootfd, 1);
	}
	if (ret == 0) {
		ret = wirebed_remote(&f->bed, f, f->ev, 1, &f->b);
	}
	return ret == 0 ? wirefixture_open(f) : ret;
}

int wirefixture_setup_fork(void **state)
{
	struct wirefixture *f = NULL;
	int ret = setup_dir(state);

	f = *state;
	if (ret == 0) {
		ret = wirebed_fork(&f->bed, f->dir, true);
	}
	if (ret == 0) {
		ret = wirebed_remote(&f->bed, f, f->ev, 1, &f->b);
	}
	return ret == 0 ? wirefixture_open(f) : ret;
}

int wirefixture_teardown(void **state)
{
	struct wirefixture *f = *state;
	char command[128];
	int ret;

	TALLOC_FREE(f->f);
	TALLOC_FREE(f->b);
	TALLOC_FREE(f->bed.serve);
	wirebed_end_fork(&f->bed);
	serve_fault_fn = NULL;
	close(f->rootfd);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	ret = system(command);
	talloc_free(f);
	return ret;
}
