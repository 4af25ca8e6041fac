/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cluster's secret. A copy of the two valid generations is kept under a
 * mutex for the threads that serve the wire.
 */
#include "csvd/secret.h"
#include "csvd/control.h"
#include <pthread.h>
#include "dbwrap/dbwrap.h"
#include "dbwrap/dbwrap_open.h"
#include "util_tdb.h"
#include "lib/util/genrand.h"
#include "gen_ndr/ndr_csv.h"

struct csvd_secret {
	struct db_context *db;
	pthread_mutex_t lock;
	/* current, previous; generation 0: none */
	struct csv_secret_record valid[2];
};

static int secret_read(struct csvd_secret *s,
		       const char *key,
		       struct csv_secret_record *rec)
{
	TALLOC_CTX *frame = talloc_stackframe();
	enum ndr_err_code err;
	TDB_DATA value = {};
	DATA_BLOB blob = {};
	NTSTATUS status;
	int ret = ENOENT;

	status = dbwrap_fetch_bystring(s->db, frame, key, &value);
	if (NT_STATUS_IS_OK(status) && value.dsize != 0) {
		blob = data_blob_const(value.dptr, value.dsize);
		err = ndr_pull_struct_blob(
			&blob,
			frame,
			rec,
			(ndr_pull_flags_fn_t)ndr_pull_csv_secret_record);
		ret = NDR_ERR_CODE_IS_SUCCESS(err) &&
				      rec->version == CSV_RECORD_VERSION
			      ? 0
			      : EILSEQ;
		explicit_bzero(value.dptr, value.dsize);
	}
	TALLOC_FREE(frame);
	return ret;
}

static int secret_write(struct csvd_secret *s,
			const char *key,
			const struct csv_secret_record *rec)
{
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	NTSTATUS status;

	err = ndr_push_struct_blob(
		&blob,
		talloc_tos(),
		rec,
		(ndr_push_flags_fn_t)ndr_push_csv_secret_record);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return EINVAL;
	}
	status = dbwrap_store_bystring(s->db,
				       key,
				       make_tdb_data(blob.data, blob.length),
				       TDB_REPLACE);
	explicit_bzero(blob.data, blob.length);
	data_blob_free(&blob);
	return NT_STATUS_IS_OK(status) ? 0 : EIO;
}

static void secret_key(uint32_t generation, char key[32])
{
	snprintf(key, 32, "SECRET/%" PRIu32, generation);
}

void csvd_secret_refresh(struct csvd_context *csvd)
{
	struct csvd_secret *s = csvd->secret;
	struct csv_secret_record now = {}, before = {};
	char key[32];
	bool first;

	if (secret_read(s, "CURRENT", &now) != 0) {
		return;
	}
	if (now.generation == s->valid[0].generation) {
		goto done;
	}
	if (now.generation > 1) {
		secret_key(now.generation - 1, key);
		(void)secret_read(s, key, &before);
	}
	first = s->valid[0].generation == 0;
	pthread_mutex_lock(&s->lock);
	s->valid[0] = now;
	s->valid[1] = before;
	pthread_mutex_unlock(&s->lock);
	if (!first) {
		DBG_NOTICE("secret %" PRIu32 " is in use, %" PRIu32
			   " still valid\n",
			   now.generation,
			   before.generation);
		csvd_control_new_key(csvd);
	}
done:
	explicit_bzero(&now, sizeof(now));
	explicit_bzero(&before, sizeof(before));
}

/* Inside a transaction: the generation after `last`, unless it exists. */
static int secret_make(struct csvd_secret *s, uint32_t last)
{
	struct csv_secret_record rec = {};
	char key[32];
	int ret;

	ret = secret_read(s, "CURRENT", &rec);
	if (ret == EILSEQ) {
		return ret;
	}
	if (ret == 0 && rec.generation != last) {
		explicit_bzero(&rec, sizeof(rec));
		return 0; /* another node was faster */
	}
	rec.version = CSV_RECORD_VERSION;
	rec.generation = last + 1;
	generate_secret_buffer(rec.secret, sizeof(rec.secret));
	secret_key(rec.generation, key);
	ret = secret_write(s, key, &rec);
	if (ret == 0) {
		ret = secret_write(s, "CURRENT", &rec);
	}
	explicit_bzero(&rec, sizeof(rec));
	if (ret == 0 && last > 1) {
		secret_key(last - 1, key);
		(void)dbwrap_delete_bystring(s->db, key);
	}
	return ret;
}

static int secret_transaction(struct csvd_secret *s, uint32_t last)
{
	int ret;

	if (dbwrap_transaction_start(s->db) != 0) {
		return EIO;
	}
	ret = secret_make(s, last);
	if (ret != 0) {
		dbwrap_transaction_cancel(s->db);
		return ret;
	}
	return dbwrap_transaction_commit(s->db) == 0 ? 0 : EIO;
}

int csvd_secret_rotate(struct csvd_context *csvd)
{
	int ret;

	csvd_secret_refresh(csvd);
	ret = secret_transaction(csvd->secret,
				 csvd->secret->valid[0].generation);
	csvd_secret_refresh(csvd);
	return ret;
}

uint32_t csvd_secret_generation(const struct csvd_context *csvd)
{
	return csvd->secret->valid[0].generation;
}

int csvd_secret_start(struct csvd_context *csvd)
{
	struct csvd_secret *s = talloc_zero(csvd, struct csvd_secret);
	char *path = state_path(talloc_tos(), "csv_secrets.tdb");
	int ret;

	if (s == NULL || path == NULL) {
		return ENOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->db = db_open(s,
			path,
			0,
			TDB_DEFAULT,
			O_RDWR | O_CREAT,
			0600,
			DBWRAP_LOCK_ORDER_1,
			DBWRAP_FLAG_NONE);
	talloc_free(path);
	if (s->db == NULL) {
		return EIO;
	}
	csvd->secret = s;
	csvd_secret_refresh(csvd);
	if (s->valid[0].generation != 0) {
		return 0;
	}
	ret = secret_transaction(s, 0);
	if (ret != 0) {
		return ret;
	}
	csvd_secret_refresh(csvd);
	return s->valid[0].generation != 0 ? 0 : EIO;
}

void csvd_secret_copy(struct csvd_context *csvd,
		      struct guard_secret secrets[2])
{
	struct csvd_secret *s = csvd->secret;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(s->valid); i++) {
		secrets[i] = (struct guard_secret){
			.generation = s->valid[i].generation,
		};
		memcpy(secrets[i].secret,
		       s->valid[i].secret,
		       CSV_SECRET_SIZE);
	}
}

bool csvd_secret_get(void *private_data,
		     uint32_t generation,
		     uint8_t secret[CSV_SECRET_SIZE])
{
	struct csvd_context *csvd = private_data;
	struct csvd_secret *s = csvd->secret;
	bool found = false;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < ARRAY_SIZE(s->valid); i++) {
		if (generation != 0 && s->valid[i].generation == generation) {
			memcpy(secret, s->valid[i].secret, CSV_SECRET_SIZE);
			found = true;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

int csvd_secret_psk(struct csvd_context *csvd,
		    uint32_t server,
		    uint8_t psk[CSV_PSK_SIZE],
		    char identity[CSV_PSK_IDENTITY_MAX])
{
	struct csvd_secret *s = csvd->secret;
	uint32_t generation = s->valid[0].generation;
	int ret;

	ret = csv_psk_derive(s->valid[0].secret,
			     generation,
			     csvd->node,
			     server,
			     psk);
	if (ret != 0) {
		return ret;
	}
	return csv_psk_identity_push(generation,
				     csvd->node,
				     server,
				     identity,
				     CSV_PSK_IDENTITY_MAX);
}
