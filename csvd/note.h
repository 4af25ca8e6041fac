/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the third vote notes of csv_volumes.tdb. Of a cluster cut in half, or
 * of which half is dead, one half may go on by the third vote; later the other
 * half may, after the first one died, with a database that lacks what the
 * first one wrote. So who changes the database with half of the nodes in view
 * has the number of its change noted before, and who finds that a node out of
 * view noted more than its own database has changes nothing. See doc/model
 * (M_NO_TAG) and struct quorum_message.
 *
 * Asking is asynchronous, over the socket of this node's voter: nothing here
 * blocks.
 */
#ifndef _CSVD_NOTE_H_
#define _CSVD_NOTE_H_

#include "csvd/context.h"

/* lock: CTDB's cluster lock, which tells where the voter listens. 0 or errno. */
int csvd_note_start(struct csvd_context *csvd, const char *lock);

/*
 * May the database, which has seen `sequence` changes, be changed `commits`
 * times in a row? commits 0: is it as new as any? 0: yes, also when no note is
 * needed; EINPROGRESS: the third vote is asked, csvd_evaluate_soon() follows;
 * ENOLCK: no, csvd_note_why() says why; asked again once a second.
 */
int csvd_note_ready(struct csvd_context *csvd,
		    uint64_t sequence,
		    unsigned commits);

/* Of the last csvd_note_ready() that did not say yes; never NULL. */
const char *csvd_note_why(struct csvd_context *csvd);

/*
 * Look after notes of nodes in view: once all nodes that noted more than the
 * database has are in view, it has to get as new, or the next half could not
 * go on. Writes a few times (blocks on CTDB), or asks the third vote.
 */
void csvd_note_settle(struct csvd_context *csvd);

#endif /* _CSVD_NOTE_H_ */
