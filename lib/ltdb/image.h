/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Has the file of a database changed since we looked the last time? Who writes
 * to a TDB does so through a mapping, which leaves the file's times as they
 * were; its bytes do tell, and comparing them costs a tenth of a reading.
 */
#ifndef _LIB_LTDB_IMAGE_H_
#define _LIB_LTDB_IMAGE_H_

#include <stdbool.h>
#include "replace.h"
#include <talloc.h>

struct csv_ltdb_image;

/*
 * *image: what it was; NULL: never looked, which is a change. It is replaced,
 * and belongs to mem_ctx. 0 or errno (EFBIG: more than 64 MiB, ENOMEM): then
 * the next look finds a change. Blocks on the file system only.
 */
int csv_ltdb_changed(TALLOC_CTX *mem_ctx,
		     const char *path,
		     struct csv_ltdb_image **image,
		     bool *changed);

#endif /* _LIB_LTDB_IMAGE_H_ */
