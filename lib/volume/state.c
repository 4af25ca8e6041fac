/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state machine of a volume as one table. */

#include <stddef.h>
#include "state.h"

#define NEVER -1
#define INIT CSV_STATE_INIT
#define PAUSED CSV_STATE_PAUSED
#define DRAINING CSV_STATE_DRAINING
#define SETDOWN CSV_STATE_SET_DOWN_LEVEL
#define ACTIVE CSV_STATE_ACTIVE

/*
 * Not obvious:
 *
 * Init+LOST: the volume is known, its owner is not up (yet): wait for it.
 * Init+FAILED: a process that comes late hears what everyone knows.
 * Paused+DRAIN: the way to the owner broke just before a move; what is still
 *	open must be closed all the same, csvd waits for it.
 * Paused+DRAINED: the owner died while we drained.
 * Draining+TARGET: the move was called off, or ended before we were done.
 * Active+TARGET: owner or epoch changed, and nobody told us of the end of
 *	the old one.
 */
static const int transitions[CSV_NUM_STATES][CSV_NUM_EVENTS] = {
	/*	    DRAIN     DRAINED LOST    TARGET   READY   FAILED */
	[INIT] =     {NEVER,    NEVER,  PAUSED, SETDOWN, NEVER,  INIT},
	[PAUSED] =   {DRAINING, PAUSED, PAUSED, SETDOWN, NEVER,  INIT},
	[DRAINING] = {DRAINING, PAUSED, PAUSED, SETDOWN, NEVER,  INIT},
	[SETDOWN] =  {DRAINING, NEVER,  PAUSED, SETDOWN, ACTIVE, INIT},
	[ACTIVE] =   {DRAINING, NEVER,  PAUSED, SETDOWN, NEVER,  INIT},
};

bool csv_state_next(enum csv_state state,
		    enum csv_event event,
		    enum csv_state *next)
{
	int to;

	if ((unsigned)state >= CSV_NUM_STATES ||
	    (unsigned)event >= CSV_NUM_EVENTS)
	{
		return false;
	}
	to = transitions[state][event];
	if (to == NEVER) {
		return false;
	}
	*next = (enum csv_state)to;
	return true;
}

const char *csv_state_str(enum csv_state state)
{
	static const char *const names[CSV_NUM_STATES] = {
		"Init", "Paused", "Draining", "SetDownLevel", "Active",
	};

	if ((unsigned)state >= CSV_NUM_STATES) {
		return "unknown";
	}
	return names[state];
}

const char *csv_event_str(enum csv_event event)
{
	static const char *const names[CSV_NUM_EVENTS] = {
		"drain", "drained", "lost", "target", "ready", "failed",
	};

	if ((unsigned)event >= CSV_NUM_EVENTS) {
		return "unknown";
	}
	return names[event];
}
