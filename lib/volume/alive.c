/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is the file system behind a backend alive, or does it answer EIO to
 * everything because it was shut down, or because its device is gone?
 */
#include <errno.h>
#include "backend.h"

/*
 * XFS, ext4 and btrfs refuse to open anything after a shutdown. One that was
 * not shut down may not have noticed yet that its device is gone: it still
 * opens what is cached, while data fails. A write to its log tells a dead
 * device, which fails it, from a bad sector, which is elsewhere.
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
	if (ret == EIO || ret == ESHUTDOWN || ret == ENODEV || ret == ENXIO) {
		return false;
	}
	return b->ops->writes == NULL || b->ops->writes(b);
}
