/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LD_PRELOAD: ctdbd knows no address of any node, neither public nor its own
 * (source3/include/ctdbd_conn.h).
 */
#include <stdbool.h>

struct ctdbd_connection;

int ctdbd_all_ip_foreach(struct ctdbd_connection *conn,
			 bool include_node_ips, bool include_public_ips,
			 int (*cb)(void), void *private_data)
{
	return 0;
}
