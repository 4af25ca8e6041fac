/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests that are not repeatable and come a second time.
 *
 * Under the same owner (the connection broke, csvd lives) a table per volume
 * knows the answers of the last REPLAY_ENTRIES such requests by client and
 * token: the recorded answer is given again, an open is opened by file handle,
 * and one that is still being done is waited for.
 *
 * Under a new owner the table is gone. Then the operation is done; when it
 * fails because its own effect is already there, these rules decide. They are
 * a best effort: tokens kept on the volume itself must replace them.
 *
 *   open CREAT|EXCL, EEXIST  it happened if there is a regular file of the
 *                            asking user, made in the last REPLAY_WINDOW_S
 *   mkdir, EEXIST            the same for a directory without subdirectories
 *   mknod, EEXIST            the same for an object of that type and device
 *   symlink, EEXIST          the same for a symlink with exactly that target
 *   link, EEXIST             it happened if both names are the same inode
 *   unlink, ENOENT           it happened if the directory of the name exists
 *   rename, ENOENT           it happened if the new name exists and its inode
 *                            was changed in the last REPLAY_WINDOW_S
 *
 * "Of the asking user": the owner is the user, or the user is root (who may
 * make files for others by setgid, or has given them away since).
 */
#include "replace.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "lib/util/dlinklist.h"
#include "csvd/replay.h"
#include "csvd/serve_private.h"

#define REPLAY_ENTRIES 1024
#define REPLAY_BUCKETS 256
#define REPLAY_WINDOW_S 120

struct replay_entry {
	struct replay_entry *prev, *next; /* of the bucket */
	struct GUID client;
	uint64_t token;
	enum csv_op op;
	bool used;
	bool running;
	int status;
	bool has_fh;
	struct csv_fhandle fh;
	struct serve_job *parked; /* by ->next */
};

struct replay_table {
	struct replay_entry *buckets[REPLAY_BUCKETS];
	struct replay_entry ring[REPLAY_ENTRIES];
	unsigned oldest;
};

struct replay_table *replay_table_new(TALLOC_CTX *mem_ctx)
{
	return talloc_zero(mem_ctx, struct replay_table);
}

static struct replay_entry **bucket_of(struct replay_table *table,
				       uint64_t token)
{
	return &table->buckets[token % REPLAY_BUCKETS];
}

static struct replay_entry *entry_find(struct replay_table *table,
				       const struct GUID *client,
				       const struct serve_job *job)
{
	struct replay_entry *e = *bucket_of(table, job->token);

	for (; e != NULL; e = e->next) {
		if (e->token == job->token && e->op == job->h.op &&
		    memcmp(&e->client, client, sizeof(*client)) == 0) {
			return e;
		}
	}
	return NULL;
}

/* The oldest one that nobody waits for; NULL: all are being done. */
static struct replay_entry *entry_reuse(struct replay_table *table)
{
	struct replay_entry *e = NULL;
	unsigned i;

	for (i = 0; i < REPLAY_ENTRIES; i++) {
		e = &table->ring[table->oldest];
		table->oldest = (table->oldest + 1) % REPLAY_ENTRIES;
		if (!e->running) {
			break;
		}
		e = NULL;
	}
	if (e != NULL && e->used) {
		DLIST_REMOVE(*bucket_of(table, e->token), e);
	}
	return e;
}

static void job_take_answer(struct serve_job *job,
			    const struct replay_entry *e)
{
	job->status = e->status;
	job->by_fh = e->status == 0 && e->has_fh;
	job->fh = e->fh;
}

enum replay_verdict replay_lookup(struct replay_table *table,
				  const struct GUID *client,
				  struct serve_job *job)
{
	struct replay_entry *e = entry_find(table, client, job);

	if (e == NULL) {
		return REPLAY_UNKNOWN;
	}
	if (e->running) {
		job->next = e->parked;
		e->parked = job;
		return REPLAY_RUNNING;
	}
	job_take_answer(job, e);
	return REPLAY_DONE;
}

void replay_begin(struct replay_table *table,
		  const struct GUID *client,
		  struct serve_job *job)
{
	struct replay_entry *e = entry_find(table, client, job);

	if (e == NULL) {
		e = entry_reuse(table);
		if (e == NULL) {
			return;
		}
		memset(e, 0, sizeof(*e));
		e->used = true;
		e->client = *client;
		e->token = job->token;
		e->op = job->h.op;
		DLIST_ADD(*bucket_of(table, e->token), e);
	}
	e->running = true;
}

struct serve_job *replay_end(struct replay_table *table,
			     const struct GUID *client,
			     struct serve_job *job)
{
	struct replay_entry *e = entry_find(table, client, job);
	struct serve_job *parked = NULL;
	struct serve_job *p = NULL;

	if (e == NULL) {
		return NULL;
	}
	e->running = false;
	e->status = job->status;
	e->has_fh = job->h.op == CSV_OP_OPEN;
	e->fh = job->fh;
	parked = e->parked;
	e->parked = NULL;
	for (p = parked; p != NULL; p = p->next) {
		job_take_answer(p, e);
	}
	return parked;
}

static bool recent(const struct timespec *t)
{
	int64_t now = time(NULL);

	return t->tv_sec <= now + 5 && t->tv_sec >= now - REPLAY_WINDOW_S;
}

/* Made by this user a moment ago? */
static bool ours(const struct csv_cred *cred, const struct csv_stat *st)
{
	const struct timespec *made = &st->btime;

	if (made->tv_sec == 0) {
		made = &st->ctime;
	}
	return recent(made) &&
	       (cred == NULL || cred->uid == 0 || cred->uid == st->uid);
}

int replay_judge_open(struct csv_backend *b,
		      const struct csv_cred *cred,
		      struct csv_file *dir,
		      const char *name,
		      int error)
{
	struct csv_stat st;

	if (error != EEXIST ||
	    b->ops->statat(dir, cred, name, 0, &st, NULL) != 0) {
		return error;
	}
	return S_ISREG(st.mode) && ours(cred, &st) ? 0 : error;
}

/* Does the directory that the name would be in exist? */
static bool parent_exists(struct csv_backend *b,
			  const struct csv_cred *cred,
			  struct csv_file *dir,
			  const char *name)
{
	const char *slash = strrchr(name, '/');
	struct csv_stat st;
	char *parent = NULL;
	int ret;

	if (slash == NULL) {
		return true;
	}
	parent = talloc_strndup(NULL, name, (size_t)(slash - name));
	ret = parent == NULL ? ENOMEM
			     : b->ops->statat(dir, cred, parent,
					      CSV_F_FOLLOW, &st, NULL);
	talloc_free(parent);
	return ret == 0 && S_ISDIR(st.mode);
}

static bool same_target(struct csv_backend *b,
			const struct csv_cred *cred,
			struct csv_file *dir,
			const char *name,
			const struct csv_name_req *req)
{
	char *target = NULL;
	bool same;

	if (b->ops->readlink(dir, NULL, cred, name, &target) != 0) {
		return false;
	}
	same = strlen(target) == req->target.length &&
	       memcmp(target, req->target.data, req->target.length) == 0;
	talloc_free(target);
	return same;
}

static bool made_by_us(struct csv_backend *b,
		       const struct csv_cred *cred,
		       enum csv_op op,
		       struct csv_file *dir,
		       const char *name,
		       const struct csv_name_req *req)
{
	struct csv_stat st;

	if (b->ops->statat(dir, cred, name, 0, &st, NULL) != 0 ||
	    !ours(cred, &st)) {
		return false;
	}
	switch (op) {
	case CSV_OP_MKDIR:
		/* btrfs counts no subdirectories */
		return S_ISDIR(st.mode) && st.nlink <= 2;
	case CSV_OP_MKNOD:
		return (st.mode & S_IFMT) == (req->mode & S_IFMT) &&
		       st.rdev == req->rdev;
	case CSV_OP_SYMLINK:
		return S_ISLNK(st.mode) && same_target(b, cred, dir, name, req);
	default:
		return false;
	}
}

int replay_judge_name(struct csv_backend *b,
		      const struct csv_cred *cred,
		      enum csv_op op,
		      struct csv_file *dir,
		      const struct csv_name_req *req,
		      int error)
{
	char *name = csv_bytes_str(NULL, &req->name);
	bool happened = false;

	if (name == NULL) {
		return error;
	}
	if (op == CSV_OP_UNLINK) {
		happened = error == ENOENT &&
			   parent_exists(b, cred, dir, name);
	} else if (error == EEXIST) {
		happened = made_by_us(b, cred, op, dir, name, req);
	}
	talloc_free(name);
	return happened ? 0 : error;
}

int replay_judge_two_names(struct csv_backend *b,
			   const struct csv_cred *cred,
			   enum csv_op op,
			   struct csv_file *src_dir,
			   struct csv_file *dst_dir,
			   const struct csv_two_names_req *req,
			   int error)
{
	TALLOC_CTX *frame = talloc_new(NULL);
	char *src = csv_bytes_str(frame, &req->src_name);
	char *dst = csv_bytes_str(frame, &req->dst_name);
	bool happened = false;
	struct csv_stat ss;
	struct csv_stat ds;

	if (src == NULL || dst == NULL ||
	    b->ops->statat(dst_dir, cred, dst, 0, &ds, NULL) != 0) {
		talloc_free(frame);
		return error;
	}
	if (op == CSV_OP_RENAME) {
		happened = error == ENOENT && recent(&ds.ctime) &&
			   parent_exists(b, cred, src_dir, src);
	} else if (error == EEXIST) {
		happened = b->ops->statat(src_dir, cred, src, 0, &ss, NULL) ==
				   0 &&
			   ss.ino == ds.ino;
	}
	talloc_free(frame);
	return happened ? 0 : error;
}
