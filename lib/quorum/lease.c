/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One vote.
 */
#include "replace.h"
#include "lib/quorum/lease.h"

static const struct quorum_who nobody = {.node = QUORUM_NO_NODE};

void quorum_lease_init(struct quorum_lease *lease,
		       uint64_t now,
		       uint32_t max_ms)
{
	*lease = (struct quorum_lease){
		.quiet_until = now + max_ms,
		.max_ms = max_ms,
		.who = nobody,
	};
}

static bool lease_same(const struct quorum_lease *lease,
		       const struct quorum_message *request)
{
	return lease->who.node == request->node &&
	       lease->who.instance == request->instance;
}

static enum quorum_verdict lease_vote(struct quorum_lease *lease,
				      uint64_t now,
				      const struct quorum_message *request)
{
	if (request->lease_ms == 0 || request->lease_ms > lease->max_ms ||
	    request->phase == QUORUM_NONE || request->node == QUORUM_NO_NODE) {
		return QUORUM_REFUSED;
	}
	if (now < lease->quiet_until) {
		return QUORUM_QUIET;
	}
	if (lease->who.node != QUORUM_NO_NODE && !lease_same(lease, request)) {
		return QUORUM_HELD;
	}
	lease->who = (struct quorum_who){
		.node = request->node,
		.instance = request->instance,
		.phase = request->phase,
		.connected = true,
	};
	lease->renewed = now;
	/* a shorter lease never takes back what a longer one promised */
	lease->until = MAX(lease->until, now + request->lease_ms);
	return QUORUM_GRANTED;
}

bool quorum_lease_decide(struct quorum_lease *lease,
			 uint64_t now,
			 const struct quorum_message *request,
			 struct quorum_message *answer)
{
	if (lease->who.node != QUORUM_NO_NODE && now >= lease->until) {
		lease->who = nobody;
		lease->until = 0;
	}
	*answer = *request;
	answer->type |= QUORUM_ANSWER;
	answer->verdict = QUORUM_TOLD;
	if (request->type == QUORUM_VOTE) {
		answer->verdict = lease_vote(lease, now, request);
	} else if (request->type == QUORUM_RELEASE &&
		   lease_same(lease, request)) {
		lease->who = nobody;
		lease->until = 0;
	}
	answer->who = lease->who;
	if (lease->who.node != QUORUM_NO_NODE) {
		answer->who.age_ms = now - lease->renewed;
		answer->who.left_ms = lease->until - now;
	} else if (now < lease->quiet_until) {
		answer->who.left_ms = lease->quiet_until - now;
	}
	return answer->verdict == QUORUM_GRANTED;
}

void quorum_lease_closed(struct quorum_lease *lease)
{
	lease->who.connected = false;
}
