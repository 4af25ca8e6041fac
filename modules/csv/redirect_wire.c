/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The share redirect error context. Its StructureSize is always that of one
 * with a single address; the real size follows from the count.
 */
#include "csv.h"
#include "redirect_wire.h"

#define REDIRECT_HEAD 24
#define REDIRECT_ADDRESS 24
#define REDIRECT_STRUCTURE_SIZE 48
#define REDIRECT_SHARE_MOVE 3
#define REDIRECT_IPV4 1
#define REDIRECT_IPV6 2

/* false: of another family. dst is zeroed and has REDIRECT_ADDRESS bytes. */
static bool redirect_push_address(uint8_t *dst,
				  const struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

	switch (ss->ss_family) {
	case AF_INET:
		SIVAL(dst, 0, REDIRECT_IPV4);
		memcpy(dst + 8, &in->sin_addr, 4);
		return true;
	case AF_INET6:
		SIVAL(dst, 0, REDIRECT_IPV6);
		memcpy(dst + 8, &in6->sin6_addr, 16);
		return true;
	default:
		return false;
	}
}

static uint32_t redirect_push_addresses(
	uint8_t *dst, const struct csv_redirect_addresses *addresses)
{
	uint32_t num = 0;
	size_t i;

	for (i = 0; i < addresses->num; i++) {
		if (redirect_push_address(dst + num * REDIRECT_ADDRESS,
					  &addresses->list[i]))
		{
			num += 1;
		}
	}
	return num;
}

DATA_BLOB csv_redirect_blob(TALLOC_CTX *mem_ctx,
			    const char *unc,
			    const struct csv_redirect_addresses *addresses)
{
	DATA_BLOB blob = {};
	void *name = NULL;
	size_t name_len = 0;
	size_t name_ofs;
	uint32_t num;

	if (unc == NULL || addresses->num > CSV_REDIRECT_ADDRESSES_MAX ||
	    !convert_string_talloc(mem_ctx,
				   CH_UNIX,
				   CH_UTF16LE,
				   unc,
				   strlen(unc),
				   &name,
				   &name_len))
	{
		return blob;
	}
	blob = data_blob_talloc_zero(mem_ctx,
				     REDIRECT_HEAD +
					     addresses->num * REDIRECT_ADDRESS +
					     name_len);
	if (blob.data == NULL) {
		TALLOC_FREE(name);
		return blob;
	}
	num = redirect_push_addresses(blob.data + REDIRECT_HEAD, addresses);
	name_ofs = REDIRECT_HEAD + num * REDIRECT_ADDRESS;
	blob.length = name_ofs + name_len;
	SIVAL(blob.data, 0, REDIRECT_STRUCTURE_SIZE);
	SIVAL(blob.data, 4, REDIRECT_SHARE_MOVE);
	SIVAL(blob.data, 8, name_ofs);
	SIVAL(blob.data, 12, name_len);
	SIVAL(blob.data, 20, num);
	memcpy(blob.data + name_ofs, name, name_len);
	TALLOC_FREE(name);
	if (num == 0) {
		data_blob_free(&blob);
	}
	return blob;
}
