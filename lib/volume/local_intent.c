/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "Did it happen?", kept on the volume.
 *
 * A client sends one operation that is not repeatable at a time, so one record
 * (intent.h) for each client is enough: an extended attribute of a file in the
 * hidden directory that is named by the client. Around the operation:
 *
 *   lock the directories of its names   nobody else removes names there now
 *   record what the names mean          "begun"
 *   do it
 *   record the answer                   "done"
 *   unlock, flush the record            one flush, for all of it
 *
 * XFS and ext4 have one log: what is on the disk after a crash is all that
 * came before some moment. So there is no need to flush in between:
 *
 *   no record          it did not happen, nor did anything later
 *   begun              nobody could change these names since: when they mean
 *                      what they meant, it did not happen, else it did
 *   done               the record has the answer, whatever others did since
 *
 * Who makes names takes no lock; between "begun" and the operation he may make
 * the same name, which is mistaken for ours when the log is then written
 * between the operation and "done" and the owner dies before the next write
 * of the log. The same holds for attributes, which are told by the ctime.
 *
 * Elsewhere (btrfs, or XFS with wsync) each of the three steps is flushed.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include "intent.h"
#include "local_private.h"

#define INTENT_DIR "ops" /* in the hidden directory */
#define INTENT_NAME 33	 /* of a client, with NUL */
#define INTENT_AGE_S 600
#define INTENT_MANY 4096 /* more than that are kept for less long */
#define INTENT_MANY_AGE_S 60

struct csv_local_once {
	struct local_backend *lb;
	const struct csv_once *o;
	struct csv_intent in;
	struct local_parent parent[2];
	struct local_dirlock lock;
	int fd; /* of the record; -1: none can be kept here */
};

int local_intent_create(struct local_backend *lb)
{
	if (mkdirat(lb->hiddenfd, INTENT_DIR, 0700) == -1 && errno != EEXIST) {
		return errno;
	}
	lb->intentfd = openat(lb->hiddenfd,
			      INTENT_DIR,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return lb->intentfd == -1 ? errno : 0;
}

static const char *record_name(char *buf, const uint8_t client[16])
{
	unsigned i;

	for (i = 0; i < 16; i++) {
		snprintf(buf + 2 * i, 3, "%02x", client[i]);
	}
	return buf;
}

/* As root. */
static int record_open(struct csv_local_once *run, int oflags)
{
	char name[INTENT_NAME];

	run->fd = openat(run->lb->intentfd,
			 record_name(name, run->o->client),
			 oflags | O_NOFOLLOW | O_CLOEXEC,
			 0600);
	return run->fd == -1 ? errno : 0;
}

/* As root. Makes it stable where the log would not keep the order. */
static int record_write(struct csv_local_once *run)
{
	uint8_t buf[CSV_INTENT_MAX];
	size_t len = csv_intent_push(&run->in, buf);

	if (fsetxattr(run->fd, CSV_INTENT_XATTR, buf, len, 0) == -1) {
		return errno;
	}
	return run->lb->one_log ? 0 : local_fsync_fd(run->lb, run->fd, false);
}

/* What is known of this operation. False: nothing. As root. */
static bool record_read(struct csv_local_once *run, struct csv_intent *in)
{
	uint8_t buf[CSV_INTENT_MAX];
	ssize_t n = -1;

	if (record_open(run, O_RDONLY) != 0) {
		return false;
	}
	n = fgetxattr(run->fd, CSV_INTENT_XATTR, buf, sizeof(buf));
	close(run->fd);
	run->fd = -1;
	return n > 0 && csv_intent_pull(buf, (size_t)n, in) &&
	       in->token == run->o->token && in->op == run->o->op;
}

static bool recall(struct csv_local_once *run, struct csv_intent *in)
{
	bool known;

	if (local_root_begin(run->lb) != 0) {
		return false;
	}
	known = record_read(run, in);
	local_root_end(run->lb);
	return known;
}

/* Looking at what will be changed, as the user. */

static int look_at_file(struct csv_local_once *run)
{
	const struct csv_once *o = run->o;
	struct csv_stat st;
	int ret;

	if (o->by_name) {
		ret = local_statat(o->file[0],
				   o->cred,
				   o->name[0],
				   o->flags & CSV_F_FOLLOW,
				   &st,
				   NULL);
	} else {
		ret = local_fstat(o->file[0], &st);
	}
	if (ret == 0) {
		run->in.ino[0] = st.ino;
		run->in.ctime = st.ctime;
	}
	return ret;
}

/* A file that is there will be truncated: by its name it looks the same. */
static int look_at_name(struct csv_local_once *run, unsigned i)
{
	const struct local_parent *p = &run->parent[i];
	struct csv_stat st;
	int ret;

	ret = local_stat_at(p->fd, p->last, &st);
	if (ret == ENOENT) {
		return 0;
	}
	if (ret == 0) {
		run->in.ino[i] = st.ino;
		if (run->o->changes) {
			run->in.ctime = st.ctime;
		}
	}
	return ret;
}

static bool has_name(const struct csv_once *o, unsigned i)
{
	return o->name[i] != NULL && o->name[i][0] != '\0';
}

static int look_at_names(struct csv_local_once *run)
{
	const struct csv_once *o = run->o;
	int dirs[2] = {-1, -1};
	unsigned i, num = 0;
	int ret = 0;

	for (i = 0; i < 2 && ret == 0; i++) {
		if (has_name(o, i)) {
			ret = local_parent_open(run->lb,
						local_file(o->file[i])->fd,
						o->name[i],
						&run->parent[i]);
			dirs[num++] = run->parent[i].fd;
		}
	}
	if (ret == 0 && num == 0) {
		ret = EINVAL;
	}
	if (ret == 0) {
		ret = local_dirs_lock(run->lb, dirs[0], dirs[1], &run->lock);
	}
	for (i = 0; i < 2 && ret == 0; i++) {
		if (has_name(o, i)) {
			ret = look_at_name(run, i);
		}
	}
	return ret;
}

static int look(struct csv_local_once *run)
{
	int ret = local_user(run->lb, run->o->cred);

	if (ret != 0) {
		return ret;
	}
	return run->o->attributes ? look_at_file(run) : look_at_names(run);
}

static bool unchanged(const struct csv_intent *then,
		      const struct csv_intent *now)
{
	return then->ino[0] == now->ino[0] && then->ino[1] == now->ino[1] &&
	       then->ctime.tv_sec == now->ctime.tv_sec &&
	       then->ctime.tv_nsec == now->ctime.tv_nsec;
}

static int write_begun(struct csv_local_once *run)
{
	int ret = local_root_begin(run->lb);

	if (ret != 0) {
		return ret;
	}
	ret = record_open(run, O_RDWR | O_CREAT);
	if (ret == 0) {
		ret = record_write(run);
	}
	local_root_end(run->lb);
	switch (ret) {
	case EOPNOTSUPP: /* no such attributes here */
	case ENOSPC: /* a full disk must not keep anybody from deleting */
	case EDQUOT:
		if (run->fd != -1) {
			close(run->fd);
			run->fd = -1;
		}
		return 0;
	default:
		return ret;
	}
}

static int run_destructor(struct csv_local_once *run)
{
	unsigned i;

	local_dirs_hold(NULL);
	local_dirs_unlock(run->lb, &run->lock);
	for (i = 0; i < 2; i++) {
		local_parent_close(&run->parent[i]);
	}
	if (run->fd != -1) {
		close(run->fd);
	}
	return 0;
}

static struct csv_local_once *run_new(TALLOC_CTX *mem_ctx,
				      struct csv_backend *b,
				      const struct csv_once *o)
{
	struct csv_local_once *run = NULL;

	run = talloc_zero(mem_ctx, struct csv_local_once);
	if (run == NULL) {
		return NULL;
	}
	run->lb = local_backend(b);
	run->o = o;
	run->in.token = o->token;
	run->in.op = o->op;
	run->fd = -1;
	run->parent[0].fd = -1;
	run->parent[1].fd = -1;
	talloc_set_destructor(run, run_destructor);
	return run;
}

static void answer(const struct csv_intent *in, struct csv_once_answer *a)
{
	a->known = true;
	a->status = (int)in->status;
	a->fh = in->fh;
}

int csv_local_once_begin(TALLOC_CTX *mem_ctx,
			 struct csv_backend *b,
			 const struct csv_once *o,
			 struct csv_once_answer *a,
			 struct csv_local_once **_run)
{
	struct csv_local_once *run = run_new(mem_ctx, b, o);
	struct csv_intent then;
	bool begun = false;
	int ret;

	*a = (struct csv_once_answer){};
	*_run = NULL;
	if (run == NULL) {
		return ENOMEM;
	}
	if (o->replay && recall(run, &then)) {
		if (then.done) {
			answer(&then, a);
			talloc_free(run);
			return 0;
		}
		begun = true;
	}
	ret = look(run);
	if (ret == 0 && begun && !unchanged(&then, &run->in)) {
		a->known = true;
		*_run = run;
		return 0;
	}
	if (ret != 0) {
		talloc_free(run);
		a->flush = true;
		return 0;
	}
	ret = write_begun(run);
	if (ret != 0) {
		talloc_free(run);
		return ret;
	}
	local_dirs_hold(run->lock.num != 0 ? &run->lock : NULL);
	a->flush = run->fd == -1 || !run->lb->one_log;
	*_run = run;
	return 0;
}

static int write_done(struct csv_local_once *run,
		      int status,
		      const struct csv_fhandle *fh)
{
	int ret = local_root_begin(run->lb);

	if (ret != 0) {
		return ret;
	}
	run->in.done = true;
	run->in.status = (uint32_t)status;
	if (status == 0 && fh != NULL) {
		run->in.fh = *fh;
	}
	ret = run->fd == -1 ? record_open(run, O_RDWR | O_CREAT) : 0;
	if (ret == 0) {
		ret = record_write(run);
	}
	local_root_end(run->lb);
	return ret;
}

int csv_local_once_end(struct csv_local_once *run,
		       int status,
		       const struct csv_fhandle *fh)
{
	struct local_backend *lb = run->lb;
	int fd, ret = 0;

	if (status == EAGAIN || run->fd == -1) {
		talloc_free(run);
		return status;
	}
	ret = write_done(run, status, fh);
	fd = run->fd;
	run->fd = -1;
	talloc_free(run); /* others need not wait for the flush */
	if (ret == ENOSPC || ret == EDQUOT) {
		ret = syncfs(fd) == -1 ? errno : 0;
	}
	if (ret == 0 && status == 0) {
		ret = local_fsync_fd(lb, fd, false);
	}
	close(fd);
	return status != 0 ? status : ret;
}

/* It was found to have happened: from now on the record says so. */
int csv_local_once_settle(struct csv_local_once *run,
			  const struct csv_fhandle *fh)
{
	int ret = write_done(run, 0, fh);

	if (ret == 0) {
		ret = local_fsync_fd(run->lb, run->fd, false);
	}
	talloc_free(run);
	return ret;
}

/* Sweeping. */

static bool is_old(int dirfd, const char *name, time_t age_s)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_ctim.tv_sec + age_s < time(NULL);
}

/* How many are left. */
static unsigned sweep_older(DIR *d, time_t age_s, unsigned *removed)
{
	struct dirent *de = NULL;
	unsigned left = 0;

	rewinddir(d);
	while ((de = readdir(d)) != NULL) {
		if (strlen(de->d_name) != INTENT_NAME - 1) {
			continue;
		}
		if (is_old(dirfd(d), de->d_name, age_s) &&
		    unlinkat(dirfd(d), de->d_name, 0) == 0)
		{
			*removed += 1;
		} else {
			left += 1;
		}
	}
	return left;
}

int csv_local_intent_sweep(struct csv_backend *b, unsigned *removed)
{
	struct local_backend *lb = local_backend(b);
	DIR *d = NULL;
	int fd, ret;

	*removed = 0;
	ret = local_root_begin(lb);
	if (ret != 0) {
		return ret;
	}
	fd = openat(lb->intentfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd == -1 ? NULL : fdopendir(fd);
	if (d == NULL) {
		ret = errno;
		if (fd != -1) {
			close(fd);
		}
	} else {
		if (sweep_older(d, INTENT_AGE_S, removed) > INTENT_MANY) {
			(void)sweep_older(d, INTENT_MANY_AGE_S, removed);
		}
		closedir(d);
	}
	local_root_end(lb);
	return ret;
}
