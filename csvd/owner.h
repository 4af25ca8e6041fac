/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who owns a volume: what this node does about it, from the owner record,
 * the members and what their csvds say. A successor starts the storage only
 * when the record says "released cleanly" or the predecessor is proven fenced
 * (v->proven_epoch); taking is in take.c, letting go in release.c.
 */
#ifndef _CSVD_OWNER_H_
#define _CSVD_OWNER_H_

#include "csvd/context.h"

/* Reads the record and starts whatever is to be done. Idempotent. */
void csvd_owner_evaluate(struct csvd_volume *v);

/*
 * Planned move of a volume that this node owns; target CSVD_NO_NODE: the best
 * other node. 0, EBUSY (it is moving, or not owned here), EALREADY (target
 * owns it), EHOSTUNREACH (no node can take it).
 */
int csvd_owner_move(struct csvd_volume *v, uint32_t target);

/*
 * Start a volume that nobody owns now, not at the next attempt; target
 * CSVD_NO_NODE: on the best node. 0, EBUSY (somebody owns it), EHOSTUNREACH.
 */
int csvd_owner_start(struct csvd_volume *v, uint32_t target);

/*
 * The node that shall take the volume next, after `after` others (0: the
 * first); CSVD_NO_NODE: there are not that many.
 */
uint32_t csvd_owner_candidate(struct csvd_volume *v, uint32_t after);

/* An administrator vouches that the dead owner has no access any more. */
int csvd_owner_confirm_fenced(struct csvd_volume *v);

/* Give all volumes away, take none: until done, see csvd_owner_owns(). */
void csvd_owner_leave(struct csvd_context *csvd);
bool csvd_owner_owns(struct csvd_context *csvd);

/* take.c: role IDLE -> TAKING -> OWNER, or back with the record released. */
void csvd_take_start(struct csvd_volume *v);
/* The agents run, the record says we own it: serve. 0 or errno. */
int csvd_take_serve(struct csvd_volume *v);
/* csvd was started again: go on under the same epoch, or take anew. */
void csvd_take_resume(struct csvd_volume *v);
/* Stop what an earlier boot or owner left here; sets v->swept. */
void csvd_take_sweep(struct csvd_volume *v);

/* release.c: role OWNER -> RELEASING -> IDLE (or OWNER again). */
enum csvd_release_mode {
	CSVD_RELEASE_MOVE,   /* the storage is well */
	CSVD_RELEASE_BROKEN, /* it is not: this node counts as failed */
};
void csvd_release_start(struct csvd_volume *v,
			uint32_t target,
			enum csvd_release_mode mode,
			const char *reason);
/*
 * Write "nobody owns it, let go in order". failed: this node could not run
 * the storage. 0 or errno. The storage must be stopped here.
 */
int csvd_release_record(struct csvd_volume *v,
			uint32_t target,
			bool failed,
			const char *reason);
/* STUCK: stop the storage again and again, then release the record. */
void csvd_release_stuck(struct csvd_volume *v, const char *reason);

/* monitor.c: watch the storage of an owned volume; ends with its role. */
void csvd_monitor_start(struct csvd_volume *v);
void csvd_monitor_stop(struct csvd_volume *v);

#endif /* _CSVD_OWNER_H_ */
