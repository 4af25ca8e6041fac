/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The processes of this node that use volumes, and the tool: csvd's end of
 * the control socket (lib/volume/control.h).
 */
#ifndef _CSVD_CONTROL_H_
#define _CSVD_CONTROL_H_

#include "csvd/context.h"

struct csvd_client;

/* Listens on the configured path, for uid 0 only. 0 or errno. */
int csvd_control_start(struct csvd_context *csvd);

/*
 * Tell every process that uses the volume; v->access, v->epoch and v->rec
 * are the target's. Never blocks; a process that does not read is killed.
 */
void csvd_control_event(struct csvd_volume *v, enum csv_event event);

/* What a process is told of the node (CSV_CONTROL_NODE) has changed. */
void csvd_control_node(struct csvd_context *csvd);

/* The key between nodes has changed: the next connections use the new one. */
void csvd_control_new_key(struct csvd_context *csvd);

/*
 * Wait until no process of this node has direct access to the volume any
 * more (the event was sent before); who has it after timeout_ms is killed.
 * *killed: how many.
 */
struct tevent_req *csvd_control_drain_send(TALLOC_CTX *mem_ctx,
					   struct csvd_volume *v,
					   unsigned timeout_ms);
int csvd_control_drain_recv(struct tevent_req *req, unsigned *killed);

/* Forget a removed volume: its processes are told FAILED before. */
void csvd_control_forget(struct csvd_volume *v);

/* Has every process of this node replayed at the present owner? */
bool csvd_control_replayed(struct csvd_volume *v);

/* Processes that use any volume. */
unsigned csvd_control_clients(struct csvd_context *csvd);
unsigned csvd_control_volume_clients(struct csvd_volume *v, bool direct);

/*
 * End all of these, at once: their clients find another node, this one can do
 * nothing for them.
 */
void csvd_control_end(struct csvd_context *csvd);

/* Answer a request of the tool; text: JSON. The client may be gone. */
void csvd_control_reply(struct csvd_client *client, const char *text);

#endif /* _CSVD_CONTROL_H_ */
