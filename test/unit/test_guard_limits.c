/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guard's decisions and the inequality, as tables.
 */
#include "replace.h"
#include "system/network.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "ctdb/protocol/protocol.h"
#include "csvd/guard_limits.h"

/* Each row of the tables is the healthy case and what differs. */
#pragma GCC diagnostic ignored "-Woverride-init"

static const struct guard_limits limits = {
	.csvd_ms = 3000,
	.main_ms = 30000,
	.ctdbd_ms = 3000,
};

/* A healthy node at 100 s; each row changes one thing. */
#define HEALTHY                                                             \
	.now = 100000, .answered = 99900, .active = 3, .total = 3,          \
	.pulse = 99900, .reached = 99900

static const struct {
	const char *what;
	bool watchdog;
	struct guard_sight sight;
	enum guard_reason reason;
} judgements[] = {
	{"healthy", false, {HEALTHY}, GUARD_FIT},
	{"unhealthy is still a member",
	 false,
	 {HEALTHY, .flags = NODE_FLAGS_UNHEALTHY},
	 GUARD_FIT},
	{"disabled is still a member",
	 false,
	 {HEALTHY, .flags = NODE_FLAGS_PERMANENTLY_DISABLED},
	 GUARD_FIT},
	{"banned", false, {HEALTHY, .flags = NODE_FLAGS_BANNED}, GUARD_INACTIVE},
	{"stopped",
	 false,
	 {HEALTHY, .flags = NODE_FLAGS_STOPPED},
	 GUARD_INACTIVE},
	{"deleted",
	 false,
	 {HEALTHY, .flags = NODE_FLAGS_DELETED},
	 GUARD_INACTIVE},
	{"csvd silent as long as it may",
	 false,
	 {HEALTHY, .pulse = 97000},
	 GUARD_FIT},
	{"csvd silent for longer",
	 false,
	 {HEALTHY, .pulse = 96999},
	 GUARD_CSVD_SILENT},
	{"csvd's main loop waits for ctdb",
	 false,
	 {HEALTHY, .reached = 70000},
	 GUARD_FIT},
	{"csvd's main loop waits for too long",
	 false,
	 {HEALTHY, .reached = 69999},
	 GUARD_CSVD_LOST},
	{"csvd died and is being replaced",
	 false,
	 {HEALTHY, .pulse = 94500, .worker_end = 94500},
	 GUARD_FIT},
	{"csvd is not replaced",
	 false,
	 {HEALTHY, .pulse = 93999, .worker_end = 93999},
	 GUARD_CSVD_DEAD},
	{"ctdbd silent as long as it may",
	 false,
	 {HEALTHY, .answered = 97000},
	 GUARD_FIT},
	{"ctdbd silent for longer",
	 false,
	 {HEALTHY, .answered = 96999},
	 GUARD_CTDBD_SILENT},
	{"ctdbd just refused", false, {HEALTHY, .gone = 99600}, GUARD_FIT},
	{"ctdbd ended", false, {HEALTHY, .gone = 99599}, GUARD_CTDBD_GONE},
	{"the last of three, the lock is held",
	 false,
	 {HEALTHY, .active = 1},
	 GUARD_FIT},
	{"one of three, in a recovery",
	 false,
	 {HEALTHY, .active = 1, .recovery = 97000},
	 GUARD_FIT},
	{"one of three, no recovery succeeds",
	 false,
	 {HEALTHY, .active = 1, .recovery = 96999},
	 GUARD_ALONE},
	{"two of three in a long recovery",
	 false,
	 {HEALTHY, .active = 2, .recovery = 1000},
	 GUARD_FIT},
	{"one of two, no recovery succeeds",
	 false,
	 {HEALTHY, .active = 1, .total = 2, .recovery = 96999},
	 GUARD_ALONE},
	{"one of two with the lock",
	 false,
	 {HEALTHY, .active = 1, .total = 2},
	 GUARD_FIT},
	{"one of two, successors go by time",
	 true,
	 {HEALTHY, .active = 1, .total = 2},
	 GUARD_ALONE},
	{"two of three, successors go by time",
	 true,
	 {HEALTHY, .active = 2},
	 GUARD_FIT},
	{"the clock of the page is ahead",
	 false,
	 {HEALTHY, .pulse = 100100, .answered = 100100},
	 GUARD_FIT},
	{"ctdbd silent counts before csvd dead",
	 false,
	 {HEALTHY, .answered = 1, .worker_end = 1},
	 GUARD_CTDBD_SILENT},
};

static void test_judge(void **state)
{
	struct guard_limits l = limits;
	enum guard_reason reason;
	size_t i;

	for (i = 0; i < sizeof(judgements) / sizeof(judgements[0]); i++) {
		l.watchdog_ms = judgements[i].watchdog ? 10000 : 0;
		reason = guard_judge(&judgements[i].sight, &l);
		if (reason != judgements[i].reason) {
			fail_msg("%s: %s, not %s",
				 judgements[i].what,
				 guard_reason_str(reason),
				 guard_reason_str(judgements[i].reason));
		}
	}
}

static const struct {
	const char *what;
	uint32_t interval, limit;
	struct guard_limits limits;
	bool ok;
	uint32_t need, wait;
	const char *says; /* part of why */
} waits[] = {
	{"no watchdog, no wait: fencing only",
	 1, 3, {.ctdbd_ms = 3000}, false, 0, 0, ""},
	{"a wait without a watchdog",
	 1, 3, {.ctdbd_ms = 3000, .wait_ms = 60000}, false, 0, 0,
	 "csv:watchdog"},
	/* 1 * (3 + 1) s + 250 + 10 s + 2 s */
	{"computed",
	 1, 3, {.ctdbd_ms = 3000, .watchdog_ms = 10000}, true, 16250, 16251,
	 ""},
	{"the shutdown takes longer than the watchdog",
	 1, 3, {.ctdbd_ms = 3000, .watchdog_ms = 500}, true, 7250, 7251, ""},
	{"ctdbd's limit is the longer one",
	 1, 3, {.ctdbd_ms = 9000, .watchdog_ms = 10000}, true, 21250, 21251,
	 ""},
	{"CTDB's defaults",
	 5, 5, {.ctdbd_ms = 3000, .watchdog_ms = 10000}, true, 42250, 42251,
	 ""},
	{"a chosen wait that is long enough",
	 1, 3,
	 {.ctdbd_ms = 3000, .watchdog_ms = 10000, .wait_ms = 16251},
	 true, 16250, 16251, ""},
	{"equal is not less",
	 1, 3,
	 {.ctdbd_ms = 3000, .watchdog_ms = 10000, .wait_ms = 16250},
	 false, 16250, 0, "= 16250 ms; raise it"},
	{"broken by CTDB's defaults",
	 5, 5,
	 {.ctdbd_ms = 3000, .watchdog_ms = 10000, .wait_ms = 20000},
	 false, 42250, 0, "KeepaliveInterval (5)"},
	{"no keepalive at all",
	 0, 5, {.ctdbd_ms = 3000, .watchdog_ms = 10000}, false, 0, 0,
	 "KeepaliveInterval (0)"},
	{"absurd tunables do not wrap around",
	 0xFFFFFFFFU, 0xFFFFFFFFU,
	 {.ctdbd_ms = 3000, .watchdog_ms = 10000, .wait_ms = 60000},
	 false, 0, 0, "within an hour"},
};

static void test_wait(void **state)
{
	struct guard_wait w;
	char why[600];
	bool ok;
	size_t i;

	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		ok = guard_wait_compute(waits[i].interval,
					waits[i].limit,
					&waits[i].limits,
					&w,
					why,
					sizeof(why));
		if (ok != waits[i].ok || w.need_ms != waits[i].need ||
		    w.wait_ms != waits[i].wait ||
		    strstr(why, waits[i].says) == NULL ||
		    (waits[i].says[0] == '\0' && why[0] != '\0'))
		{
			fail_msg("%s: %d, need %u, wait %u: %s",
				 waits[i].what,
				 ok,
				 w.need_ms,
				 w.wait_ms,
				 why);
		}
		assert_true(!ok || w.wait_ms > w.need_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
