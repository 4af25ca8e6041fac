/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The local backend: the conformance suite on a fresh XFS, or, without root
 * or loop devices, on the temporary directory's file system: once as csvd
 * uses it (threads that become users) and once as smbd does (the process is
 * the user), there with io_uring and again with threads for data.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "conformance_private.h"
#include "lib/volume/local.h"
#include "loopfs.h"

struct volume {
	struct loopfs fs;
	uint64_t epoch;
	enum csv_cred_mode cred_mode;
	bool threads;
};

static int create(void *private_data,
		  TALLOC_CTX *mem_ctx,
		  struct tevent_context *ev,
		  struct csv_backend **b)
{
	struct volume *v = private_data;
	struct csv_local_params params = {
		.epoch = v->epoch,
		.cred_mode = v->cred_mode,
		.threads = v->threads,
	};
	int ret;

	csv_local_thread_root();
	params.rootfd = open(v->fs.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (params.rootfd == -1) {
		return errno;
	}
	ret = csv_local_create(mem_ctx, &params, b);
	close(params.rootfd);
	(void)ev;
	return ret;
}

static int move_owner(void *private_data)
{
	struct volume *v = private_data;
	int ret;

	v->epoch++;
	csv_local_thread_root();
	if (!v->fs.mounted) {
		return 0;
	}
	ret = loopfs_umount(&v->fs);
	return ret == 0 ? loopfs_mount(&v->fs, NULL) : ret;
}

static int sweep(void *private_data, unsigned *removed)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct csv_backend *b = NULL;
	int ret;

	ret = create(private_data, mem, NULL, &b);
	if (ret == 0) {
		ret = csv_local_sweep(b, removed);
	}
	talloc_free(mem);
	return ret;
}

static int suite(struct volume *v,
		 const char *name,
		 enum csv_cred_mode cred_mode,
		 bool threads)
{
	const struct conformance c = {
		.name = name,
		.create = create,
		.move = move_owner,
		.sweep = sweep,
		.identity = cred_mode == CSV_CRED_THREAD,
		.shared = true,
		.private_data = v,
	};

	v->cred_mode = cred_mode;
	v->threads = threads;
	return conformance_run(&c);
}

int main(void)
{
	static struct volume v = {.epoch = 1};
	int failed = 0;

	if (loopfs_create(&v.fs, NULL) != 0) {
		perror("volume");
		return 1;
	}
	if (geteuid() == 0) {
		failed |= suite(&v, "local, csvd", CSV_CRED_THREAD, false);
		csv_local_thread_root();
	}
	failed |= suite(&v, "local, smbd", CSV_CRED_AMBIENT, false);
	failed |= suite(&v, "local, no io_uring", CSV_CRED_AMBIENT, true);
	loopfs_remove(&v.fs);
	return failed != 0;
}
