/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What smbd with patch 0001 ("parking") gives to a VFS module: requests for
 * a share whose volume is not ready wait outside the VFS.
 *
 * All functions are weak: on an smbd without the patch they are NULL. A
 * module calls smbd_park_supported() once; if it is false it says so in one
 * log line and never calls anything else from here.
 *
 * Who may call, and when: the main thread of an smbd that serves a client,
 * in any tevent handler or VFS function. No function here blocks, runs
 * another request or calls into the VFS; what follows from a call happens
 * later, from the event loop.
 */

#ifndef _SMBD_PARK_H_
#define _SMBD_PARK_H_

#include <stdbool.h>
#include <stddef.h>

struct connection_struct;
struct smbd_tcon_wait;

/*
 * From now on SMB2 requests for this share connection wait in smbd, in the
 * order of their arrival, and the client is told STATUS_PENDING where the
 * protocol has that. Everything waits that would enter the VFS: all requests
 * with a tree id but oplock and lease break acknowledgements and CANCEL;
 * TREE_DISCONNECT, and LOGOFF of its session, wait too, because they close
 * files. ECHO, NEGOTIATE, SESSION_SETUP, other shares go on.
 *
 * A request that is inside the VFS already goes on there. Parking a parked
 * connection changes nothing. conn stays parked until smbd_conn_unpark(), or
 * until its session ends (client gone, session closed from elsewhere, smbd
 * stops): from then on smbd_conn_park() has no effect, smbd_conn_is_parked()
 * is false. The module need not unpark in its disconnect_fn. SMB1 requests
 * are not parked.
 *
 * What enters the VFS while the volume is not ready all the same must be
 * answered at once, without waiting for the volume:
 *  - the rest of a request that had entered before;
 *  - the teardown. close_fn has to succeed, or a persistent handle is lost;
 *    for other durable handles fstat_fn as well (from what was known last).
 *    closedir and disconnect; for a file that was written to also
 *    parent_pathname, stat and file_id_create (any result will do); with
 *    delete-on-close fstat, openat and unlinkat, which may fail: the file
 *    then stays.
 */
void smbd_conn_park(struct connection_struct *conn) __attribute__((weak));

/*
 * Let the waiting requests go on, from the event loop, in the order of their
 * arrival and ahead of new ones, each checked as if it had just arrived.
 * smbd serves its sockets in between. If conn is parked again meanwhile, the
 * rest goes on waiting. No effect if conn is not parked.
 */
void smbd_conn_unpark(struct connection_struct *conn) __attribute__((weak));

/* True between smbd_conn_park() and smbd_conn_unpark(). */
bool smbd_conn_is_parked(const struct connection_struct *conn)
	__attribute__((weak));

/* How many requests wait at this conn, also after smbd_conn_unpark(). */
size_t smbd_conn_num_waiting(const struct connection_struct *conn)
	__attribute__((weak));

/*
 * To be called in connect_fn, when the volume is not ready, which then
 * returns -1. smbd does not answer the TREE_CONNECT yet (the protocol has no
 * STATUS_PENDING for it), frees this conn, serves everything else, and runs
 * the whole tree connect again, with a new conn, after
 * smbd_tcon_wait_done(w, NT_STATUS_OK).
 *
 * Returns NULL if this conn cannot wait (it does not come from an SMB2
 * TREE_CONNECT, or no memory): connect_fn then fails or succeeds as it would
 * without. A second call in the same connect_fn gives the same object.
 *
 * smbd owns the result and frees it when the request ends otherwise (CANCEL,
 * LOGOFF, end of the connection) or has been told done. The module hangs an
 * object with a destructor below it (talloc) to learn of that, and then no
 * longer uses the pointer.
 *
 * A client waits for a TREE_CONNECT only as long as for any answer (Windows:
 * 60 s), so the module should fail it with smbd_tcon_wait_done() earlier.
 */
struct smbd_tcon_wait *smbd_tcon_wait(struct connection_struct *conn)
	__attribute__((weak));

/*
 * NT_STATUS_OK: connect again. An error: answer the TREE_CONNECT with it.
 * Call it once; w is gone afterwards, from the event loop. It may be called
 * inside connect_fn as well.
 */
void smbd_tcon_wait_done(struct smbd_tcon_wait *w, NTSTATUS status)
	__attribute__((weak));

/* Whether this smbd has the patch. */
static inline bool smbd_park_supported(void)
{
	return smbd_conn_park != NULL && smbd_conn_unpark != NULL &&
	       smbd_conn_is_parked != NULL && smbd_tcon_wait != NULL &&
	       smbd_tcon_wait_done != NULL;
}

#endif /* _SMBD_PARK_H_ */
