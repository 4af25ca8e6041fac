/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading this node's copy of a clustered volatile database without a lock.
 *
 * A lock, held by a reader that is stopped, or slow, would stop everybody who
 * writes to the database; a traverse through ctdbd asks every node and waits
 * for one that has just died. So the file is copied. A copy that was made
 * while somebody wrote may be torn: what is whole in it is read.
 *
 * What a node wrote itself is in its own copy; of other nodes' records there
 * may be an old version, or none.
 */
#ifndef _LIB_LTDB_COPY_H_
#define _LIB_LTDB_COPY_H_

#include <stdbool.h>
#include "replace.h"
#include <tdb.h>

/* The memory is the reader's. Nobody checked what is inside. */
typedef void (*csv_ltdb_fn)(TDB_DATA key, TDB_DATA value, void *private_data);

/*
 * Calls fn for each record that was not deleted. *whole: the copy was not
 * torn, so nothing is missing. 0 or errno (EFBIG: more than 4 GiB). Blocks on
 * the file system only.
 */
int csv_ltdb_read(const char *path,
		  csv_ltdb_fn fn,
		  void *private_data,
		  bool *whole);

#endif /* _LIB_LTDB_COPY_H_ */
