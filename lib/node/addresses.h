/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The addresses at which clients reach a node, as CTDB says now.
 */
#ifndef _CSV_NODE_ADDRESSES_H_
#define _CSV_NODE_ADDRESSES_H_

#include "includes.h"

/*
 * Public addresses that the node holds come first, they are those that clients
 * can reach; then its own. How many, max at most; 0: none is known. Blocks
 * until the local ctdbd answers, and so while the cluster recovers.
 */
size_t csv_node_addresses(uint32_t node,
			  struct sockaddr_storage *list,
			  size_t max);

#endif /* _CSV_NODE_ADDRESSES_H_ */
