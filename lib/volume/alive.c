/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is the file system behind a backend alive, or does it answer EIO to
 * everything because it was shut down?
 */
#include <errno.h>
#include "backend.h"

/*
 * XFS, ext4 and btrfs refuse to open anything after a shutdown; a root
 * directory that opens shows a file system that still decides by itself what
 * an I/O error is.
 */
bool csv_backend_alive(struct csv_backend *b)
{
	static const struct csv_cred root = {};
	struct csv_file *file = NULL;
	int ret;

	ret = b->ops->open(b,
			   NULL,
			   &root,
			   b->ops->root(b),
			   "",
			   CSV_O_READ | CSV_O_DIRECTORY,
			   0,
			   &file,
			   NULL,
			   NULL);
	talloc_free(file);
	return ret != EIO && ret != ESHUTDOWN && ret != ENODEV &&
	       ret != ENXIO;
}
