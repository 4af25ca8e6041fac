/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The header and the bodies of READ and WRITE, by hand.
 */
#include "replace.h"
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "lib/wire/codec.h"

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

void csv_header_push(const struct csv_header *h, uint8_t buf[CSV_WIRE_HEADER])
{
	put32(buf, h->length);
	put16(buf + 4, h->version_min);
	put16(buf + 6, h->version_max);
	put16(buf + 8, h->op);
	put16(buf + 10, h->flags);
	put32(buf + 12, h->status);
	put64(buf + 16, h->request_id);
	put64(buf + 24, h->epoch);
	put32(buf + 32, h->body_length);
	put32(buf + 36, h->data_length);
	put16(buf + 40, h->credits);
	put16(buf + 42, h->volume);
	put32(buf + 44, h->cred);
	put64(buf + 48, h->token);
}

static int csv_header_check(const struct csv_header *h)
{
	if (h->version_min > CSV_WIRE_VERSION ||
	    h->version_max < CSV_WIRE_VERSION) {
		return EPROTONOSUPPORT;
	}
	if (h->body_length > CSV_WIRE_MAX_BODY ||
	    h->data_length > CSV_WIRE_MAX_DATA) {
		return EBADMSG;
	}
	if (h->length != CSV_WIRE_HEADER + h->body_length + h->data_length) {
		return EBADMSG;
	}
	return 0;
}

int csv_header_pull(const uint8_t buf[CSV_WIRE_HEADER], struct csv_header *h)
{
	struct csv_header r = {};
	int ret;

	r.length = get32(buf);
	r.version_min = get16(buf + 4);
	r.version_max = get16(buf + 6);
	r.op = get16(buf + 8);
	r.flags = get16(buf + 10);
	r.status = get32(buf + 12);
	r.request_id = get64(buf + 16);
	r.epoch = get64(buf + 24);
	r.body_length = get32(buf + 32);
	r.data_length = get32(buf + 36);
	r.credits = get16(buf + 40);
	r.volume = get16(buf + 42);
	r.cred = get32(buf + 44);
	r.token = get64(buf + 48);
	ret = csv_header_check(&r);
	if (ret == 0) {
		*h = r;
	}
	return ret;
}

void csv_io_req_push(const struct csv_io_req *r, uint8_t buf[CSV_IO_REQ_LEN])
{
	put64(buf, r->handle);
	put64(buf + 8, r->offset);
	put32(buf + 16, r->length);
	put32(buf + 20, r->flags);
}

int csv_io_req_pull(const uint8_t *buf, size_t len, struct csv_io_req *r)
{
	struct csv_io_req io;

	if (len < CSV_IO_REQ_LEN) {
		return EBADMSG;
	}
	io.handle = get64(buf);
	io.offset = get64(buf + 8);
	io.length = get32(buf + 16);
	io.flags = get32(buf + 20);
	if (io.length > CSV_MAX_DATA || io.offset > INT64_MAX) {
		return EBADMSG;
	}
	*r = io;
	return 0;
}

void csv_io_rep_push(uint32_t length, uint8_t buf[CSV_IO_REP_LEN])
{
	put32(buf, length);
}

int csv_io_rep_pull(const uint8_t *buf, size_t len, uint32_t *length)
{
	if (len < CSV_IO_REP_LEN) {
		return EBADMSG;
	}
	*length = get32(buf);
	return 0;
}
