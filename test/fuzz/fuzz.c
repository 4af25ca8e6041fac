/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Round trips of whatever a decoder accepts.
 */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

static void same(const uint8_t *a, size_t na, const uint8_t *b, size_t nb)
{
	if (na != nb || (na != 0 && memcmp(a, b, na) != 0)) {
		abort();
	}
}

void fuzz_body(const struct csv_body *body, const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	uint8_t *one = NULL;
	uint8_t *two = NULL;
	size_t len1 = 0;
	size_t len2 = 0;
	uint8_t r[512] __attribute__((aligned(16)));

	if (body == NULL || csv_body_pull(body, mem, data, size, r) != 0) {
		talloc_free(mem);
		return;
	}
	if (csv_body_push(body, mem, r, &one, &len1) != 0 ||
	    csv_body_pull(body, mem, one, len1, r) != 0 ||
	    csv_body_push(body, mem, r, &two, &len2) != 0) {
		abort();
	}
	same(one, len1, two, len2);
	talloc_free(mem);
}

void fuzz_ndr(ndr_push_flags_fn_t push,
	      ndr_pull_flags_fn_t pull,
	      size_t struct_size,
	      const uint8_t *data,
	      size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	DATA_BLOB in = { .data = discard_const_p(uint8_t, data),
			 .length = size };
	DATA_BLOB one = {};
	DATA_BLOB two = {};
	void *r = talloc_zero_size(mem, struct_size);

	if (!NDR_ERR_CODE_IS_SUCCESS(
		    ndr_pull_struct_blob(&in, mem, r, pull))) {
		talloc_free(mem);
		return;
	}
	if (!NDR_ERR_CODE_IS_SUCCESS(
		    ndr_push_struct_blob(&one, mem, r, push)) ||
	    !NDR_ERR_CODE_IS_SUCCESS(
		    ndr_pull_struct_blob(&one, mem, r, pull)) ||
	    !NDR_ERR_CODE_IS_SUCCESS(
		    ndr_push_struct_blob(&two, mem, r, push))) {
		abort();
	}
	same(one.data, one.length, two.data, two.length);
	talloc_free(mem);
}
