/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Numbered blocks. Layout, little endian: magic 8, version 4, size 4, run 16,
 * number 8, CRC32C 4 (of the whole block with this field zero), zero 4, then
 * filler that depends on run and number up to the end.
 */
#include "client.h"
#include "librpc/gen_ndr/ndr_misc.h"
#include "librpc/ndr/libndr.h"

#define BLOCK_VERSION 1
#define BLOCK_CRC_OFS 40
#define BLOCK_DATA_OFS 48

static const uint8_t magic[8] = { 'S', 'O', 'F', 'S', 'B', 'L', 'K', '1' };

/* Castagnoli, reflected: 0x82f63b78 */
uint32_t block_crc32c(uint32_t crc, const uint8_t *buf, size_t len)
{
	static uint32_t table[256];
	static bool ready;
	size_t i;

	if (!ready) {
		for (i = 0; i < 256; i++) {
			uint32_t c = i;
			int bit;

			for (bit = 0; bit < 8; bit++) {
				c = (c >> 1) ^ ((c & 1) ? 0x82f63b78 : 0);
			}
			table[i] = c;
		}
		ready = true;
	}
	crc = ~crc;
	for (i = 0; i < len; i++) {
		crc = (crc >> 8) ^ table[(crc ^ buf[i]) & 0xff];
	}
	return ~crc;
}

static void fill_pattern(uint8_t *buf, uint32_t from, uint32_t size,
			 uint64_t seed)
{
	uint64_t x = seed | 1;
	uint32_t i;

	for (i = from; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = x & 0xff;
	}
}

static uint32_t block_sum(const uint8_t *buf, uint32_t size)
{
	static const uint8_t zero[4];
	uint32_t crc;

	crc = block_crc32c(0, buf, BLOCK_CRC_OFS);
	crc = block_crc32c(crc, zero, sizeof(zero));
	return block_crc32c(crc,
			    buf + BLOCK_CRC_OFS + sizeof(zero),
			    size - BLOCK_CRC_OFS - sizeof(zero));
}

void block_fill(uint8_t *buf,
		uint32_t size,
		const struct GUID *run,
		uint64_t number)
{
	struct GUID_ndr_buf guid = { .buf = {0} };

	GUID_to_ndr_buf(run, &guid);
	memcpy(buf, magic, sizeof(magic));
	SIVAL(buf, 8, BLOCK_VERSION);
	SIVAL(buf, 12, size);
	memcpy(buf + 16, guid.buf, 16);
	SBVAL(buf, 32, number);
	SIVAL(buf, BLOCK_CRC_OFS, 0);
	SIVAL(buf, 44, 0);
	fill_pattern(buf, BLOCK_DATA_OFS, size, BVAL(guid.buf, 0) ^
		     (number * 0x9e3779b97f4a7c15ULL));
	SIVAL(buf, BLOCK_CRC_OFS, block_sum(buf, size));
}

enum block_verdict block_check(const uint8_t *buf,
			       uint32_t size,
			       const struct GUID *run,
			       uint64_t expected,
			       uint64_t *found)
{
	struct GUID_ndr_buf guid = { .buf = {0} };

	if (all_zero(buf, size)) {
		return BLOCK_EMPTY;
	}
	if (memcmp(buf, magic, sizeof(magic)) != 0 ||
	    IVAL(buf, 8) != BLOCK_VERSION || IVAL(buf, 12) != size ||
	    IVAL(buf, BLOCK_CRC_OFS) != block_sum(buf, size))
	{
		return BLOCK_CORRUPT;
	}
	GUID_to_ndr_buf(run, &guid);
	if (memcmp(buf + 16, guid.buf, 16) != 0) {
		return BLOCK_FOREIGN;
	}
	*found = BVAL(buf, 32);
	return *found == expected ? BLOCK_OK : BLOCK_MISPLACED;
}
