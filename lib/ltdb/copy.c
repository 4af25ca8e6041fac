/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tdb_rescue trusts nothing, and takes remains of deleted records for damaged
 * ones.
 */
#include "replace.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include "system/filesys.h"
#include "system/network.h"
#include "lib/util/server_id.h"
#include "ctdb/include/ctdb_protocol.h"
#include "lib/ltdb/copy.h"

#define COPY_MAX (1LL << 32)

struct ltdb_walk {
	csv_ltdb_fn fn;
	void *private_data;
};

/* The value behind CTDB's header; false: it was deleted. */
static bool ltdb_value(TDB_DATA data, TDB_DATA *value)
{
	struct ctdb_ltdb_header header;
	size_t skip = sizeof(header);

	if (data.dsize < sizeof(header)) {
		*value = (TDB_DATA){};
		return true;
	}
	memcpy(&header, data.dptr, sizeof(header));
	if ((header.flags & CTDB_REC_FLAG_PERSISTENT_IN_PROGRESS) != 0) {
		skip += SERVER_ID_BUF_LENGTH;
	}
	if (data.dsize <= skip) {
		return false;
	}
	*value = (TDB_DATA){
		.dptr = data.dptr + skip,
		.dsize = data.dsize - skip,
	};
	return true;
}

static void ltdb_record(TDB_DATA key, TDB_DATA data, void *private_data)
{
	struct ltdb_walk *walk = private_data;
	TDB_DATA value = {};

	if (ltdb_value(data, &value)) {
		walk->fn(key, value, walk->private_data);
	}
}

static int ltdb_whole(struct tdb_context *tdb,
		      TDB_DATA key,
		      TDB_DATA data,
		      void *private_data)
{
	ltdb_record(key, data, private_data);
	return 0;
}

static int ltdb_walk(struct tdb_context *tdb,
		     struct ltdb_walk *walk,
		     bool *whole)
{
	*whole = tdb_check(tdb, NULL, NULL) == 0;
	if (*whole) {
		return tdb_traverse_read(tdb, ltdb_whole, walk) >= 0 ? 0 : EIO;
	}
	return tdb_rescue(tdb, ltdb_record, walk) == 0 ? 0 : ENOMEM;
}

static int copy_bytes(int from, int to)
{
	off_t at = 0;
	ssize_t n;

	do {
		n = copy_file_range(from, NULL, to, NULL, 1 << 20, 0);
		if (n == -1) {
			n = sendfile(to, from, NULL, 1 << 20);
		}
		at += n;
	} while (n > 0 && at < COPY_MAX);
	if (n == -1) {
		return errno;
	}
	return n > 0 ? EFBIG : 0;
}

static int copy_file(const char *path, int *copy)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd == -1) {
		return errno;
	}
	*copy = memfd_create("ltdb", MFD_CLOEXEC);
	ret = *copy == -1 ? errno : copy_bytes(fd, *copy);
	close(fd);
	if (ret != 0 && *copy != -1) {
		close(*copy);
	}
	return ret;
}

int csv_ltdb_read(const char *path,
		  csv_ltdb_fn fn,
		  void *private_data,
		  bool *whole)
{
	struct ltdb_walk walk = {.fn = fn, .private_data = private_data};
	struct tdb_context *tdb = NULL;
	char name[64];
	int copy = -1;
	int ret;

	*whole = false;
	ret = copy_file(path, &copy);
	if (ret != 0) {
		return ret;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", copy);
	tdb = tdb_open(name, 0, TDB_NOLOCK, O_RDONLY, 0);
	if (tdb == NULL) {
		ret = errno != 0 ? errno : EINVAL;
	} else {
		ret = ltdb_walk(tdb, &walk, whole);
		tdb_close(tdb);
	}
	close(copy);
	return ret;
}
