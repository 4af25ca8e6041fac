/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The counters' files of processes that are gone. */
#ifndef CSVD_STATS_H
#define CSVD_STATS_H

#include "includes.h"

/*
 * Remove the files in `dir` (named PID.VOLUME.json, written by
 * modules/csv/stats.c) whose process does not exist and that nobody has
 * written for age_s seconds. Does not block but for the tmpfs. Returns how
 * many were removed.
 */
unsigned csvd_stats_sweep(const char *dir, time_t age_s);

/*
 * Do so with DIR/stats beside the socket, now and every ten minutes, until
 * mem_ctx is freed. False without memory.
 */
bool csvd_stats_start(TALLOC_CTX *mem_ctx,
		      struct tevent_context *ev,
		      const char *socket_path);

#endif
