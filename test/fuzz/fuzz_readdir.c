/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A listing as the owner answers it. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_body(csv_body_of(CSV_OP_READDIR, true), data, size);
	return 0;
}
