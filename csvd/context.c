/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Putting csvd together, and the volumes that it knows.
 */
#include "csvd/context.h"
#include <sys/utsname.h>
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "global_contexts.h"
#include "lib/util/util_file.h"
#include "csvd/clock.h"
#include "csvd/config.h"
#include "csvd/fault.h"
#include "csvd/control.h"
#include "csvd/drain.h"
#include "csvd/guard_client.h"
#include "csvd/guard_wait.h"
#include "csvd/members.h"
#include "csvd/mesh.h"
#include "csvd/node.h"
#include "csvd/note.h"
#include "csvd/owner.h"
#include "csvd/publish.h"
#include "csvd/quorum.h"
#include "csvd/record.h"
#include "csvd/secret.h"
#include "csvd/spread.h"
#include "csvd/supervisor.h"
#include "csvd/view.h"

#define CONTEXT_TICK_MS 500

char *csvd_string(TALLOC_CTX *mem_ctx, const struct csv_bytes *bytes)
{
	char *s = talloc_strndup(mem_ctx,
				 bytes->length > 0 ? (const char *)bytes->data
						   : "",
				 bytes->length);

	if (s == NULL) {
		smb_panic("no memory");
	}
	return s;
}

bool csvd_bytes_equal(const struct csv_bytes *bytes, const char *string)
{
	return strlen(string) == bytes->length &&
	       (bytes->length == 0 ||
		memcmp(bytes->data, string, bytes->length) == 0);
}

struct csv_bytes csvd_bytes(const char *string)
{
	return (struct csv_bytes){
		.length = string != NULL ? strlen(string) : 0,
		.data = discard_const_p(uint8_t, string),
	};
}

void csvd_volume_reason(struct csvd_volume *v, const char *fmt, ...)
{
	char *reason = NULL;
	va_list ap;

	if (fmt != NULL) {
		va_start(ap, fmt);
		reason = talloc_vasprintf(v, fmt, ap);
		va_end(ap);
	}
	if ((reason == NULL && v->reason == NULL) ||
	    (reason != NULL && v->reason != NULL &&
	     strcmp(reason, v->reason) == 0))
	{
		talloc_free(reason);
		return;
	}
	talloc_free(v->reason);
	v->reason = reason;
	csvd_publish_node(v->csvd, false);
}

struct csvd_volume *csvd_volume_find(struct csvd_context *csvd,
				     const char *name)
{
	struct csvd_volume *v = NULL;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (strcmp(v->name, name) == 0) {
			return v;
		}
	}
	return NULL;
}

/* The mount point is there on every node, mounted or not. */
static void volume_directory(struct csvd_volume *v)
{
	char *path = csvd_string(v, &v->config->mount_point);
	char *p = NULL;

	for (p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(path, 0755);
		*p = '/';
	}
	if (mkdir(path, 0755) == -1 && errno != EEXIST) {
		DBG_ERR("volume %s: %s: %s\n", v->name, path, strerror(errno));
	}
	talloc_free(path);
}

/*
 * A volume that we heard of. What an earlier owner or boot left running here
 * is stopped first, unless the record says that it is ours.
 */
static void volume_create(struct csvd_context *csvd, const char *name)
{
	struct csvd_volume *v = talloc_zero(csvd, struct csvd_volume);
	int ret;

	if (v == NULL) {
		return;
	}
	v->csvd = csvd;
	v->name = talloc_strdup(v, name);
	v->rootfd = -1;
	v->state = CSV_STATE_PAUSED;
	v->owner = CSVD_NO_NODE;
	v->not_active_since = csvd_clock();
	ret = csvd_record_volume(csvd, v, name, &v->config);
	if (ret != 0) {
		DBG_ERR("volume %s: its declaration is %s, ignoring it\n",
			name,
			ret == EILSEQ ? "corrupt" : strerror(ret));
		talloc_free(v);
		return;
	}
	volume_directory(v);
	DLIST_ADD_END(csvd->volumes, v);
	ret = csvd_record_owner(csvd, v, name, &v->rec);
	if (v->config->shared || ret != 0 || v->rec->clean ||
	    v->rec->owner != csvd->node ||
	    v->rec->incarnation != csvd->incarnation)
	{
		csvd_take_sweep(v);
	}
}

/* Its declaration is gone: let go of it, then forget it. */
static void volume_gone(struct csvd_volume *v)
{
	v->removed = true;
	if (v->role == CSVD_OWNER) {
		csvd_release_start(v,
				   CSVD_NO_NODE,
				   CSVD_RELEASE_MOVE,
				   "the volume is removed");
	}
	if (v->role != CSVD_IDLE || v->sweep != NULL) {
		return; /* next time */
	}
	csvd_view_event(v, CSV_EVENT_FAILED);
	csvd_control_forget(v);
	DLIST_REMOVE(v->csvd->volumes, v);
	v->csvd->config_changed = true; /* it may have come again */
	talloc_free(v);
}

void csvd_volumes_load(struct csvd_context *csvd)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct csvd_volume *v = NULL, *next = NULL;
	char **names = NULL;
	size_t i;

	if (csvd_record_names(csvd, frame, &names) != 0) {
		TALLOC_FREE(frame);
		return;
	}
	csvd->loaded = true;
	for (i = 0; names[i] != NULL; i++) {
		if (csvd_volume_find(csvd, names[i]) == NULL) {
			volume_create(csvd, names[i]);
		}
	}
	for (v = csvd->volumes; v != NULL; v = next) {
		next = v->next;
		for (i = 0; names[i] != NULL; i++) {
			if (strcmp(names[i], v->name) == 0) {
				break;
			}
		}
		if (names[i] == NULL) {
			volume_gone(v);
		}
	}
	TALLOC_FREE(frame);
	csvd_publish_node(csvd, false);
}

/*
 * Nothing is mounted here any more but what the guard holds: from now on it
 * may feed the watchdog.
 */
static void context_looked(struct csvd_context *csvd)
{
	const struct csvd_volume *v = NULL;
	bool watched;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (!v->config->shared && !v->swept && v->role != CSVD_OWNER) {
			return;
		}
	}
	csvd->page->looked = csvd->page->looked || csvd->loaded;
	watched = csvd->page->watchdog_open;
	if (watched != csvd->watched) {
		csvd->watched = watched;
		csvd_wait_refresh(csvd);
	}
}

void csvd_evaluate(struct csvd_context *csvd)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct csvd_volume *v = NULL, *next = NULL;

	if (csvd->reconfigured) {
		csvd_members_refresh(csvd);
		csvd->reconfigured = false;
		csvd_publish_node(csvd, true);
		csvd->config_changed = true;
	}
	if (csvd->active) {
		if (csvd->config_changed) {
			csvd->config_changed = false;
			csvd_secret_refresh(csvd);
			csvd_guard_tell(csvd);
			csvd_wait_refresh(csvd);
			csvd_nodes_load(csvd);
			csvd_volumes_load(csvd);
		}
		csvd_nodes_check(csvd);
		for (v = csvd->volumes; v != NULL; v = next) {
			next = v->next;
			if (v->removed) {
				volume_gone(v);
			} else {
				csvd_owner_evaluate(v);
			}
		}
		csvd_drain_check(csvd);
		csvd_spread_check(csvd);
		context_looked(csvd);
		csvd_mesh_check(csvd);
		csvd_note_settle(csvd);
	}
	TALLOC_FREE(frame);
}

static void context_now(struct tevent_context *ev,
			struct tevent_immediate *im,
			void *private_data)
{
	struct csvd_context *csvd = private_data;

	csvd->soon_pending = false;
	csvd_evaluate(csvd);
}

void csvd_evaluate_soon(struct csvd_context *csvd)
{
	if (csvd->soon_pending) {
		return;
	}
	csvd->soon_pending = true;
	tevent_schedule_immediate(csvd->soon, csvd->ev, context_now, csvd);
}

static void context_tick(struct tevent_context *ev,
			 struct tevent_timer *te,
			 struct timeval now,
			 void *private_data)
{
	struct csvd_context *csvd = private_data;

	if (++csvd->ticks % 10 == 0) {
		csvd->config_changed = true;
	}
	if (csvd->ticks % 2 == 0) {
		csvd_publish_node(csvd, false); /* a sign of life */
	}
	csvd_evaluate(csvd);
	te = tevent_add_timer(csvd->ev,
			      csvd,
			      tevent_timeval_current_ofs(
				      0, CONTEXT_TICK_MS * 1000),
			      context_tick,
			      csvd);
	if (te == NULL) {
		smb_panic("no memory");
	}
}

static uint64_t context_hash(uint64_t hash, const char *text)
{
	while (*text != '\0') {
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3ULL;
	}
	return hash;
}

/* The same as long as the node runs: its boot, and its first process. */
static uint64_t context_incarnation(TALLOC_CTX *mem_ctx)
{
	static const char *const files[] = {
		"/proc/sys/kernel/random/boot_id", "/proc/1/stat"};
	uint64_t hash = 0xcbf29ce484222325ULL;
	char *text = NULL, *p = NULL;
	size_t i, size = 0;
	int field;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		text = file_load(files[i], &size, 4096, mem_ctx);
		p = text;
		if (text == NULL) {
			continue;
		}
		if (i == 1) {
			/* field 22, the start time; 3 follows the ")" */
			p = strrchr(text, ')');
			for (field = 2; p != NULL && field < 22; field++) {
				p = strchr(p + 1, ' ');
			}
			if (p != NULL) {
				p[1 + strcspn(p + 1, " ")] = '\0';
			}
		}
		hash = context_hash(hash, p != NULL ? p : "");
		talloc_free(text);
	}
	return hash != 0 ? hash : 1;
}

static int context_serve(struct csvd_context *csvd)
{
	const struct csvd_member *me = csvd_member_find(csvd, csvd->node);
	struct csv_serve_params params = {
		.address = csvd->config->address,
		.port = csvd->config->port,
		.node = csvd->node,
		.plain = csvd->config->plain,
		.keepalive_ms = csvd->config->keepalive_ms,
		.secret_fn = csvd_secret_get,
		.private_data = csvd,
	};
	int ret;

	if (params.address == NULL && me != NULL) {
		params.address = me->address;
	}
	if (csvd->config->plain) {
		DBG_WARNING("csv:plain = yes: volume data travels between "
			    "nodes without encryption and integrity\n");
	}
	csvd_fault_arm(csvd->config);
	ret = csv_serve_create(csvd, &params, &csvd->serve);
	if (ret != 0) {
		DBG_ERR("cannot serve on %s port %u: %s\n",
			params.address != NULL ? params.address : "?",
			params.port,
			strerror(ret));
	}
	return ret;
}

static int context_databases(struct csvd_context *csvd)
{
	int ret;

	ret = csvd_record_open(csvd);
	if (ret != 0) {
		return ret;
	}
	ret = csvd_secret_start(csvd);
	if (ret != 0) {
		return ret;
	}
	csvd->g_lock = g_lock_ctx_init(csvd, csvd->msg);
	return csvd->g_lock != NULL ? 0 : EIO;
}

static int context_start(struct csvd_context *csvd)
{
	int ret;

	ret = csvd_publish_start(csvd);
	if (ret == 0) {
		ret = csvd_quorum_start(csvd);
	}
	if (ret == 0) {
		ret = csvd_mesh_start(csvd);
	}
	if (ret == 0) {
		ret = csvd_members_start(csvd);
	}
	if (ret == 0) {
		ret = context_databases(csvd);
	}
	if (ret == 0) {
		ret = context_serve(csvd);
	}
	if (ret == 0) {
		csvd_guard_tell(csvd);
		csvd_wait_refresh(csvd);
		csvd_nodes_load(csvd);
		csvd_volumes_load(csvd);
		ret = csvd_control_start(csvd);
	}
	if (ret == 0) {
		csvd_publish_node(csvd, true);
		context_tick(csvd->ev, NULL, timeval_current(), csvd);
	}
	return ret;
}

int csvd_context_create(TALLOC_CTX *mem_ctx,
			struct tevent_context *ev,
			const struct csvd_lines *lines,
			struct csvd_context **_csvd)
{
	struct csvd_context *csvd = talloc_zero(mem_ctx, struct csvd_context);
	int ret;

	if (csvd == NULL) {
		return ENOMEM;
	}
	csvd->ev = ev;
	csvd->supervisor_fd = lines->supervisor;
	csvd->guard_fd = lines->guard;
	csvd->page = lines->page;
	csvd->started = csvd_clock();
	csvd->incarnation = context_incarnation(csvd);
	csvd->config = csvd_config_load(csvd);
	csvd->soon = tevent_create_immediate(csvd);
	(void)gethostname(csvd->host, sizeof(csvd->host) - 1);
	csvd->msg = global_messaging_context();
	if (csvd->msg == NULL || csvd->config == NULL || csvd->soon == NULL) {
		DBG_ERR("no messaging: does ctdbd run?\n");
		talloc_free(csvd);
		return ENOTCONN;
	}
	if (!lp_clustering() || messaging_ctdb_connection() == NULL) {
		DBG_ERR("csvd needs clustering = yes and a running ctdbd\n");
		talloc_free(csvd);
		return ENOTCONN;
	}
	csvd->node = messaging_server_id(csvd->msg).vnn;
	ret = context_start(csvd);
	if (ret != 0) {
		DBG_ERR("cannot start: %s\n", strerror(ret));
		talloc_free(csvd);
		return ret;
	}
	DBG_NOTICE("node %" PRIu32 " (%s) is ready, incarnation %" PRIx64 "\n",
		   csvd->node,
		   csvd->host,
		   csvd->incarnation);
	*_csvd = csvd;
	return 0;
}
