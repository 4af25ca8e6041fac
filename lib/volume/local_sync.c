/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making names and attributes stable, with no flush too many.
 *
 * XFS mounted with wsync makes every such change stable before the system
 * call returns: nothing is left to do. XFS and ext4 have one log in which the
 * later change of an object comes after the entry that names it: fsync of the
 * object, or of one directory, covers all. Elsewhere object and directories
 * are synced one by one.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "local_private.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Has the comma-separated list at the end of line this option? */
static bool has_option(const char *line, const char *option)
{
	const char *p = strrchr(line, ' ');
	size_t len = strlen(option);

	while (p != NULL && *p != '\0') {
		p++;
		if (strncmp(p, option, len) == 0 &&
		    strchr(",\n", p[len]) != NULL)
		{
			return true;
		}
		p = strchr(p, ',');
	}
	return false;
}

/* Does the mount that fd is on have this option of its file system? */
static bool mounted_with(int fd, const char *option)
{
	struct statx stx = {};
	bool found = false;
	char *line = NULL;
	size_t size = 0;
	FILE *f = NULL;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) == -1 ||
	    !(stx.stx_mask & STATX_MNT_ID))
	{
		return false;
	}
	f = fopen("/proc/self/mountinfo", "re");
	if (f == NULL) {
		return false;
	}
	while (!found && getline(&line, &size, f) != -1) {
		found = strtoull(line, NULL, 10) == stx.stx_mnt_id &&
			has_option(line, option);
	}
	free(line);
	fclose(f);
	return found;
}

void local_sync_probe(struct local_backend *lb)
{
	struct statfs sfs = {};

	if (fstatfs(lb->rootfd, &sfs) == -1) {
		return;
	}
	lb->one_log = sfs.f_type == XFS_SUPER_MAGIC ||
		      sfs.f_type == EXT4_SUPER_MAGIC;
	lb->wsync = sfs.f_type == XFS_SUPER_MAGIC &&
		    mounted_with(lb->rootfd, "wsync");
}

/*
 * A flush that a shutdown of the file system aborted may end as a success
 * (XFS forgets the aborted part of its log and then finds nothing to wait
 * for). A shutdown is announced before it aborts anything, so what is done is
 * believed only when the file system still answers afterwards.
 */
int local_still_up(int fd)
{
	struct stat st;

	return fstat(fd, &st) == -1 ? errno : 0;
}

/* An O_PATH descriptor cannot be synced: open what it stands for as root. */
static int fsync_path(struct local_backend *lb, int pathfd, bool data_only)
{
	struct local_procpath p;
	int fd, ret;

	ret = local_root_begin(lb);
	if (ret != 0) {
		return ret;
	}
	fd = open(local_procpath(&p, pathfd),
		  O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ret = fd == -1 ? errno : 0;
	local_root_end(lb);
	if (ret != 0) {
		return ret;
	}
	ret = data_only ? fdatasync(fd) : fsync(fd);
	ret = ret == -1 ? errno : 0;
	close(fd);
	return ret;
}

int local_fsync_fd(struct local_backend *lb, int fd, bool data_only)
{
	int ret;

	ret = data_only ? fdatasync(fd) : fsync(fd);
	ret = ret == -1 ? errno : 0;
	if (ret == EBADF) {
		ret = fsync_path(lb, fd, data_only);
	}
	return ret != 0 ? ret : local_still_up(lb->rootfd);
}

int local_sync(struct local_backend *lb, int objfd, int dirfd, int dirfd2)
{
	const int fds[] = {objfd, dirfd, dirfd2};
	size_t i;
	int ret;

	if (lb->wsync) {
		return local_still_up(lb->rootfd);
	}
	for (i = 0; i < 3; i++) {
		if (fds[i] == -1) {
			continue;
		}
		ret = local_fsync_fd(lb, fds[i], false);
		if (ret != 0 || lb->one_log) {
			return ret;
		}
	}
	return 0;
}

int local_sync_at(struct local_backend *lb, int dirfd, const char *name)
{
	struct stat st;
	int fd, ret;

	if (lb->wsync) {
		return local_still_up(lb->rootfd);
	}
	ret = local_root_begin(lb);
	if (ret != 0) {
		return ret;
	}
	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	local_root_end(lb);
	if (fd == -1 || fstat(fd, &st) == -1) {
		ret = errno;
	} else if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) {
		ret = local_sync(lb, fd, dirfd, -1);
	} else {
		ret = local_sync(lb, -1, dirfd, -1);
	}
	if (fd != -1) {
		close(fd);
	}
	/* removed again meanwhile: nothing is owed to anybody */
	return ret == ENOENT ? 0 : ret;
}
