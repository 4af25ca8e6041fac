/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the cluster knows of a node, and how anybody hears of it.
 *
 * Each node has a record csv_node_record (lib/wire/csv.idl) under the key of
 * csv_node_key() in the clustered persistent database csv_volumes.tdb. It is
 * there while the node is down, and after all nodes were. csvd writes it, by
 * transaction: the node's own csvd what its smbd is, any csvd the drain.
 *
 * Whoever wrote the drain then sends MSG_CSV_DRAIN (csv_node_record, the whole
 * of it) to every process of the cluster that listens to Samba's messages,
 * and MSG_CSV_CONFIG to the other csvds. A message may be lost and the next
 * one may say the same again: the record is what counts, to be read at the
 * start, and whenever CTDB has finished a recovery. smbd's processes hear of
 * their own node from csvd (CSV_CONTROL_NODE).
 *
 * What each state asks for:
 *
 * DRAINING  csvd of the node gives its volumes away, one after the other, and
 *	     takes none; DNS leaves the node out (55.sofs); `csv:site affinity`
 *	     keeps no client there; who can tell clients to move (witness) does
 *	     it now. Their connections go on.
 * DRAINED   no volume is there, and the clients have left or had grace_s
 *	     seconds: CTDB disables the node, its public addresses move.
 * UP	     all of that is taken back.
 *
 * Nothing here blocks, allocates or fails; the results are constant or the
 * caller's.
 */
#ifndef _CSV_NODE_NODE_H_
#define _CSV_NODE_NODE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum csv_node_drain {
	CSV_NODE_UP = 0,
	CSV_NODE_DRAINING = 1,
	CSV_NODE_DRAINED = 2,
};

#define CSV_NODE_KEY_SIZE 16

/* "NODE/<number>" into key, terminated. */
void csv_node_key(char key[CSV_NODE_KEY_SIZE], uint32_t node);

/* For people; a number that is none of them is "?". */
const char *csv_node_drain_str(unsigned drain);

/*
 * Dialects, as SMB's NEGOTIATE has them (0x0202 … 0x0311), and as smb.conf
 * names them ("SMB3_11"). 0 and NULL: there is no such one. A name counts in
 * any case.
 */
const char *csv_dialect_name(uint16_t dialect);
uint16_t csv_dialect_by_name(const char *name);

#endif /* _CSV_NODE_NODE_H_ */
