/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A CREATE that made a file or a directory and whose smbd died before it had
 * stored the handle. Its client repeats it, anywhere, and smbd does it as a
 * first one (patch 0010): it finds the file there, which is a collision, or
 * another answer than the client would have had.
 *
 * So what a CREATE with a CreateGuid makes gets an extended attribute that says
 * which CREATE made it: a file right after it was made, a directory while it
 * still has the temporary name under which smbd makes it. When a CREATE is
 * repeated and meets what it has made itself, the file is hidden from smbd,
 * which so makes it once more, with attributes, ACL and all that the first one
 * may not have come to; where it would make it on the disk, the one that is
 * there is opened.
 *
 * The attribute is the system's, not the user's: no client sees or sets it. It
 * stays; who does not repeat a CREATE never reads it. lib/opens/made.h: which
 * CREATE it was are the first bytes of SHA-256 over CreateGuid, ClientGuid and
 * the user's SID as text.
 */
#include "modules/ca/ca.h"
#include "smbd/smbXsrv_open.h"
#include "smbd/scavenger.h"
#include "librpc/gen_ndr/ndr_open_files.h"
#include "libcli/security/security.h"
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>

#define CA_MADE_NAME "security.sofs.create"
/*
 * Twice as long as any persistent handle waits for its client: the clocks of
 * the nodes may differ.
 */
#define CA_MADE_SECONDS 600

extern const struct generic_mapping file_generic_mapping;

static struct ca_create *ca_create_of(struct vfs_handle_struct *handle)
{
	struct ca_share *share = ca_share_of(handle);

	return share == NULL ? NULL : share->create;
}

/* false: this CREATE has no name by which it is known when it is repeated. */
static bool ca_create_by(const struct smb_request *req, uint8_t *by)
{
	const struct smbd_smb2_request *smb2req = req->smb2req;
	const struct auth_session_info *user = NULL;
	uint8_t buf[32 + DOM_SID_STR_BUFLEN] = {};
	uint8_t hash[32];
	struct GUID_ndr_buf guid = {};
	struct dom_sid_buf sid;

	if (smb2req == NULL || smb2req->create_guid == NULL ||
	    smb2req->session == NULL)
	{
		return false;
	}
	user = smb2req->session->global->auth_session_info;
	if (user == NULL || user->security_token == NULL ||
	    user->security_token->num_sids <= PRIMARY_USER_SID_INDEX)
	{
		return false;
	}
	GUID_to_ndr_buf(smb2req->create_guid, &guid);
	memcpy(buf, guid.buf, 16);
	GUID_to_ndr_buf(&smb2req->xconn->client->global->client_guid, &guid);
	memcpy(buf + 16, guid.buf, 16);
	dom_sid_str_buf(&user->security_token->sids[PRIMARY_USER_SID_INDEX],
			&sid);
	strlcpy((char *)buf + 32, sid.buf, sizeof(buf) - 32);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, buf, sizeof(buf), hash) != 0) {
		return false;
	}
	memcpy(by, hash, CSV_MADE_BY);
	return true;
}

static bool ca_is_replay(const struct smb_request *req)
{
	const uint8_t *hdr = SMBD_SMB2_IN_HDR_PTR(req->smb2req);

	return (IVAL(hdr, SMB2_HDR_FLAGS) & SMB2_HDR_FLAG_REPLAY_OPERATION) !=
	       0;
}

/* Was it made by this CREATE, and not long ago? By which open. */
static bool ca_made_by(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       const uint8_t *by,
		       uint64_t *id)
{
	uint8_t buf[CSV_MADE_SIZE];
	struct csv_made made = {};
	int64_t age;
	ssize_t n;

	become_root();
	n = SMB_VFS_NEXT_FGETXATTR(
		handle, fsp, CA_MADE_NAME, buf, sizeof(buf));
	unbecome_root();
	if (n == -1 || !csv_made_pull(buf, n, &made) ||
	    memcmp(made.by, by, CSV_MADE_BY) != 0)
	{
		return false;
	}
	age = (int64_t)((uint64_t)time(NULL) - made.when);
	*id = made.open;
	return age >= -CA_MADE_SECONDS && age <= CA_MADE_SECONDS;
}

/*
 * Of a file that was made and is not smbd's yet: its descriptor is not in the
 * fsp. A failure costs the client an error if its smbd dies in this moment.
 */
static void ca_made_store(struct vfs_handle_struct *handle,
			  struct files_struct *fsp,
			  int fd,
			  const struct ca_create *create)
{
	struct csv_made made = {.when = time(NULL)};
	uint8_t buf[CSV_MADE_SIZE];
	int ret, err = 0;

	if (fsp->op != NULL) {
		made.open = fsp->op->global->open_persistent_id;
	}
	memcpy(made.by, create->by, CSV_MADE_BY);
	csv_made_push(&made, buf);
	fsp_set_fd(fsp, fd);
	become_root();
	ret = SMB_VFS_NEXT_FSETXATTR(
		handle, fsp, CA_MADE_NAME, buf, sizeof(buf), 0);
	if (ret == -1) {
		err = errno;
	}
	unbecome_root();
	fsp_set_fd(fsp, -1);
	if (ret == -1) {
		DBG_WARNING("%s: %s is not set: %s; its CREATE is refused when "
			    "it has to be repeated\n",
			    fsp_str_dbg(fsp),
			    CA_MADE_NAME,
			    strerror(err));
	}
}

/*
 * The open of the smbd that died: nobody can come back for it, and it would be
 * in the way of this one until smbd's scavenger has looked after it.
 */
static void ca_discard_first(struct file_id file_id,
			     uint32_t name_hash,
			     uint64_t id)
{
	const struct smbXsrv_open_global *global = NULL;
	TALLOC_CTX *frame = talloc_stackframe();
	bool gone = false;
	NTSTATUS status;

	become_root();
	status = smbXsrv_open_global_lookup(frame, id & UINT32_MAX, &global);
	if (NT_STATUS_EQUAL(status, NT_STATUS_NOT_FOUND)) {
		gone = true; /* with its node */
	} else if (NT_STATUS_IS_OK(status) && !global->durable &&
		   global->open_persistent_id == id)
	{
		/* not if its smbd lives */
		gone = NT_STATUS_IS_OK(smbXsrv_open_cleanup(id));
	}
	if (gone) {
		(void)share_mode_cleanup_disconnected(
			file_id, id, name_hash);
	}
	unbecome_root();
	TALLOC_FREE(frame);
}

/*
 * smbd will set its ACL once more, and whoever makes a file may open it as he
 * likes: not if somebody has meanwhile seen to it that he may not.
 */
static bool ca_may_make_again(struct files_struct *dirfsp,
			      struct files_struct *fsp,
			      uint32_t access_mask)
{
	uint32_t mask = access_mask;

	se_map_generic(&mask, &file_generic_mapping);
	mask &= ~(SEC_FLAG_MAXIMUM_ALLOWED | SEC_FLAG_SYSTEM_SECURITY);
	mask |= SEC_STD_WRITE_DAC;
	return NT_STATUS_IS_OK(
		smbd_check_access_rights_fsp(dirfsp, fsp, false, mask));
}

/* For smbd there is no such file. */
static void ca_hide(struct smb_filename *smb_fname)
{
	struct files_struct *fsp = smb_fname->fsp;

	smb_fname_fsp_unlink(smb_fname);
	(void)fd_close(fsp);
	file_free(NULL, fsp);
	SET_STAT_INVALID(smb_fname->st);
}

void ca_create_begin(struct vfs_handle_struct *handle,
		     const struct smb_request *req,
		     struct files_struct *dirfsp,
		     struct smb_filename *smb_fname,
		     uint32_t access_mask,
		     uint32_t create_options,
		     struct ca_create *create)
{
	bool folder = (create_options & FILE_DIRECTORY_FILE) != 0;
	struct ca_share *share = ca_share_of(handle);
	struct files_struct *fsp = smb_fname->fsp;
	const char *slash = strrchr_m(smb_fname->base_name, '/');
	uint64_t id = 0;

	*create = (struct ca_create) {.outer = share->create};
	share->create = NULL;
	if (req == NULL || is_named_stream(smb_fname) ||
	    !ca_create_by(req, create->by))
	{
		return;
	}
	create->name = slash == NULL ? smb_fname->base_name : slash + 1;
	share->create = create;
	if (!ca_is_replay(req) || fsp == NULL || smb_fname == fsp->fsp_name ||
	    !VALID_STAT(smb_fname->st) ||
	    !!S_ISDIR(smb_fname->st.st_ex_mode) != folder ||
	    !ca_made_by(handle, fsp, create->by, &id) ||
	    !ca_may_make_again(dirfsp, fsp, access_mask))
	{
		return;
	}
	DBG_NOTICE("%s was made by this CREATE, whose smbd died\n",
		   smb_fname_str_dbg(smb_fname));
	create->again = true;
	create->made = vfs_file_id_from_sbuf(handle->conn, &smb_fname->st);
	ca_discard_first(create->made, fsp->name_hash, id);
	ca_hide(smb_fname);
}

void ca_create_end(struct vfs_handle_struct *handle, struct ca_create *create)
{
	TALLOC_FREE(create->folder);
	ca_share_of(handle)->create = create->outer;
}

/* What was opened is closed again if it is another file. */
static bool ca_is_made(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       int fd,
		       const struct ca_create *create)
{
	SMB_STRUCT_STAT st = {};
	struct file_id id;
	bool ok;

	fsp_set_fd(fsp, fd);
	ok = SMB_VFS_NEXT_FSTAT(handle, fsp, &st) == 0;
	if (ok) {
		id = vfs_file_id_from_sbuf(handle->conn, &st);
		ok = file_id_equal(&id, &create->made);
	}
	if (!ok) {
		(void)SMB_VFS_NEXT_CLOSE(handle, fsp);
	}
	fsp_set_fd(fsp, -1);
	return ok;
}

/*
 * Instead of making it, as whoever makes a file: open for writing, whatever its
 * mode is.
 */
static int ca_open_made(struct vfs_handle_struct *handle,
			const struct files_struct *dirfsp,
			const struct smb_filename *smb_fname,
			struct files_struct *fsp,
			const struct vfs_open_how *_how,
			const struct ca_create *create)
{
	struct vfs_open_how how = *_how;
	int fd;

	how.flags &= ~(O_CREAT | O_EXCL | O_TRUNC);
	how.flags |= O_NOFOLLOW;
	fd = SMB_VFS_NEXT_OPENAT(handle, dirfsp, smb_fname, fsp, &how);
	if (fd == -1 && (errno == EACCES || errno == EPERM)) {
		int err;

		become_root();
		fd = SMB_VFS_NEXT_OPENAT(handle, dirfsp, smb_fname, fsp, &how);
		err = errno;
		unbecome_root();
		errno = err;
	}
	if (fd != -1 && !ca_is_made(handle, fsp, fd, create)) {
		errno = EEXIST;
		return -1;
	}
	return fd;
}

/* Is it the directory that smbd has just made, or believes so? */
static bool ca_is_folder(const struct ca_create *create,
			 const struct smb_filename *smb_fname)
{
	return create != NULL && create->folder != NULL &&
	       strcmp(smb_fname->base_name, create->folder) == 0;
}

static int ca_create_folder(struct vfs_handle_struct *handle,
			    const struct files_struct *dirfsp,
			    const struct smb_filename *smb_fname,
			    struct files_struct *fsp,
			    const struct vfs_open_how *how,
			    struct ca_create *create)
{
	struct smb_filename real = *smb_fname;
	int fd;

	if (create->again) {
		real.base_name = discard_const_p(char, create->name);
		fd = ca_open_made(handle, dirfsp, &real, fsp, how, create);
	} else {
		fd = SMB_VFS_NEXT_OPENAT(handle, dirfsp, smb_fname, fsp, how);
	}
	if (fd != -1 && !create->stored) {
		ca_made_store(handle, fsp, fd, create);
		create->stored = true;
	}
	return fd;
}

int ca_create_openat(struct vfs_handle_struct *handle,
		     const struct files_struct *dirfsp,
		     const struct smb_filename *smb_fname,
		     struct files_struct *fsp,
		     const struct vfs_open_how *how)
{
	struct ca_create *create = ca_create_of(handle);
	int fd = -1;

	if (ca_is_folder(create, smb_fname)) {
		return ca_create_folder(
			handle, dirfsp, smb_fname, fsp, how, create);
	}
	if (create == NULL || (how->flags & O_CREAT) == 0 ||
	    (how->flags & O_EXCL) == 0)
	{
		return SMB_VFS_NEXT_OPENAT(
			handle, dirfsp, smb_fname, fsp, how);
	}
	errno = ENOENT;
	if (create->again) {
		fd = ca_open_made(
			handle, dirfsp, smb_fname, fsp, how, create);
	}
	if (fd == -1 && errno == ENOENT) {
		fd = SMB_VFS_NEXT_OPENAT(handle, dirfsp, smb_fname, fsp, how);
	}
	if (fd != -1) {
		ca_made_store(handle, fsp, fd, create);
	}
	return fd;
}

static bool ca_folder_is_there(struct vfs_handle_struct *handle,
			       struct files_struct *dirfsp,
			       const struct ca_create *create)
{
	struct smb_filename real = {
		.base_name = discard_const_p(char, create->name)};
	SMB_STRUCT_STAT st = {};
	struct file_id id;

	if (SMB_VFS_NEXT_FSTATAT(
		    handle, dirfsp, &real, &st, AT_SYMLINK_NOFOLLOW) != 0)
	{
		return false;
	}
	id = vfs_file_id_from_sbuf(handle->conn, &st);
	return file_id_equal(&id, &create->made);
}

int ca_create_mkdirat(struct vfs_handle_struct *handle,
		      struct files_struct *dirfsp,
		      const struct smb_filename *smb_fname,
		      mode_t mode)
{
	struct ca_create *create = ca_create_of(handle);
	int ret = 0;

	if (create == NULL || create->folder != NULL) {
		return SMB_VFS_NEXT_MKDIRAT(handle, dirfsp, smb_fname, mode);
	}
	create->folder = talloc_strdup(ca_share_of(handle),
				       smb_fname->base_name);
	if (create->folder == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if (create->again) {
		create->again = ca_folder_is_there(handle, dirfsp, create);
	}
	if (!create->again) {
		ret = SMB_VFS_NEXT_MKDIRAT(handle, dirfsp, smb_fname, mode);
	}
	return ret;
}

/* From the temporary name to its own, which the one that is there has. */
int ca_create_renameat(struct vfs_handle_struct *handle,
		       struct files_struct *src_dirfsp,
		       const struct smb_filename *src,
		       struct files_struct *dst_dirfsp,
		       const struct smb_filename *dst,
		       const struct vfs_rename_how *how)
{
	struct ca_create *create = ca_create_of(handle);

	if (ca_is_folder(create, src) && create->again) {
		return 0;
	}
	return SMB_VFS_NEXT_RENAMEAT(
		handle, src_dirfsp, src, dst_dirfsp, dst, how);
}

/* smbd takes back what it has made: not what is there already. */
int ca_create_unlinkat(struct vfs_handle_struct *handle,
		       struct files_struct *dirfsp,
		       const struct smb_filename *smb_fname,
		       int flags)
{
	struct ca_create *create = ca_create_of(handle);

	if (ca_is_folder(create, smb_fname) && create->again) {
		errno = ENOENT;
		return -1;
	}
	return SMB_VFS_NEXT_UNLINKAT(handle, dirfsp, smb_fname, flags);
}
