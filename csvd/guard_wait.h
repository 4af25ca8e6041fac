/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking over by time alone: where there is no fence agent, but every node
 * has a guard and a watchdog device, and the inequality of guard_limits.h
 * holds.
 */
#ifndef _CSVD_GUARD_WAIT_H_
#define _CSVD_GUARD_WAIT_H_

#include "csvd/context.h"

/*
 * Reads CTDB's tunables and computes the inequality: sets promise_ms,
 * wait_ms and wait_why; one log line when a configuration is refused.
 */
void csvd_wait_refresh(struct csvd_context *csvd);

enum csvd_wait_state {
	CSVD_WAIT_NEVER, /* only fencing, or an administrator */
	CSVD_WAIT_GOES_ON,
	CSVD_WAIT_OVER, /* nothing of the dead owner writes any more */
};

/* Of a volume whose owner is dead by CTDB's word. */
enum csvd_wait_state csvd_wait_state(struct csvd_volume *v);

/*
 * May this node own the volume with the configuration that it has? False:
 * the reason is set. With a fence agent always.
 */
bool csvd_wait_may_own(struct csvd_volume *v);

#endif /* _CSVD_GUARD_WAIT_H_ */
