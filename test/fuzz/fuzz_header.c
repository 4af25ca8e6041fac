/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fixed header, and the bodies of READ and WRITE written by hand. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[CSV_WIRE_HEADER];
	struct csv_header h;
	struct csv_io_req io;
	uint32_t length;

	(void)csv_io_rep_pull(data, size, &length);
	if (csv_io_req_pull(data, size, &io) == 0) {
		csv_io_req_push(&io, buf);
		if (memcmp(buf, data, CSV_IO_REQ_LEN) != 0) {
			abort();
		}
	}
	if (size >= CSV_WIRE_HEADER && csv_header_pull(data, &h) == 0) {
		csv_header_push(&h, buf);
		if (memcmp(buf, data, sizeof(buf)) != 0 ||
		    h.length > CSV_WIRE_HEADER + CSV_WIRE_MAX_BODY +
				       CSV_WIRE_MAX_DATA) {
			abort();
		}
	}
	return 0;
}
