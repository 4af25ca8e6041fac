/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to child.c: the begin of a program.
 */
#ifndef _CSVD_CHILD_SPAWN_H_
#define _CSVD_CHILD_SPAWN_H_

#include <sys/types.h>
#include "csvd/child.h"

struct guard_agent;

/*
 * In a session of its own, noted in agent; in, out: its standard input and
 * output. 0 or errno: then agent is free again.
 */
int csvd_child_spawn(const struct csvd_child_params *params,
		     struct guard_agent *agent,
		     int in,
		     int out,
		     pid_t *pid);

#endif /* _CSVD_CHILD_SPAWN_H_ */
