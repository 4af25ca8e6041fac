/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Removals of names in one directory take turns, among all threads and
 * processes of this kernel: who has looked at what a name means must remove
 * just that, or else a file that somebody has open loses its last name
 * unnoticed. Making names needs no lock: it never takes a name's file away.
 *
 * The kernel runs such changes of one directory one after the other anyway.
 * Between processes: a byte of the lock file per directory (open file
 * description locks, which a crash releases), in the order of the inode
 * numbers; between threads, which share that description: mutexes, taken
 * before all bytes, in the order of the array.
 *
 * An operation with an intent record (local_intent.c) takes the locks before
 * it looks at its names and keeps them until the answer is recorded: what it
 * does inside then finds them taken by its own thread.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "local_private.h"

#define LOCK_FILE "lock" /* in the hidden directory */

static _Thread_local const struct local_dirlock *held;

int local_lock_create(struct local_backend *lb)
{
	size_t i;

	for (i = 0; i < LOCAL_DIR_MUTEXES; i++) {
		pthread_mutex_init(&lb->dir_mutexes[i], NULL);
	}
	lb->lockfd = openat(lb->hiddenfd,
			    LOCK_FILE,
			    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			    0600);
	return lb->lockfd == -1 ? errno : 0;
}

void local_lock_destroy(struct local_backend *lb)
{
	size_t i;

	if (lb->lockfd == -1) {
		return;
	}
	close(lb->lockfd);
	for (i = 0; i < LOCAL_DIR_MUTEXES; i++) {
		pthread_mutex_destroy(&lb->dir_mutexes[i]);
	}
}

static int lock_byte(struct local_backend *lb, short type, uint64_t ino)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(ino & INT64_MAX),
		.l_len = 1,
	};
	int ret;

	do {
		ret = fcntl(lb->lockfd, F_OFD_SETLKW, &lock);
	} while (ret == -1 && errno == EINTR);
	return ret == -1 ? errno : 0;
}

static unsigned mutex_of(uint64_t ino)
{
	return ino % LOCAL_DIR_MUTEXES;
}

/* Each mutex once, in order. */
static void mutexes(struct local_backend *lb,
		    const struct local_dirlock *l,
		    int (*change)(pthread_mutex_t *mutex))
{
	unsigned a = mutex_of(l->ino[0]);
	unsigned b = l->num == 2 ? mutex_of(l->ino[1]) : a;

	change(&lb->dir_mutexes[a < b ? a : b]);
	if (a != b) {
		change(&lb->dir_mutexes[a < b ? b : a]);
	}
}

static int dir_inode(int fd, uint64_t *ino)
{
	struct stat st;

	if (fstat(fd, &st) == -1) {
		return errno;
	}
	*ino = st.st_ino;
	return 0;
}

void local_dirs_hold(const struct local_dirlock *l)
{
	held = l;
}

static bool is_held(uint64_t ino)
{
	return ino == held->ino[0] || (held->num == 2 && ino == held->ino[1]);
}

int local_dirs_lock(struct local_backend *lb,
		    int fd1,
		    int fd2,
		    struct local_dirlock *l)
{
	uint64_t a = 0, b = 0;
	int ret;

	*l = (struct local_dirlock){};
	ret = dir_inode(fd1, &a);
	if (ret == 0) {
		ret = fd2 == -1 ? 0 : dir_inode(fd2, &b);
	}
	if (ret != 0) {
		return ret;
	}
	if (held != NULL) {
		/* otherwise a directory on the way was renamed since */
		return is_held(a) && (fd2 == -1 || is_held(b)) ? 0 : EAGAIN;
	}
	if (fd2 == -1 || a == b) {
		l->ino[0] = a;
		l->num = 1;
	} else {
		l->ino[0] = a < b ? a : b;
		l->ino[1] = a < b ? b : a;
		l->num = 2;
	}
	mutexes(lb, l, pthread_mutex_lock);
	ret = lock_byte(lb, F_WRLCK, l->ino[0]);
	if (ret == 0 && l->num == 2) {
		ret = lock_byte(lb, F_WRLCK, l->ino[1]);
	}
	if (ret != 0) {
		local_dirs_unlock(lb, l);
	}
	return ret;
}

void local_dirs_unlock(struct local_backend *lb, struct local_dirlock *l)
{
	unsigned i;

	if (l->num == 0) {
		return;
	}
	for (i = 0; i < l->num; i++) {
		lock_byte(lb, F_UNLCK, l->ino[i]);
	}
	mutexes(lb, l, pthread_mutex_unlock);
	l->num = 0;
}
