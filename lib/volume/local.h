/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What csvd may know of a local backend beyond backend.h: the descriptor
 * behind a file (RWF_NOWAIT, sendfile, splice) and the identity of threads.
 */
#ifndef _CSV_VOLUME_LOCAL_H_
#define _CSV_VOLUME_LOCAL_H_

#include "backend.h"

/*
 * The descriptor of an open file of a local backend; stays the file's. Only
 * for reading and writing data that needs no stability: a file opened
 * CSV_O_SYNC is *not* O_DSYNC in the kernel, the backend's own writes are
 * what makes it so.
 */
int csv_local_fd(const struct csv_file *file);

/*
 * Must a write that has just been done be flushed before its answer, although
 * nobody asked for that? Other processes write the file as well, and copies
 * of unstable writes would not be repeated (local_writers.c). To be asked
 * after the write. Any thread, any identity; one system call.
 */
bool csv_local_stable_only(struct csv_file *file);
/* Did that say so before? No system call. */
bool csv_local_is_stable_only(const struct csv_file *file);

/*
 * In CSV_CRED_THREAD mode a thread keeps the identity of the last operation
 * that took a cred until the next one needs another: such threads belong to
 * this work alone. This gives the calling thread root's identity and umask
 * 022 back (a no-op for a thread that never took another). 0 or errno.
 */
int csv_local_thread_root(void);

/*
 * An operation that is not repeatable, of a client that may have sent it
 * before. Borrowed; must live until the end.
 */
struct csv_once {
	const uint8_t *client; /* 16 bytes */
	uint64_t token;	       /* among those of the client; it has one at a time */
	uint32_t op;	       /* the caller's number for it */
	bool replay;	       /* it may have happened */
	const struct csv_cred *cred;
	struct csv_file *file[2];
	const char *name[2]; /* below file[i]; NULL or "": none */
	uint32_t flags;	     /* CSV_F_FOLLOW */
	/* attributes of file[0] are changed, or with by_name of name[0] */
	bool attributes;
	bool by_name;
	bool changes; /* what name[0] means is changed, too: truncation */
};

struct csv_once_answer {
	bool known;		/* it happened, this is the answer: */
	int status;		/* 0 or errno */
	struct csv_fhandle fh;	/* of an open; length 0: by its name */
	bool flush; /* not known: the operation itself must be stable */
};

struct csv_local_once;

/*
 * Before it. 0 and a->known: *run may be set: then
 * csv_local_once_settle(). 0 without: do it in this thread, then
 * csv_local_once_end(); *run NULL: just do it, it will fail since its names
 * cannot be resolved. Else errno: it cannot be recorded and must not be done.
 */
int csv_local_once_begin(TALLOC_CTX *mem_ctx,
			 struct csv_backend *backend,
			 const struct csv_once *o,
			 struct csv_once_answer *a,
			 struct csv_local_once **run);
/*
 * After it; frees run. fh: what was opened, or NULL. The answer for the
 * client: status, or errno when a success cannot be made stable. EAGAIN does
 * not count as an answer: a directory was renamed, begin again.
 */
int csv_local_once_end(struct csv_local_once *run,
		       int status,
		       const struct csv_fhandle *fh);
/* It was known by what is there: record that; frees run. 0 or errno. */
int csv_local_once_settle(struct csv_local_once *run,
			  const struct csv_fhandle *fh);
/* Forget what clients cannot ask for any more. *removed counts. Blocks. */
int csv_local_intent_sweep(struct csv_backend *backend, unsigned *removed);

#endif /* _CSV_VOLUME_LOCAL_H_ */
