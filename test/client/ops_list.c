/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The paced listing: a directory with many entries, read with small requests
 * between other operations, so that it stays open over everything that
 * happens. Each entry must be seen exactly once. After a reconnect the server
 * starts anew and so does the count.
 */
#include "ops.h"

#define LIST_BUFFER 4096
#define LIST_NAME_OFS 104

struct ops_listing {
	struct ops *ops;
	char *dir;
	struct smb3_handle *handle;
	uint32_t reopened;
	uint32_t entries;
	uint8_t *seen;
	bool restart;
	uint32_t listings;
	uint32_t restarts;
	uint32_t requests;
	uint32_t missing;
	uint32_t doubled;
	uint32_t unknown;
};

static char *list_entry_path(TALLOC_CTX *mem_ctx,
			     const struct ops_listing *l,
			     uint32_t i)
{
	return talloc_asprintf(mem_ctx, "%s\\entry-%08u", l->dir, i);
}

static NTSTATUS list_fill(struct ops_listing *l)
{
	struct ops *ops = l->ops;
	struct smb3_handle *handle = NULL;
	NTSTATUS status;
	uint32_t i;

	status = ops_open(ops, l->dir, FILE_CREATE, FILE_DIRECTORY_FILE,
			  &l->handle);
	for (i = 0; NT_STATUS_IS_OK(status) && i < l->entries; i++) {
		char *path = list_entry_path(l, l, i);

		status = ops_open(ops, path, FILE_CREATE, 0, &handle);
		if (NT_STATUS_IS_OK(status)) {
			status = smb3_close(handle);
		}
		TALLOC_FREE(path);
	}
	return status;
}

struct ops_listing *ops_listing_create(struct ops *ops, uint32_t entries)
{
	struct ops_listing *l = talloc_zero(ops, struct ops_listing);
	NTSTATUS status;

	if (l == NULL) {
		return NULL;
	}
	l->ops = ops;
	l->entries = entries;
	l->restart = true;
	l->dir = talloc_asprintf(l, "%s\\listing", ops->base);
	l->seen = talloc_zero_array(l, uint8_t, entries);
	status = list_fill(l);
	if (!NT_STATUS_IS_OK(status)) {
		report_error(ops->report, "directory to list: %s",
			     nt_errstr(status));
		TALLOC_FREE(l);
	}
	return l;
}

static void list_one(struct ops_listing *l, const char *name)
{
	unsigned int number;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		return;
	}
	if (sscanf(name, "entry-%8u", &number) != 1 || number >= l->entries) {
		l->unknown += 1;
		report_error(l->ops->report, "listing: unknown %s", name);
		return;
	}
	if (l->seen[number] != 0) {
		l->doubled += 1;
		report_error(l->ops->report, "listing: %s twice", name);
	}
	l->seen[number] = 1;
}

static bool list_parse_one(struct ops_listing *l, DATA_BLOB blob, size_t ofs)
{
	const uint8_t *entry = blob.data + ofs;
	size_t left = blob.length - ofs;
	char *name = NULL;
	size_t len = 0;
	uint32_t name_len;
	bool ok;

	if (left < LIST_NAME_OFS) {
		return false;
	}
	name_len = IVAL(entry, 60);
	if (name_len > left - LIST_NAME_OFS) {
		return false;
	}
	ok = convert_string_talloc(l, CH_UTF16, CH_UNIX,
				   entry + LIST_NAME_OFS, name_len,
				   &name, &len);
	if (!ok) {
		return false;
	}
	name = talloc_realloc(l, name, char, len + 1);
	name[len] = '\0';
	list_one(l, name);
	TALLOC_FREE(name);
	return true;
}

static void list_parse(struct ops_listing *l, DATA_BLOB blob)
{
	size_t ofs = 0;

	while (true) {
		uint32_t next;

		if (!list_parse_one(l, blob, ofs)) {
			report_error(l->ops->report, "listing: bad answer");
			return;
		}
		next = IVAL(blob.data, ofs);
		if (next == 0 || next > blob.length - ofs) {
			return;
		}
		ofs += next;
	}
}

static void list_complete(struct ops_listing *l)
{
	uint32_t i;

	for (i = 0; i < l->entries; i++) {
		if (l->seen[i] == 0) {
			l->missing += 1;
			report_error(l->ops->report,
				     "listing: entry %u missing", i);
		}
	}
	l->listings += 1;
	l->restart = true;
}

void ops_listing_step(struct ops_listing *l)
{
	TALLOC_CTX *frame = NULL;
	DATA_BLOB out = {};
	uint8_t flags = 0;
	NTSTATUS status;

	if (l == NULL) {
		return;
	}
	frame = talloc_stackframe();
	if (l->restart) {
		memset(l->seen, 0, l->entries);
		l->reopened = l->handle->reopened;
		flags = SMB2_CONTINUE_FLAG_RESTART;
		l->restart = false;
	}
	status = smb3_query_directory(l->handle, flags, "*", LIST_BUFFER,
				      frame, &out);
	l->requests += 1;
	if (l->reopened != l->handle->reopened) {
		l->restarts += 1;
		l->restart = true;
	} else if (NT_STATUS_IS_OK(status)) {
		list_parse(l, out);
	} else if (NT_STATUS_EQUAL(status, NT_STATUS_NO_MORE_FILES)) {
		list_complete(l);
	} else {
		report_error(l->ops->report, "listing: %s",
			     nt_errstr(status));
		l->restart = true;
	}
	TALLOC_FREE(frame);
}

static void list_remove(struct ops_listing *l)
{
	NTSTATUS status;
	uint32_t i;

	status = smb3_close(l->handle);
	for (i = 0; NT_STATUS_IS_OK(status) && i < l->entries; i++) {
		char *path = list_entry_path(l, l, i);

		status = ops_delete(l->ops, path, 0);
		TALLOC_FREE(path);
	}
	if (NT_STATUS_IS_OK(status)) {
		status = ops_delete(l->ops, l->dir, FILE_DIRECTORY_FILE);
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(l->ops->report, "clean up of the listing: %s",
			     nt_errstr(status));
	}
}

/* Ends the listing that is under way, reports, removes the directory. */
void ops_listing_finish(struct ops_listing *l)
{
	struct report *report = NULL;

	if (l == NULL) {
		return;
	}
	report = l->ops->report;
	while (!l->restart) {
		ops_listing_step(l);
	}
	list_remove(l);
	report_set(report, "listing_entries", json_integer(l->entries));
	report_set(report, "listings", json_integer(l->listings));
	report_set(report, "listing_requests", json_integer(l->requests));
	report_set(report, "listing_restarts", json_integer(l->restarts));
	report_set(report, "listing_missing", json_integer(l->missing));
	report_set(report, "listing_doubled", json_integer(l->doubled));
	report_set(report, "listing_unknown", json_integer(l->unknown));
}
