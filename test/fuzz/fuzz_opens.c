/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The note behind the cookie of an open: what is read can be written. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "lib/opens/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct csv_note note = {}, again = {};
	uint8_t buf[CSV_NOTE_MAX];
	size_t rest, n;

	if (!csv_note_pull(data, size, &note, &rest)) {
		return 0;
	}
	if (rest > size) {
		abort();
	}
	n = csv_note_push(&note, buf);
	if (!csv_note_pull(buf, n, &again, &rest) || rest != 0 ||
	    strcmp(note.client, again.client) != 0)
	{
		abort();
	}
	return 0;
}
