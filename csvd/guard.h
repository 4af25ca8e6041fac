/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guard: a small process that shuts the node's file systems down when
 * csvd cannot, or when the node is no member any more, and that lets a
 * successor prove it.
 *
 * The supervisor starts three processes that share one page of memory: the
 * worker (csvd itself), the guard, and the answerer, which tells other nodes
 * over TLS what the guard did. Each of them may die and be started again; the
 * page stays. The guard calls nothing that waits for ctdbd, for csvd or for
 * the network, and allocates nothing after its start.
 */
#ifndef _CSVD_GUARD_H_
#define _CSVD_GUARD_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "csvd/guard_limits.h"
#include "lib/wire/auth.h"

#define GUARD_SLOTS 1024
#define GUARD_NAME_MAX 256
#define GUARD_PATH_MAX 512
#define GUARD_NO_NODE 0xFFFFFFFFU

enum guard_slot_state {
	GUARD_FREE = 0,
	GUARD_HELD,	/* mounted, or being mounted or unmounted */
	GUARD_SHUTTING, /* shut down, its last writes are on their way */
	GUARD_SHUT,	/* nothing of it writes any more */
};

/* One mounted volume. Written by the guard; the state last. */
struct guard_slot {
	_Atomic uint32_t state;
	uint32_t reason;
	bool can; /* the file system can be shut down, and is open for it */
	uint64_t epoch;
	uint64_t since; /* in this state, milliseconds since boot */
	dev_t dev;
	char name[GUARD_NAME_MAX];
	char path[GUARD_PATH_MAX];
	char device[GUARD_PATH_MAX];
};

#define GUARD_AGENTS 2048
#define GUARD_AGENT_BEGINS -1

/* An agent that the worker runs, see agents.h. */
struct guard_agent {
	_Atomic int32_t session; /* 0: free */
	bool changes; /* it starts or stops storage */
	bool left;    /* killed, and perhaps not ended */
	char volume[GUARD_NAME_MAX]; /* "": any */
};

struct guard_secret {
	uint32_t generation; /* 0: none */
	uint8_t secret[CSV_SECRET_SIZE];
};

struct guard_page {
	/* the supervisor, before anybody runs */
	struct guard_limits limits;
	uint16_t port;
	char ctdbd[108];    /* its socket */
	char watchdog[GUARD_PATH_MAX]; /* "": none */
	char socket[GUARD_PATH_MAX]; /* csvd's own */

	/* the supervisor */
	_Atomic int32_t worker; /* its process id; 0: none */
	_Atomic uint64_t worker_end;

	/* the worker */
	_Atomic uint64_t pulse;
	_Atomic uint64_t reached;
	_Atomic uint32_t node;
	_Atomic bool leads; /* CTDB's cluster, as far as it has heard */
	_Atomic bool looked; /* what is mounted here is held, or was stopped */
	_Atomic uint32_t seq; /* odd: the rest is being written */
	char address[64];     /* of the answerer */
	struct guard_secret secrets[2];
	struct guard_agent agents[GUARD_AGENTS]; /* supervisor without worker */

	/* the guard */
	_Atomic uint64_t alive;
	_Atomic bool watchdog_open;
	_Atomic uint32_t reason;
	struct guard_slot slots[GUARD_SLOTS];
};

/* Milliseconds of CLOCK_BOOTTIME. */
uint64_t guard_now(void);

/* NULL: no memory. Locked, not in core dumps, inherited by children. */
struct guard_page *guard_page_create(void);

/* The slot of a volume, NULL: none. */
struct guard_slot *guard_slot_find(struct guard_page *page, const char *name);

/* A consistent copy of what the worker told. False: nothing yet. */
bool guard_page_secrets(struct guard_page *page,
			char address[64],
			struct guard_secret secrets[2]);

/*
 * A process that only its own judgement ends, and SIGKILL: its name, and
 * signals of a daemon's end and of its terminal ignored, none blocked.
 */
void guard_process_begin(const char *name);
/*
 * Does a csvd run for this socket that did not make the calling process? It
 * holds the lock of csvd.pid. Does not wait.
 */
bool guard_other_csvd(const struct guard_page *page);
/* A thread that nobody waits for. 0 or errno. */
int guard_thread_start(void *(*fn)(void *private_data), void *private_data);

/* The guard's main(); fd: its line to the worker. Does not return. */
void guard_run(struct guard_page *page, int fd) _NORETURN_;
/* The answerer's main(). Does not return. */
void guard_answer_run(struct guard_page *page) _NORETURN_;

/* Worker and guard talk by these. */
enum guard_message_type {
	GUARD_MESSAGE_HOLD = 1, /* descriptors: root, device */
	GUARD_MESSAGE_PREPARE,	/* its storage starts or stops: no descriptor */
	GUARD_MESSAGE_DROP,	/* it is not mounted (any more) */
};

struct guard_message {
	uint32_t type;
	uint32_t seq;
	int32_t result; /* of the answer: 0 or errno */
	uint64_t epoch;
	char name[GUARD_NAME_MAX];
	char path[GUARD_PATH_MAX];
	char device[GUARD_PATH_MAX];
};

#endif /* _CSVD_GUARD_H_ */
