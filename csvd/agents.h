/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agents that run, noted in the page that the supervisor's processes
 * share: each is a session of its own, whose number it notes itself before it
 * is the agent. A `start` that goes on after its csvd was killed, or after
 * its time was over, would mount what another node owns by then; so nothing
 * is decided about a volume while one of its agents may still change it.
 */
#ifndef _CSVD_AGENTS_H_
#define _CSVD_AGENTS_H_

#include "csvd/guard.h"

#define AGENTS_VARIABLE "CSVD_SESSION"

/*
 * A place for an agent of this volume; changes: it starts or stops storage.
 * NULL: all are taken. The worker only.
 */
struct guard_agent *csvd_agent_new(struct guard_page *page,
				   const char *volume,
				   bool changes);
/* Its first process has ended, in time and by itself. */
void csvd_agent_done(struct guard_agent *agent);

/*
 * Kill all of its session. It is "left" from now on, until csvd_agents_left()
 * finds none of it. False: nothing of it lives.
 */
bool csvd_agent_kill(struct guard_agent *agent);

/*
 * A process of an agent that was killed, that has not ended yet and that may
 * change the volume's storage: it is killed again. 0: there is none.
 */
pid_t csvd_agents_left(struct guard_page *page, const char *volume);

/*
 * The worker has died: kill what it ran. How many still live; they are left.
 * The supervisor only, while there is no worker.
 */
unsigned csvd_agents_end(struct guard_page *page);

/*
 * The same for an earlier csvd with this socket of which nothing is left but
 * its agents: waits for them for a while.
 */
void csvd_agents_adopt(struct guard_page *page, const char *socket_path);

#endif /* _CSVD_AGENTS_H_ */
