/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See note.h.
 */
#include <string.h>
#include "lib/opens/note.h"

#define MAGIC "ca-open"
#define MAGIC_SIZE 7
#define VERSION 1
/* three lengths, dialect, version, magic */
#define TAIL (3 + 2 + 1 + MAGIC_SIZE)

static size_t push_string(uint8_t *buf, size_t at, const char *s, uint8_t *len)
{
	*len = (uint8_t)strnlen(s, CSV_NOTE_STRING - 1);
	memcpy(buf + at, s, *len);
	return at + *len;
}

size_t csv_note_push(const struct csv_note *note, uint8_t buf[CSV_NOTE_MAX])
{
	uint8_t lengths[3];
	size_t at = 0;

	at = push_string(buf, at, note->client, &lengths[0]);
	at = push_string(buf, at, note->volume, &lengths[1]);
	at = push_string(buf, at, note->share, &lengths[2]);
	memcpy(buf + at, lengths, sizeof(lengths));
	at += sizeof(lengths);
	buf[at++] = note->dialect & 0xff;
	buf[at++] = note->dialect >> 8;
	buf[at++] = VERSION;
	memcpy(buf + at, MAGIC, MAGIC_SIZE);
	return at + MAGIC_SIZE;
}

/* Strings for people: nothing in them that a terminal would obey. */
static void pull_string(const uint8_t *data, uint8_t len, char *s)
{
	size_t i;

	for (i = 0; i < len; i++) {
		s[i] = data[i] < ' ' || data[i] == 0x7f ? '?' : (char)data[i];
	}
	s[len] = '\0';
}

bool csv_note_pull(const uint8_t *data,
		   size_t length,
		   struct csv_note *note,
		   size_t *rest)
{
	const uint8_t *tail = NULL;
	const uint8_t *p = NULL;
	size_t strings;

	*rest = length;
	if (length < TAIL) {
		return false;
	}
	tail = data + length - TAIL;
	if (tail[5] != VERSION || memcmp(tail + 6, MAGIC, MAGIC_SIZE) != 0) {
		return false;
	}
	strings = (size_t)tail[0] + tail[1] + tail[2];
	if (tail[0] >= CSV_NOTE_STRING || tail[1] >= CSV_NOTE_STRING ||
	    tail[2] >= CSV_NOTE_STRING || strings > length - TAIL)
	{
		return false;
	}
	p = tail - strings;
	pull_string(p, tail[0], note->client);
	pull_string(p + tail[0], tail[1], note->volume);
	pull_string(p + tail[0] + tail[1], tail[2], note->share);
	note->dialect = (uint16_t)(tail[3] | tail[4] << 8);
	*rest = length - TAIL - strings;
	return true;
}
