/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests for a volume that is not Active wait outside the VFS, where smbd
 * has patch 0001 (smbd_park.h); without it they wait inside, and the client
 * is frozen for that long.
 *
 * Init lets them go on: its handles are invalid and every operation answers
 * ENXIO at once.
 */
#include "csv.h"
#include "smbd_park.h"

/* A client waits 60 s for the answer to a tree connect. */
#define CSV_TCON_WAIT_S 45

struct csv_tcon_wait {
	struct csv_tcon_wait *prev, *next;
	struct csv_use *use;
	struct smbd_tcon_wait *w;
};

static bool csv_can_park(void)
{
	static bool said;

	if (smbd_park_supported()) {
		return true;
	}
	if (!said) {
		said = true;
		DBG_WARNING("this smbd lacks patch 0001 (parking): a client "
			    "freezes while a volume of its moves\n");
	}
	return false;
}

static bool csv_must_wait(enum csv_state state)
{
	return state != CSV_STATE_ACTIVE && state != CSV_STATE_INIT;
}

void csv_park_share(struct csv_share *share)
{
	if (!csv_can_park()) {
		return;
	}
	if (csv_must_wait(csv_volume_state(share->use->vol))) {
		smbd_conn_park(share->conn);
	} else {
		smbd_conn_unpark(share->conn);
	}
}

/* smbd frees w from the event loop, and with it this wait. */
static void csv_tcon_waits_done(struct csv_use *use, NTSTATUS status)
{
	struct csv_tcon_wait *wait = NULL;
	struct csv_tcon_wait *next = NULL;

	for (wait = use->waits; wait != NULL; wait = next) {
		next = wait->next;
		if (wait->w != NULL) {
			smbd_tcon_wait_done(wait->w, status);
			wait->w = NULL;
		}
	}
}

void csv_park_state(struct csv_volume *vol,
		    enum csv_state old_state,
		    enum csv_state new_state,
		    void *private_data)
{
	struct csv_use *use = private_data;
	struct csv_share *share = NULL;

	DBG_NOTICE("volume %s: %s -> %s, epoch %" PRIu64 "\n",
		   csv_volume_name(vol),
		   csv_state_str(old_state),
		   csv_state_str(new_state),
		   csv_volume_epoch(vol));
	if (use->vol == NULL) {
		return; /* still attaching */
	}
	for (share = use->shares; share != NULL; share = share->next) {
		if (new_state == CSV_STATE_INIT) {
			share->root_invalid = true;
		} else if (new_state == CSV_STATE_ACTIVE) {
			csv_share_reopen_root(share);
		}
		csv_park_share(share);
	}
	if (new_state == CSV_STATE_ACTIVE) {
		csv_tcon_waits_done(use, NT_STATUS_OK);
	}
}

static int csv_tcon_wait_destructor(struct csv_tcon_wait *wait)
{
	DLIST_REMOVE(wait->use->waits, wait);
	csv_use_put_later(wait->use);
	return 0;
}

static void csv_tcon_wait_timeout(struct tevent_context *ev,
				  struct tevent_timer *te,
				  struct timeval now,
				  void *private_data)
{
	struct csv_tcon_wait *wait = private_data;
	struct smbd_tcon_wait *w = wait->w;

	if (w == NULL) {
		return;
	}
	DBG_ERR("volume %s is still %s after %d s, failing the tree connect\n",
		csv_volume_name(wait->use->vol),
		csv_state_str(csv_volume_state(wait->use->vol)),
		CSV_TCON_WAIT_S);
	wait->w = NULL;
	smbd_tcon_wait_done(w, NT_STATUS_BAD_NETWORK_NAME);
}

bool csv_park_connect(struct connection_struct *conn, struct csv_use *use)
{
	struct csv_tcon_wait *wait = NULL;
	struct tevent_timer *timer = NULL;
	struct smbd_tcon_wait *w = NULL;

	if (csv_volume_state(use->vol) == CSV_STATE_ACTIVE ||
	    !csv_can_park())
	{
		return false;
	}
	w = smbd_tcon_wait(conn);
	if (w == NULL) {
		return false;
	}
	wait = talloc_zero(w, struct csv_tcon_wait);
	if (wait == NULL) {
		return false;
	}
	wait->w = w;
	wait->use = use;
	timer = tevent_add_timer(conn->sconn->ev_ctx,
				 wait,
				 tevent_timeval_current_ofs(CSV_TCON_WAIT_S, 0),
				 csv_tcon_wait_timeout,
				 wait);
	if (timer == NULL) {
		TALLOC_FREE(wait);
		return false;
	}
	DLIST_ADD(use->waits, wait);
	talloc_set_destructor(wait, csv_tcon_wait_destructor);
	return true;
}

void csv_park_teardown(struct csv_share *share)
{
	struct smbXsrv_client *client = share->conn->sconn->client;
	struct csv_volume *vol = share->use->vol;

	if (csv_volume_state(vol) == CSV_STATE_ACTIVE || client == NULL) {
		return;
	}
	if (smbXsrv_client_valid_connections(client) == 0) {
		csv_volume_shutdown(vol);
	}
}
