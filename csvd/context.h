/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What csvd knows: its configuration, the cluster, the volumes. Private to
 * csvd; one of each per process, used by the main thread only.
 */
#ifndef _CSVD_CONTEXT_H_
#define _CSVD_CONTEXT_H_

#include "includes.h"
#include "messages.h"
#include "lib/util/server_id.h"
#include "g_lock.h"
#include "gen_ndr/csv.h"
#include "lib/volume/control.h"
#include "csvd/serve.h"

#define CSVD_NO_NODE 0xFFFFFFFFU

struct csvd_config {
	const char *address; /* NULL: this node's CTDB address */
	uint16_t port;
	bool plain;
	const char *socket_path;
	const char *fence_dir;
	const char *ocf_root;
	const char *ocf_functions; /* "": the agents' own */
	unsigned fence_s;	 /* time limit of a fence agent */
	unsigned monitor_s;	 /* between two monitors of the agents */
	unsigned keepalive_ms;	 /* of the wire */
	unsigned self_fence_s;	 /* without ctdbd for this long */
	uint16_t guard_port;
	unsigned guard_csvd_ms;	 /* csvd silent for this long */
	unsigned guard_ctdbd_ms; /* ctdbd silent for this long */
	const char *watchdog;	 /* NULL: none */
	unsigned watchdog_s;
	unsigned wait_s;	 /* 0: as long as needed */
	unsigned spread_s;	 /* between two moves; 0: not at all */
	const char *fault;	 /* for tests; NULL: none */
	const char *fault_file;
};

enum csvd_role {
	CSVD_IDLE = 0,	/* not the owner */
	CSVD_TAKING,	/* storage is being started */
	CSVD_OWNER,	/* serving */
	CSVD_RELEASING, /* letting go */
	CSVD_STUCK,	/* owner whose storage does not stop */
};

/* One node of the cluster, also this one. */
struct csvd_member {
	struct csvd_member *prev, *next;
	uint32_t pnn;
	uint32_t flags; /* NODE_FLAGS_* */
	bool settled;	/* CTDB finished a recovery with these flags */
	bool recovered; /* the last recovery was with it, as ctdbd says */
	char address[64];
	struct csv_node_record *record; /* as last read; NULL: none */
	/* what its csvd told; NULL: not heard of (since it was away) */
	struct csv_node_info *info;
	struct server_id csvd;
	uint64_t heard; /* guard_now(): its csvd said something */
	uint64_t died;	/* guard_now(): no active member since; 0: it is */
	uint64_t joined; /* guard_now(): became one */
};

struct csvd_take;
struct csvd_release;
struct csvd_monitor;

struct csvd_volume {
	struct csvd_volume *prev, *next;
	struct csvd_context *csvd;
	const char *name;
	struct csv_volume_record *config;
	struct csv_owner_record *rec; /* as last read; NULL: none or corrupt */
	bool corrupt;		      /* said once */
	bool removed;		      /* its declaration is gone */

	/* this node's view, as its processes see it */
	enum csv_state state;
	enum csv_access access;
	uint64_t epoch;
	uint32_t owner;
	struct server_id owner_csvd;
	char *reason;		     /* why it is not Active; NULL: none */
	struct timeval not_active_since; /* csvd_clock(), as all below */
	bool given_up;

	enum csvd_role role;
	int rootfd; /* of the mounted volume; -1 */
	bool served;
	bool grace; /* served, but the nodes have not all replayed */
	struct timeval grace_since;
	struct timeval free_since; /* nobody owns it; zero: somebody does */
	struct timeval failed_since; /* every node failed; zero: not so */
	struct timeval retry_at;   /* no attempt before */
	unsigned failures;	   /* attempts in a row that failed here */
	uint64_t proven_epoch; /* its owner is proven dead or stopped */
	bool drained;	       /* it was moved since this node is */
	uint64_t drain_again;  /* guard_now(): no such move before */
	bool swept;   /* stale storage of an earlier boot is gone */
	bool resumed; /* asked the agents after csvd's start */
	struct csvd_take *take;
	struct csvd_release *release;
	struct csvd_monitor *monitor;
	struct csvd_fence *fence;
	struct csvd_ask *ask;
	struct tevent_req *sweep; /* an agents' call outside take and release */
};

struct csvd_control;
struct csvd_secret;
struct csvd_lines;
struct guard_page;
struct csvd_quorum;
struct csvd_note;
struct csvd_mesh;
struct csvd_fence_test;

struct csvd_context {
	struct tevent_context *ev;
	struct messaging_context *msg;
	struct g_lock_ctx *g_lock;
	struct db_context *db;
	struct csvd_config *config;
	struct csvd_secret *secret;
	struct csv_serve *serve;
	struct csvd_control *control;
	struct csvd_quorum *quorum;
	struct csvd_note *note;
	struct csvd_mesh *mesh;

	uint32_t node;
	uint64_t incarnation;
	char host[65];
	struct timeval started;

	struct csvd_member *members;
	bool active;		/* this node may touch the databases */
	bool reconfigured;	/* CTDB finished a recovery: look again */
	uint32_t num_nodes;	/* configured, alive or not */

	struct csvd_volume *volumes;
	unsigned ticks;
	bool config_changed; /* load the volumes again */
	bool loaded;	     /* their names could be read */
	bool watched;	     /* the watchdog is in use, as last seen */
	uint16_t max_dialect; /* all smbds speak it; 0: nothing is known */
	uint64_t node_again;  /* guard_now(): no write of our record before */
	char *drained_nodes;  /* the file of that name, as last written */

	/* all of guard_now(), 0: not so */
	uint64_t drain_since;	/* this node is drained */
	uint64_t drain_settled; /* the volume that moved last should be */
	uint64_t drain_ctdb;	/* not to be disabled in CTDB before */
	uint64_t spread_since;	/* the leader, and nothing has changed */
	uint64_t spread_situation;
	struct tevent_immediate *soon;
	bool soon_pending;
	bool publish_pending;

	bool leaving;		/* gives its volumes away, takes none */
	bool exit_when_idle;	/* ends when released and without clients */
	int supervisor_fd;
	int guard_fd;
	uint32_t guard_seq;
	struct guard_page *page;
	uint32_t promise_ms; /* guard and watchdog let go within; 0: none */
	uint32_t wait_ms;    /* after which a volume may be taken; 0: never */
	struct csvd_fence_test *fence_test; /* the last one */
	char wait_why[600];  /* the configuration's fault; "": none */
};

/* Connects to everything. Blocks until ctdbd answers. 0 or errno. */
int csvd_context_create(TALLOC_CTX *mem_ctx,
			struct tevent_context *ev,
			const struct csvd_lines *lines,
			struct csvd_context **csvd);

struct csvd_volume *csvd_volume_find(struct csvd_context *csvd,
				     const char *name);
/* Read names, declarations and owners again; starts and ends volumes. */
void csvd_volumes_load(struct csvd_context *csvd);

/* Why the volume is as it is (copied); NULL clears. */
void csvd_volume_reason(struct csvd_volume *v, const char *fmt, ...)
	PRINTF_ATTRIBUTE(2, 3);

/* Look at every volume again, from the event loop. Cheap, never fails. */
void csvd_evaluate_soon(struct csvd_context *csvd);

/* What the main loop does for csvd_evaluate_soon(). */
void csvd_evaluate(struct csvd_context *csvd);

/* csv_bytes are not terminated; the result is, and is never NULL. */
char *csvd_string(TALLOC_CTX *mem_ctx, const struct csv_bytes *bytes);
bool csvd_bytes_equal(const struct csv_bytes *bytes, const char *string);
/* A view of string, which must live as long. */
struct csv_bytes csvd_bytes(const char *string);

#endif /* _CSVD_CONTEXT_H_ */
