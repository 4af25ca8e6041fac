/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fresh XFS on a loop device for a unit test, mounted in a mount namespace
 * of the process's own: nothing is left behind, also when the test crashes.
 */
#ifndef _TEST_UNIT_LOOPFS_H_
#define _TEST_UNIT_LOOPFS_H_

#include <limits.h>
#include <stdbool.h>

struct loopfs {
	char dir[PATH_MAX - 32]; /* temporary, holds the next two */
	char image[PATH_MAX];
	char mnt[PATH_MAX];
	char loop[32];
	int keep; /* of the device, while nothing is mounted; -1: none */
	bool mounted;
};

/*
 * With root and loop devices a mounted XFS; without, fs->mnt is a directory
 * of the temporary file system and fs->mounted false. 0 or errno.
 */
int loopfs_create(struct loopfs *fs, const char *options);
int loopfs_mount(struct loopfs *fs, const char *options);
int loopfs_umount(struct loopfs *fs);
/* A power cut: the log is not flushed, everything fails from now on. */
int loopfs_shutdown(struct loopfs *fs);
void loopfs_remove(struct loopfs *fs);

#endif /* _TEST_UNIT_LOOPFS_H_ */
