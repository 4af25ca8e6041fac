/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See registry.h.
 */
#include "witness/registry.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "lib/ltdb/copy.h"
#include "lib/ltdb/image.h"
#include "lib/util/dlinklist.h"
#include "librpc/gen_ndr/ndr_rpcd_witness.h"
#include "serverid.h"
#include "witness/tcons.h"

#define REGISTRY_DB "rpcd_witness_registration.tdb"
#define REGISTRY_FORGET_MS 600000

struct registry_walk {
	struct witness_context *w;
	bool changed;
	bool again; /* something of this node could not be taken yet */
};

struct witness_peer *witness_registry_peer(struct witness_registry *r,
					   const char *computer,
					   const char *share)
{
	struct witness_peer *p = NULL;
	char *key = talloc_asprintf_strlower_m(
		r, "%s/%s", computer, share != NULL ? share : "");

	for (p = r->peers; p != NULL && key != NULL; p = p->next) {
		if (strcmp(p->key, key) == 0) {
			talloc_free(key);
			return p;
		}
	}
	p = key != NULL ? talloc_zero(r, struct witness_peer) : NULL;
	if (p == NULL) {
		talloc_free(key);
		return NULL;
	}
	p->key = talloc_steal(p, key);
	p->unused_since = witness_now();
	DLIST_ADD(r->peers, p);
	return p;
}

static void registry_forget_peers(struct witness_registry *r)
{
	struct witness_peer *p = NULL, *next = NULL;
	uint64_t now = witness_now();

	for (p = r->peers; p != NULL; p = next) {
		next = p->next;
		if (p->registrations == 0 &&
		    now > p->unused_since + REGISTRY_FORGET_MS)
		{
			DLIST_REMOVE(r->peers, p);
			talloc_free(p);
		}
	}
}

static int registration_destructor(struct witness_registration *reg)
{
	reg->peer->registrations -= 1;
	reg->peer->unused_since = witness_now();
	return 0;
}

static struct witness_registration *registry_find(
	struct witness_registry *r,
	const struct rpcd_witness_registration *rg)
{
	struct witness_registration *reg = NULL;

	for (reg = r->list; reg != NULL; reg = reg->next) {
		if (ndr_policy_handle_equal(&reg->handle,
					    &rg->context_handle))
		{
			return reg;
		}
	}
	return NULL;
}

/* Newest first. */
static void registry_insert(struct witness_registry *r,
			    struct witness_registration *reg)
{
	struct witness_registration *after = NULL, *next = r->list;

	while (next != NULL && next->since > reg->since) {
		after = next;
		next = next->next;
	}
	DLIST_ADD_AFTER(r->list, reg, after);
}

static struct witness_registration *registry_add(
	struct witness_registry *r,
	const struct rpcd_witness_registration *rg)
{
	struct witness_registration *reg = NULL;
	struct witness_peer *peer = NULL;

	peer = witness_registry_peer(r,
				     rg->client_computer_name,
				     rg->share_name);
	reg = talloc_zero(r, struct witness_registration);
	if (peer == NULL || reg == NULL) {
		talloc_free(reg);
		return NULL;
	}
	reg->handle = rg->context_handle;
	reg->server = rg->server_id;
	reg->version = rg->version;
	reg->since = rg->registration_time;
	reg->computer = talloc_strdup(reg, rg->client_computer_name);
	reg->added = witness_now();
	if (rg->share_name != NULL) {
		reg->share = talloc_strdup(reg, rg->share_name);
	}
	if (reg->computer == NULL ||
	    (rg->share_name != NULL && reg->share == NULL) ||
	    !interpret_string_addr(
		    &reg->address, rg->ip_address, AI_NUMERICHOST))
	{
		talloc_free(reg);
		return NULL;
	}
	(void)witness_tcons_address(rg->remote_address, &reg->client);
	reg->peer = peer;
	peer->registrations += 1;
	talloc_set_destructor(reg, registration_destructor);
	registry_insert(r, reg);
	return reg;
}

static void registry_record(TDB_DATA key, TDB_DATA data, void *private_data)
{
	struct registry_walk *walk = private_data;
	struct witness_registry *r = walk->w->registry;
	DATA_BLOB blob = data_blob_const(data.dptr, data.dsize);
	TALLOC_CTX *frame = talloc_stackframe();
	struct rpcd_witness_registration rg = {};
	struct witness_registration *reg = NULL;
	enum ndr_err_code err;

	err = ndr_pull_struct_blob(
		&blob,
		frame,
		&rg,
		(ndr_pull_flags_fn_t)ndr_pull_rpcd_witness_registration);
	if (!NDR_ERR_CODE_IS_SUCCESS(err) || rg.ip_address == NULL ||
	    rg.client_computer_name == NULL ||
	    rg.server_id.vnn != walk->w->node)
	{
		TALLOC_FREE(frame);
		return;
	}
	if (!serverid_exists(&rg.server_id)) {
		walk->again = true;
		TALLOC_FREE(frame);
		return;
	}
	reg = registry_find(r, &rg);
	if (reg == NULL) {
		reg = registry_add(r, &rg);
		walk->changed = true;
		if (reg != NULL) {
			DBG_INFO("%s registers for %s at %s\n",
				 rg.client_computer_name,
				 rg.share_name != NULL ? rg.share_name
						       : "no share",
				 rg.ip_address);
		}
	}
	if (reg != NULL) {
		reg->seen = r->readings;
	} else {
		walk->again = true;
	}
	TALLOC_FREE(frame);
}

/* No record has changed; but a server may have ended without a word. */
static void registry_see(struct witness_registry *r)
{
	struct witness_registration *reg = NULL;

	for (reg = r->list; reg != NULL; reg = reg->next) {
		if (serverid_exists(&reg->server)) {
			reg->seen = r->readings;
		} else {
			TALLOC_FREE(r->image); /* what is left of it? */
		}
	}
}

/* Who was not seen in a whole copy is gone. */
static bool registry_remove(struct witness_registry *r)
{
	struct witness_registration *reg = NULL, *next = NULL;
	bool changed = false;

	for (reg = r->list; reg != NULL; reg = next) {
		next = reg->next;
		if (reg->seen != r->readings) {
			DBG_INFO("%s is registered no more\n",
				 reg->peer->key);
			DLIST_REMOVE(r->list, reg);
			talloc_free(reg);
			changed = true;
		}
	}
	return changed;
}

/* The whole database again. 0 or errno. */
static int registry_records(struct registry_walk *walk, bool *whole)
{
	struct witness_registry *r = walk->w->registry;
	int ret;

	ret = csv_ltdb_read(r->path, registry_record, walk, whole);
	if (ret != 0) {
		DBG_WARNING("cannot read %s: %s, keeping what is known\n",
			    r->path,
			    strerror(ret));
	}
	if (ret != 0 || !*whole || walk->again) {
		TALLOC_FREE(r->image); /* the next tick reads again */
	}
	return ret;
}

bool witness_registry_read(struct witness_context *w)
{
	struct witness_registry *r = w->registry;
	struct registry_walk walk = {.w = w};
	bool changed = true, whole = true;

	r->readings += 1;
	(void)csv_ltdb_changed(r, r->path, &r->image, &changed);
	if (!changed) {
		registry_see(r);
	} else if (registry_records(&walk, &whole) != 0) {
		return false;
	}
	if (whole && registry_remove(r)) {
		walk.changed = true;
	}
	registry_forget_peers(r);
	return walk.changed;
}

int witness_registry_start(struct witness_context *w)
{
	struct ctdbd_connection *ctdb = messaging_ctdb_connection();
	struct witness_registry *r = talloc_zero(w, struct witness_registry);
	uint32_t db_id = 0;
	int ret;

	if (r == NULL) {
		return ENOMEM;
	}
	ret = ctdbd_db_attach(ctdb, REGISTRY_DB, &db_id, false);
	if (ret != 0) {
		return ret;
	}
	r->path = ctdbd_dbpath(ctdb, r, db_id);
	if (r->path == NULL) {
		return EIO;
	}
	w->registry = r;
	return 0;
}
