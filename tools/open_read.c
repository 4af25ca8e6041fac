/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a copy of the database has; lib/ltdb/copy.h says why a copy.
 */
#include "replace.h"
#include "includes.h"
#include "lib/util/server_id.h"
#include "libcli/security/dom_sid.h"
#include "librpc/gen_ndr/ndr_smbXsrv.h"
#include "librpc/gen_ndr/ndr_open_files.h"
#include "lib/ltdb/copy.h"
#include "lib/opens/note.h"
#include "tools/open_read.h"

#define OPEN_KEY_SIZE 4
#define MSEC_TO_NTTIME 10000

struct open_walk {
	const struct open_cluster *cluster;
	json_t *opens;
	unsigned damaged;
};

static json_t *time_json(NTTIME when)
{
	char text[32];
	time_t t = nt_time_to_unix(when);
	struct tm tm = {0};

	if (when == 0 || gmtime_r(&t, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
	{
		return json_null();
	}
	return json_string(text);
}

static json_t *dialect_json(uint16_t dialect)
{
	switch (dialect) {
	case 0x0300:
		return json_string("3.0");
	case 0x0302:
		return json_string("3.0.2");
	case 0x0311:
		return json_string("3.1.1");
	default:
		return json_null();
	}
}

static json_t *text_json(const char *text)
{
	json_t *json = text[0] != '\0' ? json_string(text) : NULL;

	return json != NULL ? json : json_null();
}

/* What can be said without asking the node that has the process. */
static const char *state_of(const struct open_cluster *cluster,
			    const struct smbXsrv_open_global *global)
{
	int64_t node = global->server_id.vnn;

	if (server_id_is_disconnected(&global->server_id)) {
		return "disconnected";
	}
	if (cluster->node == -1) {
		return "unknown";
	}
	if (node >= cluster->num || !cluster->connected[node]) {
		return "lost";
	}
	if (node == cluster->node &&
	    kill((pid_t)global->server_id.pid, 0) == -1 && errno == ESRCH)
	{
		return "lost";
	}
	return "connected";
}

static void add_name(json_t *open, TALLOC_CTX *mem_ctx, DATA_BLOB cookie)
{
	struct vfs_default_durable_cookie c = {};
	enum ndr_err_code err;
	char *path = NULL;

	err = ndr_pull_struct_blob(
		&cookie,
		mem_ctx,
		&c,
		(ndr_pull_flags_fn_t)ndr_pull_vfs_default_durable_cookie);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return;
	}
	path = talloc_asprintf(
		mem_ctx, "%s/%s", c.servicepath, c.base_name);
	if (path != NULL) {
		json_object_set_new(open, "path", text_json(path));
	}
	json_object_set_new(open,
			    "delete_on_close",
			    json_boolean(c.initial_delete_on_close));
}

static void add_note(json_t *open, DATA_BLOB cookie)
{
	struct csv_note note = {};
	size_t rest;

	(void)csv_note_pull(cookie.data, cookie.length, &note, &rest);
	json_object_set_new(open, "volume", text_json(note.volume));
	json_object_set_new(open, "share", text_json(note.share));
	json_object_set_new(open, "client", text_json(note.client));
	json_object_set_new(open, "dialect", dialect_json(note.dialect));
}

static void add_times(json_t *open, const struct smbXsrv_open_global *global)
{
	NTTIME until = global->disconnect_time;
	bool waits = server_id_is_disconnected(&global->server_id) &&
		     global->disconnect_time != 0;

	until += (NTTIME)global->durable_timeout_msec * MSEC_TO_NTTIME;
	json_object_set_new(open, "since", time_json(global->open_time));
	json_object_set_new(open,
			    "disconnected",
			    waits ? time_json(global->disconnect_time)
				  : json_null());
	json_object_set_new(
		open, "until", waits ? time_json(until) : json_null());
	json_object_set_new(open,
			    "timeout_s",
			    json_integer(global->durable_timeout_msec / 1000));
}

static void add_open(struct open_walk *walk,
		     TALLOC_CTX *mem_ctx,
		     const struct smbXsrv_open_global *global)
{
	struct dom_sid_buf sid;
	struct GUID_txt_buf guid;
	bool gone = server_id_is_disconnected(&global->server_id);
	json_t *open = json_pack(
		"{s:s, s:n, s:s, s:s, s:b, s:I}",
		"state", state_of(walk->cluster, global),
		"path",
		"user", dom_sid_str_buf(&global->open_owner, &sid),
		"client_guid", GUID_buf_string(&global->client_guid, &guid),
		"durable", (int)global->durable,
		"id", (json_int_t)global->open_persistent_id);

	if (open == NULL) {
		abort();
	}
	json_object_set_new(open,
			    "node",
			    gone ? json_null()
				 : json_integer(global->server_id.vnn));
	json_object_set_new(open,
			    "pid",
			    gone ? json_null()
				 : json_integer(
					   (json_int_t)global->server_id.pid));
	add_name(open, mem_ctx, global->backend_cookie);
	add_note(open, global->backend_cookie);
	add_times(open, global);
	json_array_append_new(walk->opens, open);
}

static void walk_record(TDB_DATA key, TDB_DATA data, void *private_data)
{
	struct open_walk *walk = private_data;
	TALLOC_CTX *frame = NULL;
	struct smbXsrv_open_globalB blob = {};
	DATA_BLOB value = data_blob_const(data.dptr, data.dsize);
	enum ndr_err_code err;

	if (key.dsize != OPEN_KEY_SIZE) {
		return;
	}
	frame = talloc_stackframe();
	err = ndr_pull_struct_blob(
		&value,
		frame,
		&blob,
		(ndr_pull_flags_fn_t)ndr_pull_smbXsrv_open_globalB);
	if (!NDR_ERR_CODE_IS_SUCCESS(err) || blob.version != 1 ||
	    blob.info.info1 == NULL)
	{
		walk->damaged += 1;
	} else if (blob.info.info1->persistent) {
		add_open(walk, frame, blob.info.info1);
	}
	TALLOC_FREE(frame);
}

int open_read(const struct open_cluster *cluster,
	      json_t *opens,
	      unsigned *damaged)
{
	struct open_walk walk = {.cluster = cluster, .opens = opens};
	bool whole;
	int ret;

	ret = csv_ltdb_read(cluster->path, walk_record, &walk, &whole);
	*damaged = walk.damaged;
	return ret;
}
