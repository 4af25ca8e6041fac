/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See image.h.
 */
#include "lib/ltdb/image.h"
#include "system/filesys.h"

#define IMAGE_MAX (64 << 20)

struct csv_ltdb_image {
	size_t size;
	uint8_t *bytes;
};

/* As long as the file was when it was opened; it may grow meanwhile. */
static int image_read(int fd, uint8_t *bytes, size_t *size)
{
	size_t have = 0;
	ssize_t n;

	while (have < *size) {
		n = pread(fd, bytes + have, *size - have, have);
		if (n == -1 && errno == EINTR) {
			continue;
		}
		if (n == -1) {
			return errno;
		}
		if (n == 0) {
			break;
		}
		have += n;
	}
	*size = have;
	return 0;
}

static int image_load(TALLOC_CTX *mem_ctx,
		      int fd,
		      struct csv_ltdb_image **image)
{
	struct csv_ltdb_image *fresh = NULL;
	struct stat st = {};
	int ret;

	if (fstat(fd, &st) == -1) {
		return errno;
	}
	if (st.st_size > IMAGE_MAX) {
		return EFBIG;
	}
	fresh = talloc_zero(mem_ctx, struct csv_ltdb_image);
	if (fresh == NULL) {
		return ENOMEM;
	}
	fresh->size = st.st_size;
	fresh->bytes = talloc_size(fresh, fresh->size + 1);
	ret = fresh->bytes == NULL
		      ? ENOMEM
		      : image_read(fd, fresh->bytes, &fresh->size);
	if (ret != 0) {
		talloc_free(fresh);
		return ret;
	}
	*image = fresh;
	return 0;
}

int csv_ltdb_changed(TALLOC_CTX *mem_ctx,
		     const char *path,
		     struct csv_ltdb_image **image,
		     bool *changed)
{
	struct csv_ltdb_image *was = *image, *fresh = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret = fd == -1 ? errno : image_load(mem_ctx, fd, &fresh);

	if (fd != -1) {
		close(fd);
	}
	*changed = ret != 0 || was == NULL || was->size != fresh->size ||
		   memcmp(was->bytes, fresh->bytes, fresh->size) != 0;
	*image = fresh;
	talloc_free(was);
	return ret;
}
