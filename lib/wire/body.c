/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bodies of messages: NDR, then one check per message.
 */
#include "replace.h"
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "lib/wire/codec.h"
#include "gen_ndr/ndr_csv.h"

struct csv_body {
	const char *name;
	size_t size;
	ndr_push_flags_fn_t push;
	ndr_pull_flags_fn_t pull;
	bool (*check)(const void *r);
	/* of the bytes, before anything is allocated */
	bool (*precheck)(const uint8_t *buf, size_t len);
};

static bool name_ok(const struct csv_bytes *b)
{
	return b->length <= CSV_MAX_NAME &&
	       (b->length == 0 || memchr(b->data, 0, b->length) == NULL);
}

static bool time_ok(const struct csv_time *t)
{
	return t->nsec < 1000000000;
}

static bool stat_ok(const struct csv_wire_stat *st)
{
	return time_ok(&st->atime) && time_ok(&st->mtime) &&
	       time_ok(&st->ctime) && time_ok(&st->btime);
}

static bool check_attach_req(const void *p)
{
	const struct csv_attach_req *r = p;

	return r->id != 0 && r->name.length > 0 &&
	       r->name.length <= CSV_VOLUME_NAME_MAX && name_ok(&r->name);
}

static bool check_attach_rep(const void *p)
{
	const struct csv_attach_rep *r = p;

	return stat_ok(&r->st);
}

static bool check_setcred_req(const void *p)
{
	const struct csv_setcred_req *r = p;

	return r->id >= 1 && r->id <= 64 && r->uid != UINT32_MAX &&
	       r->gid != UINT32_MAX && r->umask <= 0777;
}

static bool check_open_req(const void *p)
{
	const struct csv_open_req *r = p;

	return name_ok(&r->name);
}

static bool check_open_rep(const void *p)
{
	const struct csv_open_rep *r = p;

	return stat_ok(&r->st);
}

static bool check_stat_rep(const void *p)
{
	const struct csv_stat_rep *r = p;

	return stat_ok(&r->st);
}

static bool check_statat_req(const void *p)
{
	const struct csv_statat_req *r = p;

	return name_ok(&r->name);
}

static bool check_statat_rep(const void *p)
{
	const struct csv_statat_rep *r = p;

	return stat_ok(&r->st);
}

static bool check_setattr_req(const void *p)
{
	const struct csv_setattr_req *r = p;

	return name_ok(&r->name);
}

static bool check_readdir_req(const void *p)
{
	const struct csv_readdir_req *r = p;
	uint32_t i;

	for (i = 0; i < r->num_xattrs; i++) {
		if (!name_ok(&r->xattrs[i])) {
			return false;
		}
	}
	return name_ok(&r->like);
}

/* Entries take 8 (cookie) and 4 (length of the name) bytes at least. */
static bool precheck_readdir_rep(const uint8_t *buf, size_t len)
{
	uint32_t num;

	if (len < 8) {
		return false;
	}
	memcpy(&num, buf + 4, sizeof(num));
	return le32toh(num) <= len / 12;
}

/* Names, each with a NUL behind it. */
static bool names_ok(const struct csv_bytes *b)
{
	return b->length <= CSV_MAX_WANTED_NAMES &&
	       (b->length == 0 || b->data[b->length - 1] == '\0');
}

static bool extra_ok(const struct csv_wire_dirent *e)
{
	uint32_t i;

	if (!names_ok(&e->xattr_names)) {
		return false;
	}
	for (i = 0; i < e->num_values; i++) {
		if (e->values[i].data.length > CSV_MAX_WANTED_VALUE) {
			return false;
		}
	}
	return true;
}

static bool check_readdir_rep(const void *p)
{
	const struct csv_readdir_rep *r = p;
	const struct csv_wire_dirent *e = NULL;
	uint32_t i;

	for (i = 0; i < r->num; i++) {
		e = &r->entries[i];
		if (!name_ok(&e->name) || !stat_ok(&e->st) || !extra_ok(e)) {
			return false;
		}
	}
	return true;
}

static bool check_name_req(const void *p)
{
	const struct csv_name_req *r = p;

	return name_ok(&r->name) && name_ok(&r->target);
}

static bool check_two_names_req(const void *p)
{
	const struct csv_two_names_req *r = p;

	return name_ok(&r->src_name) && name_ok(&r->dst_name);
}

static bool check_bytes_rep(const void *p)
{
	const struct csv_bytes_rep *r = p;

	return name_ok(&r->value);
}

static bool check_fallocate_req(const void *p)
{
	const struct csv_fallocate_req *r = p;

	return r->offset <= INT64_MAX && r->length <= INT64_MAX;
}

static bool check_seek_req(const void *p)
{
	const struct csv_seek_req *r = p;

	return r->offset <= INT64_MAX;
}

static bool check_copy_req(const void *p)
{
	const struct csv_copy_req *r = p;

	return r->src_offset <= INT64_MAX && r->dst_offset <= INT64_MAX &&
	       r->length <= INT64_MAX;
}

static bool check_xattr_req(const void *p)
{
	const struct csv_xattr_req *r = p;

	return name_ok(&r->name) && r->max_size <= CSV_MAX_XATTR;
}

static bool check_io_req(const void *p)
{
	const struct csv_io_req *r = p;

	return r->length <= CSV_MAX_DATA && r->offset <= INT64_MAX;
}

#define BODY(type, check_fn, precheck_fn)                        \
	{                                                        \
		.name = #type, .size = sizeof(struct csv_##type), \
		.push = (ndr_push_flags_fn_t)ndr_push_csv_##type, \
		.pull = (ndr_pull_flags_fn_t)ndr_pull_csv_##type, \
		.check = check_fn, .precheck = precheck_fn,       \
	}

enum body_index {
	B_HELLO_REQ,
	B_HELLO_REP,
	B_ATTACH_REQ,
	B_ATTACH_REP,
	B_SETCRED_REQ,
	B_CANCEL_REQ,
	B_OPEN_REQ,
	B_OPEN_REP,
	B_OPEN_FH_REQ,
	B_HANDLE_REQ,
	B_IO_REQ,
	B_IO_REP,
	B_FSYNC_REQ,
	B_STAT_REP,
	B_STATAT_REQ,
	B_STATAT_REP,
	B_SETATTR_REQ,
	B_READDIR_REQ,
	B_READDIR_REP,
	B_NAME_REQ,
	B_TWO_NAMES_REQ,
	B_BYTES_REP,
	B_FALLOCATE_REQ,
	B_SEEK_REQ,
	B_NUMBER_REP,
	B_COPY_REQ,
	B_STATFS_REP,
	B_XATTR_REQ,
	B_XATTR_REP,
	B_NONE,
};

static const struct csv_body bodies[B_NONE] = {
	[B_HELLO_REQ] = BODY(hello_req, NULL, NULL),
	[B_HELLO_REP] = BODY(hello_rep, NULL, NULL),
	[B_ATTACH_REQ] = BODY(attach_req, check_attach_req, NULL),
	[B_ATTACH_REP] = BODY(attach_rep, check_attach_rep, NULL),
	[B_SETCRED_REQ] = BODY(setcred_req, check_setcred_req, NULL),
	[B_CANCEL_REQ] = BODY(cancel_req, NULL, NULL),
	[B_OPEN_REQ] = BODY(open_req, check_open_req, NULL),
	[B_OPEN_REP] = BODY(open_rep, check_open_rep, NULL),
	[B_OPEN_FH_REQ] = BODY(open_fh_req, NULL, NULL),
	[B_HANDLE_REQ] = BODY(handle_req, NULL, NULL),
	[B_IO_REQ] = BODY(io_req, check_io_req, NULL),
	[B_IO_REP] = BODY(io_rep, NULL, NULL),
	[B_FSYNC_REQ] = BODY(fsync_req, NULL, NULL),
	[B_STAT_REP] = BODY(stat_rep, check_stat_rep, NULL),
	[B_STATAT_REQ] = BODY(statat_req, check_statat_req, NULL),
	[B_STATAT_REP] = BODY(statat_rep, check_statat_rep, NULL),
	[B_SETATTR_REQ] = BODY(setattr_req, check_setattr_req, NULL),
	[B_READDIR_REQ] = BODY(readdir_req, check_readdir_req, NULL),
	[B_READDIR_REP] = BODY(readdir_rep, check_readdir_rep,
			       precheck_readdir_rep),
	[B_NAME_REQ] = BODY(name_req, check_name_req, NULL),
	[B_TWO_NAMES_REQ] = BODY(two_names_req, check_two_names_req, NULL),
	[B_BYTES_REP] = BODY(bytes_rep, check_bytes_rep, NULL),
	[B_FALLOCATE_REQ] = BODY(fallocate_req, check_fallocate_req, NULL),
	[B_SEEK_REQ] = BODY(seek_req, check_seek_req, NULL),
	[B_NUMBER_REP] = BODY(number_rep, NULL, NULL),
	[B_COPY_REQ] = BODY(copy_req, check_copy_req, NULL),
	[B_STATFS_REP] = BODY(statfs_rep, NULL, NULL),
	[B_XATTR_REQ] = BODY(xattr_req, check_xattr_req, NULL),
	[B_XATTR_REP] = BODY(xattr_rep, NULL, NULL),
};

struct op_bodies {
	uint8_t req;
	uint8_t rep;
};

static const struct op_bodies op_bodies[] = {
	[CSV_OP_HELLO] = { B_HELLO_REQ, B_HELLO_REP },
	[CSV_OP_ATTACH] = { B_ATTACH_REQ, B_ATTACH_REP },
	[CSV_OP_SETCRED] = { B_SETCRED_REQ, B_NONE },
	[CSV_OP_KEEPALIVE] = { B_NONE, B_NONE },
	[CSV_OP_CANCEL] = { B_CANCEL_REQ, B_NONE },
	[6] = { B_NONE, B_NONE },
	[7] = { B_NONE, B_NONE },
	[8] = { B_NONE, B_NONE },
	[9] = { B_NONE, B_NONE },
	[CSV_OP_OPEN] = { B_OPEN_REQ, B_OPEN_REP },
	[CSV_OP_OPEN_FH] = { B_OPEN_FH_REQ, B_OPEN_REP },
	[CSV_OP_CLOSE] = { B_HANDLE_REQ, B_NONE },
	[CSV_OP_READ] = { B_IO_REQ, B_IO_REP },
	[CSV_OP_WRITE] = { B_IO_REQ, B_IO_REP },
	[CSV_OP_FSYNC] = { B_FSYNC_REQ, B_NONE },
	[CSV_OP_FSTAT] = { B_HANDLE_REQ, B_STAT_REP },
	[CSV_OP_STATAT] = { B_STATAT_REQ, B_STATAT_REP },
	[CSV_OP_SETATTR] = { B_SETATTR_REQ, B_NONE },
	[CSV_OP_READDIR] = { B_READDIR_REQ, B_READDIR_REP },
	[CSV_OP_MKDIR] = { B_NAME_REQ, B_NONE },
	[CSV_OP_MKNOD] = { B_NAME_REQ, B_NONE },
	[CSV_OP_SYMLINK] = { B_NAME_REQ, B_NONE },
	[CSV_OP_READLINK] = { B_NAME_REQ, B_BYTES_REP },
	[CSV_OP_LINK] = { B_TWO_NAMES_REQ, B_NONE },
	[CSV_OP_RENAME] = { B_TWO_NAMES_REQ, B_NONE },
	[CSV_OP_UNLINK] = { B_NAME_REQ, B_NONE },
	[CSV_OP_FALLOCATE] = { B_FALLOCATE_REQ, B_NONE },
	[CSV_OP_SEEK] = { B_SEEK_REQ, B_NUMBER_REP },
	[CSV_OP_COPY_RANGE] = { B_COPY_REQ, B_NUMBER_REP },
	[CSV_OP_STATFS] = { B_HANDLE_REQ, B_STATFS_REP },
	[CSV_OP_GETXATTR] = { B_XATTR_REQ, B_XATTR_REP },
	[CSV_OP_SETXATTR] = { B_XATTR_REQ, B_NONE },
	[CSV_OP_LISTXATTR] = { B_XATTR_REQ, B_XATTR_REP },
	[CSV_OP_REMOVEXATTR] = { B_XATTR_REQ, B_NONE },
};

const struct csv_body *csv_body_index(unsigned i)
{
	return i < B_NONE ? &bodies[i] : NULL;
}

const struct csv_body *csv_body_of(enum csv_op op, bool response)
{
	unsigned i = op;

	if (i == 0 || i >= ARRAY_SIZE(op_bodies)) {
		return NULL;
	}
	return csv_body_index(response ? op_bodies[i].rep : op_bodies[i].req);
}

size_t csv_body_size(const struct csv_body *body)
{
	return body->size;
}

const char *csv_body_name(const struct csv_body *body)
{
	return body->name;
}

int csv_body_push(const struct csv_body *body,
		  TALLOC_CTX *mem_ctx,
		  const void *r,
		  uint8_t **buf,
		  size_t *len)
{
	DATA_BLOB blob = {};
	enum ndr_err_code err;

	if (body->check != NULL && !body->check(r)) {
		return EINVAL;
	}
	err = ndr_push_struct_blob(&blob, mem_ctx, r, body->push);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return err == NDR_ERR_ALLOC ? ENOMEM : EINVAL;
	}
	*buf = blob.data;
	*len = blob.length;
	return 0;
}

int csv_body_pull(const struct csv_body *body,
		  TALLOC_CTX *mem_ctx,
		  const uint8_t *buf,
		  size_t len,
		  void *r)
{
	DATA_BLOB blob = { .data = discard_const_p(uint8_t, buf),
			   .length = len };
	enum ndr_err_code err;

	if (body->precheck != NULL && !body->precheck(buf, len)) {
		return EBADMSG;
	}
	memset(r, 0, body->size);
	err = ndr_pull_struct_blob(&blob, mem_ctx, r, body->pull);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return EBADMSG;
	}
	if (body->check != NULL && !body->check(r)) {
		return EBADMSG;
	}
	return 0;
}

struct csv_bytes csv_bytes_of(const char *s)
{
	struct csv_bytes b = {};

	if (s != NULL) {
		b.data = discard_const_p(uint8_t, s);
		b.length = strlen(s);
	}
	return b;
}

char *csv_bytes_str(TALLOC_CTX *mem_ctx, const struct csv_bytes *b)
{
	return talloc_strndup(mem_ctx,
			      b->length != 0 ? (const char *)b->data : "",
			      b->length);
}

void csv_time_to_wire(const struct timespec *ts, struct csv_time *w)
{
	w->sec = ts->tv_sec;
	w->nsec = ts->tv_nsec;
}

void csv_time_from_wire(const struct csv_time *w, struct timespec *ts)
{
	ts->tv_sec = (int64_t)w->sec;
	ts->tv_nsec = w->nsec;
}

void csv_stat_to_wire(const struct csv_stat *st, struct csv_wire_stat *w)
{
	w->ino = st->ino;
	w->mode = st->mode;
	w->nlink = st->nlink;
	w->uid = st->uid;
	w->gid = st->gid;
	w->rdev = st->rdev;
	w->size = st->size;
	w->blocks = st->blocks;
	w->blksize = st->blksize;
	csv_time_to_wire(&st->atime, &w->atime);
	csv_time_to_wire(&st->mtime, &w->mtime);
	csv_time_to_wire(&st->ctime, &w->ctime);
	csv_time_to_wire(&st->btime, &w->btime);
}

void csv_stat_from_wire(const struct csv_wire_stat *w, struct csv_stat *st)
{
	st->ino = w->ino;
	st->mode = w->mode;
	st->nlink = w->nlink;
	st->uid = w->uid;
	st->gid = w->gid;
	st->rdev = w->rdev;
	st->size = w->size;
	st->blocks = w->blocks;
	st->blksize = w->blksize;
	csv_time_from_wire(&w->atime, &st->atime);
	csv_time_from_wire(&w->mtime, &st->mtime);
	csv_time_from_wire(&w->ctime, &st->ctime);
	csv_time_from_wire(&w->btime, &st->btime);
}

void csv_fh_to_wire(const struct csv_fhandle *fh, struct csv_wire_fh *w)
{
	w->type = fh->type;
	w->length = fh->length;
	w->data = discard_const_p(uint8_t, fh->data);
}

void csv_fh_from_wire(const struct csv_wire_fh *w, struct csv_fhandle *fh)
{
	fh->type = w->type;
	fh->length = w->length;
	if (w->length != 0) {
		memcpy(fh->data, w->data, w->length);
	}
}
