/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The transport that authenticates both nodes: TLS 1.3 with an external
 * pre-shared key (ECDHE-PSK, AES-128-GCM, SHA-256), no
 * certificates, no tickets, no resumption.
 *
 * Client and server agree by ALPN, so under the handshake's protection,
 * whether they go on without TLS records: only if both are configured so.
 */
#ifndef _CSV_WIRE_TLS_H_
#define _CSV_WIRE_TLS_H_

#include "lib/wire/auth.h"
#include "lib/wire/transport.h"

struct csv_tls;

/* Takes fd (connected, non-blocking) over, also on failure. 0 or errno. */
int csv_tls_client(TALLOC_CTX *mem_ctx,
		   int fd,
		   const char *identity,
		   const uint8_t psk[CSV_PSK_SIZE],
		   bool plain,
		   struct csv_tls **tls);

struct csv_tls_server_params {
	uint32_t node; /* our own number: others' keys for it are accepted */
	bool plain;
	/* false: not a valid generation */
	bool (*secret_fn)(void *private_data,
			  uint32_t generation,
			  uint8_t secret[CSV_SECRET_SIZE]);
	void *private_data;
};

/* params must stay valid until the handshake is over. */
int csv_tls_server(TALLOC_CTX *mem_ctx,
		   int fd,
		   const struct csv_tls_server_params *params,
		   struct csv_tls **tls);

/*
 * Go on with the handshake. 0: done. EAGAIN: poll for *events. EACCES: the
 * key or the identity was refused, by us or by the peer. Else errno.
 */
int csv_tls_handshake(struct csv_tls *tls, short *events);

/* After the handshake: the node that the key proved to be there (server). */
uint32_t csv_tls_peer_node(const struct csv_tls *tls);
/* After the handshake: no records any more. */
bool csv_tls_is_plain(const struct csv_tls *tls);

/* The transport, usable after the handshake; it is the csv_tls itself. */
struct csv_transport *csv_tls_transport(struct csv_tls *tls);

#endif /* _CSV_WIRE_TLS_H_ */
