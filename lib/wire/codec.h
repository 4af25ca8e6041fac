/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages of the wire to and from bytes: the fixed header, and one table of
 * bodies with their checks (csv.idl says what is in them).
 *
 * The header and the bodies of READ and WRITE are written by hand, since each
 * 4 KiB pays for them; the bytes are those of NDR (test_codec.c compares).
 */
#ifndef _CSV_WIRE_CODEC_H_
#define _CSV_WIRE_CODEC_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include "csv_file.h"
#include "gen_ndr/csv.h"

#define CSV_IO_REQ_LEN 24
#define CSV_IO_REP_LEN 4

void csv_header_push(const struct csv_header *h,
		     uint8_t buf[CSV_WIRE_HEADER]);
/*
 * 0; EPROTONOSUPPORT: no version in common; EBADMSG: lengths that contradict
 * each other or exceed the maxima. The operation may be an unknown one.
 */
int csv_header_pull(const uint8_t buf[CSV_WIRE_HEADER], struct csv_header *h);

void csv_io_req_push(const struct csv_io_req *r, uint8_t buf[CSV_IO_REQ_LEN]);
/* 0 or EBADMSG (too short, too long a transfer, offset overflow). */
int csv_io_req_pull(const uint8_t *buf, size_t len, struct csv_io_req *r);
void csv_io_rep_push(uint32_t length, uint8_t buf[CSV_IO_REP_LEN]);
int csv_io_rep_pull(const uint8_t *buf, size_t len, uint32_t *length);

/* One kind of body. */
struct csv_body;

/* The body of a request or response; NULL: has none or unknown operation. */
const struct csv_body *csv_body_of(enum csv_op op, bool response);
/* Bytes of the C structure that a body is pulled into, at most 512. */
size_t csv_body_size(const struct csv_body *body);
const char *csv_body_name(const struct csv_body *body);
/* Each kind of body once: i from 0 until NULL. For tests. */
const struct csv_body *csv_body_index(unsigned i);

/* *buf is a talloc child of mem_ctx. 0, ENOMEM, or EINVAL (would not pull). */
int csv_body_push(const struct csv_body *body,
		  TALLOC_CTX *mem_ctx,
		  const void *r,
		  uint8_t **buf,
		  size_t *len);
/*
 * r: csv_body_size() bytes; what it points to are talloc children of mem_ctx.
 * Trailing bytes are tolerated. 0 or EBADMSG.
 */
int csv_body_pull(const struct csv_body *body,
		  TALLOC_CTX *mem_ctx,
		  const uint8_t *buf,
		  size_t len,
		  void *r);

/* Borrowed views; a name was checked to have no NUL and a fair length. */
struct csv_bytes csv_bytes_of(const char *s);
char *csv_bytes_str(TALLOC_CTX *mem_ctx, const struct csv_bytes *b);

void csv_stat_to_wire(const struct csv_stat *st, struct csv_wire_stat *w);
void csv_stat_from_wire(const struct csv_wire_stat *w, struct csv_stat *st);
/* Borrowed view of fh. */
void csv_fh_to_wire(const struct csv_fhandle *fh, struct csv_wire_fh *w);
void csv_fh_from_wire(const struct csv_wire_fh *w, struct csv_fhandle *fh);
void csv_time_to_wire(const struct timespec *ts, struct csv_time *w);
void csv_time_from_wire(const struct csv_time *w, struct timespec *ts);

#endif /* _CSV_WIRE_CODEC_H_ */
