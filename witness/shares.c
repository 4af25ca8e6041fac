/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See shares.h.
 */
#include "witness/shares.h"
#include "lib/site/site.h"
#include "witness/tcons.h"

#define SHARE_AGAIN_MS 10000

/* Of smb.conf or the registry; -1 (that is [global]): there is none such. */
static int share_snum(const char *name)
{
	int snum = lp_servicenumber(name);

	if (lp_registry_shares() && !strequal(name, GLOBAL_NAME) &&
	    process_registry_service(name))
	{
		snum = lp_servicenumber(name);
	}
	return snum;
}

static bool shares_has(const struct witness_registration *reg,
		       const char *volume)
{
	size_t i;

	for (i = 0; i < reg->num_volumes; i++) {
		if (strcmp(reg->volumes[i], volume) == 0) {
			return true;
		}
	}
	return false;
}

/* false: it is on no volume, or there is no memory. */
static bool shares_add(struct witness_registration *reg, size_t i, int snum)
{
	const char *volume = NULL;
	char *copy = NULL;

	reg->snums[i] = snum;
	if (snum >= 0) {
		volume = lp_parm_const_string(snum, "csv", "volume", NULL);
	}
	if (volume == NULL) {
		return false;
	}
	if (!shares_has(reg, volume)) {
		copy = talloc_strdup(reg->volumes, volume);
		if (copy == NULL) {
			return false;
		}
		reg->volumes[reg->num_volumes++] = copy;
	}
	return true;
}

static void shares_set(struct witness_registration *reg,
		       const char *const *shares,
		       size_t num)
{
	size_t i;

	TALLOC_FREE(reg->volumes);
	TALLOC_FREE(reg->snums);
	reg->num_volumes = 0;
	reg->all_known = false;
	reg->volumes = talloc_array(reg, const char *, num);
	reg->snums = talloc_array(reg, int, num);
	if (reg->volumes == NULL || reg->snums == NULL) {
		TALLOC_FREE(reg->snums);
		return;
	}
	reg->all_known = true;
	for (i = 0; i < num; i++) {
		if (!shares_add(reg, i, share_snum(shares[i]))) {
			reg->all_known = false;
		}
	}
}

/* It registered for no share: those that it has connected to. */
static void shares_of_tcons(struct witness_context *w,
			    struct witness_registration *reg)
{
	const char *const *shares = NULL;
	size_t num = 0;

	witness_tcons_want(w, reg->added);
	if (witness_tcons_asked(w) <= reg->looked) {
		return;
	}
	reg->looked = witness_tcons_asked(w);
	shares = witness_tcons_of(w, &reg->client, &num);
	if (num != 0) {
		shares_set(reg, shares, num);
	}
}

void witness_shares_look(struct witness_context *w,
			 struct witness_registration *reg)
{
	uint64_t now = witness_now();

	if (reg->share == NULL) {
		shares_of_tcons(w, reg);
	} else if (reg->looked == 0 || now >= reg->looked + SHARE_AGAIN_MS) {
		reg->looked = now;
		shares_set(reg, &reg->share, 1);
	}
}

bool witness_shares_move(const struct witness_registration *reg)
{
	size_t num = talloc_array_length(reg->snums);
	size_t i;

	for (i = 0; i < num; i++) {
		if (!lp_parm_bool(reg->snums[i], "csv", "witness", true)) {
			return false;
		}
	}
	return num != 0 ||
	       lp_parm_bool(GLOBAL_SECTION_SNUM, "csv", "witness", true);
}

bool witness_shares_may_go(const struct witness_registration *reg,
			   uint32_t here,
			   uint32_t target)
{
	size_t i;

	for (i = 0; i < talloc_array_length(reg->snums); i++) {
		if (reg->snums[i] >= 0 &&
		    csv_site_keeps(reg->snums[i], here, target))
		{
			return false;
		}
	}
	return true;
}
