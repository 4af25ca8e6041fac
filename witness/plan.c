/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The policy; see plan.h.
 */
#include "witness/plan.h"
#include <string.h>

static const struct witness_node *plan_node(const struct witness_world *world,
					    uint32_t pnn)
{
	size_t i;

	for (i = 0; i < world->num_nodes; i++) {
		if (world->nodes[i].pnn == pnn) {
			return &world->nodes[i];
		}
	}
	return NULL;
}

static const struct witness_volume *plan_volume(const struct witness_node *node,
						const char *name)
{
	size_t i;

	for (i = 0; i < node->num_volumes; i++) {
		if (strcmp(node->volumes[i].name, name) == 0) {
			return &node->volumes[i];
		}
	}
	return NULL;
}

/* An owner that is left behind says an older epoch. */
static uint64_t plan_epoch(const struct witness_world *world, const char *name)
{
	uint64_t epoch = 0;
	size_t i;

	for (i = 0; i < world->num_nodes; i++) {
		const struct witness_node *node = &world->nodes[i];
		const struct witness_volume *v = plan_volume(node, name);

		if (v != NULL && node->active && v->epoch > epoch) {
			epoch = v->epoch;
		}
	}
	return epoch;
}

static bool plan_direct(const struct witness_world *world,
			const struct witness_node *node,
			const struct witness_client *client)
{
	size_t i;

	for (i = 0; i < client->num_volumes; i++) {
		const char *name = client->volumes[i];
		const struct witness_volume *v = plan_volume(node, name);

		if (v == NULL || !v->direct ||
		    v->epoch != plan_epoch(world, name))
		{
			return false;
		}
	}
	return true;
}

static bool plan_may_serve(const struct witness_world *world,
			   const struct witness_node *node,
			   const struct witness_client *client)
{
	return node->active && !node->leaving && node->pnn != client->node &&
	       plan_direct(world, node, client) &&
	       (client->may_go == NULL || client->may_go(client, node->pnn));
}

/* The one of those with the fewest clients; NULL: there is none. */
static const struct witness_node *plan_best(const struct witness_world *world,
					    const struct witness_client *client)
{
	const struct witness_node *best = NULL;
	size_t i;

	for (i = 0; i < world->num_nodes; i++) {
		const struct witness_node *node = &world->nodes[i];

		if (plan_may_serve(world, node, client) &&
		    (best == NULL || node->clients < best->clients))
		{
			best = node;
		}
	}
	return best;
}

/* Any node, when those with direct access are none: the volume follows. */
static const struct witness_node *plan_any(const struct witness_world *world,
					   const struct witness_client *client)
{
	const struct witness_client anywhere = {
		.node = client->node,
		.may_go = client->may_go,
		.private_data = client->private_data,
		.volumes = client->volumes,
	};

	return plan_best(world, &anywhere);
}

static struct witness_move plan_stay(const char *why)
{
	return (struct witness_move){
		.action = WITNESS_STAY,
		.target = WITNESS_NO_NODE,
		.why = why,
	};
}

static struct witness_move plan_move(enum witness_action action,
				     const struct witness_node *node,
				     const char *why)
{
	if (node == NULL) {
		return plan_stay("there is no better node");
	}
	return (struct witness_move){
		.action = action,
		.target = node->pnn,
		.why = why,
	};
}

static enum witness_action plan_action(const struct witness_client *client)
{
	return client->share_known ? WITNESS_SHARE_MOVE : WITNESS_CLIENT_MOVE;
}

/* Its node is as good as this one; does that have more to do? */
static struct witness_move plan_spread(const struct witness_world *world,
				       const struct witness_node *here,
				       const struct witness_client *client)
{
	const struct witness_node *self = plan_node(world, world->self);
	struct witness_move move = plan_stay("it is where it should be");

	if (self != NULL && client->all_known && client->num_volumes != 0 &&
	    self->steady_ms >= WITNESS_STEADY_MS &&
	    here->processes >= self->processes + 2 &&
	    plan_may_serve(world, self, client))
	{
		move = plan_move(plan_action(client),
				 self,
				 "its node has more clients");
		move.spread = true;
	}
	return move;
}

/* Its node is dead, or nobody has its address: the sooner the better. */
static struct witness_move plan_lost(const struct witness_world *world,
				     const struct witness_client *client)
{
	if (client->num_volumes == 0 || !client->all_known) {
		return plan_stay("its address is looked after by rpcd_witness");
	}
	return plan_move(plan_action(client),
			 plan_best(world, client),
			 "its node is gone");
}

/* Best together with its volume, whose new owner is known in a moment. */
static struct witness_move plan_drained(const struct witness_world *world,
					const struct witness_node *here,
					const struct witness_client *client)
{
	const struct witness_node *node = plan_best(world, client);

	if (node == NULL && here->leaving_ms < WITNESS_DRAIN_WAIT_MS) {
		return plan_stay("its volume is about to move");
	}
	if (node == NULL) {
		node = plan_any(world, client);
	}
	return plan_move(WITNESS_CLIENT_MOVE, node, "its node is drained");
}

struct witness_move witness_plan(const struct witness_world *world,
				 const struct witness_client *client)
{
	const struct witness_node *here = plan_node(world, client->node);

	if (here == NULL || !here->active) {
		return plan_lost(world, client);
	}
	if (here->leaving) {
		return plan_drained(world, here, client);
	}
	if (client->num_volumes == 0 || plan_direct(world, here, client)) {
		return plan_spread(world, here, client);
	}
	if (!here->told) {
		return plan_stay("its node has not said what it sees");
	}
	if (!client->all_known) {
		return plan_stay("not all of its shares are known");
	}
	return plan_move(plan_action(client),
			 plan_best(world, client),
			 "its node has no direct access");
}

bool witness_spread_allows(const struct witness_past *past,
			   uint64_t last_ms,
			   uint64_t now_ms)
{
	if (last_ms != 0 && now_ms < last_ms + WITNESS_SPREAD_MS) {
		return false;
	}
	return !past->anywhere ||
	       now_ms >= past->anywhere_ms + WITNESS_SPREAD_PAUSE_MS;
}

void witness_past_elsewhere(struct witness_past *past, uint64_t now_ms)
{
	past->anywhere = true;
	past->anywhere_ms = now_ms;
}

bool witness_past_allows(const struct witness_past *past,
			 uint32_t target,
			 uint64_t now_ms)
{
	uint64_t pause_ms = WITNESS_PAUSE_MS;

	if (!past->moved) {
		return true;
	}
	if (past->target == target) {
		pause_ms = past->pause_ms;
	}
	return now_ms >= past->moved_ms + pause_ms;
}

void witness_past_moved(struct witness_past *past,
			uint32_t target,
			uint64_t now_ms)
{
	uint64_t pause_ms = 2 * WITNESS_PAUSE_MS;

	if (past->moved && past->target == target &&
	    now_ms < past->moved_ms + 2 * past->pause_ms)
	{
		pause_ms = 2 * past->pause_ms;
	}
	*past = (struct witness_past){
		.anywhere = true,
		.anywhere_ms = now_ms,
		.moved = true,
		.moved_ms = now_ms,
		.target = target,
		.pause_ms = pause_ms < WITNESS_PAUSE_MAX_MS
				    ? pause_ms
				    : WITNESS_PAUSE_MAX_MS,
	};
}

bool witness_pace_take(struct witness_pace *pace, uint64_t now_ms)
{
	uint64_t most = (uint64_t)pace->rate * 100;
	uint64_t passed = now_ms - pace->last_ms;

	most = most < 1000 ? 1000 : most;
	if (pace->last_ms == 0 || passed > 60000) {
		passed = 60000; /* and the sum below cannot overflow */
	}
	pace->credit += passed * pace->rate;
	pace->credit = pace->credit < most ? pace->credit : most;
	pace->last_ms = now_ms;
	if (pace->credit < 1000) {
		return false;
	}
	pace->credit -= 1000;
	return true;
}
