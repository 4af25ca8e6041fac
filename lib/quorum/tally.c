/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counting votes.
 */
#include "replace.h"
#include <string.h>
#include "lib/quorum/tally.h"

/* Clocks of two machines run apart by less than this part of a lease. */
#define TALLY_DRIFT 20
/* An age that is told twice differs by that much at most. */
#define TALLY_JITTER_MS 100

uint32_t quorum_renew_ms(uint32_t lease_ms)
{
	return lease_ms / 5;
}

void quorum_tally_init(struct quorum_tally *tally,
		       uint32_t node,
		       uint64_t instance,
		       uint32_t lease_ms,
		       unsigned num)
{
	unsigned i;

	*tally = (struct quorum_tally){
		.node = node,
		.instance = instance,
		.lease_ms = lease_ms,
		.num = MIN(num, QUORUM_MAX_VOTES),
	};
	tally->needed = tally->num / 2 + 1;
	for (i = 0; i < tally->num; i++) {
		tally->votes[i].who.node = QUORUM_NO_NODE;
	}
}

static bool tally_mine(const struct quorum_tally *tally,
		       const struct quorum_who *who)
{
	return who->node == tally->node && who->instance == tally->instance;
}

/* Has it been renewed since this candidate looks? */
static void tally_third(struct quorum_vote *vote,
			uint64_t now,
			const struct quorum_who *who)
{
	uint64_t renewed = now - MIN(who->age_ms, now);

	if (!vote->third || vote->who.node != who->node ||
	    vote->who.instance != who->instance)
	{
		vote->third = true;
		vote->first = renewed;
		vote->alive = false;
	} else if (renewed > vote->first + TALLY_JITTER_MS) {
		vote->alive = true;
	}
}

void quorum_tally_answer(struct quorum_tally *tally,
			 unsigned i,
			 uint64_t sent,
			 uint64_t now,
			 const struct quorum_message *answer)
{
	struct quorum_vote *vote = &tally->votes[i];

	if (answer->target == QUORUM_TARGET_THIRD) {
		tally_third(vote, now, &answer->who);
	}
	vote->seen = now;
	vote->who = answer->who;
	if (answer->verdict == QUORUM_GRANTED) {
		vote->until = sent + tally->lease_ms -
			      tally->lease_ms / TALLY_DRIFT;
	} else {
		vote->until = 0;
	}
}

void quorum_tally_drop(struct quorum_tally *tally)
{
	unsigned i;

	for (i = 0; i < tally->num; i++) {
		tally->votes[i].until = 0;
	}
}

uint64_t quorum_tally_until(const struct quorum_tally *tally)
{
	uint64_t best = 0;
	unsigned i, j, n;

	/* the latest time up to which at least `needed` votes are mine */
	for (i = 0; i < tally->num; i++) {
		for (j = 0, n = 0; j < tally->num; j++) {
			if (tally->votes[j].until >= tally->votes[i].until) {
				n++;
			}
		}
		if (n >= tally->needed) {
			best = MAX(best, tally->votes[i].until);
		}
	}
	return best;
}

/* Is it another's vote, whose owner has shown itself a moment ago? */
static bool tally_rival(const struct quorum_tally *tally,
			const struct quorum_vote *vote,
			uint64_t now)
{
	uint32_t fresh_ms = quorum_renew_ms(tally->lease_ms) * 3 / 2;

	return vote->seen != 0 && vote->who.node != QUORUM_NO_NODE &&
	       !tally_mine(tally, &vote->who) && vote->who.connected &&
	       (!vote->third || vote->alive) &&
	       vote->who.age_ms + (now - vote->seen) < fresh_ms;
}

bool quorum_tally_contention(const struct quorum_tally *tally, uint64_t now)
{
	unsigned i;

	for (i = 0; i < tally->num; i++) {
		if (tally->votes[i].who.phase == QUORUM_HOLDER &&
		    tally_rival(tally, &tally->votes[i], now)) {
			return true;
		}
	}
	return false;
}

bool quorum_tally_yield(const struct quorum_tally *tally, uint64_t now)
{
	unsigned i;

	for (i = 0; i < tally->num; i++) {
		const struct quorum_who *who = &tally->votes[i].who;

		if (!tally_rival(tally, &tally->votes[i], now)) {
			continue;
		}
		if (who->node < tally->node ||
		    (who->node == tally->node &&
		     who->instance < tally->instance)) {
			return true;
		}
	}
	return false;
}
