/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The clustered persistent database csv_volumes.tdb: which volumes there are,
 * who owns them, and what is known of each node. Written by transactions only. Reads are local and cheap;
 * both wait while CTDB recovers.
 *
 * Errors: ENOENT no such record; EILSEQ it is there, but is none of ours
 * (truncated, foreign, another version); EAGAIN it changed meanwhile; EIO.
 * Of all writes: EHOSTDOWN no majority of the nodes is in view
 * (csvd_quorum_in_view()); EINPROGRESS the third vote is asked, try again
 * after csvd_evaluate_soon(); ENOLCK it does not note it (csvd_note_ready()).
 */
#ifndef _CSVD_RECORD_H_
#define _CSVD_RECORD_H_

#include "csvd/context.h"

int csvd_record_open(struct csvd_context *csvd);

/* The names of all volumes, NULL-terminated. */
int csvd_record_names(struct csvd_context *csvd,
		      TALLOC_CTX *mem_ctx,
		      char ***names);
int csvd_record_volume(struct csvd_context *csvd,
		       TALLOC_CTX *mem_ctx,
		       const char *name,
		       struct csv_volume_record **config);
int csvd_record_owner(struct csvd_context *csvd,
		      TALLOC_CTX *mem_ctx,
		      const char *name,
		      struct csv_owner_record **rec);

/*
 * A volume that nobody owns yet. EEXIST; ENOSPC (1024 volumes); EBUSY: the
 * owner of an earlier one of that name has not let go; EILSEQ: the owner
 * record of that is damaged.
 */
int csvd_record_add(struct csvd_context *csvd,
		    const struct csv_volume_record *config);
/* Its owner lets go when it sees that. The epoch is kept. */
int csvd_record_remove(struct csvd_context *csvd, const char *name);

/*
 * Replace the owner record, if it still has the epoch, owner and clean of
 * `old`: else EAGAIN. The new epoch is old's or one more; if it is, there is
 * a note for a second write right after.
 */
int csvd_record_change(struct csvd_context *csvd,
		       const char *name,
		       const struct csv_owner_record *old,
		       struct csv_owner_record *rec);

/*
 * Could the database be written `commits` times in a row just now (0: is it
 * the newest)? 0, or as a write would fail; nothing is written.
 */
int csvd_record_ready(struct csvd_context *csvd, unsigned commits);

/* Of a node (lib/node/node.h). */
int csvd_record_node(struct csvd_context *csvd,
		     TALLOC_CTX *mem_ctx,
		     uint32_t node,
		     struct csv_node_record **rec);

/*
 * Change it inside a transaction: fn gets what is there, or an empty one, and
 * returns 0, or an errno value and nothing is written. What fn puts into it
 * must live as long as private_data.
 */
int csvd_record_node_change(struct csvd_context *csvd,
			    uint32_t node,
			    int (*fn)(struct csv_node_record *rec,
				      void *private_data),
			    void *private_data);

/* Why a write failed, for people; valid until the next call. */
const char *csvd_record_error(struct csvd_context *csvd, int error);

/* It failed for the state of the cluster, which passes: no fault. */
bool csvd_record_waits(int error);

/* Write nothing of importance: the database gets newer. */
int csvd_record_touch(struct csvd_context *csvd);

/* How many changes this database has seen: CTDB's sequence number. */
int csvd_record_sequence(struct csvd_context *csvd, uint64_t *sequence);

/*
 * The volume remembers a later owner than the database does, which was lost
 * or put back from a copy. Write `rec`, which must still be there, with an
 * epoch after `epoch`, and change the database until it is newer than
 * `sequence`, so that no other copy of it wins a recovery.
 */
int csvd_record_overtake(struct csvd_context *csvd,
			 const char *name,
			 const struct csv_owner_record *rec,
			 uint64_t epoch,
			 uint64_t sequence);

#endif /* _CSVD_RECORD_H_ */
