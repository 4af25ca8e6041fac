/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to control*.c: the processes of this node and what they use.
 */
#ifndef _CSVD_CONTROL_PRIVATE_H_
#define _CSVD_CONTROL_PRIVATE_H_

#include "csvd/control.h"

#define CONTROL_PACKET (128 * 1024)
/*
 * Room for all fields that came to csv_control_msg after its first version: a
 * process that was there before csvd's update sends none, they are 0 then.
 */
#define CONTROL_NEWER 64

/* A volume that a process uses. */
struct csvd_use {
	struct csvd_use *prev, *next;
	struct csvd_client *client;
	struct csvd_volume *v;
	bool direct;
	uint64_t held_epoch; /* had it before csvd's restart; 0: no */
	uint64_t replayed_epoch; /* it has nothing left to do again there */
};

struct csvd_packet {
	struct csvd_packet *prev, *next;
	DATA_BLOB blob;
	int fd; /* -1: none; own duplicate */
};

struct csvd_client {
	struct csvd_client *prev, *next;
	struct csvd_context *csvd;
	int fd; /* -1: the connection ended, the process may live */
	pid_t pid;
	int pidfd;
	struct tevent_fd *fde, *pid_fde;
	struct csvd_use *uses;
	struct csvd_packet *queue;
	unsigned queued;
};

struct drain_state;

struct csvd_control {
	struct csvd_context *csvd;
	int fd;
	struct tevent_fd *fde;
	struct csvd_client *clients;
	struct drain_state *drains;
	uint8_t packet[CONTROL_PACKET + CONTROL_NEWER];
};

/* Does it use v, and if direct is asked for: directly? */
bool csvd_control_use_counts(const struct csvd_use *use,
			     const struct csvd_volume *v,
			     bool direct);

/* Kill it; what it used ends with it. */
void csvd_control_kill(struct csvd_client *c);
/* Look for the end of a process whose connection may be there still. */
void csvd_control_await_death(struct csvd_client *c);

/* control_drain.c: somebody let go: is a drain over? */
void csvd_control_let_go(struct csvd_control *control);

#endif /* _CSVD_CONTROL_PRIVATE_H_ */
