/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys between nodes: HKDF as RFC 5869 says, one key per ordered pair and
 * generation, identities of exactly one shape.
 */
#include "replace.h"
#include <errno.h>
#include <gnutls/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "lib/wire/auth.h"

/* HKDF written out: extract and one block of expand are HMACs. */
static void derivation_is_hkdf(void **state)
{
	uint8_t secret[CSV_SECRET_SIZE];
	uint8_t psk[CSV_PSK_SIZE];
	uint8_t prk[32];
	uint8_t okm[32];
	static const char info[] = "csv1:9:1:2\001";
	unsigned i;

	for (i = 0; i < sizeof(secret); i++) {
		secret[i] = (uint8_t)i;
	}
	assert_int_equal(csv_psk_derive(secret, 9, 1, 2, psk), 0);
	assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_SHA256, "csv1 node key",
					  13, secret, sizeof(secret), prk),
			 0);
	assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_SHA256, prk, sizeof(prk),
					  info, sizeof(info) - 1, okm),
			 0);
	assert_memory_equal(psk, okm, sizeof(okm));
}

static void keys_differ(void **state)
{
	static const uint32_t what[][3] = {
		{ 1, 1, 2 }, { 1, 2, 1 }, { 2, 1, 2 }, { 1, 1, 3 }, { 1, 1, 1 },
	};
	uint8_t secret[CSV_SECRET_SIZE] = { 1 };
	uint8_t psk[5][CSV_PSK_SIZE];
	unsigned i, j;

	for (i = 0; i < 5; i++) {
		csv_psk_derive(secret, what[i][0], what[i][1], what[i][2],
			       psk[i]);
		for (j = 0; j < i; j++) {
			assert_memory_not_equal(psk[i], psk[j], CSV_PSK_SIZE);
		}
	}
}

static void identity_round_trip(void **state)
{
	char buf[CSV_PSK_IDENTITY_MAX];
	uint32_t g, c, s;

	assert_int_equal(csv_psk_identity_push(UINT32_MAX, 0, UINT32_MAX, buf,
					       sizeof(buf)),
			 0);
	assert_string_equal(buf, "csv1:4294967295:0:4294967295");
	assert_int_equal(csv_psk_identity_pull(buf, strlen(buf), &g, &c, &s),
			 0);
	assert_true(g == UINT32_MAX && c == 0 && s == UINT32_MAX);
	assert_int_equal(csv_psk_identity_push(1, 2, 3, buf, 10), EINVAL);
}

static void other_shapes_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "csv1", "csv1:", "csv1:1:2", "csv1:1:2:", "csv1:1:2:3:",
		"csv1:1:2:3 ", " csv1:1:2:3", "csv2:1:2:3", "csv1:-1:2:3",
		"csv1:01:2:3", "csv1:1:2:4294967296", "csv1:1:2:99999999999",
		"csv1:+1:2:3", "csv1:1::3", "csv1:1:2:0x3", "CSV1:1:2:3",
	};
	uint32_t g, c, s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(csv_psk_identity_pull(bad[i], strlen(bad[i]),
						       &g, &c, &s),
				 EINVAL);
	}
	/* a NUL within, and what lies behind the given length */
	assert_int_equal(csv_psk_identity_pull("csv1:1:2:3\0", 11, &g, &c, &s),
			 EINVAL);
	assert_int_equal(csv_psk_identity_pull("csv1:1:2:34", 10, &g, &c, &s),
			 0);
	assert_int_equal(s, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derivation_is_hkdf),
		cmocka_unit_test(keys_differ),
		cmocka_unit_test(identity_round_trip),
		cmocka_unit_test(other_shapes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
