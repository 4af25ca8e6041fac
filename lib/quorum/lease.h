/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One vote: given to one (node, instance) at a time, for a time. Pure: the
 * caller brings the clock (milliseconds of CLOCK_BOOTTIME, which counts
 * suspended time and which nobody sets).
 *
 * Why it is safe: the voter counts a lease from when the request arrived, the
 * candidate from when it was sent, which is earlier. A voter that starts has
 * forgotten whom it voted for and is quiet for the longest lease.
 */
#ifndef _QUORUM_LEASE_H_
#define _QUORUM_LEASE_H_

#include "lib/quorum/message.h"

struct quorum_lease {
	uint64_t quiet_until;
	uint32_t max_ms;
	struct quorum_who who;
	uint64_t renewed;
	uint64_t until; /* somebody else may have it from then on */
};

void quorum_lease_init(struct quorum_lease *lease,
		       uint64_t now,
		       uint32_t max_ms);

/*
 * Decide about a request; the answer is complete. True: the vote is now, or
 * still, the asker's (the caller remembers through what it asked).
 */
bool quorum_lease_decide(struct quorum_lease *lease,
			 uint64_t now,
			 const struct quorum_message *request,
			 struct quorum_message *answer);

/* What the holder asked through was closed: says nothing about the lease. */
void quorum_lease_closed(struct quorum_lease *lease);

#endif /* _QUORUM_LEASE_H_ */
