/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys between nodes: one per ordered pair, derived from the cluster's secret
 * with both node numbers in it, so that a key proves who is at either end.
 */
#ifndef _CSV_WIRE_AUTH_H_
#define _CSV_WIRE_AUTH_H_

#include <stddef.h>
#include <stdint.h>

#define CSV_SECRET_SIZE 32
#define CSV_PSK_SIZE 32
#define CSV_PSK_IDENTITY_MAX 64 /* with the NUL */

/*
 * HKDF-SHA256 of the secret. client and server are CTDB node numbers,
 * generation counts rotations. 0 or EINVAL. The caller wipes psk.
 */
int csv_psk_derive(const uint8_t secret[CSV_SECRET_SIZE],
		   uint32_t generation,
		   uint32_t client,
		   uint32_t server,
		   uint8_t psk[CSV_PSK_SIZE]);

/* "csv1:<generation>:<client>:<server>", decimal. */
int csv_psk_identity_push(uint32_t generation,
			  uint32_t client,
			  uint32_t server,
			  char *buf,
			  size_t size);

/* 0, or EINVAL for anything but exactly that shape. */
int csv_psk_identity_pull(const char *identity,
			  size_t length,
			  uint32_t *generation,
			  uint32_t *client,
			  uint32_t *server);

#endif /* _CSV_WIRE_AUTH_H_ */
