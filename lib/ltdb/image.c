/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See image.h.
 */
#include "lib/ltdb/image.h"
#include "system/filesys.h"

#define IMAGE_MAX (64 << 20)
#define IMAGE_CHUNK 65536

struct csv_ltdb_image {
	size_t size;
	uint8_t *bytes;
};

/* What differs is taken over. The file may have become shorter meanwhile. */
static int image_compare(struct csv_ltdb_image *image, int fd, bool *changed)
{
	uint8_t chunk[IMAGE_CHUNK];
	size_t have = 0;
	ssize_t n;

	while (have < image->size) {
		n = pread(fd,
			  chunk,
			  MIN(sizeof(chunk), image->size - have),
			  have);
		if (n == -1 && errno == EINTR) {
			continue;
		}
		if (n == -1) {
			return errno;
		}
		if (n == 0) {
			image->size = have;
			*changed = true;
			break;
		}
		if (memcmp(image->bytes + have, chunk, n) != 0) {
			memcpy(image->bytes + have, chunk, n);
			*changed = true;
		}
		have += n;
	}
	return 0;
}

/* As long as the file is now; it may grow while it is read. */
static int image_look(TALLOC_CTX *mem_ctx,
		      int fd,
		      struct csv_ltdb_image **image,
		      bool *changed)
{
	struct stat st = {};

	if (fstat(fd, &st) == -1) {
		return errno;
	}
	if (st.st_size > IMAGE_MAX) {
		return EFBIG;
	}
	if (*image == NULL || (*image)->size != (size_t)st.st_size) {
		*changed = true;
		talloc_free(*image);
		*image = talloc_zero(mem_ctx, struct csv_ltdb_image);
		if (*image == NULL) {
			return ENOMEM;
		}
		(*image)->size = st.st_size;
		(*image)->bytes = talloc_zero_size(*image, st.st_size + 1);
		if ((*image)->bytes == NULL) {
			return ENOMEM;
		}
	}
	return image_compare(*image, fd, changed);
}

int csv_ltdb_changed(TALLOC_CTX *mem_ctx,
		     const char *path,
		     struct csv_ltdb_image **image,
		     bool *changed)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret = errno;

	*changed = false;
	if (fd != -1) {
		ret = image_look(mem_ctx, fd, image, changed);
		close(fd);
	}
	if (ret != 0) {
		*changed = true;
		TALLOC_FREE(*image);
	}
	return ret;
}
