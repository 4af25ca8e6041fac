/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A volume's state at this node, as the processes here see it: every event
 * goes through the state machine, to the processes and to the cluster.
 */
#ifndef _CSVD_VIEW_H_
#define _CSVD_VIEW_H_

#include "csvd/context.h"

/* DRAIN, DRAINED, LOST, FAILED. Where it is impossible, nothing happens. */
void csvd_view_event(struct csvd_volume *v, enum csv_event event);

/* TARGET and READY: the files are here (direct) or at rec's owner. */
void csvd_view_active(struct csvd_volume *v, enum csv_access access);

/* Who waits for longer than the volume's limit is told FAILED. */
void csvd_view_check_limit(struct csvd_volume *v);

#endif /* _CSVD_VIEW_H_ */
