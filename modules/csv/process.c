/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The volumes that this process uses: one connection to the node's csvd, one
 * csv_volume per volume, shared by all tree connects on it.
 */
#include "csv.h"
#include <malloc.h>
#include "ctdbd_conn.h"
#include "lib/global_contexts.h"
#include "lib/messages_ctdb.h"
#include "lib/node/node.h"
#include "lib/wire/conn.h"
#include "system/select.h"

/* csvd answers an attach from memory; more than this means it hangs. */
#define CSV_ATTACH_TIMEOUT_MS 5000
/* smbd tries a tree connect that waited again right away. */
#define CSV_LINGER_S 2
/* Less is not mapped for itself; so much that was freed is kept. */
#define CSV_MEMORY_MAPPED (4 * 1024 * 1024)
#define CSV_MEMORY_KEPT (32 * 1024 * 1024)

static struct {
	pid_t pid; /* a fork starts anew */
	struct csv_control *control;
	char *socket;
	struct csv_use *uses;
} csv_process;

static void csv_raise(void)
{
	become_root();
}

static void csv_drop(void)
{
	unbecome_root();
}

static const struct csv_privilege csv_smbd_privilege = {
	.raise = csv_raise,
	.drop = csv_drop,
};

/*
 * smbd forks before it connects a share, so nothing is ever inherited; were
 * it, the parent's socket and volumes would have to be left alone.
 */
static void csv_process_check_fork(void)
{
	if (csv_process.pid == getpid()) {
		return;
	}
	ZERO_STRUCT(csv_process);
	csv_process.pid = getpid();
}

/*
 * What several requests of 1 MiB were kept in serves the next ones. By default
 * the C library gives it back as soon as it is free, and each request pays for
 * fresh pages.
 */
static void csv_process_keep_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, CSV_MEMORY_MAPPED);
	(void)mallopt(M_TRIM_THRESHOLD, CSV_MEMORY_KEPT);
}

static void csv_process_end(const char *why)
{
	DBG_ERR("%s while a request waits for a volume: exiting\n", why);
	_exit(1);
}

/*
 * ctdbd has said something. Ask it anything: what it had said comes before the
 * answer and is handled as in any synchronous call to it. That this node has
 * become inactive ends the process (release_ip() of smb2_process.c); other
 * processes' messages wait for the event loop.
 */
static void csv_process_hear(struct ctdbd_connection *ctdbd)
{
	uint32_t generation;

	(void)ctdbd_generation(ctdbd, &generation);
}

/*
 * smbd ends with ctdbd, even in the middle of a call to it (ctdbd_conn.c,
 * cluster_fatal()), and with the smbd that started it. A synchronous operation
 * that waits for a volume may be in the way of that for the volume's whole
 * wait limit: `ctdb shutdown` would leave the process behind, and the client
 * of a banned node would stay with it. What the process waits for is not
 * answered: the client goes on at another node.
 */
static void csv_process_waits(void)
{
	struct ctdbd_connection *ctdbd = NULL;
	struct pollfd pfd[] = {
		{ .fd = parent_watch_fd(), .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
	};

	if (lp_clustering() && global_messaging_context_raw() != NULL) {
		ctdbd = messaging_ctdb_connection();
		pfd[1].fd = ctdbd_conn_get_fd(ctdbd);
	}
	if (poll(pfd, ARRAY_SIZE(pfd), 0) <= 0) {
		return;
	}
	if (pfd[0].revents != 0) {
		csv_process_end("smbd has ended");
	}
	if (pfd[1].revents & (POLLHUP | POLLERR)) {
		csv_process_end("ctdbd has ended");
	}
	if (pfd[1].revents & POLLIN) {
		csv_process_hear(ctdbd);
	}
}

static int csv_process_control(const char *socket)
{
	int ret;

	if (csv_process.control != NULL) {
		if (strcmp(csv_process.socket, socket) != 0) {
			DBG_ERR("csv:socket = %s differs from %s, which this "
				"process uses already\n",
				socket,
				csv_process.socket);
			return EINVAL;
		}
		return 0;
	}
	csv_process.socket = talloc_strdup(NULL, socket);
	if (csv_process.socket == NULL) {
		return ENOMEM;
	}
	ret = csv_control_create(NULL,
				 global_event_context(),
				 csv_process.socket,
				 &csv_process.control);
	if (ret != 0) {
		TALLOC_FREE(csv_process.socket);
		return ret;
	}
	csv_process_keep_memory();
	csv_control_set_wait_fn(csv_process.control, csv_process_waits);
	csv_conn_set_more_fn(csv_more_requests);
	return 0;
}

static void csv_process_idle(void)
{
	if (csv_process.uses != NULL) {
		return;
	}
	TALLOC_FREE(csv_process.control);
	TALLOC_FREE(csv_process.socket);
}

static struct csv_use *csv_use_find(const char *volume)
{
	struct csv_use *use = NULL;

	for (use = csv_process.uses; use != NULL; use = use->next) {
		if (strcmp(csv_volume_name(use->vol), volume) == 0) {
			return use;
		}
	}
	return NULL;
}

static int csv_use_attach(const char *volume, struct csv_use *use)
{
	struct csv_control_volume params = {
		.name = volume,
		.priv = &csv_smbd_privilege,
		.state_fn = csv_park_state,
		.private_data = use,
	};
	int ret;

	ret = csv_control_attach(csv_process.control,
				 use,
				 &params,
				 CSV_ATTACH_TIMEOUT_MS,
				 &use->vol);
	if (ret != 0) {
		return ret;
	}
	use->stats = csv_stats_create(use,
				      global_event_context(),
				      use->vol,
				      csv_process.socket);
	return use->stats != NULL ? 0 : ENOMEM;
}

int csv_use_get(const char *volume, const char *socket, struct csv_use **_use)
{
	struct csv_use *use = NULL;
	int ret;

	csv_process_check_fork();
	use = csv_use_find(volume);
	if (use != NULL) {
		TALLOC_FREE(use->linger);
		*_use = use;
		return 0;
	}
	ret = csv_process_control(socket);
	if (ret != 0) {
		return ret;
	}
	use = talloc_zero(csv_process.control, struct csv_use);
	if (use == NULL) {
		csv_process_idle();
		return ENOMEM;
	}
	ret = csv_use_attach(volume, use);
	if (ret != 0) {
		TALLOC_FREE(use);
		csv_process_idle();
		return ret;
	}
	DLIST_ADD(csv_process.uses, use);
	*_use = use;
	return 0;
}

void csv_use_put(struct csv_use *use)
{
	if (use->shares != NULL || use->waits != NULL) {
		return;
	}
	csv_stats_write(use->stats);
	DLIST_REMOVE(csv_process.uses, use);
	TALLOC_FREE(use);
	csv_process_idle();
}

static void csv_use_lingered(struct tevent_context *ev,
			     struct tevent_timer *te,
			     struct timeval now,
			     void *private_data)
{
	struct csv_use *use = private_data;

	use->linger = NULL;
	csv_use_put(use);
}

void csv_use_put_later(struct csv_use *use)
{
	if (use->linger != NULL) {
		return;
	}
	use->linger = tevent_add_timer(
		global_event_context(),
		use,
		tevent_timeval_current_ofs(CSV_LINGER_S, 0),
		csv_use_lingered,
		use);
	if (use->linger == NULL) {
		csv_use_put(use);
	}
}

uint16_t csv_process_max_dialect(void)
{
	if (csv_process.control == NULL) {
		return 0;
	}
	return csv_control_max_dialect(csv_process.control);
}

bool csv_process_drained(void)
{
	return csv_process.control != NULL &&
	       csv_control_drain(csv_process.control) != CSV_NODE_UP;
}
