/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What smbd with patch 0020 ("tree connect contexts") gives to a VFS module:
 * its connect_fn sees what the TREE_CONNECT carried and decides on more of
 * the answer than a yes or a no.
 *
 * All functions are weak: on an smbd without the patch they are NULL. A
 * module calls smbd_tcon_supported() once; if it is false it says so in one
 * log line and never calls anything else from here.
 *
 * None of them blocks or calls into the VFS. A connect_fn that needs time
 * waits as smbd_park.h says; it is then called again, with the same flags and
 * contexts, and what it had announced before is forgotten.
 */

#ifndef _SMBD_TCON_H_
#define _SMBD_TCON_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection_struct;

#define SMBD_TCON_CLUSTER_RECONNECT 0x0001
#define SMBD_TCON_REDIRECT_TO_OWNER 0x0002

#define SMBD_TCON_REMOTED_IDENTITY 0x0001

#define SMBD_SHARE_CAP_CONTINUOUS_AVAILABILITY 0x0010
#define SMBD_SHARE_CAP_SCALEOUT 0x0020
#define SMBD_SHARE_CAP_CLUSTER 0x0040
#define SMBD_SHARE_CAP_ASYMMETRIC 0x0080
#define SMBD_SHARE_CAP_REDIRECT_TO_OWNER 0x0100

#define SMBD_ERROR_SHARE_REDIRECT 0x72645253

/* The flags of the TREE_CONNECT; 0 below SMB 3.1.1 and for SMB1. */
uint16_t smbd_tcon_flags(const struct connection_struct *conn)
	__attribute__((weak));

/*
 * The path as the client sent it, "\\server\share", in the unix charset;
 * smbd's. NULL: not from an SMB2 TREE_CONNECT.
 */
const char *smbd_tcon_path(const struct connection_struct *conn)
	__attribute__((weak));

/*
 * The n-th (from 0) tree connect context of this type; false: there is none.
 * The data is smbd's, readable as long as conn is there, 8-aligned, and
 * nobody checked what is inside.
 */
bool smbd_tcon_context(const struct connection_struct *conn,
		       uint16_t type,
		       size_t n,
		       const uint8_t **data,
		       size_t *length) __attribute__((weak));

/*
 * In connect_fn: announce these share flags and capabilities, beside those
 * that smbd knows of, if the connect succeeds. smbd leaves out what the
 * client's dialect has not got, and REDIRECT_TO_OWNER where the client did
 * not ask for it or the share is not asymmetric.
 */
void smbd_tcon_announce(struct connection_struct *conn,
			uint32_t share_flags,
			uint32_t capabilities) __attribute__((weak));

/*
 * In connect_fn, which then returns -1: the TREE_CONNECT is answered with
 * this status and, if error_id is not 0 and the client speaks SMB 3.1.1, with
 * an error context of that id around a copy of the data (at most 64 KiB).
 * False, and nothing changed: no SMB2 TREE_CONNECT, no error status, too much
 * data, no memory.
 */
bool smbd_tcon_fail(struct connection_struct *conn,
		    NTSTATUS status,
		    uint32_t error_id,
		    const uint8_t *data,
		    size_t length) __attribute__((weak));

/*
 * With patch 0021, NULL without: the same with the data of a status that has
 * some. In SMB 3.1.1 it stands in an error context with id 0, in older
 * dialects it is the error data.
 */
bool smbd_tcon_fail_data(struct connection_struct *conn,
			 NTSTATUS status,
			 const uint8_t *data,
			 size_t length) __attribute__((weak));

/* Whether this smbd has patch 0020. */
static inline bool smbd_tcon_supported(void)
{
	return smbd_tcon_flags != NULL && smbd_tcon_path != NULL &&
	       smbd_tcon_context != NULL && smbd_tcon_announce != NULL &&
	       smbd_tcon_fail != NULL;
}

#endif /* _SMBD_TCON_H_ */
