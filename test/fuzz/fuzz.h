/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the fuzz targets share: bytes that a decoder accepts must survive
 * encoding and decoding again unchanged.
 */
#ifndef _TEST_FUZZ_FUZZ_H_
#define _TEST_FUZZ_FUZZ_H_

#include <stddef.h>
#include <stdint.h>
#include "replace.h"
#include "lib/wire/codec.h"
#include "gen_ndr/ndr_csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One kind of body of the wire. */
void fuzz_body(const struct csv_body *body, const uint8_t *data, size_t size);

/* One NDR structure of `struct_size` bytes. */
void fuzz_ndr(ndr_push_flags_fn_t push,
	      ndr_pull_flags_fn_t pull,
	      size_t struct_size,
	      const uint8_t *data,
	      size_t size);

#endif /* _TEST_FUZZ_FUZZ_H_ */
