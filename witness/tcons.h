/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The shares that clients use, on whichever node: for those that registered
 * for no share. Samba's smbstatus(1) reads them from CTDB's databases, in a
 * process of its own: it waits while CTDB recovers, and we do not.
 */
#ifndef _WITNESS_TCONS_H_
#define _WITNESS_TCONS_H_

#include "witness/context.h"

/* 0 or ENOMEM. */
int witness_tcons_start(struct witness_context *w);

/*
 * What is known is to be newer than `since` (witness_now()), or than some
 * seconds. Asks in the background at most once a second; witness_soon() is
 * called when there is something new.
 */
void witness_tcons_want(struct witness_context *w, uint64_t since);

/* When the last answer that came was asked for; 0: none has come. */
uint64_t witness_tcons_asked(const struct witness_context *w);

/*
 * The shares that a client with this address has connected to, without IPC$
 * and without doubles. The list and its texts live until the next answer.
 */
const char *const *witness_tcons_of(const struct witness_context *w,
				    const struct sockaddr_storage *client,
				    size_t *num);

/* "ipv4:10.0.0.1:445" and the like, as Samba writes addresses down. */
bool witness_tcons_address(const char *text, struct sockaddr_storage *ss);

#endif /* _WITNESS_TCONS_H_ */
