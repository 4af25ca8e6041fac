/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See moves.h. The message is that of `net witness share-move --new-node` and
 * client-move: rpcd_witness tells the client all addresses of the node.
 */
#include "witness/moves.h"
#include "lib/wire/codec.h"
#include "lib/wire/message.h"
#include "witness/cluster.h"
#include "witness/registry.h"
#include "witness/shares.h"
#include "librpc/gen_ndr/ndr_rpcd_witness.h"

#define MOVES_LATER_MS 50

struct moves_round {
	struct witness_context *w;
	struct witness_world world;
	struct witness_node *nodes;
	uint64_t now;
	bool held_back;
};

static bool moves_may_go(const struct witness_client *client, uint32_t target)
{
	return witness_shares_may_go(client->private_data,
				     client->node,
				     target);
}

static struct witness_client moves_client(struct moves_round *round,
					  struct witness_registration *reg)
{
	witness_shares_look(round->w, reg);
	return (struct witness_client){
		.share_known = reg->share != NULL,
		.volumes = reg->volumes,
		.num_volumes = reg->num_volumes,
		.all_known = reg->all_known,
		.node = witness_cluster_node_of(round->w, &reg->address),
		.may_go = moves_may_go,
		.private_data = reg,
	};
}

static NTSTATUS moves_send(struct witness_context *w,
			   const struct witness_registration *reg,
			   const struct witness_move *move)
{
	struct rpcd_witness_registration_updateB update = {
		.context_handle = reg->handle,
	};
	TALLOC_CTX *frame = talloc_stackframe();
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	NTSTATUS status;

	if (move->action == WITNESS_SHARE_MOVE) {
		update.type =
			RPCD_WITNESS_REGISTRATION_UPDATE_SHARE_MOVE_TO_NODE;
		update.update.share_move_to_node.new_node = move->target;
	} else {
		update.type =
			RPCD_WITNESS_REGISTRATION_UPDATE_CLIENT_MOVE_TO_NODE;
		update.update.client_move_to_node.new_node = move->target;
	}
	err = ndr_push_struct_blob(
		&blob,
		frame,
		&update,
		(ndr_push_flags_fn_t)ndr_push_rpcd_witness_registration_updateB);
	status = NDR_ERR_CODE_IS_SUCCESS(err)
			 ? messaging_send(w->msg,
					  reg->server,
					  MSG_RPCD_WITNESS_REGISTRATION_UPDATE,
					  &blob)
			 : ndr_map_error2ntstatus(err);
	TALLOC_FREE(frame);
	return status;
}

/* Its next registration may be at another node, whose witness should know. */
static void moves_tell(struct witness_context *w,
		       const struct witness_registration *reg)
{
	struct csv_client_moved m = {
		.version = CSV_EVENT_VERSION,
		.computer = csv_bytes_of(reg->computer),
		.share = csv_bytes_of(reg->share),
	};

	(void)csv_message_send(w->msg,
			       NULL,
			       MSG_CSV_MOVED,
			       &m,
			       (ndr_push_flags_fn_t)ndr_push_csv_client_moved);
}

static void moves_heard(struct messaging_context *msg,
			void *private_data,
			uint32_t type,
			struct server_id from,
			DATA_BLOB *data)
{
	struct witness_context *w = private_data;
	TALLOC_CTX *frame = talloc_stackframe();
	struct witness_peer *peer = NULL;
	struct csv_client_moved m = {};
	const char *computer = NULL;

	if (from.vnn != w->node &&
	    csv_message_read(frame,
			     data,
			     &m,
			     (ndr_pull_flags_fn_t)ndr_pull_csv_client_moved))
	{
		computer = csv_bytes_str(frame, &m.computer);
	}
	if (computer != NULL) {
		peer = witness_registry_peer(w->registry,
					     computer,
					     csv_bytes_str(frame, &m.share));
	}
	if (peer != NULL) {
		witness_past_elsewhere(&peer->past, witness_now());
	}
	TALLOC_FREE(frame);
}

static void moves_do(struct moves_round *round,
		     struct witness_registration *reg,
		     uint32_t from,
		     const struct witness_move *move)
{
	NTSTATUS status = moves_send(round->w, reg, move);

	if (!NT_STATUS_IS_OK(status)) {
		DBG_WARNING("%s cannot be moved to node %" PRIu32 ": %s\n",
			    reg->peer->key,
			    move->target,
			    nt_errstr(status));
		return;
	}
	witness_past_moved(&reg->peer->past, move->target, round->now);
	moves_tell(round->w, reg);
	DBG_NOTICE("%s is sent from node %d to node %" PRIu32 " (%s): %s\n",
		   reg->peer->key,
		   (int)from,
		   move->target,
		   move->action == WITNESS_SHARE_MOVE ? "share" : "client",
		   move->why);
}

static void moves_registration(struct moves_round *round,
			       struct witness_registration *reg)
{
	struct witness_context *w = round->w;
	struct witness_client client = moves_client(round, reg);
	struct witness_move move = witness_plan(&round->world, &client);

	DBG_DEBUG("%s at node %d: %s\n",
		  reg->peer->key,
		  (int)client.node,
		  move.why);
	if (move.action == WITNESS_STAY || !witness_shares_move(reg) ||
	    !witness_past_allows(&reg->peer->past, move.target, round->now))
	{
		return;
	}
	if (move.spread && !witness_spread_allows(&reg->peer->past,
						  w->spread_ms,
						  round->now))
	{
		return;
	}
	if (!witness_pace_take(&w->pace, round->now)) {
		round->held_back = true;
		return;
	}
	if (move.spread) {
		w->spread_ms = round->now;
	}
	moves_do(round, reg, client.node, &move);
}

static void moves_count(struct moves_round *round)
{
	struct witness_registration *reg = NULL;
	size_t i;

	for (reg = round->w->registry->list; reg != NULL; reg = reg->next) {
		uint32_t pnn = witness_cluster_node_of(round->w,
						       &reg->address);

		for (i = 0; i < round->world.num_nodes; i++) {
			if (round->nodes[i].pnn == pnn) {
				round->nodes[i].clients += 1;
			}
		}
	}
}

/*
 * Nobody would hear anything here any more. Who loses the connection to its
 * witness looks for another one.
 */
static void moves_end_servers(struct witness_context *w)
{
	struct witness_registration *reg = NULL;

	for (reg = w->registry->list; reg != NULL; reg = reg->next) {
		if (reg->ended) {
			continue;
		}
		reg->ended = true;
		DBG_NOTICE("%s has to register elsewhere: "
			   "this node is outside the cluster\n",
			   reg->peer->key);
		/* one server has many of them: it may have gone already */
		(void)messaging_send(
			w->msg, reg->server, MSG_SHUTDOWN, &data_blob_null);
	}
}

static void moves_later(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct witness_context *w = private_data;

	w->later = NULL;
	witness_soon(w);
}

void witness_moves_due(struct witness_context *w)
{
	struct moves_round round = {.w = w, .now = witness_now()};
	struct witness_registration *reg = NULL;
	TALLOC_CTX *frame = NULL;

	if (witness_cluster_outside(w)) {
		moves_end_servers(w);
		return;
	}
	frame = talloc_stackframe();
	round.nodes = witness_cluster_nodes(frame, w, &round.world.num_nodes);
	round.world.nodes = round.nodes;
	round.world.self = w->node;
	if (round.nodes == NULL) {
		TALLOC_FREE(frame);
		return;
	}
	moves_count(&round);
	w->rounds += 1;
	for (reg = w->registry->list; reg != NULL; reg = reg->next) {
		/* an older one of the same client waits for its end */
		if (reg->peer->round != w->rounds) {
			reg->peer->round = w->rounds;
			moves_registration(&round, reg);
		}
	}
	if (round.held_back && w->later == NULL) {
		w->later = tevent_add_timer(
			w->ev,
			w,
			tevent_timeval_current_ofs(0, MOVES_LATER_MS * 1000),
			moves_later,
			w);
	}
	TALLOC_FREE(frame);
}

int witness_moves_start(struct witness_context *w)
{
	NTSTATUS status = messaging_register(
		w->msg, w, MSG_CSV_MOVED, moves_heard);

	return NT_STATUS_IS_OK(status) ? 0 : map_errno_from_nt_status(status);
}
