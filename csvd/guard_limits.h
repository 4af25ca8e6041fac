/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guard's decisions as pure functions: when a node must let go of its
 * file systems, and how long a successor has to wait for that. Times are
 * milliseconds; points in time are of CLOCK_BOOTTIME, 0: never.
 */
#ifndef _CSVD_GUARD_LIMITS_H_
#define _CSVD_GUARD_LIMITS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Between two looks at everything. */
#define GUARD_POLL_MS 250
/* From the decision to the last write of the file system. */
#define GUARD_SHUTDOWN_MS 1000
/* For clocks that differ and processors that are busy. */
#define GUARD_MARGIN_MS 2000
/* A dead worker has to be replaced within this time. */
#define GUARD_RESTART_MS 6000
/* ctdbd's socket is refused for this long: it has ended. */
#define GUARD_GONE_MS 400

/* What the administrator chose; see csvd(8). */
struct guard_limits {
	uint32_t csvd_ms;     /* no sign of life of the worker's process */
	uint32_t main_ms;     /* the worker did not reach ctdbd */
	uint32_t ctdbd_ms;    /* ctdbd does not answer the guard */
	uint32_t watchdog_ms; /* 0: no watchdog device */
	uint32_t wait_ms;     /* of successors; 0: what is needed */
};

/* What the guard sees. */
struct guard_sight {
	uint64_t now;
	uint64_t answered;  /* ctdbd's last answer (or the guard's start) */
	uint64_t gone;	    /* ctdbd refuses connections since */
	uint32_t flags;	    /* NODE_FLAGS_* of this node */
	uint32_t active;    /* nodes that are active members, this included */
	uint32_t total;	    /* nodes of the cluster */
	uint64_t recovery;  /* in recovery since */
	uint64_t pulse;	    /* the worker's process was alive */
	uint64_t reached;   /* the worker's main loop reached ctdbd */
	uint64_t worker_end; /* there is no worker since */
};

enum guard_reason {
	GUARD_FIT = 0,
	GUARD_CTDBD_SILENT,
	GUARD_CTDBD_GONE,
	GUARD_INACTIVE,
	GUARD_ALONE,
	GUARD_CSVD_SILENT,
	GUARD_CSVD_LOST,
	GUARD_CSVD_DEAD,
	GUARD_NUM_REASONS,
};

enum guard_reason guard_judge(const struct guard_sight *s,
			      const struct guard_limits *l);
const char *guard_reason_str(enum guard_reason reason);

/* The inequality. */
struct guard_wait {
	uint32_t detect_ms; /* until a cut-off owner's guard has decided */
	uint32_t down_ms;   /* from there until nothing writes any more */
	uint32_t need_ms;   /* both, and the margin */
	uint32_t wait_ms;   /* what successors wait; 0: never enough */
};

/*
 * interval_s, limit: CTDB's KeepaliveInterval and KeepaliveLimit. True: a
 * successor without fencing and without the guard's answer may start after
 * w->wait_ms. False: it must not; why says which numbers are wrong and what
 * to change (empty: there is no watchdog, and nobody asked to wait).
 */
bool guard_wait_compute(uint32_t interval_s,
			uint32_t limit,
			const struct guard_limits *l,
			struct guard_wait *w,
			char *why,
			size_t size);

#endif /* _CSVD_GUARD_LIMITS_H_ */
