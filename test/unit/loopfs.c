/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A fresh XFS on a loop device for a unit test. */

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "loopfs.h"

#define IMAGE_BYTES (1024LL * 1024 * 1024)
#define MAX_TRIES 50

/* As in <xfs/xfs_fs.h>, which is not there without more packages. */
#define XFS_GOINGDOWN _IOR('X', 125, uint32_t)
#define XFS_NOLOGFLUSH 2u

int loopfs_mount(struct loopfs *fs, const char *options)
{
	if (mount(fs->loop, fs->mnt, "xfs", 0, options) == -1) {
		return errno;
	}
	fs->mounted = true;
	return chmod(fs->mnt, 0755) == -1 ? errno : 0;
}

/*
 * The kernel lets go of a closed io_uring and its files a little later, so a
 * busy file system is tried again, for two seconds at most.
 */
int loopfs_umount(struct loopfs *fs)
{
	struct timespec pause = { .tv_nsec = 10000000 };
	int tries = 200;

	while (umount2(fs->mnt, 0) == -1) {
		if (errno != EBUSY || --tries == 0) {
			return errno;
		}
		nanosleep(&pause, NULL);
	}
	fs->mounted = false;
	return 0;
}

int loopfs_shutdown(struct loopfs *fs)
{
	uint32_t how = XFS_NOLOGFLUSH;
	int fd = open(fs->mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (fd == -1) {
		return errno;
	}
	ret = ioctl(fd, XFS_GOINGDOWN, &how) == -1 ? errno : 0;
	close(fd);
	return ret;
}

/* One that is free now may be taken by somebody else before we have it. */
static int try_loop(struct loopfs *fs, int control, int image)
{
	struct loop_config config = {
		.fd = (uint32_t)image,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
	};
	int nr = ioctl(control, LOOP_CTL_GET_FREE);

	if (nr == -1) {
		return errno;
	}
	snprintf(fs->loop, sizeof(fs->loop), "/dev/loop%d", nr);
	fs->keep = open(fs->loop, O_RDWR | O_CLOEXEC);
	if (fs->keep == -1) {
		return errno;
	}
	if (ioctl(fs->keep, LOOP_CONFIGURE, &config) == -1) {
		int ret = errno;

		close(fs->keep);
		fs->keep = -1;
		return ret;
	}
	return 0;
}

static int attach(struct loopfs *fs)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int image = open(fs->image, O_RDWR | O_CLOEXEC);
	int tries, ret = EBUSY;

	if (control == -1 || image == -1) {
		ret = errno;
	}
	for (tries = 0; ret == EBUSY && tries < MAX_TRIES; tries++) {
		ret = try_loop(fs, control, image);
	}
	if (control != -1) {
		close(control);
	}
	if (image != -1) {
		close(image);
	}
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

static int make_image(struct loopfs *fs)
{
	const char *const mkfs[] = {"mkfs.xfs", "-q", fs->image, NULL};
	int fd, ret;

	fd = open(fs->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1) {
		return errno;
	}
	ret = ftruncate(fd, IMAGE_BYTES) == -1 ? errno : 0;
	close(fd);
	return ret == 0 ? run(mkfs) : ret;
}

static int make_xfs(struct loopfs *fs, const char *options)
{
	int ret;

	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
	{
		return errno;
	}
	ret = make_image(fs);
	if (ret == 0) {
		ret = attach(fs);
	}
	/* the device has it; nothing big is left if we crash */
	unlink(fs->image);
	return ret == 0 ? loopfs_mount(fs, options) : ret;
}

int loopfs_create(struct loopfs *fs, const char *options)
{
	const char *tmp = getenv("TMPDIR");
	int len, ret;

	*fs = (struct loopfs){.keep = -1};
	len = snprintf(fs->dir,
		       sizeof(fs->dir),
		       "%s/csv-unit-XXXXXX",
		       tmp != NULL ? tmp : "/tmp");
	if (len < 0 || (size_t)len >= sizeof(fs->dir)) {
		return ENAMETOOLONG;
	}
	if (mkdtemp(fs->dir) == NULL) {
		return errno;
	}
	snprintf(fs->image, sizeof(fs->image), "%s/image", fs->dir);
	snprintf(fs->mnt, sizeof(fs->mnt), "%s/mnt", fs->dir);
	if (mkdir(fs->mnt, 0755) == -1) {
		return errno;
	}
	ret = geteuid() == 0 ? make_xfs(fs, options) : EPERM;
	printf("# volume: %s\n", ret == 0 ? "XFS on a loop device" : fs->mnt);
	return 0;
}

void loopfs_remove(struct loopfs *fs)
{
	const char *const rm[] = {"rm", "-rf", fs->dir, NULL};

	if (fs->mounted) {
		loopfs_umount(fs);
	}
	if (fs->keep != -1) {
		close(fs->keep);
	}
	run(rm);
}
