/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The local backend: the conformance suite on a fresh XFS (a loop device, as
 * root) or on the temporary directory's file system, once as csvd uses it
 * (threads that become users) and once as smbd does (the process is the
 * user), there with io_uring and again with threads for data.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/loop.h>
#include <unistd.h>
#include "conformance_private.h"
#include "lib/volume/local.h"

#define IMAGE_BYTES (1024LL * 1024 * 1024)

struct volume {
	char dir[64];	/* holds the next two */
	char image[80];
	char mnt[80];
	char loop[32];
	bool mounted;
	uint64_t epoch;
	enum csv_cred_mode cred_mode;
	bool threads;
};

static int mount_volume(struct volume *v)
{
	if (mount(v->loop, v->mnt, "xfs", 0, NULL) == -1) {
		return errno;
	}
	v->mounted = true;
	return chmod(v->mnt, 0755) == -1 ? errno : 0;
}

/* Attach the image; the device goes away with the last who uses it. */
static int attach_loop(struct volume *v, int *keep)
{
	struct loop_config config = {
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
	};
	int control, nr, tries, ret = EBUSY;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	config.fd = (uint32_t)open(v->image, O_RDWR | O_CLOEXEC);
	if (control == -1 || config.fd == UINT32_MAX) {
		return errno;
	}
	for (tries = 0; ret == EBUSY && tries < 20; tries++) {
		nr = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(v->loop, sizeof(v->loop), "/dev/loop%d", nr);
		*keep = open(v->loop, O_RDWR | O_CLOEXEC);
		if (*keep == -1) {
			ret = errno;
			break;
		}
		ret = ioctl(*keep, LOOP_CONFIGURE, &config) == -1 ? errno : 0;
		if (ret != 0) {
			close(*keep);
			*keep = -1;
		}
	}
	close(control);
	close((int)config.fd);
	return ret;
}

static int run(const char *const *argv)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid) {
		return errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EIO;
}

static int make_xfs(struct volume *v, int *keep)
{
	const char *const mkfs[] = {"mkfs.xfs", "-q", v->image, NULL};
	int fd, ret;

	/* the mount is ours alone and goes with us */
	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
	{
		return errno;
	}
	fd = open(v->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1 || ftruncate(fd, IMAGE_BYTES) == -1) {
		return errno;
	}
	close(fd);
	ret = run(mkfs);
	if (ret == 0) {
		ret = attach_loop(v, keep);
	}
	/* the loop device has it; nothing big is left if we crash */
	unlink(v->image);
	return ret == 0 ? mount_volume(v) : ret;
}

static int volume_create(struct volume *v, int *keep)
{
	const char *tmp = getenv("TMPDIR");
	int ret;

	snprintf(v->dir,
		 sizeof(v->dir),
		 "%.40s/csv-local-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(v->dir) == NULL) {
		return errno;
	}
	snprintf(v->image, sizeof(v->image), "%s/image", v->dir);
	snprintf(v->mnt, sizeof(v->mnt), "%s/mnt", v->dir);
	if (mkdir(v->mnt, 0755) == -1 || chmod(v->dir, 0711) == -1) {
		return errno;
	}
	ret = geteuid() == 0 ? make_xfs(v, keep) : EPERM;
	printf("# volume: %s\n", ret == 0 ? "XFS on a loop device" : v->mnt);
	return 0;
}

static void volume_remove(struct volume *v, int keep)
{
	const char *const rm[] = {"rm", "-rf", v->dir, NULL};

	csv_local_thread_root();
	if (v->mounted) {
		umount2(v->mnt, 0);
	}
	if (keep != -1) {
		close(keep);
	}
	run(rm);
}

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
	params.rootfd = open(v->mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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

	v->epoch++;
	csv_local_thread_root();
	if (!v->mounted) {
		return 0;
	}
	if (umount2(v->mnt, 0) == -1) {
		return errno;
	}
	return mount_volume(v);
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
	struct volume v = {.epoch = 1};
	int keep = -1;
	int failed = 0;

	if (volume_create(&v, &keep) != 0) {
		perror("volume");
		return 1;
	}
	if (geteuid() == 0) {
		failed |= suite(&v, "local, csvd", CSV_CRED_THREAD, false);
		csv_local_thread_root();
	}
	failed |= suite(&v, "local, smbd", CSV_CRED_AMBIENT, false);
	failed |= suite(&v, "local, no io_uring", CSV_CRED_AMBIENT, true);
	volume_remove(&v, keep);
	return failed != 0;
}
