/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of the local backend, shared by local*.c.
 *
 * Identity: an operation that the caller's user must be allowed to do runs
 * between local_user() and the end; what needs root runs between
 * local_root_begin() and local_root_end(). In CSV_CRED_AMBIENT mode the
 * former does nothing and the latter asks the process (csv_privilege); in
 * CSV_CRED_THREAD mode both change the calling thread.
 *
 * Locks, in this order: the directories that lose names (local_lock.c),
 * hidden_mutex (with flock on hiddenfd, across processes), table_mutex. A
 * file's dir_mutex is taken alone.
 */
#ifndef _CSV_VOLUME_LOCAL_PRIVATE_H_
#define _CSV_VOLUME_LOCAL_PRIVATE_H_

#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>
#include "backend.h"
#include "local.h"

#define LOCAL_BUCKETS 4096 /* of the table of open files; a power of two */
#define LOCAL_DIR_MUTEXES 64
#define LOCAL_HEX_INO 17   /* a name in the hidden directory, with NUL */

struct local_file;

struct local_backend {
	struct csv_backend backend;
	int rootfd;   /* O_RDONLY: serves open_by_handle_at(2) too */
	int hiddenfd; /* O_RDONLY */
	int lockfd;
	int intentfd; /* directory of the intent records */
	pthread_mutex_t dir_mutexes[LOCAL_DIR_MUTEXES];
	uint64_t dev;
	uint64_t root_ino;
	uint64_t hidden_ino;
	enum csv_cred_mode cred_mode;
	struct csv_privilege priv;
	bool threads; /* no io_uring */
	/* XFS with wsync: namespace and attribute changes are stable */
	bool wsync;
	/* one log for all: fsync of the object covers its names as well */
	bool one_log;
	bool stable_names; /* makes names stable unasked */
	struct local_file *root;

	pthread_mutex_t table_mutex;
	struct local_file *table[LOCAL_BUCKETS]; /* regular files, by inode */

	pthread_mutex_t hidden_mutex;
	/* hiddenfd's ctime when it was last seen empty; 0,0: not known */
	struct timespec hidden_empty;
};

struct local_file {
	struct csv_file file;
	struct local_backend *lb;
	int fd;
	uint64_t ino;
	bool regular;
	bool stable_only; /* atomic; local_writers.c */
	bool hidden; /* table_mutex; its last name is in the hidden dir */
	struct local_file *prev, *next; /* table_mutex */
	pthread_mutex_t dir_mutex; /* position of fd as a directory */
	uint64_t dir_pos;
};

static inline struct local_backend *local_backend(struct csv_backend *b)
{
	return (struct local_backend *)b;
}

static inline struct local_file *local_file(struct csv_file *file)
{
	return (struct local_file *)file;
}

/* Is a change of names to be stable when it is answered? */
static inline bool local_stable_names(const struct local_backend *lb,
				      uint32_t flags)
{
	return (flags & CSV_F_STABLE) || lb->stable_names;
}

/* local_cred.c */

/* Be the user; cred NULL in THREAD mode: EINVAL. 0 or errno. */
int local_user(struct local_backend *lb, const struct csv_cred *cred);
/* Be root until local_root_end(). *state is for the latter. 0 or errno. */
int local_root_begin(struct local_backend *lb);
void local_root_end(struct local_backend *lb);
/*
 * Data of users: not root (a write must drop set-id bits), in THREAD mode.
 */
int local_data_user(struct local_backend *lb);

/* local_path.c */

/*
 * Open a name below dir with the open flags and mode of open(2), as the
 * present identity. Never leaves the volume nor enters the hidden directory.
 * nosymlinks: no component may be one (ELOOP).
 */
int local_resolve(struct local_backend *lb,
		  int dirfd,
		  const char *name,
		  int oflags,
		  mode_t mode,
		  bool nosymlinks,
		  int *fd);

/* The directory that holds the last component of a name, and that. */
struct local_parent {
	int fd;
	bool owned; /* close fd */
	bool slash; /* the name ended with slashes: a directory is meant */
	char last[256];
};
/* Free with local_parent_close() whatever it returned. */
int local_parent_open(struct local_backend *lb,
		      int dirfd,
		      const char *name,
		      struct local_parent *parent);
void local_parent_close(struct local_parent *parent);

/* "/proc/self/fd/N" */
struct local_procpath {
	char buf[32];
};
const char *local_procpath(struct local_procpath *p, int fd);

/* local_open.c */
int local_open(struct csv_backend *b,
	       TALLOC_CTX *mem_ctx,
	       const struct csv_cred *cred,
	       struct csv_file *dir,
	       const char *name,
	       uint32_t how,
	       uint32_t mode,
	       struct csv_file **file,
	       struct csv_stat *st,
	       struct csv_fhandle *fh);
int local_open_fh(struct csv_backend *b,
		  TALLOC_CTX *mem_ctx,
		  const struct csv_fhandle *fh,
		  uint32_t how,
		  struct csv_file **file,
		  struct csv_stat *st);
/* A csv_file for fd; takes fd over, closes it on failure. */
int local_file_new(struct local_backend *lb,
		   TALLOC_CTX *mem_ctx,
		   int fd,
		   uint32_t how,
		   const struct csv_stat *st,
		   struct local_file **file);

/* local_attr.c */
int local_stat_fd(int fd, struct csv_stat *st);
int local_stat_at(int dirfd, const char *name, struct csv_stat *st);
int local_fhandle_fd(int fd, struct csv_fhandle *fh);
int local_fstat(struct csv_file *file, struct csv_stat *st);
int local_statat(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t flags,
		 struct csv_stat *st,
		 struct csv_fhandle *fh);
int local_setattr(struct csv_file *file,
		  const struct csv_cred *cred,
		  const char *name,
		  const struct csv_setattr *attr,
		  uint32_t flags);
int local_statfs(struct csv_file *file, struct csv_statfs *sfs);
int local_getxattr(struct csv_file *file,
		   const struct csv_cred *cred,
		   const char *name,
		   void *value,
		   size_t *size);
int local_setxattr(struct csv_file *file,
		   const struct csv_cred *cred,
		   const char *name,
		   const void *value,
		   size_t size,
		   uint32_t flags);
int local_listxattr(struct csv_file *file,
		    const struct csv_cred *cred,
		    char *list,
		    size_t *size);
int local_removexattr(struct csv_file *file,
		      const struct csv_cred *cred,
		      const char *name,
		      uint32_t flags);

/* local_dir.c */
int local_readdir(struct csv_file *dir,
		  TALLOC_CTX *mem_ctx,
		  const struct csv_cred *cred,
		  uint64_t cookie,
		  uint32_t max_bytes,
		  const struct csv_want *want,
		  struct csv_dirlist **list);

/* local_names.c */
int local_mkdir(struct csv_file *dir,
		const struct csv_cred *cred,
		const char *name,
		uint32_t mode,
		uint32_t flags);
int local_mknod(struct csv_file *dir,
		const struct csv_cred *cred,
		const char *name,
		uint32_t mode,
		uint64_t rdev,
		uint32_t flags);
int local_symlink(struct csv_file *dir,
		  const struct csv_cred *cred,
		  const char *name,
		  const char *target,
		  uint32_t flags);
int local_readlink(struct csv_file *dir,
		   TALLOC_CTX *mem_ctx,
		   const struct csv_cred *cred,
		   const char *name,
		   char **target);
int local_link(struct csv_file *src_dir,
	       const char *src_name,
	       struct csv_file *dst_dir,
	       const char *dst_name,
	       const struct csv_cred *cred,
	       uint32_t flags);
int local_rename(struct csv_file *src_dir,
		 const char *src_name,
		 struct csv_file *dst_dir,
		 const char *dst_name,
		 const struct csv_cred *cred,
		 uint32_t flags);
int local_unlink(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t flags);

/* local_sync.c */

/* Find out what namespace operations of this file system guarantee. */
void local_sync_probe(struct local_backend *lb);
/*
 * Make stable what was done to the object (fd, -1: none to open) and its
 * name in one or two directories (-1: none). Needs no particular identity.
 */
int local_sync(struct local_backend *lb, int objfd, int dirfd, int dirfd2);
/* The same for an object that has just been made below a directory. */
int local_sync_at(struct local_backend *lb, int dirfd, const char *name);
/*
 * After a call that makes something stable, any descriptor of the file
 * system: 0, or EIO when it was shut down in the meantime and the call's
 * success proves nothing.
 */
int local_still_up(int fd);
/* fsync(2) or fdatasync(2) of any descriptor, O_PATH ones included. */
int local_fsync_fd(struct local_backend *lb, int fd, bool data_only);

/* local_data.c */
int local_fallocate(struct csv_file *file,
		    uint32_t mode,
		    int64_t offset,
		    int64_t length);
int local_seek(struct csv_file *file,
	       int64_t offset,
	       int whence,
	       int64_t *result);
int local_copy_range(struct csv_file *src,
		     int64_t src_off,
		     struct csv_file *dst,
		     int64_t dst_off,
		     uint64_t length,
		     uint32_t flags,
		     uint64_t *copied);
int local_pread(struct csv_file *file,
		void *buf,
		size_t n,
		int64_t offset,
		size_t *nread);
int local_pwrite(struct csv_file *file,
		 const void *buf,
		 size_t n,
		 int64_t offset,
		 uint32_t flags,
		 size_t *nwritten);
int local_fsync(struct csv_file *file, uint32_t flags);

/* local_io.c */
struct tevent_req *local_pread_send(TALLOC_CTX *mem_ctx,
				    struct tevent_context *ev,
				    struct csv_file *file,
				    void *buf,
				    size_t n,
				    int64_t offset);
struct tevent_req *local_pwrite_send(TALLOC_CTX *mem_ctx,
				     struct tevent_context *ev,
				     struct csv_file *file,
				     const void *buf,
				     size_t n,
				     int64_t offset,
				     uint32_t flags);
struct tevent_req *local_fsync_send(TALLOC_CTX *mem_ctx,
				    struct tevent_context *ev,
				    struct csv_file *file,
				    uint32_t flags);
int local_recv(struct tevent_req *req, size_t *n);

/* local_writers.c */

/*
 * A file was opened: when it is for writing, tell other writers, and make what
 * is unstable stable when there are some. 0 or errno.
 */
int local_writers_open(struct local_file *f);

/* local_lock.c */
int local_lock_create(struct local_backend *lb);
void local_lock_destroy(struct local_backend *lb);

/* Held while names of one or two directories are removed. */
struct local_dirlock {
	uint64_t ino[2];
	unsigned num;
};
int local_dirs_lock(struct local_backend *lb,
		    int fd1,
		    int fd2, /* -1: only one */
		    struct local_dirlock *l);
/*
 * From now on local_dirs_lock() in this thread finds these taken; NULL: no
 * more. What it does not find is EAGAIN: begin again.
 */
void local_dirs_hold(const struct local_dirlock *l);
/* A no-op for one that was not locked. */
void local_dirs_unlock(struct local_backend *lb, struct local_dirlock *l);

/* local_intent.c */
int local_intent_create(struct local_backend *lb);

/* local_hidden.c */
int local_hidden_create(struct local_backend *lb);
void local_table_add(struct local_file *f);
/* Was it the last own open of its inode? */
bool local_table_remove(struct local_file *f);

/*
 * A name, in a locked directory, is about to lose its file.
 * local_victim_begin() looks at what it
 * names: when somebody has that open it gets a name in the hidden directory;
 * when nobody has, nobody can open it until local_victim_end(), which must
 * be called with the result of the operation, as root or not.
 */
struct local_victim {
	struct csv_stat st;
	int probe;  /* -1: no regular file there, nothing to do */
	bool exists; /* anything has that name; st is valid */
	bool locked;
	bool linked; /* by us: the hidden name */
};
int local_victim_begin(struct local_backend *lb,
		       const struct local_parent *parent,
		       struct local_victim *v);
void local_victim_end(struct local_backend *lb,
		      struct local_victim *v,
		      bool gone);
/* The last own open of this inode was closed: is it to be forgotten? */
void local_hidden_closed(struct local_backend *lb, uint64_t ino);
/* Is the only name of this inode the one in the hidden directory? */
bool local_hidden_has(struct local_backend *lb, uint64_t ino);

#endif /* _CSV_VOLUME_LOCAL_PRIVATE_H_ */
