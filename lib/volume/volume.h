/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The volume interface: the only door to a volume's files for an application
 * process (smbd's vfs_csv today, a FUSE mount later).
 *
 * A csv_volume follows the volume through its states and owners; a csv_handle
 * is virtual: it knows how to open its down-level handle (a csv_file of the
 * backend of the day) again after a change of owner, with exactly the access
 * first granted. The operations are those of backend.h, with the same names,
 * arguments and blocking behaviour, but:
 *
 *   - they return 0 or an errno value only. While the volume is not Active a
 *     synchronous call waits (poll(2), no application callback runs) until it
 *     is, at most the volume's wait limit: then ENXIO. Callers that can wait
 *     elsewhere look at csv_volume_state() first (parking).
 *   - CSV_E_LOST and CSV_E_STALE never leave: the operation is done again on
 *     the next owner; one that is not repeatable is sent with CSV_F_REPLAY.
 *   - asynchronous requests in flight simply take longer.
 *
 * Single-threaded: everything of one csv_volume on one thread.
 */
#ifndef _CSV_VOLUME_H_
#define _CSV_VOLUME_H_

#include <sys/types.h>
#include "backend.h"
#include "state.h"

struct csv_volume;
struct csv_handle;

enum csv_access {
	CSV_ACCESS_NONE = 0,
	CSV_ACCESS_DIRECT = 1,
	CSV_ACCESS_REDIRECTED = 2,	  /* file-system redirected */
	CSV_ACCESS_BLOCK_REDIRECTED = 3, /* kept free for block-direct */
};

/* Where the volume's files are, from csvd (or from a test). */
struct csv_target {
	enum csv_access access;
	uint64_t epoch;
	uint32_t owner;	       /* CTDB node number */
	int rootfd;	       /* direct: the mounted root, borrowed; else -1 */
	const char *address;   /* redirected: the owner's numeric address */
	uint16_t port;
	uint32_t local_node;
	uint8_t psk[32];
	const char *psk_identity;
	bool plain;
	/* the predecessor released in order: every write reached the disk */
	bool clean;
	/*
	 * Others replay: until READY this process may do the same, and
	 * nothing else. Direct access only (a redirected process is told
	 * READY, the owner lets it wait).
	 */
	bool grace;
};

struct csv_volume_params {
	struct tevent_context *ev;
	const char *name;
	uint8_t uuid[16];	/* device number is made from it */
	unsigned wait_limit_s;	/* 0: for ever */
	const struct csv_privilege *priv; /* borrowed, may be NULL */
	/*
	 * The state changed (for parking). Only ever called from the event
	 * loop, never from inside a synchronous call. May free handles.
	 */
	void (*state_fn)(struct csv_volume *vol,
			 enum csv_state old_state,
			 enum csv_state new_state,
			 void *private_data);
	/*
	 * Every down-level handle is closed after a DRAIN: csvd waits for it
	 * (control.c answers csvd). May be called from anywhere.
	 */
	void (*drained_fn)(struct csv_volume *vol, void *private_data);
	/*
	 * All that had to be done again at this owner is done. May be NULL,
	 * may be called from anywhere.
	 */
	void (*replayed_fn)(struct csv_volume *vol, void *private_data);
	void *private_data;
	/*
	 * Polled while a synchronous call waits: fd (-1: none) readable, or
	 * 200 ms over -> wake_fn reads what came, without blocking, and
	 * applies it (csv_volume_event).
	 */
	int wake_fd;
	void (*wake_fn)(void *private_data);
	void *wake_private;
};

/* In state Init. Non-blocking. */
int csv_volume_create(TALLOC_CTX *mem_ctx,
		      const struct csv_volume_params *params,
		      struct csv_volume **vol);

/* csvd's descriptor changed (csvd restarted); -1: none for now. */
void csv_volume_set_wake_fd(struct csv_volume *vol, int fd);

/*
 * Something happened. target is needed for CSV_EVENT_TARGET (copied; rootfd
 * duplicated), NULL otherwise. Safe inside wake_fn. Impossible events are
 * logged and ignored: EINVAL.
 */
int csv_volume_event(struct csv_volume *vol,
		     enum csv_event event,
		     const struct csv_target *target);

enum csv_state csv_volume_state(const struct csv_volume *vol);
enum csv_access csv_volume_access(const struct csv_volume *vol);
/* As csvd told last: access that may not be ready yet. */
enum csv_access csv_volume_told_access(const struct csv_volume *vol);
uint64_t csv_volume_epoch(const struct csv_volume *vol);
/* CTDB number of the node that owned it when csvd last said so. */
uint32_t csv_volume_owner(const struct csv_volume *vol);
const char *csv_volume_name(const struct csv_volume *vol);
/* The same on every node; from the UUID. Never 0. */
dev_t csv_volume_dev(const struct csv_volume *vol);

/* Wait (blocking) until Active: 0, ENXIO (Init, given up), ETIMEDOUT. */
int csv_volume_wait(struct csv_volume *vol, unsigned timeout_ms);

/*
 * The process ends: from now on nothing waits; what cannot be done at once
 * fails with ENXIO.
 */
void csv_volume_shutdown(struct csv_volume *vol);

/* Counters since creation, for statistics and tests. */
struct csv_volume_counters {
	uint64_t direct_ops, direct_read_bytes, direct_write_bytes;
	uint64_t redirected_ops, redirected_read_bytes, redirected_write_bytes;
	uint64_t reopened, reopen_failed, replayed, waited_ms;
};
void csv_volume_counters(const struct csv_volume *vol,
			 struct csv_volume_counters *counters);

/*
 * Virtual handles. A handle is a talloc child of mem_ctx; freeing it closes
 * it (never waits, never fails). A NULL dir means the root of the volume.
 */
int csv_open(struct csv_volume *vol,
	     TALLOC_CTX *mem_ctx,
	     const struct csv_cred *cred,
	     struct csv_handle *dir,
	     const char *name,
	     uint32_t how,
	     uint32_t mode,
	     struct csv_handle **handle,
	     struct csv_stat *st);

/* Open a file by its handle as root with exactly this access (reconnect). */
int csv_open_fh(struct csv_volume *vol,
		TALLOC_CTX *mem_ctx,
		const struct csv_fhandle *fh,
		uint32_t how,
		struct csv_handle **handle,
		struct csv_stat *st);

/*
 * The same for what a listing named (csv_extra.fh): the down-level file is
 * opened only when something is asked of it. how: CSV_O_PATH, with
 * CSV_O_NOFOLLOW or CSV_O_DIRECTORY or without.
 */
int csv_open_fh_later(struct csv_volume *vol,
		      TALLOC_CTX *mem_ctx,
		      const struct csv_fhandle *fh,
		      uint32_t how,
		      struct csv_handle **handle);

/* The name of the file that survives everything; always known. */
const struct csv_fhandle *csv_handle_fh(const struct csv_handle *handle);
uint32_t csv_handle_how(const struct csv_handle *handle);

int csv_fstat(struct csv_handle *h, struct csv_stat *st);
int csv_statat(struct csv_volume *vol,
	       const struct csv_cred *cred,
	       struct csv_handle *dir,
	       const char *name,
	       uint32_t flags,
	       struct csv_stat *st,
	       struct csv_fhandle *fh);
int csv_setattr(struct csv_handle *h,
		const struct csv_cred *cred,
		const char *name,
		const struct csv_setattr *attr,
		uint32_t flags);
int csv_readdir(struct csv_handle *dir,
		TALLOC_CTX *mem_ctx,
		const struct csv_cred *cred,
		uint64_t cookie,
		uint32_t max_bytes,
		const struct csv_want *want,
		struct csv_dirlist **list);
int csv_mkdir(struct csv_volume *vol,
	      const struct csv_cred *cred,
	      struct csv_handle *dir,
	      const char *name,
	      uint32_t mode,
	      uint32_t flags);
int csv_mknod(struct csv_volume *vol,
	      const struct csv_cred *cred,
	      struct csv_handle *dir,
	      const char *name,
	      uint32_t mode,
	      uint64_t rdev,
	      uint32_t flags);
int csv_symlink(struct csv_volume *vol,
		const struct csv_cred *cred,
		struct csv_handle *dir,
		const char *name,
		const char *target,
		uint32_t flags);
int csv_readlink(struct csv_volume *vol,
		 TALLOC_CTX *mem_ctx,
		 const struct csv_cred *cred,
		 struct csv_handle *dir,
		 const char *name,
		 char **target);
int csv_link(struct csv_volume *vol,
	     const struct csv_cred *cred,
	     struct csv_handle *src_dir,
	     const char *src_name,
	     struct csv_handle *dst_dir,
	     const char *dst_name,
	     uint32_t flags);
int csv_rename(struct csv_volume *vol,
	       const struct csv_cred *cred,
	       struct csv_handle *src_dir,
	       const char *src_name,
	       struct csv_handle *dst_dir,
	       const char *dst_name,
	       uint32_t flags);
int csv_unlink(struct csv_volume *vol,
	       const struct csv_cred *cred,
	       struct csv_handle *dir,
	       const char *name,
	       uint32_t flags);
int csv_fallocate(struct csv_handle *h,
		  uint32_t mode,
		  int64_t offset,
		  int64_t length);
int csv_seek(struct csv_handle *h,
	     int64_t offset,
	     int whence,
	     int64_t *result);
int csv_copy_range(struct csv_handle *src,
		   int64_t src_off,
		   struct csv_handle *dst,
		   int64_t dst_off,
		   uint64_t length,
		   uint32_t flags,
		   uint64_t *copied);
int csv_statfs(struct csv_volume *vol,
	       struct csv_handle *h, /* NULL: the root */
	       struct csv_statfs *sfs);
int csv_getxattr(struct csv_handle *h,
		 const struct csv_cred *cred,
		 const char *name,
		 void *value,
		 size_t *size);
int csv_setxattr(struct csv_handle *h,
		 const struct csv_cred *cred,
		 const char *name,
		 const void *value,
		 size_t size,
		 uint32_t flags);
int csv_listxattr(struct csv_handle *h,
		  const struct csv_cred *cred,
		  char *list,
		  size_t *size);
int csv_removexattr(struct csv_handle *h,
		    const struct csv_cred *cred,
		    const char *name,
		    uint32_t flags);
int csv_pread(struct csv_handle *h,
	      void *buf,
	      size_t n,
	      int64_t offset,
	      size_t *nread);
int csv_pwrite(struct csv_handle *h,
	       const void *buf,
	       size_t n,
	       int64_t offset,
	       uint32_t flags,
	       size_t *nwritten);
int csv_fsync(struct csv_handle *h, uint32_t flags);
/*
 * Before the application closes it: what the owner has in its memory only is
 * brought to the disk, at the next owner if that one dies meanwhile. As
 * csv_fsync(), but does nothing when there is no such write, and nothing while
 * the volume is not Active: who goes then does not wait.
 */
int csv_settle(struct csv_handle *h);

struct tevent_req *csv_pread_send(TALLOC_CTX *mem_ctx,
				  struct tevent_context *ev,
				  struct csv_handle *h,
				  void *buf,
				  size_t n,
				  int64_t offset);
/* Smaller ones are copied: there is no need to look for their owner. */
#define CSV_OWNED_MIN ((size_t)64 * 1024)
/*
 * owner: NULL, or the talloc chunk that holds `buf` and that nobody changes
 * any more. What must be kept after the answer (a write that the owner of the
 * volume has in its memory only) then refers to the chunk when most of that is
 * `buf` and copying were dear; it is not looked at after the answer otherwise.
 */
struct tevent_req *csv_pwrite_send(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   struct csv_handle *h,
				   const void *buf,
				   size_t n,
				   int64_t offset,
				   uint32_t flags,
				   const void *owner);
struct tevent_req *csv_fsync_send(TALLOC_CTX *mem_ctx,
				  struct tevent_context *ev,
				  struct csv_handle *h,
				  uint32_t flags);
/* For all three: 0 or errno; *n bytes moved (may be NULL). */
int csv_io_recv(struct tevent_req *req, size_t *n);

#endif /* _CSV_VOLUME_H_ */
