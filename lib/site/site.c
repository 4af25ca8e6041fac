/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "includes.h"
#include "lib/site/site.h"

static bool csv_site_has(const char *word, uint32_t node)
{
	const char *number = strchr(word, ':');

	while (number != NULL) {
		char *end = NULL;
		unsigned long value = strtoul(number + 1, &end, 10);

		if (end != number + 1 && value == node) {
			return true;
		}
		number = strchr(number + 1, ',');
	}
	return false;
}

static const char *csv_site_of(const char *const *sites, uint32_t node)
{
	for (; sites != NULL && *sites != NULL; sites++) {
		if (csv_site_has(*sites, node)) {
			return *sites;
		}
	}
	return NULL;
}

bool csv_site_keeps(int snum, uint32_t here, uint32_t owner)
{
	const char **sites = NULL;
	const char *mine = NULL;
	const char *other = NULL;

	if (!lp_parm_bool(snum, "csv", "site affinity", false)) {
		return false;
	}
	sites = lp_parm_string_list(GLOBAL_SECTION_SNUM, "csv", "sites", NULL);
	mine = csv_site_of(sites, here);
	other = csv_site_of(sites, owner);
	return mine != NULL && other != NULL && mine != other;
}
