/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file handle of the directory of a persistent handle's file: vfs_csv puts
 * it behind smbd's cookie of the open.
 *
 * The handle's bytes, its type and length (little endian, 32 bits each), the
 * magic. Read from the end.
 */
#ifndef _LIB_OPENS_WHERE_H_
#define _LIB_OPENS_WHERE_H_

#include "csv_file.h"

#define CSV_WHERE_MAX (CSV_MAX_FHANDLE + 16)

/* Bytes put into buf. dir->length is at most CSV_MAX_FHANDLE. */
size_t csv_where_push(const struct csv_fhandle *dir,
		      uint8_t buf[CSV_WHERE_MAX]);

/*
 * false: there is none at the end of data, or it is no good; *dir is empty.
 * *rest is the length of what is before it, all of the data if there is none.
 */
bool csv_where_pull(const uint8_t *data,
		    size_t length,
		    struct csv_fhandle *dir,
		    size_t *rest);

#endif /* _LIB_OPENS_WHERE_H_ */
