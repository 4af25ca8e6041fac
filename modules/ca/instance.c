/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * AppInstanceId ([MS-SMB2] 3.3.5.9.13): a client says which instance of an
 * application it opens a file for. When another client opens the same file for
 * the same instance, a virtual machine that was started on another host, the
 * first one's open is closed, on whatever node it is, connected or waiting.
 * smbd knows nothing of it, but its record of an open has room for it.
 *
 * Looking for the other open reads all of them; that is done only for a CREATE
 * that names an instance, and of a file that is there. The open of a client
 * that has disconnected can be removed with patch 0011 only; without it its
 * time has to run out.
 */
#include "modules/ca/ca.h"
#include "smbd/smbXsrv_open.h"
#include "smbd/scavenger.h"
#include "librpc/gen_ndr/ndr_open_files.h"
#include "libcli/smb/smb2_create_blob.h"
#include "lib/util/server_id.h"
#include "lib/opens/note.h"
#include "messages.h"
#include "serverid.h"

#define CA_TAG_VERSION \
	"\xB9\x82\xD0\xB7\x3B\x56\x07\x4F\xA0\x7B\x52\x4A\x81\x16\xA0\x10"
#define CA_ID_SIZE 20
#define CA_VERSION_SIZE 24
/* An smbd that is told to close an open does it at once, or is stuck. */
#define CA_CLOSE_WAIT_MS 5000
#define CA_CLOSE_POLL_MS 2

/* Weak: smbd may lack the patch. */
NTSTATUS smbXsrv_open_discard(uint64_t persistent_id) __attribute__((weak));
bool smbXsrv_open_global_exists(uint64_t open_persistent_id)
	__attribute__((weak));

struct ca_found {
	uint64_t id;
	struct server_id server_id;
	uint32_t name_hash;
	uint64_t high, low;
};

struct ca_search {
	const struct ca_instance *instance;
	const struct GUID *client;
	const char *share;
	struct file_id file_id;
	TALLOC_CTX *mem_ctx;
	struct ca_found *found;
};

static bool ca_same_share(const struct ca_search *search, DATA_BLOB cookie)
{
	struct csv_note note = {};
	size_t rest;

	return csv_note_pull(cookie.data, cookie.length, &note, &rest) &&
	       strcasecmp_m(note.share, search->share) == 0;
}

static int ca_search_fn(struct db_record *rec,
			struct smbXsrv_open_global *global,
			TDB_DATA *rc_open_global_key,
			void *private_data)
{
	struct ca_search *search = private_data;
	size_t n = talloc_array_length(search->found);

	if (global == NULL ||
	    !GUID_equal(&global->app_instance_id, &search->instance->id) ||
	    GUID_equal(&global->client_guid, search->client) ||
	    !file_id_equal(&global->file_id, &search->file_id) ||
	    !ca_same_share(search, global->backend_cookie))
	{
		return 0;
	}
	search->found = talloc_realloc(
		search->mem_ctx, search->found, struct ca_found, n + 1);
	if (search->found == NULL) {
		return -1;
	}
	search->found[n] = (struct ca_found) {
		.id = global->open_persistent_id,
		.server_id = global->server_id,
		.name_hash = global->name_hash,
		.high = global->app_instance_vhigh,
		.low = global->app_instance_vlow,
	};
	return 0;
}

bool ca_instance_parse(const struct smb2_create_blobs *blobs,
		       struct ca_instance *instance)
{
	const struct smb2_create_blob *id = NULL;
	const struct smb2_create_blob *version = NULL;
	DATA_BLOB guid;

	*instance = (struct ca_instance) {};
	id = smb2_create_blob_find(blobs, SMB2_CREATE_TAG_APP_INSTANCE_ID);
	if (id == NULL || id->data.length != CA_ID_SIZE ||
	    SVAL(id->data.data, 0) != CA_ID_SIZE)
	{
		return false;
	}
	guid = data_blob_const(id->data.data + 4, 16);
	if (!NT_STATUS_IS_OK(GUID_from_ndr_blob(&guid, &instance->id)) ||
	    GUID_all_zero(&instance->id))
	{
		return false;
	}
	version = smb2_create_blob_find(blobs, CA_TAG_VERSION);
	if (version != NULL && version->data.length == CA_VERSION_SIZE &&
	    SVAL(version->data.data, 0) == CA_VERSION_SIZE)
	{
		instance->high = BVAL(version->data.data, 8);
		instance->low = BVAL(version->data.data, 16);
	}
	return true;
}

/* An open of a version closes only one of an older version. */
static bool ca_is_newer(const struct ca_instance *instance,
			const struct ca_found *found)
{
	if (found->high == 0 && found->low == 0) {
		return true;
	}
	return instance->high > found->high ||
	       (instance->high == found->high && instance->low > found->low);
}

static bool ca_exists(uint64_t id)
{
	return smbXsrv_open_global_exists == NULL ||
	       smbXsrv_open_global_exists(id);
}

/* Its smbd closes it; false: that is gone, or does not answer. */
static bool ca_close_live(struct connection_struct *conn,
			  const struct ca_found *found,
			  struct file_id file_id)
{
	struct oplock_break_message msg = {
		.id = file_id,
		.share_file_id = found->id,
	};
	DATA_BLOB blob = data_blob_null;
	enum ndr_err_code err;
	NTSTATUS status;
	unsigned waited;

	if (server_id_is_disconnected(&found->server_id)) {
		return false;
	}
	err = ndr_push_struct_blob(
		&blob,
		talloc_tos(),
		&msg,
		(ndr_push_flags_fn_t)ndr_push_oplock_break_message);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return false;
	}
	status = messaging_send(conn->sconn->msg_ctx,
				found->server_id,
				MSG_SMB_CLOSE_FILE,
				&blob);
	for (waited = 0; NT_STATUS_IS_OK(status) && ca_exists(found->id) &&
			 serverid_exists(&found->server_id);
	     waited += CA_CLOSE_POLL_MS)
	{
		if (waited >= CA_CLOSE_WAIT_MS) {
			DBG_WARNING("open 0x%"PRIx64" is not closed after "
				    "%u ms\n", found->id, waited);
			break;
		}
		usleep(CA_CLOSE_POLL_MS * 1000);
	}
	return !ca_exists(found->id);
}

static void ca_close_waiting(const struct ca_found *found,
			     struct file_id file_id)
{
	NTSTATUS status;

	if (smbXsrv_open_discard != NULL) {
		status = smbXsrv_open_discard(found->id);
	} else {
		status = smbXsrv_open_cleanup(found->id);
	}
	if (!NT_STATUS_IS_OK(status)) {
		DBG_WARNING("open 0x%"PRIx64" of another client of the same "
			    "application instance stays: %s\n",
			    found->id,
			    nt_errstr(status));
		return;
	}
	(void)share_mode_cleanup_disconnected(
		file_id, found->id, found->name_hash);
}

static NTSTATUS ca_close_others(struct connection_struct *conn,
				const struct ca_search *search)
{
	size_t n = talloc_array_length(search->found);
	size_t i;

	for (i = 0; i < n; i++) {
		if (!ca_is_newer(search->instance, &search->found[i])) {
			return NT_STATUS_FILE_FORCED_CLOSED;
		}
	}
	for (i = 0; i < n; i++) {
		const struct ca_found *found = &search->found[i];

		DBG_NOTICE("open 0x%"PRIx64" is closed for another client of "
			   "the same application instance\n", found->id);
		if (!ca_close_live(conn, found, search->file_id)) {
			ca_close_waiting(found, search->file_id);
		}
	}
	return NT_STATUS_OK;
}

NTSTATUS ca_instance_take(struct connection_struct *conn,
			  struct files_struct *dirfsp,
			  const struct smb_filename *smb_fname,
			  const struct ca_instance *instance)
{
	TALLOC_CTX *frame = NULL;
	struct ca_search search = {
		.instance = instance,
		.client = &conn->sconn->client->global->client_guid,
		.share = lp_const_servicename(SNUM(conn)),
	};
	NTSTATUS status;

	if (!VALID_STAT(smb_fname->st) || smb_fname->fsp == NULL) {
		return NT_STATUS_OK; /* there is no such file yet */
	}
	status = smbd_check_access_rights_fsp(
		dirfsp, smb_fname->fsp, false, SEC_RIGHTS_FILE_READ);
	if (!NT_STATUS_IS_OK(status)) {
		return NT_STATUS_OK; /* whoever may not read closes nothing */
	}
	frame = talloc_stackframe();
	search.mem_ctx = frame;
	search.file_id = vfs_file_id_from_sbuf(conn, &smb_fname->st);
	status = smbXsrv_open_global_traverse(ca_search_fn, &search);
	if (NT_STATUS_IS_OK(status) && search.found != NULL) {
		become_root();
		status = ca_close_others(conn, &search);
		unbecome_root();
	}
	TALLOC_FREE(frame);
	return status;
}
