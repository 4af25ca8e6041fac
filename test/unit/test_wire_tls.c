/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who gets in: only a node with the key of exactly this pair, in a valid
 * generation; nobody else gets a byte of ours beyond the handshake.
 */
#include "replace.h"
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/wire/transport.h"
#include "wirebed.h"

struct fixture {
	TALLOC_CTX *mem;
	struct tevent_context *ev;
	struct wirebed bed;
	struct csv_conn *conn;
};

static int setup_mode(void **state, bool plain)
{
	struct fixture *f = talloc_zero(NULL, struct fixture);

	f->mem = f;
	f->ev = tevent_context_init(f);
	*state = f;
	return wirebed_serve(&f->bed, f, plain);
}

static int setup(void **state)
{
	return setup_mode(state, false);
}

static int setup_plain(void **state)
{
	return setup_mode(state, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	TALLOC_FREE(f->conn);
	TALLOC_FREE(f->bed.serve);
	talloc_free(f);
	return 0;
}

struct claim {
	uint32_t generation;
	uint32_t client; /* of the key */
	uint32_t server;
	uint32_t says; /* node number in HELLO */
	uint32_t expects;
	const char *identity; /* NULL: that of the key */
	bool wrong_key;
	bool plain;
};

static const struct claim right = { 3, BED_CLIENT, BED_SERVER, BED_CLIENT,
				    BED_SERVER, NULL, false, false };

static int try(struct fixture *f, const struct claim *c)
{
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	struct csv_conn_params p = {
		.ev = f->ev,
		.address = "127.0.0.1",
		.port = f->bed.port,
		.local_node = c->says,
		.remote_node = c->expects,
		.psk = psk,
		.psk_identity = c->identity != NULL ? c->identity : identity,
		.plain = c->plain,
		.wake_fd = -1,
	};

	TALLOC_FREE(f->conn);
	csv_psk_derive(f->bed.secret, c->generation, c->client, c->server, psk);
	csv_psk_identity_push(c->generation, c->client, c->server, identity,
			      sizeof(identity));
	if (c->wrong_key) {
		psk[0] ^= 1;
	}
	return csv_conn_connect(f, &p, 4000, &f->conn);
}

static uint64_t refused(struct fixture *f)
{
	struct csv_serve_counters c;

	csv_serve_counters(f->bed.serve, NULL, &c);
	return c.refused_connections;
}

static void the_right_key_gets_in(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(try(f, &right), 0);
	assert_false(csv_conn_is_plain(f->conn));
	assert_int_equal(refused(f), 0);
}

/* Plain only if both are configured so. */
static void plain_needs_both(void **state)
{
	struct fixture *f = *state;
	struct claim c = right;

	c.plain = true;
	assert_int_equal(try(f, &c), 0);
	assert_false(csv_conn_is_plain(f->conn));
}

static void plain_with_both(void **state)
{
	struct fixture *f = *state;
	struct claim c = right;

	assert_int_equal(try(f, &c), 0);
	assert_false(csv_conn_is_plain(f->conn));
	c.plain = true;
	assert_int_equal(try(f, &c), 0);
	assert_true(csv_conn_is_plain(f->conn));
	c.wrong_key = true;
	assert_int_equal(try(f, &c), EACCES);
}

static void wrong_keys_are_refused(void **state)
{
	struct fixture *f = *state;
	struct claim c = right;

	c.wrong_key = true;
	assert_int_equal(try(f, &c), EACCES);
	c = right;
	c.generation = 2; /* no longer valid */
	assert_int_equal(try(f, &c), EACCES);
	c = right;
	c.server = 9; /* a key for another server */
	assert_int_equal(try(f, &c), EACCES);
	c = right;
	c.identity = "csv1:3:1:2:x";
	assert_int_equal(try(f, &c), EACCES);
	c = right;
	c.identity = "csv1:3:5:2"; /* somebody else's name with our key */
	assert_int_equal(try(f, &c), EACCES);
	assert_int_equal(refused(f), 5);
}

/* A valid key, but another node number than the key's. */
static void numbers_must_match_the_key(void **state)
{
	struct fixture *f = *state;
	struct claim c = right;

	c.says = 7;
	assert_int_not_equal(try(f, &c), 0);
	assert_int_equal(refused(f), 1);
	c = right;
	c.expects = 7;
	assert_int_equal(try(f, &c), EACCES);
}

static int raw_connect(struct fixture *f)
{
	int fd = -1;

	assert_int_equal(csv_tcp_begin("127.0.0.1", f->bed.port, &fd), 0);
	assert_int_equal(csv_tcp_connected(fd, 2000), 0);
	return fd;
}

/* Bytes until the peer closes. */
static size_t read_all(int fd, uint8_t *buf, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t got = 0;
	ssize_t n;

	for (;;) {
		assert_int_equal(poll(&p, 1, 8000), 1);
		n = recv(fd, buf + got, size - got, 0);
		if (n <= 0) {
			return got;
		}
		got += (size_t)n;
	}
}

/* Garbage gets at most a TLS alert, then the end. */
static void garbage_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = {
		"GET / HTTP/1.0\r\n\r\n",
		"\x16\x03\x01\xff\xff\x01\x00\xff\xff",
		"\x38\x00\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00",
	};
	static const size_t lens[] = { 18, 9, 12 };
	uint8_t buf[512];
	size_t n;
	unsigned i;
	int fd;

	for (i = 0; i < 3; i++) {
		fd = raw_connect(f);
		assert_int_equal(send(fd, texts[i], lens[i], 0),
				 (ssize_t)lens[i]);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		n = read_all(fd, buf, sizeof(buf));
		assert_true(n == 0 || (n <= 16 && buf[0] == 21));
		close(fd);
	}
	assert_int_equal(refused(f), 3);
}

/* Says nothing: is sent away after some seconds. */
static void silence_is_ended(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[512];
	int fd = raw_connect(f);

	assert_int_equal(read_all(fd, buf, sizeof(buf)), 0);
	close(fd);
	assert_int_equal(refused(f), 1);
}

/* GnuTLS as anybody has it; returns the error of the handshake. */
static int stranger(struct fixture *f, const char *priority)
{
	gnutls_certificate_credentials_t cert;
	gnutls_session_t s;
	int fd = raw_connect(f);
	int ret;

	gnutls_certificate_allocate_credentials(&cert);
	gnutls_init(&s, GNUTLS_CLIENT);
	gnutls_priority_set_direct(s, priority, NULL);
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cert);
	gnutls_transport_set_int(s, fd);
	gnutls_handshake_set_timeout(s, 4000);
	do {
		ret = gnutls_handshake(s);
	} while (ret == GNUTLS_E_AGAIN || ret == GNUTLS_E_INTERRUPTED);
	gnutls_deinit(s);
	gnutls_certificate_free_credentials(cert);
	close(fd);
	return ret;
}

static void tls_without_a_key_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_true(stranger(f, "NORMAL") < 0);
	assert_true(stranger(f, "NORMAL:-VERS-ALL:+VERS-TLS1.2") < 0);
	assert_int_equal(refused(f), 2);
}

/* Only TLS 1.3, only AES-128-GCM, whatever else the key's owner offers. */
static int with_key(struct fixture *f, const char *priority)
{
	gnutls_psk_client_credentials_t cred;
	static const gnutls_datum_t alpn = { (unsigned char *)"csv1", 4 };
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	gnutls_datum_t key = { psk, sizeof(psk) };
	gnutls_session_t s;
	int fd = raw_connect(f);
	int ret;

	wirebed_key(&f->bed, psk, identity);
	gnutls_psk_allocate_client_credentials(&cred);
	gnutls_psk_set_client_credentials(cred, identity, &key,
					  GNUTLS_PSK_KEY_RAW);
	gnutls_init(&s, GNUTLS_CLIENT);
	gnutls_priority_set_direct(s, priority, NULL);
	gnutls_alpn_set_protocols(s, &alpn, 1, 0);
	gnutls_credentials_set(s, GNUTLS_CRD_PSK, cred);
	gnutls_transport_set_int(s, fd);
	gnutls_handshake_set_timeout(s, 4000);
	do {
		ret = gnutls_handshake(s);
	} while (ret == GNUTLS_E_AGAIN || ret == GNUTLS_E_INTERRUPTED);
	if (ret == 0) {
		assert_int_equal(gnutls_cipher_get(s),
				 GNUTLS_CIPHER_AES_128_GCM);
	}
	gnutls_deinit(s);
	gnutls_psk_free_client_credentials(cred);
	close(fd);
	return ret;
}

static void only_the_pinned_suite(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(with_key(f, "NORMAL:+ECDHE-PSK:+DHE-PSK"), 0);
	assert_true(with_key(f, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+ECDHE-PSK") <
		    0);
	assert_true(with_key(f, "NORMAL:+ECDHE-PSK:-CIPHER-ALL:"
				"+CHACHA20-POLY1305") < 0);
	/* without (EC)DHE there is no forward secrecy */
	assert_true(with_key(f, "NORMAL:-KX-ALL:+PSK") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_right_key_gets_in, setup,
						teardown),
		cmocka_unit_test_setup_teardown(plain_needs_both, setup,
						teardown),
		cmocka_unit_test_setup_teardown(plain_with_both, setup_plain,
						teardown),
		cmocka_unit_test_setup_teardown(wrong_keys_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(numbers_must_match_the_key,
						setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(silence_is_ended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(tls_without_a_key_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(only_the_pinned_suite, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
