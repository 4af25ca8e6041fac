/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What stands behind the volume interface: a backend reaches the files of one
 * volume in one epoch, by system calls (local.c) or over the wire (remote.c).
 * It knows nothing of owners that change: when the way breaks or the epoch is
 * over, it says CSV_E_LOST or CSV_E_STALE, and the virtual handle (handle.c)
 * asks another backend.
 *
 * Operations on names and attributes are synchronous: smbd's VFS and csvd's
 * worker threads both call them so. Data, flushes and xattr reads also exist
 * asynchronously (tevent_req), since those are what smbd runs in parallel.
 *
 * Names: `name` is relative to `dir`, up to CSV_MAX_NAME bytes, may have
 * several components, never begins with "/"; "" with a dir means the dir
 * itself where noted. Resolution never leaves the volume ("..": not above the
 * root, EXDEV; absolute symlinks: EXDEV) and never enters CSV_HIDDEN_DIR of
 * the root (ENOENT; not listed).
 *
 * Memory: results are talloc children of the mem_ctx given. A csv_file is a
 * talloc child of its backend's caller; talloc_free closes it (close errors
 * are not reported: nothing relies on close for durability). Backends outlive
 * their files: freeing a backend with open files is a bug (asserted).
 *
 * Blocking: local blocks in system calls; remote waits for the answer in
 * poll(2) on its connection (and the wake descriptor, see csv_remote_params),
 * completing other requests' answers into a queue that the event loop
 * delivers later: no application callback runs inside a synchronous call.
 */
#ifndef _CSV_VOLUME_BACKEND_H_
#define _CSV_VOLUME_BACKEND_H_

#include <string.h>
#include <talloc.h>
#include <tevent.h>
#include "csv_file.h"

struct csv_backend;
struct csv_file;

struct csv_backend_ops {
	const char *name; /* "local", "remote" */

	/* The root directory as CSV_O_PATH file; belongs to the backend. */
	struct csv_file *(*root)(struct csv_backend *b);

	/*
	 * Open or create. how: CSV_O_*. *st and *fh (each may be NULL) are
	 * filled from the opened file, so that no second trip is needed.
	 */
	int (*open)(struct csv_backend *b,
		    TALLOC_CTX *mem_ctx,
		    const struct csv_cred *cred,
		    struct csv_file *dir,
		    const char *name,
		    uint32_t how,
		    uint32_t mode,
		    struct csv_file **file,
		    struct csv_stat *st,
		    struct csv_fhandle *fh);
	/*
	 * Open by file handle as root, with exactly `how` (no CSV_O_ONCE
	 * bits: EINVAL). ESTALE: the file is gone.
	 */
	int (*open_fh)(struct csv_backend *b,
		       TALLOC_CTX *mem_ctx,
		       const struct csv_fhandle *fh,
		       uint32_t how,
		       struct csv_file **file,
		       struct csv_stat *st);

	int (*fstat)(struct csv_file *file, struct csv_stat *st);
	int (*statat)(struct csv_file *dir,
		      const struct csv_cred *cred,
		      const char *name,
		      uint32_t flags,
		      struct csv_stat *st,
		      struct csv_fhandle *fh);
	/* exactly one of (name == NULL: file itself) or (dir, name) */
	int (*setattr)(struct csv_file *file,
		       const struct csv_cred *cred,
		       const char *name,
		       const struct csv_setattr *attr,
		       uint32_t flags);

	/*
	 * Entries after `cookie` (0: from the start; "." and ".." included,
	 * CSV_HIDDEN_DIR not), about max_bytes of them (csv_dirent_bytes()),
	 * with attributes and with what `want` (may be NULL) names.
	 * Cookies are valid across epochs for the same directory.
	 */
	int (*readdir)(struct csv_file *dir,
		       TALLOC_CTX *mem_ctx,
		       const struct csv_cred *cred,
		       uint64_t cookie,
		       uint32_t max_bytes,
		       const struct csv_want *want,
		       struct csv_dirlist **list);

	int (*mkdir)(struct csv_file *dir,
		     const struct csv_cred *cred,
		     const char *name,
		     uint32_t mode,
		     uint32_t flags);
	int (*mknod)(struct csv_file *dir,
		     const struct csv_cred *cred,
		     const char *name,
		     uint32_t mode,
		     uint64_t rdev,
		     uint32_t flags);
	int (*symlink)(struct csv_file *dir,
		       const struct csv_cred *cred,
		       const char *name,
		       const char *target,
		       uint32_t flags);
	/* name "" reads the symlink that `dir` (CSV_O_PATH|NOFOLLOW) is */
	int (*readlink)(struct csv_file *dir,
			TALLOC_CTX *mem_ctx,
			const struct csv_cred *cred,
			const char *name,
			char **target);
	/* src_name "": hard link to the open file src_dir itself */
	int (*link)(struct csv_file *src_dir,
		    const char *src_name,
		    struct csv_file *dst_dir,
		    const char *dst_name,
		    const struct csv_cred *cred,
		    uint32_t flags);
	int (*rename)(struct csv_file *src_dir,
		      const char *src_name,
		      struct csv_file *dst_dir,
		      const char *dst_name,
		      const struct csv_cred *cred,
		      uint32_t flags);
	/*
	 * A regular file of which any handle may be open, on any node, is
	 * kept in CSV_HIDDEN_DIR until the last one closes.
	 */
	int (*unlink)(struct csv_file *dir,
		      const struct csv_cred *cred,
		      const char *name,
		      uint32_t flags);

	int (*fallocate)(struct csv_file *file,
			 uint32_t mode, /* FALLOC_FL_* */
			 int64_t offset,
			 int64_t length);
	/* whence: SEEK_DATA or SEEK_HOLE */
	int (*seek)(struct csv_file *file,
		    int64_t offset,
		    int whence,
		    int64_t *result);
	/* *copied may be short; 0 at end of source */
	int (*copy_range)(struct csv_file *src,
			  int64_t src_off,
			  struct csv_file *dst,
			  int64_t dst_off,
			  uint64_t length,
			  uint32_t flags,
			  uint64_t *copied);
	int (*statfs)(struct csv_file *file, struct csv_statfs *sfs);

	/* value NULL and *size 0 asks for the size; ERANGE as xattr(7) */
	int (*getxattr)(struct csv_file *file,
			const struct csv_cred *cred,
			const char *name,
			void *value,
			size_t *size);
	int (*setxattr)(struct csv_file *file,
			const struct csv_cred *cred,
			const char *name,
			const void *value,
			size_t size,
			uint32_t flags);
	int (*listxattr)(struct csv_file *file,
			 const struct csv_cred *cred,
			 char *list,
			 size_t *size);
	int (*removexattr)(struct csv_file *file,
			   const struct csv_cred *cred,
			   const char *name,
			   uint32_t flags);

	/* Synchronous data, for callers inside a synchronous VFS call. */
	int (*pread)(struct csv_file *file,
		     void *buf,
		     size_t n,
		     int64_t offset,
		     size_t *nread);
	/* CSV_F_STABLE: stable when answered, whatever the open said */
	int (*pwrite)(struct csv_file *file,
		      const void *buf,
		      size_t n,
		      int64_t offset,
		      uint32_t flags,
		      size_t *nwritten);
	int (*fsync)(struct csv_file *file, uint32_t flags);

	/*
	 * Asynchronous data. The buffer stays the caller's and valid until
	 * the request is done; freeing the request before that cancels it
	 * and only then lets go of the buffer. recv: 0 or error, *n bytes
	 * moved. Never completes before returning to the event loop.
	 */
	struct tevent_req *(*pread_send)(TALLOC_CTX *mem_ctx,
					 struct tevent_context *ev,
					 struct csv_file *file,
					 void *buf,
					 size_t n,
					 int64_t offset);
	struct tevent_req *(*pwrite_send)(TALLOC_CTX *mem_ctx,
					  struct tevent_context *ev,
					  struct csv_file *file,
					  const void *buf,
					  size_t n,
					  int64_t offset,
					  uint32_t flags);
	struct tevent_req *(*fsync_send)(TALLOC_CTX *mem_ctx,
					 struct tevent_context *ev,
					 struct csv_file *file,
					 uint32_t flags);
	/* for all three */
	int (*recv)(struct tevent_req *req, size_t *n);

	/* Can the storage still be written to? Blocks. NULL: not asked. */
	bool (*writes)(struct csv_backend *b);
};

/* About what an entry takes in an answer. */
static inline uint32_t csv_dirent_bytes(const struct csv_dirent *e)
{
	const struct csv_extra *x = e->extra;
	uint32_t bytes = 128 + e->name_len;
	uint32_t i;

	if (x != NULL) {
		bytes += 32 + x->fh.length + x->names_length;
		for (i = 0; i < CSV_MAX_WANT; i++) {
			bytes += x->values[i].length;
		}
	}
	return bytes;
}

/* Is this one of the names of its xattrs? */
static inline bool csv_extra_has(const struct csv_extra *x, const char *name)
{
	const char *end = x->names + x->names_length;
	const char *p = NULL;

	for (p = x->names; p < end; p += strlen(p) + 1) {
		if (strcmp(p, name) == 0) {
			return true;
		}
	}
	return false;
}

struct csv_backend {
	const struct csv_backend_ops *ops;
	uint64_t epoch;
	uint32_t num_files; /* open files, the root not counted */
	/*
	 * Names the operation about to be called, the same each time it is
	 * tried (CSV_F_REPLAY, CSV_O_REPLAY); 0: the backend chooses. Set by
	 * the caller before an operation that is not repeatable.
	 */
	uint64_t token;
	/*
	 * What is asked now was asked before the owner changed, or restores
	 * what it lost: an owner in its grace period does it at once.
	 */
	bool replaying;
};

struct csv_file {
	struct csv_backend *backend;
	uint32_t how; /* as opened */
	/*
	 * Set by the caller before it frees the file when the virtual handle
	 * lives on (drain, connection lost): a file that was deleted while
	 * open then stays in CSV_HIDDEN_DIR, to be opened again by handle or
	 * swept. A remote backend then tells the owner nothing: the owner
	 * keeps what it closes without having been told to.
	 */
	bool keep;
};

/*
 * How a local backend does what needs root inside a process that runs as
 * somebody else (smbd: become_root/unbecome_root). NULL members: the process
 * has the right already. Calls nest.
 */
struct csv_privilege {
	void (*raise)(void);
	void (*drop)(void);
};

enum csv_cred_mode {
	/* the process (smbd) already runs as the user; cred is not looked at */
	CSV_CRED_AMBIENT,
	/* the calling thread takes on cred by raw system calls (csvd) */
	CSV_CRED_THREAD,
};

struct csv_local_params {
	int rootfd; /* the volume's root; duplicated */
	uint64_t epoch;
	enum csv_cred_mode cred_mode;
	const struct csv_privilege *priv;
	bool threads; /* asynchronous data by threads even with io_uring */
	/* changes of names are stable when answered, also without CSV_F_STABLE */
	bool stable_names;
};

/*
 * A local backend. Thread-safe in CSV_CRED_THREAD mode (different threads,
 * one backend, files not shared while closing), apart from *_send. Creates
 * CSV_HIDDEN_DIR where missing (mode 0700, root).
 */
int csv_local_create(TALLOC_CTX *mem_ctx,
		     const struct csv_local_params *params,
		     struct csv_backend **backend);

/*
 * Does the file system still answer, and its storage take a write? False
 * after a shutdown (EIO to all) or a forced read-only, and when the device is
 * gone: then an EIO is no answer for an application. Blocks.
 */
bool csv_backend_alive(struct csv_backend *backend);

/* Remove what CSV_HIDDEN_DIR still keeps. Only by a new owner, before the
 * first down-level handle is opened again... and only those files that no
 * survivor still holds: called once replay is over. *removed counts. */
int csv_local_sweep(struct csv_backend *backend, unsigned *removed);

struct csv_remote_params {
	struct tevent_context *ev;
	const char *volume;
	const char *address;	/* numeric IPv4 or IPv6 of the owner */
	uint16_t port;
	uint64_t epoch;
	uint32_t local_node;	/* CTDB node number of this node */
	uint32_t remote_node;
	const uint8_t *psk;	/* 32 bytes; not kept */
	const char *psk_identity;
	bool plain;		/* no TLS records after the handshake */
	/* 16 bytes, whose tokens these are; NULL: this process's */
	const uint8_t *client;
	/*
	 * A synchronous wait also polls this descriptor (csvd's control
	 * socket), -1: none, and calls wake_fn when it is readable, or when
	 * nothing has come for a quarter of a second; wake_fn returns true
	 * when the wait must end with CSV_E_LOST.
	 */
	int wake_fd;
	bool (*wake_fn)(void *private_data);
	/* the connection broke while no synchronous call was waiting */
	void (*lost_fn)(void *private_data);
	void *private_data;
};

struct csv_remote_start;

/*
 * Begin to make a remote backend: connect, authenticate, attach the volume.
 * Never blocks: 0 or errno or CSV_E_LOST. fn is called once from the event
 * loop when csv_remote_finish() has something to say, at the latest after
 * timeout_ms; it may finish or free the start. Freeing gives the attempt up.
 */
int csv_remote_start(TALLOC_CTX *mem_ctx,
		     const struct csv_remote_params *params,
		     unsigned timeout_ms,
		     void (*fn)(void *private_data),
		     void *private_data,
		     struct csv_remote_start **start);
/*
 * Where the event loop cannot run: go on with it, for at most timeout_ms (and
 * not much longer than a quarter of a second). wake_fn is called as in any
 * synchronous wait, fn is not.
 */
void csv_remote_turn(struct csv_remote_start *start, unsigned timeout_ms);
/*
 * EAGAIN: not yet. 0: *backend is there, a child of mem_ctx. CSV_E_LOST:
 * nobody answers; CSV_E_STALE: it answers, but does not own that epoch;
 * EACCES: key refused. The start is freed unless EAGAIN.
 */
int csv_remote_finish(struct csv_remote_start *start,
		      TALLOC_CTX *mem_ctx,
		      struct csv_backend **backend);

/* All three in one, blocking at most timeout_ms. */
int csv_remote_create(TALLOC_CTX *mem_ctx,
		      const struct csv_remote_params *params,
		      unsigned timeout_ms,
		      struct csv_backend **backend);

#endif /* _CSV_VOLUME_BACKEND_H_ */
