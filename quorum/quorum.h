/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to csv_quorum_helper: what its parts know of each other.
 */
#ifndef _QUORUM_QUORUM_H_
#define _QUORUM_QUORUM_H_

#include "replace.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <talloc.h>
#include <unistd.h>
#include "lib/quorum/lease.h"
#include "lib/quorum/tally.h"
#include "lib/wire/tls.h"

/* The same command line for the lock and the voter: CTDB demands that it is
   the same on every node, and so it is. */
struct quorum_config {
	const char *nodes_file;
	const char *key_file;
	const char *run_dir;
	const char *third; /* NULL: no third vote */
	uint16_t port;
	uint32_t lease_ms;
	/* from the nodes file */
	unsigned num_nodes; /* entries, deleted ones included */
	unsigned num_voters;
	const char *address[QUORUM_MAX_NODES]; /* NULL: deleted */
	uint32_t node; /* this one */
};

/* Reads the nodes file and finds out which of them this one is: the one whose
   address can be bound, as ctdbd does. 0 or errno, said on stderr. */
int quorum_config_load(struct quorum_config *config);

/* A socket for the voter of the own node, and its address to bind or connect
   to. The descriptor, or -1 and errno. */
int quorum_local_socket(const struct quorum_config *config,
			struct sockaddr_un *sun);

/* Milliseconds of CLOCK_BOOTTIME. */
uint64_t quorum_now(void);

/* In front of ordinary processes, and never paged out: a lease that is not
   renewed because the machine is busy costs a recovery. */
void quorum_realtime(void);
void quorum_stay_in_memory(void);

/*
 * The key file: one or two lines "csvq1 GENERATION 64-HEX-DIGITS", readable by
 * root only. The first is used, each is accepted. generation 0: the first
 * line's. 0 or errno; the caller wipes.
 */
int quorum_key_read(const char *path,
		    uint32_t *generation,
		    uint8_t secret[CSV_SECRET_SIZE]);
/* A new key file; EEXIST when there is one. */
int quorum_key_make(const char *path);

/* A connection that carries messages. */
struct quorum_link {
	struct csv_tls *tls; /* NULL: a socket of this node */
	struct csv_transport *t;
	bool connecting;
	bool ready;
	short events; /* what to poll for */
	uint8_t in[QUORUM_MESSAGE_SIZE];
	size_t in_len;
};

/* Begin to connect; goes on in quorum_link_step(). NULL: not possible. */
struct quorum_link *quorum_link_node(TALLOC_CTX *mem_ctx,
				     const struct quorum_config *config,
				     uint32_t node);
struct quorum_link *quorum_link_local(TALLOC_CTX *mem_ctx,
				      const struct quorum_config *config);
/* The other side; take fd over. params as for csv_tls_server(). */
struct quorum_link *quorum_link_accepted(
	TALLOC_CTX *mem_ctx,
	int fd,
	const struct csv_tls_server_params *params);

/* Go on after poll(2): 0 usable, EAGAIN not yet, or errno. */
int quorum_link_step(struct quorum_link *link);
/* 0 or errno: the connection is over. */
int quorum_link_send(struct quorum_link *link, const struct quorum_message *m);
/* 0, EAGAIN, or errno: the connection is over. */
int quorum_link_recv(struct quorum_link *link, struct quorum_message *m);
/* A socketpair's end as a link. */
struct quorum_link *quorum_link_fd(TALLOC_CTX *mem_ctx, int fd);

/* Take the lock, hold it. Exit status; see ctdb's cluster mutex protocol. */
int quorum_hold(const struct quorum_config *config);
/* Vote until told to end; returns at once when a voter runs. Exit status. */
int quorum_voter(const struct quorum_config *config);
/* Ask each voter and print. Exit status: 0 when a majority answers. */
int quorum_status(const struct quorum_config *config);

/* Run a process that keeps the third vote at the other end of *fd (a
   SOCK_SEQPACKET socket): messages in, messages out. 0 or errno. */
int quorum_third_start(const struct quorum_config *config,
		       int *fd,
		       pid_t *pid);
/* Prepare the third vote's place, whatever was there. Exit status. */
int quorum_third_init(const struct quorum_config *config);

#endif /* _QUORUM_QUORUM_H_ */
