/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that uses volumes talks with the csvd of its node over a Unix
 * SOCK_SEQPACKET socket (messages: csv_control_* of lib/wire/csv.idl): it
 * names the volumes it uses; csvd tells it their states and where their files
 * are (a descriptor of the mounted root travels with SCM_RIGHTS when the
 * access is direct); it tells csvd when it let go of its down-level handles.
 *
 * csvd knows by this socket each process with direct access, its pid from the
 * peer credentials, its death from the end of the connection. When csvd goes
 * away, volumes with direct access stay as they are (csvd's death alone is no
 * failure); the connection is tried again every 200 ms, and announces what
 * this process still holds.
 *
 * One csv_control per process, shared by its volumes.
 */
#ifndef _CSV_VOLUME_CONTROL_H_
#define _CSV_VOLUME_CONTROL_H_

#include "volume.h"

#define CSV_CONTROL_SOCKET "/run/csvd/csvd.sock"

struct csv_control;

struct csv_control_volume {
	const char *name;
	unsigned wait_limit_s;
	const struct csv_privilege *priv;
	void (*state_fn)(struct csv_volume *vol,
			 enum csv_state old_state,
			 enum csv_state new_state,
			 void *private_data);
	void *private_data;
};

/* Non-blocking. path: NULL for CSV_CONTROL_SOCKET. */
int csv_control_create(TALLOC_CTX *mem_ctx,
		       struct tevent_context *ev,
		       const char *path,
		       struct csv_control **control);

/*
 * wait_fn is called while a synchronous operation waits for its volume or for
 * an answer of the owner, every 250 ms and when csvd says something or has
 * gone: the event loop does not run then. It must not call into the volume; it
 * may end the process.
 */
void csv_control_set_wait_fn(struct csv_control *control,
			     void (*wait_fn)(void));

/*
 * Use a volume. Blocks until csvd answered (its state may be any), at most
 * timeout_ms: ETIMEDOUT. ENOENT: no such volume in the cluster. The same
 * volume may be attached once per process: EBUSY. Wait limit and UUID come
 * from csvd. Freeing *vol detaches.
 */
int csv_control_attach(struct csv_control *control,
		       TALLOC_CTX *mem_ctx,
		       const struct csv_control_volume *params,
		       unsigned timeout_ms,
		       struct csv_volume **vol);

/*
 * What csvd last told of the nodes (../node/node.h): the highest dialect that
 * all of them speak, 0 if nothing is known; and this node's enum
 * csv_node_drain.
 */
uint16_t csv_control_max_dialect(const struct csv_control *control);
unsigned csv_control_drain(const struct csv_control *control);

#endif /* _CSV_VOLUME_CONTROL_H_ */
