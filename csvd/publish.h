/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Telling the cluster: every change of a volume as one documented message
 * (MSG_CSV_EVENT, csv_volume_event), and what this csvd is and sees
 * (MSG_CSV_NODE, csv_node_info); hearing the same from the others.
 */
#ifndef _CSVD_PUBLISH_H_
#define _CSVD_PUBLISH_H_

#include "csvd/context.h"

/* Listen to the other csvds. 0 or errno. */
int csvd_publish_start(struct csvd_context *csvd);

/* The volume's event and its state at this node, now. */
void csvd_publish_event(struct csvd_volume *v, enum csv_event event);

/*
 * What this node is and sees. question: everyone shall tell the same.
 * Without, the message is sent from the event loop, once for many calls.
 */
void csvd_publish_node(struct csvd_context *csvd, bool question);

/* Ask the owner to move the volume. 0, ENXIO (its csvd is not known), EIO. */
int csvd_publish_move(struct csvd_volume *v, uint32_t target);

/* The drain of a node has changed: to whoever listens (lib/node/node.h). */
void csvd_publish_drain(struct csvd_context *csvd,
			const struct csv_node_record *rec);

/* The declarations of volumes, or records of nodes, changed. */
void csvd_publish_config(struct csvd_context *csvd);

#endif /* _CSVD_PUBLISH_H_ */
