/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Waiting until no process of this node has direct access to a volume any
 * more.
 */
#include "csvd/control_private.h"
#include "lib/util/tevent_unix.h"

struct drain_state {
	struct drain_state *prev, *next;
	struct csvd_volume *v;
	struct tevent_req *req;
	unsigned killed;
};

void csvd_control_let_go(struct csvd_control *control)
{
	struct drain_state *d = NULL, *next = NULL;

	for (d = control->drains; d != NULL; d = next) {
		next = d->next;
		if (csvd_control_volume_clients(d->v, true) == 0) {
			tevent_req_defer_callback(d->req,
						  control->csvd->ev);
			tevent_req_done(d->req);
			DLIST_REMOVE(control->drains, d);
			d->v = NULL;
		}
	}
}

static void drain_kill(struct tevent_context *ev,
		       struct tevent_timer *te,
		       struct timeval now,
		       void *private_data)
{
	struct tevent_req *req = private_data;
	struct drain_state *d = tevent_req_data(req, struct drain_state);
	struct csvd_control *control = d->v->csvd->control;
	struct csvd_client *c = NULL, *next = NULL;
	struct csvd_use *use = NULL;

	for (c = control->clients; c != NULL; c = next) {
		next = c->next;
		for (use = c->uses; use != NULL; use = use->next) {
			if (!csvd_control_use_counts(use, d->v, true)) {
				continue;
			}
			DBG_ERR("volume %s: process %d did not let go in time, "
				"killing it\n",
				d->v->name,
				(int)c->pid);
			d->killed++;
			csvd_control_kill(c);
			csvd_control_await_death(c);
			break;
		}
	}
}

static int drain_state_destructor(struct drain_state *d)
{
	if (d->v != NULL) {
		DLIST_REMOVE(d->v->csvd->control->drains, d);
	}
	return 0;
}

struct tevent_req *csvd_control_drain_send(TALLOC_CTX *mem_ctx,
					   struct csvd_volume *v,
					   unsigned timeout_ms)
{
	struct tevent_req *req = NULL;
	struct drain_state *d = NULL;
	struct timeval end = tevent_timeval_current_ofs(
		timeout_ms / 1000, timeout_ms % 1000 * 1000);

	req = tevent_req_create(mem_ctx, &d, struct drain_state);
	if (req == NULL) {
		return NULL;
	}
	if (csvd_control_volume_clients(v, true) == 0) {
		tevent_req_done(req);
		return tevent_req_post(req, v->csvd->ev);
	}
	d->v = v;
	d->req = req;
	DLIST_ADD(v->csvd->control->drains, d);
	talloc_set_destructor(d, drain_state_destructor);
	if (tevent_add_timer(v->csvd->ev, d, end, drain_kill, req) == NULL) {
		tevent_req_error(req, ENOMEM);
		return tevent_req_post(req, v->csvd->ev);
	}
	return req;
}

int csvd_control_drain_recv(struct tevent_req *req, unsigned *killed)
{
	struct drain_state *d = tevent_req_data(req, struct drain_state);
	int err = 0;

	*killed = d->killed;
	(void)tevent_req_is_unix_error(req, &err);
	tevent_req_received(req);
	return err;
}
