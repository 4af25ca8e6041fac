/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names of what a node's record says.
 */
#include "node.h"
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

static const struct {
	uint16_t dialect;
	const char *name;
} dialects[] = {
	{ 0x0202, "SMB2_02" },
	{ 0x0210, "SMB2_10" },
	{ 0x0300, "SMB3_00" },
	{ 0x0302, "SMB3_02" },
	{ 0x0311, "SMB3_11" },
};

#define NUM_DIALECTS (sizeof(dialects) / sizeof(dialects[0]))

void csv_node_key(char key[CSV_NODE_KEY_SIZE], uint32_t node)
{
	snprintf(key, CSV_NODE_KEY_SIZE, "NODE/%" PRIu32, node);
}

const char *csv_node_drain_str(unsigned drain)
{
	static const char *const names[] = { "up", "draining", "drained" };

	return drain <= CSV_NODE_DRAINED ? names[drain] : "?";
}

const char *csv_dialect_name(uint16_t dialect)
{
	size_t i;

	for (i = 0; i < NUM_DIALECTS; i++) {
		if (dialects[i].dialect == dialect) {
			return dialects[i].name;
		}
	}
	return NULL;
}

uint16_t csv_dialect_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < NUM_DIALECTS; i++) {
		if (strcasecmp(dialects[i].name, name) == 0) {
			return dialects[i].dialect;
		}
	}
	return 0;
}
