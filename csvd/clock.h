/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long something takes and when it is due, where the time of day would be
 * wrong: an administrator or NTP may set that to anything while we wait.
 */
#ifndef _CSVD_CLOCK_H_
#define _CSVD_CLOCK_H_

#include "includes.h"

/* Since some moment before this process began; only goes on. Never zero. */
static inline struct timeval csvd_clock(void)
{
	struct timespec ts = {};

	clock_gettime_mono(&ts);
	return convert_timespec_to_timeval(ts);
}

#endif /* _CSVD_CLOCK_H_ */
