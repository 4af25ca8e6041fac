/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guard's arithmetic.
 */
#include "replace.h"
#include "system/network.h"
#include <inttypes.h>
#include <stdio.h>
#include "ctdb/protocol/protocol.h"
#include "csvd/guard_limits.h"

static bool limit_over(const struct guard_sight *s,
		       uint64_t since,
		       uint32_t limit_ms)
{
	return s->now > since && s->now - since > limit_ms;
}

/*
 * A minority whose CTDB does not finish a recovery has no cluster lock. With
 * a watchdog, successors may start by time alone: being a minority is enough.
 */
static bool limit_alone(const struct guard_sight *s,
			const struct guard_limits *l)
{
	if (s->total == 0 || s->active * 2 > s->total) {
		return false;
	}
	if (l->watchdog_ms != 0) {
		return true;
	}
	return s->recovery != 0 && limit_over(s, s->recovery, l->ctdbd_ms);
}

static enum guard_reason limit_member(const struct guard_sight *s,
				      const struct guard_limits *l)
{
	if (s->gone != 0 && limit_over(s, s->gone, GUARD_GONE_MS)) {
		return GUARD_CTDBD_GONE;
	}
	if (limit_over(s, s->answered, l->ctdbd_ms)) {
		return GUARD_CTDBD_SILENT;
	}
	if ((s->flags & NODE_FLAGS_INACTIVE) != 0) {
		return GUARD_INACTIVE;
	}
	return limit_alone(s, l) ? GUARD_ALONE : GUARD_FIT;
}

enum guard_reason guard_judge(const struct guard_sight *s,
			      const struct guard_limits *l)
{
	enum guard_reason reason = limit_member(s, l);

	if (reason != GUARD_FIT) {
		return reason;
	}
	if (s->worker_end != 0) {
		return limit_over(s, s->worker_end, GUARD_RESTART_MS)
			       ? GUARD_CSVD_DEAD
			       : GUARD_FIT;
	}
	if (limit_over(s, s->pulse, l->csvd_ms)) {
		return GUARD_CSVD_SILENT;
	}
	if (limit_over(s, s->reached, l->main_ms)) {
		return GUARD_CSVD_LOST;
	}
	return GUARD_FIT;
}

const char *guard_reason_str(enum guard_reason reason)
{
	static const char *const text[GUARD_NUM_REASONS] = {
		[GUARD_FIT] = "all is well",
		[GUARD_CTDBD_SILENT] = "ctdbd does not answer",
		[GUARD_CTDBD_GONE] = "ctdbd has ended",
		[GUARD_INACTIVE] = "the node is banned, stopped or removed",
		[GUARD_ALONE] = "the node is cut off from the majority",
		[GUARD_CSVD_SILENT] = "csvd does not run",
		[GUARD_CSVD_LOST] = "csvd does not reach ctdbd",
		[GUARD_CSVD_DEAD] = "csvd died and did not come back",
	};

	return reason < GUARD_NUM_REASONS ? text[reason] : "?";
}

static uint32_t limit_max(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

bool guard_wait_compute(uint32_t interval_s,
			uint32_t limit,
			const struct guard_limits *l,
			struct guard_wait *w,
			char *why,
			size_t size)
{
	bool sane = interval_s > 0 && interval_s <= 3600 && limit <= 3600;
	uint64_t silent_ms, need;

	*w = (struct guard_wait){};
	why[0] = '\0';
	if (l->watchdog_ms == 0) {
		if (l->wait_ms != 0) {
			snprintf(why,
				 size,
				 "csv:take over wait is set without "
				 "csv:watchdog: a guard that hangs would not "
				 "let go; set a watchdog device, or a fence "
				 "agent for each volume and no wait");
		}
		return false;
	}
	silent_ms = sane ? interval_s * 1000ULL * (limit + 1ULL) : 0;
	if (!sane || silent_ms > 3600000) {
		snprintf(why,
			 size,
			 "CTDB's KeepaliveInterval (%" PRIu32 ") and "
			 "KeepaliveLimit (%" PRIu32 ") do not detect a dead "
			 "node within an hour; lower them",
			 interval_s,
			 limit);
		return false;
	}
	w->detect_ms = limit_max(silent_ms, l->ctdbd_ms) + GUARD_POLL_MS;
	w->down_ms = limit_max(GUARD_SHUTDOWN_MS, l->watchdog_ms);
	need = (uint64_t)w->detect_ms + w->down_ms + GUARD_MARGIN_MS;
	w->need_ms = need < UINT32_MAX ? need : UINT32_MAX;
	if (l->wait_ms != 0 && l->wait_ms <= w->need_ms) {
		snprintf(why,
			 size,
			 "csv:take over wait = %" PRIu32 " ms is not more than "
			 "%" PRIu32 " (detection) + %" PRIu32 " (shutdown, "
			 "watchdog) + %d (margin) = %" PRIu32 " ms; raise it, "
			 "or lower CTDB's KeepaliveInterval (%" PRIu32 ") and "
			 "KeepaliveLimit (%" PRIu32 "), csv:guard ctdbd "
			 "timeout (%" PRIu32 ") or csv:watchdog timeout "
			 "(%" PRIu32 ")",
			 l->wait_ms,
			 w->detect_ms,
			 w->down_ms,
			 GUARD_MARGIN_MS,
			 w->need_ms,
			 interval_s,
			 limit,
			 l->ctdbd_ms,
			 l->watchdog_ms);
		return false;
	}
	w->wait_ms = l->wait_ms != 0 ? l->wait_ms : w->need_ms + 1;
	return true;
}
