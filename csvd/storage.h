/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A volume's storage: its OCF resource agents, called one after the other in
 * their order (stop: in reverse), each within its time limit.
 */
#ifndef _CSVD_STORAGE_H_
#define _CSVD_STORAGE_H_

#include "csvd/context.h"

enum csvd_storage_action {
	CSVD_STORAGE_START,
	CSVD_STORAGE_STOP,
	CSVD_STORAGE_MONITOR,
};

/*
 * All agents of the volume. Freeing the request kills what runs.
 */
struct tevent_req *csvd_storage_send(TALLOC_CTX *mem_ctx,
				     struct csvd_volume *v,
				     enum csvd_storage_action action);

/*
 * 0: every agent said so (MONITOR: all of them run). ENXIO (MONITOR only):
 * cleanly stopped. Else errno: ETIMEDOUT, EIO (an agent said no), ENOENT (no
 * such agent), EBUSY (one that was killed, now or before, has not ended: no
 * other was called); *why (child of mem_ctx) says which and what it printed.
 */
int csvd_storage_recv(struct tevent_req *req, TALLOC_CTX *mem_ctx, char **why);

/*
 * The root of the mounted volume, close on exec. ENODEV: nothing is mounted
 * there.
 */
int csvd_storage_open(struct csvd_volume *v, int *rootfd);

/* Where "ocf:<provider>:<type>" is; false: malformed. */
bool csvd_storage_agent_path(TALLOC_CTX *mem_ctx,
			     const char *ocf_root,
			     const char *type,
			     char **path);

/* Declared to be mounted read-only. */
bool csvd_storage_read_only(const struct csvd_volume *v);

#endif /* _CSVD_STORAGE_H_ */
