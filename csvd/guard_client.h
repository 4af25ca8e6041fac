/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd's side of its own guard (csvd/guard.h). What waits, waits at most a
 * second for the guard, which never waits for us.
 */
#ifndef _CSVD_GUARD_CLIENT_H_
#define _CSVD_GUARD_CLIENT_H_

#include "csvd/context.h"

/* From now on the guard sees that this process runs. 0 or errno. */
int csvd_guard_start(struct guard_page *page);

/* The main loop reached ctdbd, and this node is an active member. */
void csvd_guard_reached(struct csvd_context *csvd);

/* Tell the answerer the secrets and where to listen; cheap. */
void csvd_guard_tell(struct csvd_context *csvd);

/*
 * The mounted volume (v->rootfd, v->rec->epoch) is guarded from now on. 0;
 * EIO: the guard has shut down this very ownership; ENOTSUP: its file system
 * cannot be shut down, and nothing else protects it; ETIMEDOUT: no guard.
 */
int csvd_guard_hold(struct csvd_volume *v);
/*
 * The storage starts or stops now: the guard closes what it has of it, but
 * knows that it may be mounted. 0 or errno (ETIMEDOUT: no guard).
 */
int csvd_guard_prepare(struct csvd_volume *v);
/* The storage is stopped here. */
void csvd_guard_drop(struct csvd_volume *v);

/* The guard has shut down what this node's record says it owns. */
bool csvd_guard_has_shut(const struct csvd_volume *v);

#endif /* _CSVD_GUARD_CLIENT_H_ */
