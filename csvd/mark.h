/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a volume itself remembers of its owners: the highest epoch it was
 * served under, and how old the database was in which that was written. So
 * databases that were lost, or put back from a copy, are found out even when
 * no node has a newer one, and no epoch comes again.
 */
#ifndef _CSVD_MARK_H_
#define _CSVD_MARK_H_

#include <stdbool.h>
#include <stdint.h>

#define CSVD_MARK_NAME "trusted.csvd.owner"

struct csvd_mark {
	uint64_t epoch;
	uint64_t sequence; /* of csv_volumes.tdb */
};

/*
 * Note `now` on the volume with this root, on stable storage, if it is newer
 * than what is there. 0; EOVERFLOW: it is not, *found is what is there and
 * stays; EBADMSG: what is there is no mark; other errno.
 */
int csvd_mark_note(int rootfd,
		   const struct csvd_mark *now,
		   struct csvd_mark *found);

#endif /* _CSVD_MARK_H_ */
