/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of the remote backend: remote_start.c (connecting, life),
 * remote.c (files, data), remote_call.c (one synchronous request,
 * credentials), remote_names.c and remote_attr.c (operations).
 */
#ifndef _CSV_VOLUME_REMOTE_PRIVATE_H_
#define _CSV_VOLUME_REMOTE_PRIVATE_H_

#include "lib/volume/backend.h"
#include "lib/wire/conn.h"

#define REMOTE_CREDS 64
#define REMOTE_VOLUME_ID 1

struct remote_backend;

struct remote_file {
	struct csv_file file;
	struct remote_backend *rb;
	uint64_t handle;
};

struct remote_cred {
	struct csv_cred cred; /* groups: talloc child of the backend */
	bool used;
	uint64_t last;
};

struct remote_backend {
	struct csv_backend backend;
	struct tevent_context *ev;
	struct csv_conn *conn;
	struct remote_file *root;
	struct GUID client;
	uint64_t token;
	uint64_t cred_clock;
	struct remote_cred creds[REMOTE_CREDS];
};

static inline struct remote_backend *remote_backend(struct csv_backend *b)
{
	return (struct remote_backend *)b;
}

static inline struct remote_file *remote_file(struct csv_file *file)
{
	return (struct remote_file *)file;
}

/* remote_call.c */

struct remote_call {
	struct remote_backend *rb;
	enum csv_op op;
	const struct csv_cred *cred; /* NULL: the operation needs none */
	bool replay;
	bool once; /* not repeatable: goes with a token */
	const void *req;
	TALLOC_CTX *mem_ctx; /* what rep points to */
	void *rep;	     /* NULL: no interest in the answer's body */
};

/* Send and wait: 0, errno or CSV_E_*. */
int remote_call(struct remote_call *c);
/* EINVAL or ENAMETOOLONG for what cannot travel. */
int remote_name(const char *name, struct csv_bytes *b);
int remote_status(int status);

/* remote.c */
extern const struct csv_backend_ops remote_ops;
int remote_file_new(struct remote_backend *rb,
		    TALLOC_CTX *mem_ctx,
		    uint64_t handle,
		    uint32_t how,
		    struct remote_file **file);

/* remote_names.c */
int remote_open(struct csv_backend *b,
		TALLOC_CTX *mem_ctx,
		const struct csv_cred *cred,
		struct csv_file *dir,
		const char *name,
		uint32_t how,
		uint32_t mode,
		struct csv_file **file,
		struct csv_stat *st,
		struct csv_fhandle *fh);
int remote_open_fh(struct csv_backend *b,
		   TALLOC_CTX *mem_ctx,
		   const struct csv_fhandle *fh,
		   uint32_t how,
		   struct csv_file **file,
		   struct csv_stat *st);
int remote_readdir(struct csv_file *dir,
		   TALLOC_CTX *mem_ctx,
		   const struct csv_cred *cred,
		   uint64_t cookie,
		   uint32_t max_bytes,
		   const struct csv_want *want,
		   struct csv_dirlist **list);
int remote_mkdir(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t mode,
		 uint32_t flags);
int remote_mknod(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t mode,
		 uint64_t rdev,
		 uint32_t flags);
int remote_symlink(struct csv_file *dir,
		   const struct csv_cred *cred,
		   const char *name,
		   const char *target,
		   uint32_t flags);
int remote_readlink(struct csv_file *dir,
		    TALLOC_CTX *mem_ctx,
		    const struct csv_cred *cred,
		    const char *name,
		    char **target);
int remote_link(struct csv_file *src_dir,
		const char *src_name,
		struct csv_file *dst_dir,
		const char *dst_name,
		const struct csv_cred *cred,
		uint32_t flags);
int remote_rename(struct csv_file *src_dir,
		  const char *src_name,
		  struct csv_file *dst_dir,
		  const char *dst_name,
		  const struct csv_cred *cred,
		  uint32_t flags);
int remote_unlink(struct csv_file *dir,
		  const struct csv_cred *cred,
		  const char *name,
		  uint32_t flags);

/* remote_attr.c */
int remote_fstat(struct csv_file *file, struct csv_stat *st);
int remote_statat(struct csv_file *dir,
		  const struct csv_cred *cred,
		  const char *name,
		  uint32_t flags,
		  struct csv_stat *st,
		  struct csv_fhandle *fh);
int remote_setattr(struct csv_file *file,
		   const struct csv_cred *cred,
		   const char *name,
		   const struct csv_setattr *attr,
		   uint32_t flags);
int remote_fallocate(struct csv_file *file,
		     uint32_t mode,
		     int64_t offset,
		     int64_t length);
int remote_seek(struct csv_file *file,
		int64_t offset,
		int whence,
		int64_t *result);
int remote_copy_range(struct csv_file *src,
		      int64_t src_off,
		      struct csv_file *dst,
		      int64_t dst_off,
		      uint64_t length,
		      uint32_t flags,
		      uint64_t *copied);
int remote_statfs(struct csv_file *file, struct csv_statfs *sfs);
int remote_getxattr(struct csv_file *file,
		    const struct csv_cred *cred,
		    const char *name,
		    void *value,
		    size_t *size);
int remote_setxattr(struct csv_file *file,
		    const struct csv_cred *cred,
		    const char *name,
		    const void *value,
		    size_t size,
		    uint32_t flags);
int remote_listxattr(struct csv_file *file,
		     const struct csv_cred *cred,
		     char *list,
		     size_t *size);
int remote_removexattr(struct csv_file *file,
		       const struct csv_cred *cred,
		       const char *name,
		       uint32_t flags);

#endif /* _CSV_VOLUME_REMOTE_PRIVATE_H_ */
