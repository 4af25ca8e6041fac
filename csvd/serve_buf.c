/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for data, kept for the next request: fresh pages cost more than the
 * copy into them. Used by the socket thread only.
 */
#include "replace.h"
#include "csvd/serve_private.h"

/* The class of a size; false: not kept. */
static bool buf_class(size_t len, unsigned *class, size_t *size)
{
	unsigned i = 0;
	size_t s = SERVE_BUF_MIN;

	while (s < len && s < SERVE_BUF_MAX) {
		s *= 2;
		i++;
	}
	*class = i;
	*size = s;
	return len <= s && len > SERVE_BUF_MIN / 4;
}

uint8_t *serve_buf_get(struct csv_serve *serve,
		       TALLOC_CTX *mem_ctx,
		       size_t len)
{
	unsigned class;
	size_t size;

	if (!buf_class(len, &class, &size)) {
		return talloc_array(mem_ctx, uint8_t, len);
	}
	if (serve->num_bufs[class] == 0) {
		return talloc_array(mem_ctx, uint8_t, size);
	}
	serve->num_bufs[class] -= 1;
	return talloc_steal(mem_ctx,
			    serve->bufs[class][serve->num_bufs[class]]);
}

void serve_buf_put(struct csv_serve *serve, uint8_t *buf)
{
	unsigned class;
	size_t size;

	if (buf == NULL) {
		return;
	}
	if (!buf_class(talloc_get_size(buf), &class, &size) ||
	    talloc_get_size(buf) != size ||
	    serve->num_bufs[class] == SERVE_BUFS_KEPT) {
		talloc_free(buf);
		return;
	}
	serve->bufs[class][serve->num_bufs[class]] = talloc_steal(serve, buf);
	serve->num_bufs[class] += 1;
}
