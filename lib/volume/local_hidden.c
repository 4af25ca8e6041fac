/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that lost their last name while open.
 *
 * They are kept in CSV_HIDDEN_DIR, named by their inode number, so that the
 * next owner can open them again by file handle. Who has a file open is known
 * for this backend by its table, for every other process of this kernel by a
 * write lease on a probing descriptor: the kernel grants it only when no
 * other descriptor (O_PATH ones aside) is open. All nodes' opens are opens of
 * this kernel: the owner's csvd holds them.
 *
 * Deleting: when the lease is granted nobody has the file open and nobody can
 * open it while we hold the lease, so the name is simply removed. Otherwise,
 * under the lock: link the inode into the hidden directory as root, let the
 * user remove the name (the kernel checks his right to do so), take the
 * hidden name back when that failed. A crash in between leaves a second name,
 * which the next owner sweeps; the link is logged before the removal, so no
 * crash leaves none. Then, still under the lock, look again whether anybody
 * has it open: who closed since then did not see the hidden name yet.
 *
 * Closing: when the hidden directory is not known to be empty, its name for
 * this inode is looked for, under the lock, after the descriptor is closed;
 * where it exists and the lease is granted, it is removed.
 *
 * The lock is flock(2) on the hidden directory, which a crash releases.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include "local_private.h"

/* A directory may change twice within one tick of its ctime. */
#define CTIME_GRANULARITY_NS 20000000

enum opened {
	OPENED_BY_NOBODY, /* and by nobody while the probe is open */
	OPENED_BY_SOME,
	OPENED_UNKNOWN, /* no leases here */
};

static const char *hidden_name(char *buf, uint64_t ino)
{
	snprintf(buf, LOCAL_HEX_INO, "%016" PRIx64, ino);
	return buf;
}

int local_hidden_create(struct local_backend *lb)
{
	struct stat st;

	if (mkdirat(lb->rootfd, CSV_HIDDEN_DIR, 0700) == -1 &&
	    errno != EEXIST)
	{
		return errno;
	}
	lb->hiddenfd = openat(lb->rootfd,
			      CSV_HIDDEN_DIR,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (lb->hiddenfd == -1 || fstat(lb->hiddenfd, &st) == -1) {
		return errno;
	}
	lb->hidden_ino = st.st_ino;
	if ((st.st_mode & 07777) != 0700 && fchmod(lb->hiddenfd, 0700) == -1) {
		return errno;
	}
	if (st.st_uid != geteuid() && fchown(lb->hiddenfd, 0, 0) == -1) {
		return errno;
	}
	return 0;
}

/* The table of regular files that this backend has open. */

static struct local_file **bucket(struct local_backend *lb, uint64_t ino)
{
	return &lb->table[ino & (LOCAL_BUCKETS - 1)];
}

static bool in_bucket(struct local_backend *lb, uint64_t ino)
{
	const struct local_file *f = NULL;

	for (f = *bucket(lb, ino); f != NULL; f = f->next) {
		if (f->ino == ino) {
			return true;
		}
	}
	return false;
}

static bool table_has(struct local_backend *lb, uint64_t ino)
{
	bool has;

	pthread_mutex_lock(&lb->table_mutex);
	has = in_bucket(lb, ino);
	pthread_mutex_unlock(&lb->table_mutex);
	return has;
}

static void table_set_hidden(struct local_backend *lb, uint64_t ino)
{
	struct local_file *f = NULL;

	pthread_mutex_lock(&lb->table_mutex);
	for (f = *bucket(lb, ino); f != NULL; f = f->next) {
		if (f->ino == ino) {
			f->hidden = true;
		}
	}
	pthread_mutex_unlock(&lb->table_mutex);
}

void local_table_add(struct local_file *f)
{
	struct local_file **head = bucket(f->lb, f->ino);

	pthread_mutex_lock(&f->lb->table_mutex);
	f->next = *head;
	if (f->next != NULL) {
		f->next->prev = f;
	}
	*head = f;
	pthread_mutex_unlock(&f->lb->table_mutex);
}

bool local_table_remove(struct local_file *f)
{
	struct local_backend *lb = f->lb;
	bool last;

	pthread_mutex_lock(&lb->table_mutex);
	if (f->prev != NULL) {
		f->prev->next = f->next;
	} else {
		*bucket(lb, f->ino) = f->next;
	}
	if (f->next != NULL) {
		f->next->prev = f->prev;
	}
	last = !in_bucket(lb, f->ino);
	pthread_mutex_unlock(&lb->table_mutex);
	return last;
}

/* Locking and looking; everything below runs as root. */

static int hidden_lock(struct local_backend *lb)
{
	int ret;

	pthread_mutex_lock(&lb->hidden_mutex);
	do {
		ret = flock(lb->hiddenfd, LOCK_EX);
	} while (ret == -1 && errno == EINTR);
	if (ret == -1) {
		ret = errno;
		pthread_mutex_unlock(&lb->hidden_mutex);
		return ret;
	}
	return 0;
}

static void hidden_unlock(struct local_backend *lb)
{
	flock(lb->hiddenfd, LOCK_UN);
	pthread_mutex_unlock(&lb->hidden_mutex);
}

/*
 * Who wants to open the file while we have the lease makes the kernel send a
 * signal: let it be one that is ignored unless somebody asked for it.
 */
static enum opened take_lease(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) == -1) {
		return OPENED_UNKNOWN;
	}
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
		return OPENED_BY_NOBODY;
	}
	return errno == EAGAIN ? OPENED_BY_SOME : OPENED_UNKNOWN;
}

/* Opens a probe for a lease, if it is (still) this inode. */
static enum opened probe(int dirfd, const char *name, uint64_t ino, int *fd)
{
	struct stat st;
	enum opened opened;

	*fd = openat(dirfd,
		     name,
		     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd == -1) {
		switch (errno) {
		case EAGAIN: /* somebody else probes */
		case EMFILE:
		case ENFILE:
			return OPENED_BY_SOME;
		default:
			return OPENED_UNKNOWN;
		}
	}
	if (fstat(*fd, &st) == -1 || st.st_ino != ino) {
		opened = OPENED_BY_SOME;
	} else {
		opened = take_lease(*fd);
	}
	if (opened == OPENED_BY_SOME) {
		close(*fd);
		*fd = -1;
	}
	return opened;
}

/* Removes the hidden name unless somebody has the file open. Locked. */
static bool forget(struct local_backend *lb, uint64_t ino)
{
	char name[LOCAL_HEX_INO];
	bool removed = false;
	int fd = -1;

	hidden_name(name, ino);
	if (table_has(lb, ino)) {
		return false;
	}
	if (probe(lb->hiddenfd, name, ino, &fd) != OPENED_BY_SOME) {
		removed = unlinkat(lb->hiddenfd, name, 0) == 0;
	}
	if (fd != -1) {
		close(fd);
	}
	return removed;
}

/* Is the hidden directory unchanged since it was seen empty? Anybody. */
static bool hidden_clean(struct local_backend *lb)
{
	struct timespec empty;
	struct stat st;

	pthread_mutex_lock(&lb->table_mutex);
	empty = lb->hidden_empty;
	pthread_mutex_unlock(&lb->table_mutex);
	return empty.tv_sec != 0 && fstat(lb->hiddenfd, &st) == 0 &&
	       st.st_ctim.tv_sec == empty.tv_sec &&
	       st.st_ctim.tv_nsec == empty.tv_nsec;
}

static DIR *hidden_list(struct local_backend *lb)
{
	DIR *d = NULL;
	int fd;

	fd = openat(lb->hiddenfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) {
		return NULL;
	}
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
	}
	return d;
}

static bool is_hidden_name(const char *name, uint64_t *ino)
{
	char *end = NULL;

	*ino = strtoull(name, &end, 16);
	return end - name == LOCAL_HEX_INO - 1 && *end == '\0';
}

static bool hidden_none(struct local_backend *lb)
{
	struct dirent *de = NULL;
	uint64_t ino = 0;
	bool none = true;
	DIR *d = NULL;

	d = hidden_list(lb);
	if (d == NULL) {
		return false;
	}
	while (none && (de = readdir(d)) != NULL) {
		none = !is_hidden_name(de->d_name, &ino);
	}
	closedir(d);
	return none;
}

static int64_t age_ns(const struct timespec *ts)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)(now.tv_sec - ts->tv_sec) * 1000000000 +
	       (now.tv_nsec - ts->tv_nsec);
}

/* Remembers that nothing is hidden, where that can be told. Locked. */
static void note_empty(struct local_backend *lb)
{
	struct stat st;

	if (fstat(lb->hiddenfd, &st) == -1 ||
	    age_ns(&st.st_ctim) < CTIME_GRANULARITY_NS || !hidden_none(lb))
	{
		return;
	}
	pthread_mutex_lock(&lb->table_mutex);
	lb->hidden_empty = st.st_ctim;
	pthread_mutex_unlock(&lb->table_mutex);
}

bool local_hidden_has(struct local_backend *lb, uint64_t ino)
{
	char name[LOCAL_HEX_INO];

	if (hidden_clean(lb)) {
		return false;
	}
	hidden_name(name, ino);
	return faccessat(lb->hiddenfd, name, F_OK, 0) == 0;
}

void local_hidden_closed(struct local_backend *lb, uint64_t ino)
{
	if (hidden_clean(lb) || local_root_begin(lb) != 0) {
		return;
	}
	if (hidden_lock(lb) == 0) {
		if (local_hidden_has(lb, ino)) {
			forget(lb, ino);
		}
		note_empty(lb);
		hidden_unlock(lb);
	}
	local_root_end(lb);
}

/* Victims. */

/* Gives the inode behind the probe its hidden name. Locked. */
static int hide(struct local_backend *lb, struct local_victim *v)
{
	char name[LOCAL_HEX_INO];

	hidden_name(name, v->st.ino);
	if (linkat(v->probe, "", lb->hiddenfd, name, AT_EMPTY_PATH) == 0) {
		v->linked = true;
		return 0;
	}
	switch (errno) {
	case EEXIST:
	case ENOENT:
	case EPERM:
		/* has it; lost its name; immutable: the removal will tell */
		return 0;
	case ENOSPC:
	case EDQUOT:
	case EXDEV:
	case EMLINK:
		/* a full disk must not keep anybody from deleting */
		return 0;
	default:
		return errno;
	}
}

static int victim_open_locked(struct local_backend *lb,
			      const struct local_parent *parent,
			      struct local_victim *v)
{
	int ret;

	v->probe = openat(parent->fd,
			  parent->last,
			  O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (v->probe == -1) {
		v->exists = errno != ENOENT;
		return errno == ENOENT ? 0 : errno;
	}
	ret = local_stat_fd(v->probe, &v->st);
	if (ret == 0 && S_ISREG(v->st.mode) && v->st.nlink == 1) {
		ret = hide(lb, v);
	}
	if (ret != 0) {
		close(v->probe);
		v->probe = -1;
	}
	return ret;
}

static int victim_hide(struct local_backend *lb,
		       const struct local_parent *parent,
		       struct local_victim *v)
{
	int ret;

	ret = hidden_lock(lb);
	if (ret != 0) {
		return ret;
	}
	ret = victim_open_locked(lb, parent, v);
	if (ret != 0) {
		hidden_unlock(lb);
		return ret;
	}
	v->locked = true;
	return 0;
}

int local_victim_begin(struct local_backend *lb,
		       const struct local_parent *parent,
		       struct local_victim *v)
{
	bool busy;
	int ret;

	*v = (struct local_victim){.probe = -1};
	ret = local_stat_at(parent->fd, parent->last, &v->st);
	if (ret != 0) {
		return ret == ENOENT ? 0 : ret;
	}
	v->exists = true;
	if (!S_ISREG(v->st.mode)) {
		return 0;
	}
	ret = local_root_begin(lb);
	if (ret != 0) {
		return ret;
	}
	busy = table_has(lb, v->st.ino) ||
	       probe(parent->fd, parent->last, v->st.ino, &v->probe) ==
		       OPENED_BY_SOME;
	if (busy) {
		ret = victim_hide(lb, parent, v);
	}
	local_root_end(lb);
	return ret;
}

/* The hidden name was made: is it needed? Locked. */
static void victim_settle(struct local_backend *lb,
			  struct local_victim *v,
			  bool gone)
{
	char name[LOCAL_HEX_INO];
	struct csv_stat st;

	if (!gone || local_stat_fd(v->probe, &st) != 0 || st.nlink != 1) {
		/* it still has its name, or got another */
		hidden_name(name, v->st.ino);
		unlinkat(lb->hiddenfd, name, 0);
		return;
	}
	table_set_hidden(lb, v->st.ino);
	forget(lb, v->st.ino);
}

void local_victim_end(struct local_backend *lb,
		      struct local_victim *v,
		      bool gone)
{
	bool root = false;

	if (v->linked) {
		root = local_root_begin(lb) == 0;
		victim_settle(lb, v, gone);
	}
	if (v->probe != -1) {
		close(v->probe);
	}
	if (v->locked) {
		hidden_unlock(lb);
	}
	if (root) {
		local_root_end(lb);
	}
}

int csv_local_sweep(struct csv_backend *backend, unsigned *removed)
{
	struct local_backend *lb = local_backend(backend);
	struct dirent *de = NULL;
	uint64_t ino = 0;
	DIR *d = NULL;
	int ret;

	*removed = 0;
	ret = local_root_begin(lb);
	if (ret != 0) {
		return ret;
	}
	d = hidden_list(lb);
	ret = d == NULL ? errno : hidden_lock(lb);
	if (ret == 0) {
		while ((de = readdir(d)) != NULL) {
			if (is_hidden_name(de->d_name, &ino)) {
				*removed += forget(lb, ino) ? 1 : 0;
			}
		}
		hidden_unlock(lb);
	}
	if (d != NULL) {
		closedir(d);
	}
	local_root_end(lb);
	return ret;
}
