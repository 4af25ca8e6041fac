/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys and their names between nodes.
 */
#include "replace.h"
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>
#include "lib/wire/auth.h"

static const char salt[] = "csv1 node key";

int csv_psk_derive(const uint8_t secret[CSV_SECRET_SIZE],
		   uint32_t generation,
		   uint32_t client,
		   uint32_t server,
		   uint8_t psk[CSV_PSK_SIZE])
{
	char info[CSV_PSK_IDENTITY_MAX];
	uint8_t prk[32];
	gnutls_datum_t key = { .data = discard_const_p(uint8_t, secret),
			       .size = CSV_SECRET_SIZE };
	gnutls_datum_t s = { .data = discard_const_p(unsigned char, salt),
			     .size = sizeof(salt) - 1 };
	gnutls_datum_t p = { .data = prk, .size = sizeof(prk) };
	gnutls_datum_t i = { .data = (unsigned char *)info };
	int ret;

	ret = csv_psk_identity_push(generation,
				    client,
				    server,
				    info,
				    sizeof(info));
	if (ret != 0) {
		return ret;
	}
	i.size = strlen(info);
	ret = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &s, prk);
	if (ret == 0) {
		ret = gnutls_hkdf_expand(GNUTLS_MAC_SHA256,
					 &p,
					 &i,
					 psk,
					 CSV_PSK_SIZE);
	}
	gnutls_memset(prk, 0, sizeof(prk));
	return ret == 0 ? 0 : EINVAL;
}

int csv_psk_identity_push(uint32_t generation,
			  uint32_t client,
			  uint32_t server,
			  char *buf,
			  size_t size)
{
	int n;

	n = snprintf(buf,
		     size,
		     "csv1:%u:%u:%u",
		     (unsigned)generation,
		     (unsigned)client,
		     (unsigned)server);
	return n > 0 && (size_t)n < size ? 0 : EINVAL;
}

/* A decimal number without sign or leading zeros; *p moves behind it. */
static int pull_number(const char **p, const char *end, uint32_t *v)
{
	const char *s = *p;
	uint64_t n = 0;

	while (s < end && *s >= '0' && *s <= '9' && s - *p < 10) {
		n = n * 10 + (uint64_t)(*s - '0');
		s++;
	}
	if (s == *p || n > UINT32_MAX || (**p == '0' && s - *p > 1)) {
		return EINVAL;
	}
	*p = s;
	*v = (uint32_t)n;
	return 0;
}

int csv_psk_identity_pull(const char *identity,
			  size_t length,
			  uint32_t *generation,
			  uint32_t *client,
			  uint32_t *server)
{
	const char *p = identity;
	const char *end = identity + length;
	uint32_t v[3];
	unsigned i;

	if (length < 5 || length >= CSV_PSK_IDENTITY_MAX ||
	    memcmp(p, "csv1", 4) != 0) {
		return EINVAL;
	}
	p += 4;
	for (i = 0; i < 3; i++) {
		if (p >= end || *p != ':') {
			return EINVAL;
		}
		p++;
		if (pull_number(&p, end, &v[i]) != 0) {
			return EINVAL;
		}
	}
	if (p != end) {
		return EINVAL;
	}
	*generation = v[0];
	*client = v[1];
	*server = v[2];
	return 0;
}
