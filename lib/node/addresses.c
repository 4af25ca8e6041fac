/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/node/addresses.h"
#include "ctdbd_conn.h"
#include "lib/messages_ctdb.h"

struct addresses_search {
	uint32_t node;
	struct sockaddr_storage *list;
	size_t num, max;
};

static int addresses_seen(uint32_t total,
			  const struct sockaddr_storage *ip,
			  uint32_t pinned_pnn,
			  uint32_t current_pnn,
			  void *private_data)
{
	struct addresses_search *s = private_data;

	if (current_pnn == s->node && s->num < s->max) {
		s->list[s->num++] = *ip;
	}
	return 0;
}

size_t csv_node_addresses(uint32_t node,
			  struct sockaddr_storage *list,
			  size_t max)
{
	struct ctdbd_connection *ctdb = messaging_ctdb_connection();
	struct addresses_search s = {.node = node, .list = list, .max = max};
	int ret;

	if (ctdb == NULL) {
		return 0;
	}
	ret = ctdbd_all_ip_foreach(ctdb, false, true, addresses_seen, &s);
	if (ret != 0) {
		DBG_WARNING("ctdb does not tell the public addresses: %s\n",
			    strerror(ret));
	}
	ret = ctdbd_all_ip_foreach(ctdb, true, false, addresses_seen, &s);
	if (ret != 0) {
		DBG_WARNING("ctdb does not tell the nodes' addresses: %s\n",
			    strerror(ret));
	}
	return s.num;
}
