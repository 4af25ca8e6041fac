/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the clients of test_replay.c do, and what must be there afterwards.
 */
#ifndef _TEST_UNIT_REPLAY_SCENARIOS_H_
#define _TEST_UNIT_REPLAY_SCENARIOS_H_

#include "csvd/serve_private.h"
#include "lib/volume/volume.h"
#include "loopfs.h"
#include "wirebed.h"

struct world {
	struct loopfs fs;
	struct wirebed bed;
	uint64_t epoch;
	struct tevent_context *ev;
	struct csv_volume *a; /* the first client */
	struct csv_handle *h; /* of a, on "f" */
	int wake[2];
	const struct scenario *scenario;
	const struct moment *moment;
	int second; /* what the second client was told */
	unsigned replayed; /* how often the first said so */
};

/* The operation of the first client and what the second does behind it. */
struct scenario {
	const char *name;
	enum csv_op op;
	int answer;
	int (*first)(struct world *w);
	int (*second)(struct csv_backend *b);
	/* What must be there; second: it did its part. */
	void (*check)(struct world *w, bool second);
};

struct moment {
	const char *name;
	enum serve_fault point;
	bool log; /* what is in the log is on the disk */
	bool second;
	bool here; /* the first client's node is the next owner */
};

extern const struct csv_cred replay_cred;
extern const struct scenario scenarios[];
extern const size_t num_scenarios;

/* What each scenario begins with, on the disk: "f", with w->h on it, "d". */
void furnish(struct world *w);
/* The content of a file, as the first client reads it. */
void content(struct world *w, const char *name, const char *text);
/* The second client writes "theirs" into "f". */
int write_f(struct csv_backend *b);

#endif /* _TEST_UNIT_REPLAY_SCENARIOS_H_ */
