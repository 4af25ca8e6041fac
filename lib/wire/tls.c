/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS 1.3 with pre-shared keys over TCP, by GnuTLS.
 *
 * GnuTLS never sees the socket: it reads from `in` and writes to `out`, so
 * that one system call moves many records. What GnuTLS does not consume stays
 * in `in`, therefore the bytes behind the peer's close_notify are still there
 * when both go on without records.
 */
#include "replace.h"
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/wire/tls.h"

#define TLS_IN_SIZE 69632   /* four records and their headers */
#define TLS_OUT_LIMIT 262144 /* encrypt no more before this is sent */
#define TLS_RECORD 16384

/*
 * No finite field: a key share of FFDHE3072 costs each side 20 ms, and all
 * processes of a node connect at once when a volume has moved. GnuTLS wants a
 * signature algorithm named, though nothing can use one.
 */
#define TLS_PRIORITY \
	"NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:+SHA256:+ECDHE-PSK:" \
	"+GROUP-X25519:+GROUP-SECP256R1:+SIGN-EDDSA-ED25519"

enum tls_state {
	TLS_HANDSHAKE,
	TLS_BYE,	/* close_notify is to be queued */
	TLS_BYE_WAIT,	/* the peer's close_notify has not come */
	TLS_READY,
};

struct csv_tls {
	struct csv_transport t; /* first */
	enum tls_state state;
	gnutls_session_t session;
	gnutls_psk_client_credentials_t client_cred;
	gnutls_psk_server_credentials_t server_cred;
	const struct csv_tls_server_params *server;
	bool plain;
	uint32_t peer_node;
	/* received from the socket, not yet consumed */
	uint8_t *in;
	size_t in_start;
	size_t in_end;
	bool in_dry; /* the socket is empty as far as this call knows */
	int in_error;
	/* to be sent to the socket */
	uint8_t *out;
	size_t out_size;
	size_t out_start;
	size_t out_end;
};

static const struct csv_transport_ops tls_ops;
static const struct csv_transport_ops tls_plain_ops;

/* Fill `in` by one recv(2). 0, EAGAIN, ENODATA (end) or errno. */
static int tls_fill(struct csv_tls *tls)
{
	size_t room;
	ssize_t n;

	if (tls->in_start == tls->in_end) {
		tls->in_start = 0;
		tls->in_end = 0;
	}
	room = TLS_IN_SIZE - tls->in_end;
	do {
		n = recv(tls->t.fd, tls->in + tls->in_end, room, 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1) {
		return errno;
	}
	if (n == 0) {
		return ENODATA;
	}
	tls->in_dry = (size_t)n < room;
	tls->in_end += (size_t)n;
	return 0;
}

static ssize_t tls_pull(gnutls_transport_ptr_t p, void *buf, size_t len)
{
	struct csv_tls *tls = p;
	size_t n;
	int ret;

	if (tls->in_start == tls->in_end) {
		ret = tls->in_dry ? EAGAIN : tls_fill(tls);
		if (ret == ENODATA) {
			return 0;
		}
		if (ret != 0) {
			tls->in_dry = ret == EAGAIN;
			gnutls_transport_set_errno(tls->session, ret);
			return -1;
		}
	}
	n = MIN(len, tls->in_end - tls->in_start);
	memcpy(buf, tls->in + tls->in_start, n);
	tls->in_start += n;
	return (ssize_t)n;
}

/* GnuTLS asks this before it blocks; we never want it to. */
static int tls_pull_timeout(gnutls_transport_ptr_t p, unsigned ms)
{
	struct csv_tls *tls = p;

	return tls->in_start != tls->in_end || !tls->in_dry ? 1 : 0;
}

static bool tls_out_reserve(struct csv_tls *tls, size_t len)
{
	uint8_t *p = NULL;
	size_t size;

	if (tls->out_start == tls->out_end) {
		tls->out_start = 0;
		tls->out_end = 0;
	}
	if (tls->out_size - tls->out_end >= len) {
		return true;
	}
	size = MAX(tls->out_size * 2, tls->out_end + len);
	p = talloc_realloc(tls, tls->out, uint8_t, size);
	if (p == NULL) {
		return false;
	}
	tls->out = p;
	tls->out_size = size;
	return true;
}

static ssize_t tls_push(gnutls_transport_ptr_t p,
			const giovec_t *iov,
			int num)
{
	struct csv_tls *tls = p;
	size_t total = 0;
	int i;

	for (i = 0; i < num; i++) {
		total += iov[i].iov_len;
	}
	if (!tls_out_reserve(tls, total)) {
		gnutls_transport_set_errno(tls->session, ENOMEM);
		return -1;
	}
	for (i = 0; i < num; i++) {
		memcpy(tls->out + tls->out_end, iov[i].iov_base,
		       iov[i].iov_len);
		tls->out_end += iov[i].iov_len;
	}
	return (ssize_t)total;
}

static int tls_flush(struct csv_transport *t)
{
	struct csv_tls *tls = (struct csv_tls *)t;
	ssize_t n;

	while (tls->out_start < tls->out_end) {
		n = send(t->fd, tls->out + tls->out_start,
			 tls->out_end - tls->out_start, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR) {
			continue;
		}
		if (n == -1) {
			return -errno;
		}
		tls->out_start += (size_t)n;
	}
	return 0;
}

static void tls_end_session(struct csv_tls *tls)
{
	if (tls->session != NULL) {
		gnutls_deinit(tls->session);
		tls->session = NULL;
	}
	if (tls->client_cred != NULL) {
		gnutls_psk_free_client_credentials(tls->client_cred);
		tls->client_cred = NULL;
	}
	if (tls->server_cred != NULL) {
		gnutls_psk_free_server_credentials(tls->server_cred);
		tls->server_cred = NULL;
	}
}

static int tls_destructor(struct csv_tls *tls)
{
	tls_end_session(tls);
	if (tls->t.fd != -1) {
		close(tls->t.fd);
		tls->t.fd = -1;
	}
	return 0;
}

static const gnutls_datum_t alpn[2] = {
	{ .data = discard_const_p(unsigned char, "csv1-plain"), .size = 10 },
	{ .data = discard_const_p(unsigned char, "csv1"), .size = 4 },
};

static int tls_session(struct csv_tls *tls, unsigned flags)
{
	unsigned skip = tls->plain ? 0 : 1;
	int ret;

	ret = gnutls_init(&tls->session,
			  flags | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS |
				  GNUTLS_NO_SIGNAL);
	if (ret < 0) {
		return ENOMEM;
	}
	gnutls_session_set_ptr(tls->session, tls);
	gnutls_transport_set_ptr(tls->session, tls);
	gnutls_transport_set_pull_function(tls->session, tls_pull);
	gnutls_transport_set_pull_timeout_function(tls->session,
						   tls_pull_timeout);
	gnutls_transport_set_vec_push_function(tls->session, tls_push);
	gnutls_handshake_set_timeout(tls->session, 0);
	ret = gnutls_priority_set_direct(tls->session, TLS_PRIORITY, NULL);
	if (ret < 0) {
		return EOPNOTSUPP;
	}
	ret = gnutls_alpn_set_protocols(tls->session,
					alpn + skip,
					2 - skip,
					GNUTLS_ALPN_MANDATORY |
						GNUTLS_ALPN_SERVER_PRECEDENCE);
	return ret < 0 ? ENOMEM : 0;
}

static struct csv_tls *tls_new(TALLOC_CTX *mem_ctx, int fd, bool plain)
{
	struct csv_tls *tls = NULL;

	tls = talloc_zero(mem_ctx, struct csv_tls);
	if (tls == NULL) {
		close(fd);
		return NULL;
	}
	tls->t.ops = &tls_ops;
	tls->t.fd = fd;
	tls->plain = plain;
	talloc_set_destructor(tls, tls_destructor);
	tls->in = talloc_array(tls, uint8_t, TLS_IN_SIZE);
	if (tls->in == NULL) {
		TALLOC_FREE(tls);
	}
	return tls;
}

int csv_tls_client(TALLOC_CTX *mem_ctx,
		   int fd,
		   const char *identity,
		   const uint8_t psk[CSV_PSK_SIZE],
		   bool plain,
		   struct csv_tls **_tls)
{
	gnutls_datum_t key = { .data = discard_const_p(uint8_t, psk),
			       .size = CSV_PSK_SIZE };
	struct csv_tls *tls = NULL;
	int ret;

	tls = tls_new(mem_ctx, fd, plain);
	if (tls == NULL) {
		return ENOMEM;
	}
	ret = tls_session(tls, GNUTLS_CLIENT);
	if (ret != 0) {
		goto fail;
	}
	ret = ENOMEM;
	if (gnutls_psk_allocate_client_credentials(&tls->client_cred) < 0 ||
	    gnutls_psk_set_client_credentials(tls->client_cred,
					      identity,
					      &key,
					      GNUTLS_PSK_KEY_RAW) < 0 ||
	    gnutls_credentials_set(tls->session,
				   GNUTLS_CRD_PSK,
				   tls->client_cred) < 0) {
		goto fail;
	}
	*_tls = tls;
	return 0;
fail:
	talloc_free(tls);
	return ret;
}

/* The key that the identity names, if it is one for this node. */
static int tls_server_key(gnutls_session_t session,
			  const gnutls_datum_t *name,
			  gnutls_datum_t *key)
{
	struct csv_tls *tls = gnutls_session_get_ptr(session);
	const struct csv_tls_server_params *p = tls->server;
	uint8_t secret[CSV_SECRET_SIZE];
	uint32_t generation;
	uint32_t client;
	uint32_t server;
	int ret;

	ret = csv_psk_identity_pull((const char *)name->data,
				    name->size,
				    &generation,
				    &client,
				    &server);
	if (ret != 0 || server != p->node) {
		return -1;
	}
	if (!p->secret_fn(p->private_data, generation, secret)) {
		return -1;
	}
	key->data = gnutls_malloc(CSV_PSK_SIZE);
	key->size = CSV_PSK_SIZE;
	ret = ENOMEM;
	if (key->data != NULL) {
		ret = csv_psk_derive(secret, generation, client, server,
				     key->data);
	}
	gnutls_memset(secret, 0, sizeof(secret));
	if (ret != 0) {
		gnutls_free(key->data);
		key->data = NULL;
		return -1;
	}
	tls->peer_node = client;
	return 0;
}

int csv_tls_server(TALLOC_CTX *mem_ctx,
		   int fd,
		   const struct csv_tls_server_params *params,
		   struct csv_tls **_tls)
{
	struct csv_tls *tls = NULL;
	int ret;

	tls = tls_new(mem_ctx, fd, params->plain);
	if (tls == NULL) {
		return ENOMEM;
	}
	tls->server = params;
	ret = tls_session(tls, GNUTLS_SERVER);
	if (ret != 0) {
		goto fail;
	}
	ret = ENOMEM;
	if (gnutls_psk_allocate_server_credentials(&tls->server_cred) < 0) {
		goto fail;
	}
	gnutls_psk_set_server_credentials_function2(tls->server_cred,
						    tls_server_key);
	if (gnutls_credentials_set(tls->session,
				   GNUTLS_CRD_PSK,
				   tls->server_cred) < 0) {
		goto fail;
	}
	*_tls = tls;
	return 0;
fail:
	talloc_free(tls);
	return ret;
}

static int tls_map_error(int ret)
{
	switch (ret) {
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PREMATURE_TERMINATION:
		return ECONNRESET;
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
	case GNUTLS_E_DECRYPTION_FAILED:
	case GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER:
	case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
	case GNUTLS_E_KEYFILE_ERROR:
	case GNUTLS_E_UNKNOWN_PK_ALGORITHM:
	case GNUTLS_E_NO_CIPHER_SUITES:
	case GNUTLS_E_NO_APPLICATION_PROTOCOL:
		return EACCES;
	case GNUTLS_E_MEMORY_ERROR:
		return ENOMEM;
	default:
		return EPROTO;
	}
}

static int tls_again(struct csv_tls *tls, short *events)
{
	*events = POLLIN;
	if (tls->out_start < tls->out_end) {
		*events |= POLLOUT;
	}
	return EAGAIN;
}

/* The handshake proper. 0, EAGAIN or errno. */
static int tls_shake(struct csv_tls *tls)
{
	gnutls_datum_t proto = {};
	int ret;

	do {
		ret = gnutls_handshake(tls->session);
	} while (ret == GNUTLS_E_INTERRUPTED ||
		 ret == GNUTLS_E_WARNING_ALERT_RECEIVED);
	if (ret == GNUTLS_E_AGAIN) {
		return EAGAIN;
	}
	if (ret < 0) {
		gnutls_alert_send_appropriate(tls->session, ret);
		(void)tls_flush(&tls->t);
		return tls_map_error(ret);
	}
	/* Belt and braces: nothing but a key may have authenticated. */
	if (gnutls_auth_get_type(tls->session) != GNUTLS_CRD_PSK ||
	    gnutls_protocol_get_version(tls->session) != GNUTLS_TLS1_3 ||
	    gnutls_cipher_get(tls->session) != GNUTLS_CIPHER_AES_128_GCM) {
		return EACCES;
	}
	ret = gnutls_alpn_get_selected_protocol(tls->session, &proto);
	if (ret < 0) {
		return EACCES;
	}
	tls->plain = tls->plain && proto.size == alpn[0].size;
	return 0;
}

/* Wait for the peer's close_notify. 0, EAGAIN or errno. */
static int tls_bye_wait(struct csv_tls *tls)
{
	uint8_t byte;
	ssize_t n;

	n = gnutls_record_recv(tls->session, &byte, 1);
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		return EAGAIN;
	}
	if (n != 0) {
		return n > 0 ? EPROTO : tls_map_error((int)n);
	}
	return 0;
}

static int tls_step(struct csv_tls *tls)
{
	int ret = 0;

	switch (tls->state) {
	case TLS_HANDSHAKE:
		ret = tls_shake(tls);
		if (ret == 0) {
			tls->state = tls->plain ? TLS_BYE : TLS_READY;
		}
		break;
	case TLS_BYE:
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
		tls->state = TLS_BYE_WAIT;
		break;
	case TLS_BYE_WAIT:
		ret = tls_bye_wait(tls);
		if (ret == 0) {
			tls->state = TLS_READY;
		}
		break;
	case TLS_READY:
		break;
	}
	return ret;
}

int csv_tls_handshake(struct csv_tls *tls, short *events)
{
	int ret = 0;

	tls->in_dry = false;
	while (ret == 0 && tls->state != TLS_READY) {
		ret = tls_step(tls);
	}
	if (ret == 0 || ret == EAGAIN) {
		int r = -tls_flush(&tls->t);

		if (r != 0 && r != EAGAIN) {
			return r;
		}
	}
	if (ret == EAGAIN || (ret == 0 && tls->out_start < tls->out_end)) {
		return tls_again(tls, events);
	}
	if (ret == 0 && tls->plain) {
		tls_end_session(tls);
		tls->t.ops = &tls_plain_ops;
		TALLOC_FREE(tls->out);
		tls->out_size = 0;
		if (tls->in_start == tls->in_end) {
			TALLOC_FREE(tls->in);
			tls->in_start = 0;
			tls->in_end = 0;
		}
	}
	return ret;
}

uint32_t csv_tls_peer_node(const struct csv_tls *tls)
{
	return tls->peer_node;
}

bool csv_tls_is_plain(const struct csv_tls *tls)
{
	return tls->plain;
}

struct csv_transport *csv_tls_transport(struct csv_tls *tls)
{
	return &tls->t;
}

/* One record's rest into one piece of the caller's memory. */
static ssize_t tls_read_some(struct csv_tls *tls, void *buf, size_t len)
{
	ssize_t n;

	do {
		n = gnutls_record_recv(tls->session, buf, len);
	} while (n == GNUTLS_E_INTERRUPTED);
	if (n == GNUTLS_E_AGAIN) {
		return -EAGAIN;
	}
	return n >= 0 ? n : -tls_map_error((int)n);
}

static ssize_t tls_readv(struct csv_transport *t,
			 const struct iovec *iov,
			 int num)
{
	struct csv_tls *tls = (struct csv_tls *)t;
	size_t total = 0;
	size_t pos = 0;
	ssize_t n = 0;
	int i = 0;

	tls->in_dry = false;
	while (i < num) {
		if (pos == iov[i].iov_len) {
			pos = 0;
			i++;
			continue;
		}
		n = tls_read_some(tls,
				  (uint8_t *)iov[i].iov_base + pos,
				  iov[i].iov_len - pos);
		if (n <= 0) {
			break;
		}
		pos += (size_t)n;
		total += (size_t)n;
	}
	return total > 0 ? (ssize_t)total : n;
}

/* Up to one record of the bytes from *i, *pos on; moves these. */
static size_t tls_gather(const struct iovec *iov,
			 int num,
			 int *i,
			 size_t *pos,
			 uint8_t *scratch,
			 const uint8_t **rec)
{
	size_t len = 0;
	size_t n;

	while (*i < num && *pos == iov[*i].iov_len) {
		*pos = 0;
		*i += 1;
	}
	if (*i < num && iov[*i].iov_len - *pos >= TLS_RECORD) {
		*rec = (const uint8_t *)iov[*i].iov_base + *pos;
		*pos += TLS_RECORD;
		return TLS_RECORD;
	}
	*rec = scratch;
	while (*i < num && len < TLS_RECORD) {
		n = MIN(iov[*i].iov_len - *pos, TLS_RECORD - len);
		memcpy(scratch + len,
		       (const uint8_t *)iov[*i].iov_base + *pos,
		       n);
		len += n;
		*pos += n;
		if (*pos == iov[*i].iov_len) {
			*pos = 0;
			*i += 1;
		}
	}
	return len;
}

static ssize_t tls_writev(struct csv_transport *t,
			  const struct iovec *iov,
			  int num)
{
	struct csv_tls *tls = (struct csv_tls *)t;
	uint8_t scratch[TLS_RECORD];
	const uint8_t *rec = NULL;
	size_t total = 0;
	size_t pos = 0;
	size_t len;
	ssize_t n;
	int i = 0;
	int ret;

	ret = tls_flush(t);
	while (ret == 0) {
		len = tls_gather(iov, num, &i, &pos, scratch, &rec);
		if (len == 0) {
			break;
		}
		n = gnutls_record_send(tls->session, rec, len);
		if (n != (ssize_t)len) {
			return -(n < 0 ? tls_map_error((int)n) : EPROTO);
		}
		total += len;
		if (tls->out_end - tls->out_start >= TLS_OUT_LIMIT) {
			ret = tls_flush(t);
		}
	}
	if (ret == 0) {
		ret = tls_flush(t);
	}
	if (ret != 0 && ret != -EAGAIN) {
		return ret;
	}
	return total > 0 ? (ssize_t)total : ret;
}

static bool tls_pending(const struct csv_transport *t)
{
	const struct csv_tls *tls = (const struct csv_tls *)t;

	/* Whoever stopped at -EAGAIN has emptied `in`. */
	return gnutls_record_check_pending(tls->session) > 0 ||
	       tls->in_start < tls->in_end;
}

static const struct csv_transport_ops tls_ops = {
	.name = "tls",
	.readv = tls_readv,
	.writev = tls_writev,
	.flush = tls_flush,
	.pending = tls_pending,
};

/* What came right behind the peer's close_notify is read first. */
static ssize_t tls_plain_readv(struct csv_transport *t,
			       const struct iovec *iov,
			       int num)
{
	struct csv_tls *tls = (struct csv_tls *)t;

	if (tls->in_start < tls->in_end) {
		size_t len = MIN(iov[0].iov_len, tls->in_end - tls->in_start);

		memcpy(iov[0].iov_base, tls->in + tls->in_start, len);
		tls->in_start += len;
		return (ssize_t)len;
	}
	return csv_tcp_readv(t->fd, iov, num);
}

static ssize_t tls_plain_writev(struct csv_transport *t,
				const struct iovec *iov,
				int num)
{
	return csv_tcp_writev(t->fd, iov, num);
}

static int tls_plain_flush(struct csv_transport *t)
{
	return 0;
}

static bool tls_plain_pending(const struct csv_transport *t)
{
	const struct csv_tls *tls = (const struct csv_tls *)t;

	return tls->in_start < tls->in_end;
}

static const struct csv_transport_ops tls_plain_ops = {
	.name = "tls-plain",
	.readv = tls_plain_readv,
	.writev = tls_plain_writev,
	.send_pipe = csv_tcp_send_pipe,
	.flush = tls_plain_flush,
	.pending = tls_plain_pending,
};
