/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records of csv_volumes.tdb. Keys: "INDEX", "VOLUME/<name>",
 * "OWNER/<name>", "NODE/<number>". (An index, since a traverse of a clustered database asks
 * every node.)
 */
#include "csvd/record.h"
#include "csvd/note.h"
#include "csvd/quorum.h"
#include "lib/node/node.h"
#include "dbwrap/dbwrap.h"
#include "dbwrap/dbwrap_open.h"
#include "util_tdb.h"
#include "gen_ndr/ndr_csv.h"

#define RECORD_MAX_VOLUMES 1024
/* At once, in csvd_record_overtake(); the rest with the next attempt. */
#define RECORD_MAX_COMMITS 500
/* CTDB's own record in each persistent database. */
#define RECORD_SEQUENCE "__db_sequence_number__"
#define RECORD_TOUCHED "TOUCHED"

int csvd_record_open(struct csvd_context *csvd)
{
	char *path = state_path(talloc_tos(), "csv_volumes.tdb");

	if (path == NULL) {
		return ENOMEM;
	}
	csvd->db = db_open(csvd,
			   path,
			   0,
			   TDB_DEFAULT,
			   O_RDWR | O_CREAT,
			   0600,
			   DBWRAP_LOCK_ORDER_1,
			   DBWRAP_FLAG_NONE);
	return csvd->db != NULL ? 0 : EIO;
}

static int record_fetch(struct csvd_context *csvd,
			TALLOC_CTX *mem_ctx,
			const char *key,
			DATA_BLOB *blob)
{
	TDB_DATA value = {};
	NTSTATUS status;

	status = dbwrap_fetch_bystring(csvd->db, mem_ctx, key, &value);
	if (NT_STATUS_EQUAL(status, NT_STATUS_NOT_FOUND) ||
	    (NT_STATUS_IS_OK(status) && value.dsize == 0)) {
		return ENOENT;
	}
	if (!NT_STATUS_IS_OK(status)) {
		return EIO;
	}
	*blob = data_blob_const(value.dptr, value.dsize);
	return 0;
}

/* pull into a new talloc object; the version is its first member. */
static int record_pull(struct csvd_context *csvd,
		       TALLOC_CTX *mem_ctx,
		       const char *key,
		       size_t size,
		       const char *type,
		       ndr_pull_flags_fn_t pull,
		       void **result)
{
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	void *p = NULL;
	int ret;

	p = talloc_zero_size(mem_ctx, size);
	if (p == NULL) {
		return ENOMEM;
	}
	talloc_set_name_const(p, type);
	ret = record_fetch(csvd, p, key, &blob);
	if (ret != 0) {
		talloc_free(p);
		return ret;
	}
	err = ndr_pull_struct_blob(&blob, p, p, pull);
	if (!NDR_ERR_CODE_IS_SUCCESS(err) ||
	    *(uint16_t *)p != CSV_RECORD_VERSION) {
		talloc_free(p);
		return EILSEQ;
	}
	*result = p;
	return 0;
}

static char *record_key(const char *prefix, const char *name)
{
	return talloc_asprintf(talloc_tos(), "%s/%s", prefix, name);
}

int csvd_record_volume(struct csvd_context *csvd,
		       TALLOC_CTX *mem_ctx,
		       const char *name,
		       struct csv_volume_record **config)
{
	char *key = record_key("VOLUME", name);
	void *p = NULL;
	int ret;

	ret = record_pull(csvd,
			  mem_ctx,
			  key,
			  sizeof(struct csv_volume_record),
			  "struct csv_volume_record",
			  (ndr_pull_flags_fn_t)ndr_pull_csv_volume_record,
			  &p);
	TALLOC_FREE(key);
	if (ret == 0) {
		*config = p;
	}
	return ret;
}

int csvd_record_owner(struct csvd_context *csvd,
		      TALLOC_CTX *mem_ctx,
		      const char *name,
		      struct csv_owner_record **rec)
{
	char *key = record_key("OWNER", name);
	void *p = NULL;
	int ret;

	ret = record_pull(csvd,
			  mem_ctx,
			  key,
			  sizeof(struct csv_owner_record),
			  "struct csv_owner_record",
			  (ndr_pull_flags_fn_t)ndr_pull_csv_owner_record,
			  &p);
	TALLOC_FREE(key);
	if (ret == 0) {
		*rec = p;
	}
	return ret;
}

static int record_index(struct csvd_context *csvd,
			TALLOC_CTX *mem_ctx,
			struct csv_volume_index **index)
{
	void *p = NULL;
	int ret;

	ret = record_pull(csvd,
			  mem_ctx,
			  "INDEX",
			  sizeof(struct csv_volume_index),
			  "struct csv_volume_index",
			  (ndr_pull_flags_fn_t)ndr_pull_csv_volume_index,
			  &p);
	if (ret == 0) {
		*index = p;
	}
	return ret;
}

int csvd_record_names(struct csvd_context *csvd,
		      TALLOC_CTX *mem_ctx,
		      char ***names)
{
	struct csv_volume_index *index = NULL;
	char **list = NULL;
	uint32_t i, num = 0;
	int ret;

	ret = record_index(csvd, mem_ctx, &index);
	if (ret != 0 && ret != ENOENT) {
		return ret;
	}
	num = index != NULL ? index->num : 0;
	list = talloc_zero_array(mem_ctx, char *, num + 1);
	if (list == NULL) {
		TALLOC_FREE(index);
		return ENOMEM;
	}
	for (i = 0; i < num; i++) {
		list[i] = csvd_string(list, &index->names[i]);
	}
	TALLOC_FREE(index);
	*names = list;
	return 0;
}

static int record_store(struct csvd_context *csvd,
			const char *key,
			const void *p,
			ndr_push_flags_fn_t push)
{
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	NTSTATUS status;

	err = ndr_push_struct_blob(&blob, talloc_tos(), p, push);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return EINVAL;
	}
	status = dbwrap_store_bystring(csvd->db,
				       key,
				       make_tdb_data(blob.data, blob.length),
				       TDB_REPLACE);
	data_blob_free(&blob);
	return NT_STATUS_IS_OK(status) ? 0 : EIO;
}

/*
 * Each write differs from the one before: dbwrap leaves out a record that
 * would be the same, and without any the commit does nothing at all, which
 * take_confirm() must not have.
 */
static int record_store_owner(struct csvd_context *csvd,
			      const char *name,
			      struct csv_owner_record *rec)
{
	struct timeval tv = timeval_current();
	char *key = record_key("OWNER", name);
	int ret;

	rec->version = CSV_RECORD_VERSION;
	rec->changed = MAX((uint64_t)tv.tv_sec * 1000000 + tv.tv_usec,
			   rec->changed + 1);
	ret = record_store(csvd,
			   key,
			   rec,
			   (ndr_push_flags_fn_t)ndr_push_csv_owner_record);
	TALLOC_FREE(key);
	return ret;
}

static int record_store_index(struct csvd_context *csvd,
			      struct csv_volume_index *index)
{
	index->version = CSV_RECORD_VERSION;
	return record_store(csvd,
			    "INDEX",
			    index,
			    (ndr_push_flags_fn_t)ndr_push_csv_volume_index);
}

int csvd_record_ready(struct csvd_context *csvd, unsigned commits)
{
	uint64_t sequence = 0;
	int ret;

	if (!csvd_quorum_in_view(csvd)) {
		return EHOSTDOWN;
	}
	ret = csvd_record_sequence(csvd, &sequence);
	return ret == 0 ? csvd_note_ready(csvd, sequence, commits) : ret;
}

bool csvd_record_waits(int error)
{
	return error == EHOSTDOWN || error == EINPROGRESS || error == ENOLCK;
}

const char *csvd_record_error(struct csvd_context *csvd, int error)
{
	switch (error) {
	case EHOSTDOWN:
		return CSVD_NO_MAJORITY;
	case EINPROGRESS:
	case ENOLCK:
		return csvd_note_why(csvd);
	default:
		return strerror(error);
	}
}

/*
 * All writes: fn inside one transaction, of `commits` that are to follow each
 * other. Whether they may is judged again under the transaction's lock, when
 * nobody else can have changed the number.
 */
static int record_transaction(struct csvd_context *csvd,
			      unsigned commits,
			      int (*fn)(struct csvd_context *csvd, void *p),
			      void *p)
{
	TALLOC_CTX *frame = talloc_stackframe();
	int ret;

	ret = csvd_record_ready(csvd, commits);
	if (ret == 0 && dbwrap_transaction_start(csvd->db) != 0) {
		ret = EIO;
	}
	if (ret != 0) {
		TALLOC_FREE(frame);
		return ret;
	}
	ret = csvd_record_ready(csvd, commits);
	if (ret == 0) {
		ret = fn(csvd, p);
	}
	if (ret != 0) {
		dbwrap_transaction_cancel(csvd->db);
	} else if (dbwrap_transaction_commit(csvd->db) != 0) {
		ret = EIO;
	}
	TALLOC_FREE(frame);
	return ret;
}

static int record_add_fn(struct csvd_context *csvd, void *p)
{
	const struct csv_volume_record *config = p;
	struct csv_owner_record rec = {
		.owner = CSVD_NO_NODE,
		.target = CSVD_NO_NODE,
		.previous = CSVD_NO_NODE,
		.clean = true,
		.previous_clean = true,
		.reason = csvd_bytes("new"),
	};
	struct csv_owner_record *old = NULL;
	struct csv_volume_index *index = NULL;
	char *name = csvd_string(talloc_tos(), &config->name);
	uint32_t i;
	int ret;

	ret = record_index(csvd, talloc_tos(), &index);
	if (ret == ENOENT) {
		index = talloc_zero(talloc_tos(), struct csv_volume_index);
		ret = 0;
	}
	if (ret != 0 || index == NULL || name == NULL) {
		return ret != 0 ? ret : ENOMEM;
	}
	for (i = 0; i < index->num; i++) {
		if (csvd_bytes_equal(&index->names[i], name)) {
			return EEXIST;
		}
	}
	if (index->num == RECORD_MAX_VOLUMES) {
		return ENOSPC;
	}
	index->names = talloc_realloc(index,
				      index->names,
				      struct csv_bytes,
				      index->num + 1);
	if (index->names == NULL) {
		return ENOMEM;
	}
	index->names[index->num++] = config->name;

	/*
	 * A name that comes again must not repeat epochs, nor make "released
	 * cleanly" of what its owner still holds or died with.
	 */
	ret = csvd_record_owner(csvd, talloc_tos(), name, &old);
	if (ret == 0 && !old->clean) {
		return EBUSY;
	}
	if (ret != 0 && ret != ENOENT) {
		return ret;
	}
	rec.epoch = old != NULL ? old->epoch : 0;
	ret = record_store_index(csvd, index);
	if (ret == 0) {
		ret = record_store(csvd,
				   record_key("VOLUME", name),
				   config,
				   (ndr_push_flags_fn_t)
					   ndr_push_csv_volume_record);
	}
	if (ret == 0) {
		ret = record_store_owner(csvd, name, &rec);
	}
	return ret;
}

int csvd_record_add(struct csvd_context *csvd,
		    const struct csv_volume_record *config)
{
	return record_transaction(csvd,
				  1,
				  record_add_fn,
				  discard_const_p(void, config));
}

static int record_remove_fn(struct csvd_context *csvd, void *p)
{
	const char *name = p;
	struct csv_volume_index *index = NULL;
	NTSTATUS status;
	uint32_t i;
	int ret;

	ret = record_index(csvd, talloc_tos(), &index);
	if (ret != 0) {
		return ret;
	}
	for (i = 0; i < index->num; i++) {
		if (csvd_bytes_equal(&index->names[i], name)) {
			break;
		}
	}
	if (i == index->num) {
		return ENOENT;
	}
	index->names[i] = index->names[--index->num];
	ret = record_store_index(csvd, index);
	if (ret != 0) {
		return ret;
	}
	/* the owner record stays: it keeps the epoch */
	status = dbwrap_delete_bystring(csvd->db, record_key("VOLUME", name));
	if (!NT_STATUS_IS_OK(status) &&
	    !NT_STATUS_EQUAL(status, NT_STATUS_NOT_FOUND)) {
		return EIO;
	}
	return 0;
}

int csvd_record_remove(struct csvd_context *csvd, const char *name)
{
	return record_transaction(csvd,
				  1,
				  record_remove_fn,
				  discard_const_p(void, name));
}

static int record_touch_fn(struct csvd_context *csvd, void *p)
{
	uint64_t sequence = 0;
	NTSTATUS status;
	int ret;

	ret = csvd_record_sequence(csvd, &sequence);
	if (ret != 0) {
		return ret;
	}
	/* another value each time, or dbwrap leaves it out */
	status = dbwrap_store_bystring(csvd->db,
				       RECORD_TOUCHED,
				       make_tdb_data((uint8_t *)&sequence,
						     sizeof(sequence)),
				       TDB_REPLACE);
	return NT_STATUS_IS_OK(status) ? 0 : EIO;
}

int csvd_record_touch(struct csvd_context *csvd)
{
	return record_transaction(csvd, 1, record_touch_fn, NULL);
}

struct record_change {
	const char *name;
	const struct csv_owner_record *old;
	struct csv_owner_record *rec;
	uint64_t least; /* of the epoch: csvd_record_overtake() */
};

static int record_change_fn(struct csvd_context *csvd, void *p)
{
	struct record_change *change = p;
	const struct csv_owner_record *old = change->old;
	struct csv_owner_record *now = NULL;
	int ret;

	ret = csvd_record_owner(csvd, talloc_tos(), change->name, &now);
	if (ret != 0) {
		return ret;
	}
	if (now->epoch != old->epoch || now->owner != old->owner ||
	    now->clean != old->clean || now->incarnation != old->incarnation) {
		return EAGAIN;
	}
	if (change->rec->epoch != now->epoch &&
	    change->rec->epoch != MAX(now->epoch + 1, change->least)) {
		return EINVAL;
	}
	return record_store_owner(csvd, change->name, change->rec);
}

static int record_change(struct csvd_context *csvd,
			 struct record_change *change)
{
	/* of a new ownership: take_confirm() must not be without a note */
	unsigned commits = change->rec->epoch != change->old->epoch ? 2 : 1;

	return record_transaction(csvd, commits, record_change_fn, change);
}

int csvd_record_change(struct csvd_context *csvd,
		       const char *name,
		       const struct csv_owner_record *old,
		       struct csv_owner_record *rec)
{
	struct record_change change = {
		.name = name,
		.old = old,
		.rec = rec,
	};

	return record_change(csvd, &change);
}

int csvd_record_node(struct csvd_context *csvd,
		     TALLOC_CTX *mem_ctx,
		     uint32_t node,
		     struct csv_node_record **rec)
{
	char key[CSV_NODE_KEY_SIZE];
	void *p = NULL;
	int ret;

	csv_node_key(key, node);
	ret = record_pull(csvd,
			  mem_ctx,
			  key,
			  sizeof(struct csv_node_record),
			  "struct csv_node_record",
			  (ndr_pull_flags_fn_t)ndr_pull_csv_node_record,
			  &p);
	if (ret == 0) {
		*rec = p;
	}
	return ret;
}

struct record_node {
	uint32_t node;
	int (*fn)(struct csv_node_record *rec, void *private_data);
	void *private_data;
};

static int record_node_fn(struct csvd_context *csvd, void *p)
{
	struct record_node *change = p;
	struct csv_node_record fresh = {.target = CSVD_NO_NODE};
	struct csv_node_record *rec = NULL;
	char key[CSV_NODE_KEY_SIZE];
	int ret;

	ret = csvd_record_node(csvd, talloc_tos(), change->node, &rec);
	if (ret == ENOENT || ret == EILSEQ) {
		rec = &fresh; /* a damaged one is no reason to do nothing */
		ret = 0;
	}
	if (ret == 0) {
		rec->version = CSV_RECORD_VERSION;
		rec->node = change->node;
		ret = change->fn(rec, change->private_data);
	}
	if (ret != 0) {
		return ret;
	}
	csv_node_key(key, change->node);
	return record_store(csvd,
			    key,
			    rec,
			    (ndr_push_flags_fn_t)ndr_push_csv_node_record);
}

int csvd_record_node_change(struct csvd_context *csvd,
			    uint32_t node,
			    int (*fn)(struct csv_node_record *rec,
				      void *private_data),
			    void *private_data)
{
	struct record_node change = {
		.node = node,
		.fn = fn,
		.private_data = private_data,
	};

	return record_transaction(csvd, 1, record_node_fn, &change);
}

int csvd_record_sequence(struct csvd_context *csvd, uint64_t *sequence)
{
	DATA_BLOB blob = {};
	int ret;

	*sequence = 0;
	ret = record_fetch(csvd, talloc_tos(), RECORD_SEQUENCE, &blob);
	if (ret == 0 && blob.length != sizeof(*sequence)) {
		ret = EILSEQ;
	}
	if (ret == 0) {
		memcpy(sequence, blob.data, sizeof(*sequence));
	}
	data_blob_free(&blob);
	return ret == ENOENT ? 0 : ret;
}

/* To get from `reached` beyond `sequence`, as far as that goes at once. */
static unsigned record_commits_beyond(uint64_t reached, uint64_t sequence)
{
	uint64_t least = sequence >= reached ? sequence - reached : 0;

	return (unsigned)MIN(least, RECORD_MAX_COMMITS - 2) + 2;
}

int csvd_record_overtake(struct csvd_context *csvd,
			 const char *name,
			 const struct csv_owner_record *rec,
			 uint64_t epoch,
			 uint64_t sequence)
{
	struct csv_owner_record now = *rec, old = *rec;
	struct record_change change = {
		.name = name,
		.old = &old,
		.rec = &now,
		.least = epoch + 1,
	};
	uint64_t reached = 0;
	unsigned commits = 0;
	int ret;

	now.epoch = MAX(rec->epoch + 1, epoch + 1);
	ret = csvd_record_sequence(csvd, &reached);
	if (ret == 0) {
		ret = csvd_record_ready(
			csvd, record_commits_beyond(reached, sequence));
	}
	if (ret != 0) {
		return ret;
	}
	do {
		ret = record_change(csvd, &change);
		old = now;
		if (ret == 0) {
			ret = csvd_record_sequence(csvd, &reached);
		}
		/* twice at least, see take_confirm() */
		commits++;
	} while (ret == 0 && (commits < 2 || (reached <= sequence &&
					      commits < RECORD_MAX_COMMITS)));
	return ret == 0 && reached <= sequence ? EAGAIN : ret;
}
