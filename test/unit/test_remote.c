/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The remote backend: the conformance suite against a csvd's server over
 * loopback, without and with TLS records, on a fresh XFS where possible.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "conformance_private.h"
#include "loopfs.h"
#include "wirebed.h"

struct volume {
	struct loopfs fs;
	struct wirebed bed;
	uint64_t epoch;
};

static int create(void *private_data,
		  TALLOC_CTX *mem_ctx,
		  struct tevent_context *ev,
		  struct csv_backend **b)
{
	struct volume *v = private_data;

	return wirebed_remote(&v->bed, mem_ctx, ev, v->epoch, b);
}

static int start(struct volume *v)
{
	int rootfd = open(v->fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (rootfd == -1) {
		return errno;
	}
	ret = csv_serve_start(v->bed.serve, "vol", rootfd, v->epoch);
	close(rootfd);
	return ret;
}

static int move_owner(void *private_data)
{
	struct volume *v = private_data;
	int ret;

	ret = csv_serve_stop(v->bed.serve, "vol", 10000);
	if (ret != 0) {
		return ret;
	}
	v->epoch++;
	if (v->fs.mounted) {
		ret = loopfs_umount(&v->fs);
		if (ret == 0) {
			ret = loopfs_mount(&v->fs, NULL);
		}
	}
	return ret == 0 ? start(v) : ret;
}

static int sweep(void *private_data, unsigned *removed)
{
	struct volume *v = private_data;

	return csv_serve_sweep(v->bed.serve, "vol", removed);
}

static int suite(struct volume *v, const char *name, bool plain)
{
	const struct conformance c = {
		.name = name,
		.create = create,
		.move = move_owner,
		.sweep = sweep,
		/* csvd flushes each */
		.path = v->fs.mnt,
		.identity = geteuid() == 0,
		.private_data = v,
	};
	TALLOC_CTX *mem = talloc_new(NULL);
	struct csv_serve_counters served = {};
	int failed = 1;
	int ret;

	v->epoch++;
	ret = wirebed_serve(&v->bed, mem, plain);
	if (ret == 0) {
		ret = start(v);
	}
	if (ret != 0) {
		fprintf(stderr, "server: %s\n", strerror(ret));
	} else {
		failed = conformance_run(&c);
		(void)csv_serve_counters(v->bed.serve, NULL, &served);
		if (plain != (served.piped_requests > 0)) {
			fprintf(stderr,
				"%s: %" PRIu64 " reads went through pipes\n",
				name,
				served.piped_requests);
			failed = 1;
		}
	}
	talloc_free(mem);
	return failed;
}

int main(void)
{
	static struct volume v;
	int failed = 0;

	if (loopfs_create(&v.fs, NULL) != 0) {
		perror("volume");
		return 1;
	}
	failed |= suite(&v, "remote, plain", true);
	failed |= suite(&v, "remote, encrypted", false);
	loopfs_remove(&v.fs);
	return failed != 0;
}
