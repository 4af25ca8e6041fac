/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of vfs_ca share.
 */
#ifndef _MODULES_CA_CA_H_
#define _MODULES_CA_CA_H_

#include "includes.h"
#include "smbd/smbd.h"
#include "smbd/globals.h"
#include "system/filesys.h"
#include "lib/opens/made.h"

#undef DBGC_CLASS
#define DBGC_CLASS DBGC_VFS

/* A tree connect of a share with the promise; others have none: NULL. */
struct ca_share {
	bool stable_below;
	struct ca_create *create; /* the one that is being done, intent.c's */
};

struct ca_share *ca_share_of(struct vfs_handle_struct *handle);

/* instance.c */
struct ca_instance {
	struct GUID id;
	uint64_t high, low; /* version; both 0: none */
};

/* false: the CREATE names none. */
bool ca_instance_parse(const struct smb2_create_blobs *blobs,
		       struct ca_instance *instance);
/*
 * Closes other clients' opens of the file for the same instance. Waits for
 * their smbds. FILE_FORCED_CLOSED: theirs is of a newer version.
 */
NTSTATUS ca_instance_take(struct connection_struct *conn,
			  struct files_struct *dirfsp,
			  const struct smb_filename *smb_fname,
			  const struct ca_instance *instance);

/* intent.c: what a CREATE has made is its when it is repeated */
/* On the stack of who does the CREATE. */
struct ca_create {
	struct ca_create *outer;
	uint8_t by[CSV_MADE_BY]; /* which CREATE, whose */
	const char *name;	/* of what it makes, without a path */
	bool again;		/* it is there already: made */
	struct file_id made;
	char *folder; /* the name under which a directory was made */
	bool stored;  /* who made the directory */
};

/*
 * Around NEXT_CREATE_FILE, on a share with the promise. smb_fname is one
 * without a file after it, if the file is this CREATE's own.
 */
void ca_create_begin(struct vfs_handle_struct *handle,
		     const struct smb_request *req,
		     struct files_struct *dirfsp,
		     struct smb_filename *smb_fname,
		     uint32_t access_mask,
		     uint32_t create_options,
		     struct ca_create *create);
void ca_create_end(struct vfs_handle_struct *handle, struct ca_create *create);
/* In the place of NEXT_..., also outside of a CREATE. */
int ca_create_openat(struct vfs_handle_struct *handle,
		     const struct files_struct *dirfsp,
		     const struct smb_filename *smb_fname,
		     struct files_struct *fsp,
		     const struct vfs_open_how *how);
int ca_create_mkdirat(struct vfs_handle_struct *handle,
		      struct files_struct *dirfsp,
		      const struct smb_filename *smb_fname,
		      mode_t mode);
int ca_create_renameat(struct vfs_handle_struct *handle,
		       struct files_struct *src_dirfsp,
		       const struct smb_filename *src,
		       struct files_struct *dst_dirfsp,
		       const struct smb_filename *dst,
		       const struct vfs_rename_how *how);
int ca_create_unlinkat(struct vfs_handle_struct *handle,
		       struct files_struct *dirfsp,
		       const struct smb_filename *smb_fname,
		       int flags);

/* note.c: whose handle it is, behind smbd's cookie */
void ca_note_add(struct connection_struct *conn,
		 TALLOC_CTX *mem_ctx,
		 DATA_BLOB *cookie);
void ca_note_remove(DATA_BLOB *cookie);

/* reconnect.c */
NTSTATUS ca_durable_cookie(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   TALLOC_CTX *mem_ctx,
			   DATA_BLOB *cookie);
NTSTATUS ca_durable_reconnect(struct vfs_handle_struct *handle,
			      struct smb_request *smb1req,
			      struct smbXsrv_open *op,
			      const DATA_BLOB old_cookie,
			      const struct smb2_lease *lease,
			      TALLOC_CTX *mem_ctx,
			      struct files_struct **fsp,
			      DATA_BLOB *new_cookie);

#endif /* _MODULES_CA_CA_H_ */
