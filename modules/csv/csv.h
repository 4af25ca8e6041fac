/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of vfs_csv share: one csv_use per volume and process, one
 * csv_share per tree connect, one csv_handle per fsp; and how a VFS call
 * reaches them.
 *
 * Everything runs on smbd's main thread. Functions of the VFS table return
 * what Samba's VFS wants: -1 and errno, or an NTSTATUS.
 */
#ifndef _MODULES_CSV_CSV_H_
#define _MODULES_CSV_CSV_H_

#include "includes.h"
#include "smbd/smbd.h"
#include "smbd/globals.h"
#include "system/filesys.h"
#include "lib/volume/volume.h"
#include "lib/volume/control.h"

#undef DBGC_CLASS
#define DBGC_CLASS DBGC_VFS

/* Where clients' paths of all volumes begin. */
#define CSV_MOUNT_ROOT "/csv/"

struct csv_stats;
struct csv_tcon_wait;

/* A volume that this process uses. Freed with its last reference. */
struct csv_use {
	struct csv_use *prev, *next;
	struct csv_volume *vol;
	struct csv_share *shares;
	struct csv_tcon_wait *waits;
	struct tevent_timer *linger;
	struct csv_stats *stats;
};

/* A tree connect. */
struct csv_share {
	struct csv_share *prev, *next;
	struct connection_struct *conn;
	struct csv_use *use;
	struct csv_handle *root; /* NULL before open_share_root */
	bool root_invalid;	 /* the volume was Init since */
	char *sub;		 /* below the volume's root; "." for itself */
	bool stable;		 /* share with continuous availability */
};

/*
 * What hangs on an fsp: its virtual handle; or, where smbd walks an absolute
 * path from its beginning, one of the directories above the volume ("/" and
 * "/csv"), which exist in name only.
 */
struct csv_fsp {
	struct csv_handle *h;
	const char *above;
	/* what the open brought, for the fstat that smbd does next */
	struct csv_stat opened;
	uint64_t opened_serial;
	struct timespec opened_at;
	uint64_t listed; /* of the listing that brought it; 0: opened */
	/* of a persistent handle: the directory that it was opened in */
	struct csv_fhandle *dir;
};

/* options.c */
bool csv_options_check(int snum);
void csv_options_force(int snum);
/* "/csv/VOLUME/a/b" -> "a/b"; "." for the root itself; NULL: not inside. */
char *csv_path_in_volume(TALLOC_CTX *mem_ctx,
			 const char *path,
			 const char *volume);
/* Absolute, no "//", "/." or "/.." left. NULL: no memory or not absolute. */
char *csv_path_normalise(TALLOC_CTX *mem_ctx, const char *path);

/* process.c */
int csv_use_get(const char *volume, const char *socket, struct csv_use **use);
/* Frees *use when nothing refers to it any more. */
void csv_use_put(struct csv_use *use);
/*
 * The same in a while: between the end of a tree connect's wait and its next
 * try nothing refers to the volume, and the way to its owner must outlive that.
 */
void csv_use_put_later(struct csv_use *use);
/* What csvd told of the nodes (lib/node/node.h); 0 without a csvd. */
uint16_t csv_process_max_dialect(void);
bool csv_process_drained(void);

/* park.c */
void csv_park_state(struct csv_volume *vol,
		    enum csv_state old_state,
		    enum csv_state new_state,
		    void *private_data);
/* true: the tree connect waits; the caller fails it without a word. */
bool csv_park_connect(struct connection_struct *conn, struct csv_use *use);
void csv_park_share(struct csv_share *share);
/* The client is gone: from now on nothing waits for the volume. */
void csv_park_teardown(struct csv_share *share);

/* redirect.c */
bool csv_redirect_options_ok(int snum, const char *service);
/*
 * Announces what the share is. true: the client is sent to the owner; the
 * caller fails the tree connect without a word.
 */
bool csv_redirect_connect(struct csv_share *share, const char *service);

/* dialect.c */
bool csv_dialect_options_ok(int snum, const char *service);
/*
 * true: the client is told to use a lower dialect; the caller fails the tree
 * connect without a word.
 */
bool csv_dialect_refuse(struct csv_share *share, const char *service);

/* stats.c */
struct csv_stats *csv_stats_create(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   struct csv_volume *vol,
				   const char *socket);
void csv_stats_write(struct csv_stats *stats);

/* at.c: how a VFS call finds share, directory, name, handle and user */
struct csv_at {
	struct csv_handle *dir;
	const char *name; /* never "" */
};

struct csv_share *csv_share_of(struct vfs_handle_struct *handle);
struct csv_volume *csv_vol(struct vfs_handle_struct *handle);
struct csv_handle *csv_handle_of(struct vfs_handle_struct *handle,
				 const struct files_struct *fsp);
bool csv_at(struct vfs_handle_struct *handle,
	    const struct files_struct *dirfsp,
	    const struct smb_filename *smb_fname,
	    struct csv_at *at);
/* "/" or "/csv", when that is what is meant; else NULL */
const char *csv_at_above(struct vfs_handle_struct *handle,
			 const struct files_struct *dirfsp,
			 const struct smb_filename *smb_fname);
bool csv_is_above(struct vfs_handle_struct *handle,
		  const struct files_struct *fsp);
bool csv_at_cwd(struct vfs_handle_struct *handle,
		const struct smb_filename *smb_fname,
		struct csv_at *at);
const struct csv_cred *csv_cred_now(struct vfs_handle_struct *handle);
/* CSV_F_STABLE where the share promises it */
uint32_t csv_stable(struct vfs_handle_struct *handle);
bool csv_cred_equal(const struct csv_cred *a, const struct csv_cred *b);
/* The number of the present VFS call on any volume, from 1. */
uint64_t csv_call_serial(void);
/* the errno value that smbd shall see */
int csv_error(int error);
/* 0 -> 0; an errno value -> -1 and errno */
int csv_ret(int error);
void csv_stat_to_smb(struct vfs_handle_struct *handle,
		     const struct csv_stat *st,
		     SMB_STRUCT_STAT *sbuf);

/* conn.c */
int csv_vfs_connect(struct vfs_handle_struct *handle,
		    const char *service,
		    const char *user);
void csv_vfs_disconnect(struct vfs_handle_struct *handle);
int csv_vfs_open_share_root(struct vfs_handle_struct *handle,
			    struct files_struct *root_fsp,
			    const char *connectpath);
int csv_vfs_chdir(struct vfs_handle_struct *handle,
		  const struct smb_filename *smb_fname);
/* Init made every handle invalid; the share itself outlives that. */
void csv_share_reopen_root(struct csv_share *share);
struct smb_filename *csv_vfs_realpath(struct vfs_handle_struct *handle,
				      TALLOC_CTX *ctx,
				      const struct smb_filename *smb_fname);

/* open.c */
int csv_vfs_openat(struct vfs_handle_struct *handle,
		   const struct files_struct *dirfsp,
		   const struct smb_filename *smb_fname,
		   struct files_struct *fsp,
		   const struct vfs_open_how *how);
int csv_vfs_close(struct vfs_handle_struct *handle, struct files_struct *fsp);

/* data.c */
/* Does a client's request wait to be read by this smbd? */
bool csv_more_requests(void);
ssize_t csv_vfs_pread(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      void *data,
		      size_t n,
		      off_t offset);
struct tevent_req *csv_vfs_pread_send(struct vfs_handle_struct *handle,
				      TALLOC_CTX *mem_ctx,
				      struct tevent_context *ev,
				      struct files_struct *fsp,
				      void *data,
				      size_t n,
				      off_t offset);
ssize_t csv_vfs_pwrite(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       const void *data,
		       size_t n,
		       off_t offset);
struct tevent_req *csv_vfs_pwrite_send(struct vfs_handle_struct *handle,
				       TALLOC_CTX *mem_ctx,
				       struct tevent_context *ev,
				       struct files_struct *fsp,
				       const void *data,
				       size_t n,
				       off_t offset);
/* pread_recv and pwrite_recv */
ssize_t csv_vfs_io_recv(struct tevent_req *req, struct vfs_aio_state *state);
struct tevent_req *csv_vfs_fsync_send(struct vfs_handle_struct *handle,
				      TALLOC_CTX *mem_ctx,
				      struct tevent_context *ev,
				      struct files_struct *fsp);
int csv_vfs_fsync_recv(struct tevent_req *req, struct vfs_aio_state *state);
off_t csv_vfs_lseek(struct vfs_handle_struct *handle,
		    struct files_struct *fsp,
		    off_t offset,
		    int whence);
ssize_t csv_vfs_sendfile(struct vfs_handle_struct *handle,
			 int tofd,
			 struct files_struct *fromfsp,
			 const DATA_BLOB *header,
			 off_t offset,
			 size_t count);
ssize_t csv_vfs_recvfile(struct vfs_handle_struct *handle,
			 int fromfd,
			 struct files_struct *tofsp,
			 off_t offset,
			 size_t count);
int csv_vfs_ftruncate(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      off_t len);
int csv_vfs_fallocate(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      uint32_t mode,
		      off_t offset,
		      off_t len);
int csv_vfs_fcntl(struct vfs_handle_struct *handle,
		  struct files_struct *fsp,
		  int cmd,
		  va_list cmd_arg);

/* attr.c */
int csv_vfs_stat(struct vfs_handle_struct *handle,
		 struct smb_filename *smb_fname);
int csv_vfs_lstat(struct vfs_handle_struct *handle,
		  struct smb_filename *smb_fname);
int csv_vfs_fstat(struct vfs_handle_struct *handle,
		  struct files_struct *fsp,
		  SMB_STRUCT_STAT *sbuf);
int csv_vfs_fstatat(struct vfs_handle_struct *handle,
		    const struct files_struct *dirfsp,
		    const struct smb_filename *smb_fname,
		    SMB_STRUCT_STAT *sbuf,
		    int flags);
uint64_t csv_vfs_get_alloc_size(struct vfs_handle_struct *handle,
				struct files_struct *fsp,
				const SMB_STRUCT_STAT *sbuf);
int csv_vfs_fchmod(struct vfs_handle_struct *handle,
		   struct files_struct *fsp,
		   mode_t mode);
int csv_vfs_fchown(struct vfs_handle_struct *handle,
		   struct files_struct *fsp,
		   uid_t uid,
		   gid_t gid);
int csv_vfs_lchown(struct vfs_handle_struct *handle,
		   const struct smb_filename *smb_fname,
		   uid_t uid,
		   gid_t gid);
int csv_vfs_fntimes(struct vfs_handle_struct *handle,
		    struct files_struct *fsp,
		    struct smb_file_time *ft);
uint64_t csv_vfs_disk_free(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   uint64_t *bsize,
			   uint64_t *dfree,
			   uint64_t *dsize);
int csv_vfs_fstatvfs(struct vfs_handle_struct *handle,
		     struct files_struct *fsp,
		     struct vfs_statvfs_struct *statbuf);
uint32_t csv_vfs_fs_capabilities(struct vfs_handle_struct *handle,
				 enum timestamp_set_resolution *p_ts_res);
struct file_id csv_vfs_file_id_create(struct vfs_handle_struct *handle,
				      const SMB_STRUCT_STAT *sbuf);
uint64_t csv_vfs_fs_file_id(struct vfs_handle_struct *handle,
			    const SMB_STRUCT_STAT *sbuf);

/* dir.c */
DIR *csv_vfs_fdopendir(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       const char *mask,
		       uint32_t attributes);
struct dirent *csv_vfs_readdir(struct vfs_handle_struct *handle,
			       struct files_struct *dirfsp,
			       DIR *dirp);
void csv_vfs_rewind_dir(struct vfs_handle_struct *handle, DIR *dirp);
int csv_vfs_closedir(struct vfs_handle_struct *handle, DIR *dirp);
NTSTATUS csv_vfs_get_real_filename_at(struct vfs_handle_struct *handle,
				      struct files_struct *dirfsp,
				      const char *name,
				      TALLOC_CTX *mem_ctx,
				      char **found_name);
/*
 * What the listing knows of the entry that it gave out last (dir.c says how
 * long that holds); NULL: nothing. Always with an extra. *serial is for
 * csv_listed_entry().
 */
const struct csv_dirent *csv_listed_at(const struct csv_at *at,
				       const struct csv_cred *cred,
				       uint64_t *serial);
const struct csv_dirent *csv_listed_entry(uint64_t serial);
/* Of that entry: is it this user's listing? */
bool csv_listed_by(const struct csv_cred *cred);
/* false: ask the owner; true and *value NULL: it has none */
bool csv_listed_getxattr(const struct csv_dirent *entry,
			 const struct csv_cred *cred,
			 const char *name,
			 const struct csv_value **value);
/* Something is about to change: what listings brought may be wrong. */
void csv_listed_forget(void);

/* names.c */
int csv_vfs_mkdirat(struct vfs_handle_struct *handle,
		    struct files_struct *dirfsp,
		    const struct smb_filename *smb_fname,
		    mode_t mode);
int csv_vfs_mknodat(struct vfs_handle_struct *handle,
		    struct files_struct *dirfsp,
		    const struct smb_filename *smb_fname,
		    mode_t mode,
		    SMB_DEV_T dev);
int csv_vfs_renameat(struct vfs_handle_struct *handle,
		     struct files_struct *srcdir_fsp,
		     const struct smb_filename *smb_fname_src,
		     struct files_struct *dstdir_fsp,
		     const struct smb_filename *smb_fname_dst,
		     const struct vfs_rename_how *how);
int csv_vfs_unlinkat(struct vfs_handle_struct *handle,
		     struct files_struct *dirfsp,
		     const struct smb_filename *smb_fname,
		     int flags);
int csv_vfs_linkat(struct vfs_handle_struct *handle,
		   struct files_struct *srcfsp,
		   const struct smb_filename *old_smb_fname,
		   struct files_struct *dstfsp,
		   const struct smb_filename *new_smb_fname,
		   int flags);
int csv_vfs_symlinkat(struct vfs_handle_struct *handle,
		      const struct smb_filename *link_contents,
		      struct files_struct *dirfsp,
		      const struct smb_filename *new_smb_fname);
int csv_vfs_readlinkat(struct vfs_handle_struct *handle,
		       const struct files_struct *dirfsp,
		       const struct smb_filename *smb_fname,
		       char *buf,
		       size_t bufsiz);
NTSTATUS csv_vfs_create_dfs_pathat(struct vfs_handle_struct *handle,
				   struct files_struct *dirfsp,
				   const struct smb_filename *smb_fname,
				   const struct referral *reflist,
				   size_t referral_count);
NTSTATUS csv_vfs_read_dfs_pathat(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 struct files_struct *dirfsp,
				 struct smb_filename *smb_fname,
				 struct referral **ppreflist,
				 size_t *preferral_count);

/* xattr.c */
ssize_t csv_vfs_fgetxattr(struct vfs_handle_struct *handle,
			  struct files_struct *fsp,
			  const char *name,
			  void *value,
			  size_t size);
ssize_t csv_vfs_flistxattr(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   char *list,
			   size_t size);
int csv_vfs_fremovexattr(struct vfs_handle_struct *handle,
			 struct files_struct *fsp,
			 const char *name);
int csv_vfs_fsetxattr(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      const char *name,
		      const void *value,
		      size_t size,
		      int flags);

/* acl.c */
SMB_ACL_T csv_vfs_sys_acl_get_fd(struct vfs_handle_struct *handle,
				 struct files_struct *fsp,
				 SMB_ACL_TYPE_T type,
				 TALLOC_CTX *mem_ctx);
int csv_vfs_sys_acl_set_fd(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   SMB_ACL_TYPE_T type,
			   SMB_ACL_T theacl);
int csv_vfs_sys_acl_delete_def_fd(struct vfs_handle_struct *handle,
				  struct files_struct *fsp);

/* offload.c */
struct tevent_req *csv_vfs_offload_read_send(TALLOC_CTX *mem_ctx,
					     struct tevent_context *ev,
					     struct vfs_handle_struct *handle,
					     struct files_struct *fsp,
					     uint32_t fsctl,
					     uint32_t ttl,
					     off_t offset,
					     size_t to_copy);
NTSTATUS csv_vfs_offload_read_recv(struct tevent_req *req,
				   struct vfs_handle_struct *handle,
				   TALLOC_CTX *mem_ctx,
				   uint32_t *flags,
				   uint64_t *xferlen,
				   DATA_BLOB *token_blob);
struct tevent_req *csv_vfs_offload_write_send(
	struct vfs_handle_struct *handle,
	TALLOC_CTX *mem_ctx,
	struct tevent_context *ev,
	uint32_t fsctl,
	DATA_BLOB *token,
	off_t transfer_offset,
	struct files_struct *dest_fsp,
	off_t dest_off,
	off_t to_copy);
NTSTATUS csv_vfs_offload_write_recv(struct vfs_handle_struct *handle,
				    struct tevent_req *req,
				    off_t *copied);

/* lock.c */
bool csv_vfs_lock(struct vfs_handle_struct *handle,
		  struct files_struct *fsp,
		  int op,
		  off_t offset,
		  off_t count,
		  int type);
bool csv_vfs_getlock(struct vfs_handle_struct *handle,
		     struct files_struct *fsp,
		     off_t *poffset,
		     off_t *pcount,
		     int *ptype,
		     pid_t *ppid);
int csv_vfs_filesystem_sharemode(struct vfs_handle_struct *handle,
				 struct files_struct *fsp,
				 uint32_t share_access,
				 uint32_t access_mask);
int csv_vfs_linux_setlease(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   int leasetype);


/* whereabouts.c */
/* A directory's file handle behind smbd's cookie. */
void csv_cookie_add_dir(TALLOC_CTX *mem_ctx,
			const struct csv_fhandle *dir,
			DATA_BLOB *cookie);
/* Shortens the cookie to what is smbd's. false: there was nothing behind it. */
bool csv_cookie_split(DATA_BLOB *cookie, struct csv_fhandle *dir);
/* true: the file has another name now, and *new_cookie says it. Blocks. */
bool csv_cookie_rename(TALLOC_CTX *mem_ctx,
		       struct vfs_handle_struct *handle,
		       const struct csv_fhandle *dir,
		       DATA_BLOB old_cookie,
		       DATA_BLOB *new_cookie);

/* generic.c */
NTSTATUS csv_vfs_create_file(struct vfs_handle_struct *handle,
			     struct smb_request *req,
			     struct files_struct *dirfsp,
			     struct smb_filename *smb_fname,
			     uint32_t access_mask,
			     uint32_t share_access,
			     uint32_t create_disposition,
			     uint32_t create_options,
			     uint32_t file_attributes,
			     uint32_t oplock_request,
			     const struct smb2_lease *lease,
			     uint64_t allocation_size,
			     uint32_t private_flags,
			     struct security_descriptor *sd,
			     struct ea_list *ea_list,
			     struct files_struct **result,
			     int *pinfo,
			     const struct smb2_create_blobs *in_context_blobs,
			     struct smb2_create_blobs *out_context_blobs);
NTSTATUS csv_vfs_durable_cookie(struct vfs_handle_struct *handle,
				struct files_struct *fsp,
				TALLOC_CTX *mem_ctx,
				DATA_BLOB *cookie);
NTSTATUS csv_vfs_durable_disconnect(struct vfs_handle_struct *handle,
				    struct files_struct *fsp,
				    const DATA_BLOB old_cookie,
				    TALLOC_CTX *mem_ctx,
				    DATA_BLOB *new_cookie);
NTSTATUS csv_vfs_durable_reconnect(struct vfs_handle_struct *handle,
				   struct smb_request *smb1req,
				   struct smbXsrv_open *op,
				   const DATA_BLOB old_cookie,
				   const struct smb2_lease *lease,
				   TALLOC_CTX *mem_ctx,
				   struct files_struct **fsp,
				   DATA_BLOB *new_cookie);
NTSTATUS csv_vfs_fget_nt_acl(struct vfs_handle_struct *handle,
			     struct files_struct *fsp,
			     uint32_t security_info,
			     TALLOC_CTX *mem_ctx,
			     struct security_descriptor **ppdesc);
NTSTATUS csv_vfs_fset_nt_acl(struct vfs_handle_struct *handle,
			     struct files_struct *fsp,
			     uint32_t security_info_sent,
			     const struct security_descriptor *psd);
NTSTATUS csv_vfs_fget_dos_attributes(struct vfs_handle_struct *handle,
				     struct files_struct *fsp,
				     uint32_t *dosmode);
NTSTATUS csv_vfs_fset_dos_attributes(struct vfs_handle_struct *handle,
				     struct files_struct *fsp,
				     uint32_t dosmode);
NTSTATUS csv_vfs_brl_lock_windows(struct vfs_handle_struct *handle,
				  struct byte_range_lock *br_lck,
				  struct lock_struct *plock);
bool csv_vfs_brl_unlock_windows(struct vfs_handle_struct *handle,
				struct byte_range_lock *br_lck,
				const struct lock_struct *plock);
bool csv_vfs_strict_lock_check(struct vfs_handle_struct *handle,
			       struct files_struct *fsp,
			       struct lock_struct *plock);
NTSTATUS csv_vfs_translate_name(struct vfs_handle_struct *handle,
				const char *name,
				enum vfs_translate_direction direction,
				TALLOC_CTX *mem_ctx,
				char **mapped_name);
NTSTATUS csv_vfs_parent_pathname(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 const struct smb_filename *smb_fname_in,
				 struct smb_filename **parent_dir_out,
				 struct smb_filename **atname_out);
NTSTATUS csv_vfs_fstreaminfo(struct vfs_handle_struct *handle,
			     struct files_struct *fsp,
			     TALLOC_CTX *mem_ctx,
			     unsigned int *num_streams,
			     struct stream_struct **streams);
NTSTATUS csv_vfs_fsctl(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       TALLOC_CTX *ctx,
		       uint32_t function,
		       uint16_t req_flags,
		       const uint8_t *in_data,
		       uint32_t in_len,
		       uint8_t **out_data,
		       uint32_t max_out_len,
		       uint32_t *out_len);
NTSTATUS csv_vfs_fget_compression(struct vfs_handle_struct *handle,
				  TALLOC_CTX *mem_ctx,
				  struct files_struct *fsp,
				  uint16_t *compression_fmt);
NTSTATUS csv_vfs_set_compression(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 struct files_struct *fsp,
				 uint16_t compression_fmt);
NTSTATUS csv_vfs_get_dfs_referrals(struct vfs_handle_struct *handle,
				   struct dfs_GetDFSReferral *r);
NTSTATUS csv_vfs_freaddir_attr(struct vfs_handle_struct *handle,
			       struct files_struct *fsp,
			       TALLOC_CTX *mem_ctx,
			       struct readdir_attr_data **attr_data);
NTSTATUS csv_vfs_snap_check_path(struct vfs_handle_struct *handle,
				 TALLOC_CTX *mem_ctx,
				 const char *service_path,
				 char **base_volume);
NTSTATUS csv_vfs_snap_create(struct vfs_handle_struct *handle,
			     TALLOC_CTX *mem_ctx,
			     const char *base_volume,
			     time_t *tstamp,
			     bool rw,
			     char **base_path,
			     char **snap_path);
NTSTATUS csv_vfs_snap_delete(struct vfs_handle_struct *handle,
			     TALLOC_CTX *mem_ctx,
			     char *base_path,
			     char *snap_path);

#endif /* _MODULES_CSV_CSV_H_ */
