/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cluster's secret, from which the keys between nodes are derived: in the
 * clustered persistent database csv_secrets.tdb (mode 0600), made by the
 * first csvd of the cluster. Two generations are valid at a time.
 */
#ifndef _CSVD_SECRET_H_
#define _CSVD_SECRET_H_

#include "csvd/context.h"
#include "csvd/guard.h"

/* Opens the database, makes the first secret. May block on CTDB. */
int csvd_secret_start(struct csvd_context *csvd);

/* The valid generations, for the guard. The caller wipes them. */
void csvd_secret_copy(struct csvd_context *csvd,
		      struct guard_secret secrets[2]);

/*
 * Read again (another node may have made a new one); a new one is told to
 * this node's processes.
 */
void csvd_secret_refresh(struct csvd_context *csvd);

/* A new generation; the one before the last is valid no more. */
int csvd_secret_rotate(struct csvd_context *csvd);

/* Which is in use. */
uint32_t csvd_secret_generation(const struct csvd_context *csvd);

/* For csv_serve: any thread, never blocks on CTDB. private_data: csvd. */
bool csvd_secret_get(void *private_data,
		     uint32_t generation,
		     uint8_t secret[CSV_SECRET_SIZE]);

/* The key that this node uses towards a server: current generation. */
int csvd_secret_psk(struct csvd_context *csvd,
		    uint32_t server,
		    uint8_t psk[CSV_PSK_SIZE],
		    char identity[CSV_PSK_IDENTITY_MAX]);

#endif /* _CSVD_SECRET_H_ */
