/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See cluster.h. What CTDB sends may arrive inside a call to ctdbd: it only
 * leaves a note.
 */
#include "witness/cluster.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"
#include "lib/util/dlinklist.h"
#include "ctdb/include/ctdb_protocol.h"
#include "gen_ndr/ndr_csv.h"
#include "lib/volume/volume.h"
#include "lib/wire/node_info.h"

/* A message may be lost: addresses are asked for again after this. */
#define CLUSTER_ADDRESSES_S 30

struct cluster_node {
	struct cluster_node *prev, *next;
	uint32_t pnn;
	uint32_t flags;
	bool told;
	uint32_t processes;	/* that use volumes there */
	uint64_t leaving_since; /* 0: it is not */
	uint64_t steady_since;	/* 0: it is not */
	struct witness_volume *volumes;
};

struct cluster_address {
	struct sockaddr_storage ss;
	uint32_t pnn;
};

struct witness_cluster {
	struct cluster_node *nodes;
	bool complete; /* the node map was read once */
	struct cluster_address *addresses;
	bool addresses_old;
	uint64_t addresses_read;
};

static struct cluster_node *cluster_find(struct witness_cluster *c,
					 uint32_t pnn)
{
	struct cluster_node *n = NULL;

	for (n = c->nodes; n != NULL; n = n->next) {
		if (n->pnn == pnn) {
			return n;
		}
	}
	return NULL;
}

static bool cluster_active(const struct cluster_node *n)
{
	return (n->flags & (NODE_FLAGS_INACTIVE | NODE_FLAGS_DISABLED)) == 0;
}

/* Something of it has changed: can it have clients, and since when? */
static void cluster_steady(struct cluster_node *n)
{
	if (!cluster_active(n) || !n->told || n->leaving_since != 0) {
		n->steady_since = 0;
	} else if (n->steady_since == 0) {
		n->steady_since = witness_now();
	}
}

static void cluster_flags(struct witness_context *w,
			  struct cluster_node *n,
			  uint32_t flags)
{
	bool was = cluster_active(n);

	n->flags = flags;
	if (was == cluster_active(n)) {
		return;
	}
	if (was) {
		/* what its csvd said is of the past when it comes back */
		n->told = n->told && (flags & NODE_FLAGS_INACTIVE) == 0;
	}
	cluster_steady(n);
	DBG_NOTICE("node %" PRIu32 " is %s\n",
		   n->pnn,
		   was ? "gone, or not healthy" : "there");
	witness_soon(w);
}

static int cluster_node(uint32_t total,
			const struct ctdb_node_and_flags *nf,
			void *private_data)
{
	struct witness_context *w = private_data;
	struct cluster_node *n = cluster_find(w->cluster, nf->pnn);

	if (n == NULL) {
		n = talloc_zero(w->cluster, struct cluster_node);
		if (n == NULL) {
			return ENOMEM;
		}
		n->pnn = nf->pnn;
		n->flags = NODE_FLAGS_DISCONNECTED;
		DLIST_ADD_END(w->cluster->nodes, n);
	}
	if (n->flags != nf->flags) {
		cluster_flags(w, n, nf->flags);
	}
	return 0;
}

static int cluster_address(uint32_t total,
			   const struct sockaddr_storage *ip,
			   uint32_t pinned_pnn,
			   uint32_t current_pnn,
			   void *private_data)
{
	struct cluster_address **list = private_data;
	size_t num = talloc_array_length(*list);
	struct cluster_address *more = talloc_realloc(
		NULL, *list, struct cluster_address, num + 1);

	if (more == NULL) {
		return ENOMEM;
	}
	more[num] = (struct cluster_address){.ss = *ip, .pnn = current_pnn};
	*list = more;
	return 0;
}

static void cluster_read_addresses(struct witness_context *w)
{
	struct witness_cluster *c = w->cluster;
	struct cluster_address *list = NULL;
	int ret;

	c->addresses_old = false;
	list = talloc_array(NULL, struct cluster_address, 0);
	if (list == NULL) {
		return;
	}
	ret = ctdbd_all_ip_foreach(messaging_ctdb_connection(),
				   true,
				   true,
				   cluster_address,
				   &list);
	if (ret != 0) {
		DBG_WARNING("CTDB does not tell all addresses, "
			    "asking again\n");
		c->addresses_old = true;
		talloc_free(list);
		return;
	}
	talloc_free(c->addresses);
	c->addresses = talloc_steal(c, list);
	c->addresses_read = witness_now();
	witness_soon(w);
}

void witness_cluster_tick(struct witness_context *w)
{
	struct witness_cluster *c = w->cluster;
	uint64_t limit = c->addresses_read + CLUSTER_ADDRESSES_S * 1000;
	int ret;

	ret = ctdbd_nodes_foreach(messaging_ctdb_connection(),
				  cluster_node,
				  w);
	if (ret != 0) {
		DBG_WARNING("CTDB gives no node map, asking again\n");
		return;
	}
	c->complete = true;
	if (c->addresses_old || witness_now() > limit) {
		cluster_read_addresses(w);
	}
}

static bool cluster_take_volumes(struct cluster_node *n,
				 const struct csv_node_info *info)
{
	struct witness_volume *list = NULL;
	uint32_t i;

	list = talloc_zero_array(n, struct witness_volume, info->num_volumes);
	if (list == NULL) {
		return false;
	}
	for (i = 0; i < info->num_volumes; i++) {
		const struct csv_node_volume *v = &info->volumes[i];

		list[i] = (struct witness_volume){
			.name = talloc_strndup(list,
					       (const char *)v->name.data,
					       v->name.length),
			.direct = v->state == CSV_STATE_ACTIVE &&
				  v->access == CSV_ACCESS_DIRECT,
			.epoch = v->epoch,
		};
		if (list[i].name == NULL) {
			talloc_free(list);
			return false;
		}
	}
	talloc_free(n->volumes);
	n->volumes = list;
	return true;
}

static void cluster_got_node(struct messaging_context *msg,
			     void *private_data,
			     uint32_t type,
			     struct server_id from,
			     DATA_BLOB *data)
{
	struct witness_context *w = private_data;
	TALLOC_CTX *frame = talloc_stackframe();
	struct cluster_node *n = cluster_find(w->cluster, from.vnn);
	struct csv_node_info info;
	bool ok;

	ok = csv_node_info_read(frame, data, &info);
	if (ok && n != NULL && info.node == from.vnn &&
	    cluster_take_volumes(n, &info))
	{
		n->told = true;
		n->processes = info.clients;
		if (!info.leaving) {
			n->leaving_since = 0;
		} else if (n->leaving_since == 0) {
			n->leaving_since = witness_now();
		}
		cluster_steady(n);
		witness_soon(w);
	}
	DBG_DEBUG("node %" PRIu32 " tells of %" PRIu32 " volumes%s\n",
		  from.vnn,
		  info.num_volumes,
		  ok ? "" : ", but not as we understand it");
	TALLOC_FREE(frame);
}

static int cluster_note(struct tevent_context *ev,
			uint32_t src_vnn,
			uint32_t dst_vnn,
			uint64_t dst_srvid,
			const uint8_t *msg,
			size_t msglen,
			void *private_data)
{
	struct witness_context *w = private_data;

	w->cluster->addresses_old = true;
	witness_soon(w);
	return 0;
}

int witness_cluster_start(struct witness_context *w)
{
	static const uint64_t notes[] = {
		CTDB_SRVID_RECONFIGURE,
		CTDB_SRVID_IPREALLOCATED,
	};
	NTSTATUS status;
	size_t i;
	int ret;

	w->cluster = talloc_zero(w, struct witness_cluster);
	if (w->cluster == NULL) {
		return ENOMEM;
	}
	w->cluster->addresses_old = true;
	for (i = 0; i < ARRAY_SIZE(notes); i++) {
		ret = register_with_ctdbd(messaging_ctdb_connection(),
					  notes[i],
					  cluster_note,
					  w);
		if (ret != 0) {
			return ret;
		}
	}
	status = messaging_register(w->msg, w, MSG_CSV_NODE, cluster_got_node);
	if (!NT_STATUS_IS_OK(status)) {
		return map_errno_from_nt_status(status);
	}
	witness_cluster_tick(w);
	return w->cluster->complete ? 0 : EIO;
}

struct witness_node *witness_cluster_nodes(TALLOC_CTX *mem_ctx,
					   struct witness_context *w,
					   size_t *num)
{
	struct witness_node *list = NULL;
	struct cluster_node *n = NULL;
	uint64_t now = witness_now();

	*num = 0;
	for (n = w->cluster->nodes; n != NULL; n = n->next) {
		*num += 1;
	}
	list = talloc_zero_array(mem_ctx, struct witness_node, *num);
	*num = 0;
	for (n = w->cluster->nodes; list != NULL && n != NULL; n = n->next) {
		bool leaving = n->told && n->leaving_since != 0;

		list[*num] = (struct witness_node){
			.pnn = n->pnn,
			.active = cluster_active(n),
			.leaving = leaving,
			.leaving_ms = leaving ? now - n->leaving_since : 0,
			.steady_ms = n->steady_since != 0
					     ? now - n->steady_since
					     : 0,
			.processes = n->processes,
			.told = n->told,
			.volumes = n->volumes,
			.num_volumes = n->told
					       ? talloc_array_length(n->volumes)
					       : 0,
		};
		*num += 1;
	}
	return list;
}

bool witness_cluster_outside(const struct witness_context *w)
{
	const struct cluster_node *n = cluster_find(w->cluster, w->node);

	return n != NULL && (n->flags & NODE_FLAGS_INACTIVE) != 0;
}

uint32_t witness_cluster_node_of(const struct witness_context *w,
				 const struct sockaddr_storage *address)
{
	const struct cluster_address *list = w->cluster->addresses;
	size_t num = talloc_array_length(list);
	size_t i;

	for (i = 0; i < num; i++) {
		if (sockaddr_equal((const struct sockaddr *)&list[i].ss,
				   (const struct sockaddr *)address))
		{
			return list[i].pnn;
		}
	}
	return WITNESS_NO_NODE;
}
