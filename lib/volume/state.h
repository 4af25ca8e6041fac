/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The state machine of one volume on one node: which state follows which
 * event. Pure: no memory, no I/O, no clock.
 *
 * The states are Windows' (windows-sofs.md, Cluster Shared Volumes):
 *
 *   Init          not usable: unknown yet, or failed on every node allowed to
 *                 own it; handles are invalid
 *   Paused        requests wait; down-level handles may be dead
 *   Draining      requests in progress end, new ones wait, down-level handles
 *                 are being closed
 *   SetDownLevel  the place of the files is known; down-level handles are
 *                 being opened again
 *   Active        requests run
 */
#ifndef _CSV_VOLUME_STATE_H_
#define _CSV_VOLUME_STATE_H_

#include <stdbool.h>
#include <stdint.h>

enum csv_state {
	CSV_STATE_INIT = 0,
	CSV_STATE_PAUSED = 1,
	CSV_STATE_DRAINING = 2,
	CSV_STATE_SET_DOWN_LEVEL = 3,
	CSV_STATE_ACTIVE = 4,
};

enum csv_event {
	/* the owner leaves in order: planned move, release */
	CSV_EVENT_DRAIN = 0,
	/* every down-level handle of this node is closed */
	CSV_EVENT_DRAINED = 1,
	/* the owner, or the way to it, is gone; also a stale epoch */
	CSV_EVENT_LOST = 2,
	/* an owner with a new epoch is up, or the same one is back */
	CSV_EVENT_TARGET = 3,
	/* down-level handles may be used */
	CSV_EVENT_READY = 4,
	/* given up: wait limit over, or failed on every allowed node */
	CSV_EVENT_FAILED = 5,
};

#define CSV_NUM_STATES 5
#define CSV_NUM_EVENTS 6

/*
 * The state that follows. Returns false, and leaves *next untouched, where
 * the event cannot happen in that state (the caller logs and ignores it).
 */
bool csv_state_next(enum csv_state state,
		    enum csv_event event,
		    enum csv_state *next);

/* "Init", "Paused", "Draining", "SetDownLevel", "Active"; never NULL. */
const char *csv_state_str(enum csv_state state);

/* "drain", "drained", "lost", "target", "ready", "failed"; never NULL. */
const char *csv_event_str(enum csv_event event);

#endif /* _CSV_VOLUME_STATE_H_ */
