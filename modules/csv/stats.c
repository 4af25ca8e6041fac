/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The counters of a volume in this process, for administrators and tests:
 * DIR/stats/PID.VOLUME.json beside csvd's socket, replaced atomically at most
 * every second while they change, and once more when the process lets go of
 * the volume. Readers may sum the files of all processes, dead ones included;
 * csvd removes those of dead ones after an hour (csvd/stats.c).
 */
#include "csv.h"
#include "lib/util/sys_rw.h"

#define CSV_STATS_INTERVAL_S 1

struct csv_stats {
	struct tevent_context *ev;
	struct tevent_timer *timer;
	struct csv_volume *vol;
	char *dir;
	char *path;
	char *tmp;
	struct csv_volume_counters written;
	enum csv_state state;
	bool failed; /* said so already */
};

static char *csv_stats_text(TALLOC_CTX *mem_ctx,
			    struct csv_volume *vol,
			    const struct csv_volume_counters *c)
{
	return talloc_asprintf(
		mem_ctx,
		"{\"pid\": %d, \"volume\": \"%s\", \"state\": \"%s\", "
		"\"access\": %d, \"epoch\": %" PRIu64 ", "
		"\"direct_ops\": %" PRIu64 ", "
		"\"direct_read_bytes\": %" PRIu64 ", "
		"\"direct_write_bytes\": %" PRIu64 ", "
		"\"redirected_ops\": %" PRIu64 ", "
		"\"redirected_read_bytes\": %" PRIu64 ", "
		"\"redirected_write_bytes\": %" PRIu64 ", "
		"\"reopened\": %" PRIu64 ", "
		"\"reopen_failed\": %" PRIu64 ", "
		"\"replayed\": %" PRIu64 ", "
		"\"waited_ms\": %" PRIu64 "}\n",
		(int)getpid(),
		csv_volume_name(vol),
		csv_state_str(csv_volume_state(vol)),
		(int)csv_volume_access(vol),
		csv_volume_epoch(vol),
		c->direct_ops,
		c->direct_read_bytes,
		c->direct_write_bytes,
		c->redirected_ops,
		c->redirected_read_bytes,
		c->redirected_write_bytes,
		c->reopened,
		c->reopen_failed,
		c->replayed,
		c->waited_ms);
}

static int csv_stats_replace(struct csv_stats *stats, const char *text)
{
	size_t len = strlen(text);
	ssize_t written;
	int fd;

	fd = open(stats->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd == -1 && errno == ENOENT) {
		mkdir(stats->dir, 0755);
		fd = open(stats->tmp,
			  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			  0644);
	}
	if (fd == -1) {
		return errno;
	}
	written = sys_write(fd, text, len);
	close(fd);
	if (written != (ssize_t)len ||
	    rename(stats->tmp, stats->path) != 0)
	{
		return EIO;
	}
	return 0;
}

static void csv_stats_log(struct csv_stats *stats, int error)
{
	if (error == 0 || stats->failed) {
		return;
	}
	stats->failed = true;
	DBG_WARNING("cannot write %s: %s, statistics of this process are "
		    "missing\n",
		    stats->path,
		    strerror(error));
}

void csv_stats_write(struct csv_stats *stats)
{
	struct csv_volume_counters now = {};
	char *text = NULL;
	int ret;

	csv_volume_counters(stats->vol, &now);
	if (memcmp(&now, &stats->written, sizeof(now)) == 0 &&
	    stats->state == csv_volume_state(stats->vol))
	{
		return;
	}
	text = csv_stats_text(stats, stats->vol, &now);
	if (text == NULL) {
		return;
	}
	become_root();
	ret = csv_stats_replace(stats, text);
	unbecome_root();
	TALLOC_FREE(text);
	csv_stats_log(stats, ret);
	stats->written = now;
	stats->state = csv_volume_state(stats->vol);
}

static void csv_stats_timer(struct tevent_context *ev,
			    struct tevent_timer *te,
			    struct timeval now,
			    void *private_data)
{
	struct csv_stats *stats = private_data;

	stats->timer = NULL;
	csv_stats_write(stats);
	stats->timer = tevent_add_timer(
		ev,
		stats,
		tevent_timeval_current_ofs(CSV_STATS_INTERVAL_S, 0),
		csv_stats_timer,
		stats);
}

/* socket is csvd's; its directory is where the statistics go */
struct csv_stats *csv_stats_create(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   struct csv_volume *vol,
				   const char *socket)
{
	struct csv_stats *stats = NULL;
	const char *slash = strrchr(socket, '/');
	int len = slash != NULL ? slash - socket : 0;

	stats = talloc_zero(mem_ctx, struct csv_stats);
	if (stats == NULL) {
		return NULL;
	}
	stats->ev = ev;
	stats->vol = vol;
	stats->dir = talloc_asprintf(stats, "%.*s/stats", len, socket);
	stats->path = talloc_asprintf(stats,
				      "%s/%d.%s.json",
				      stats->dir,
				      (int)getpid(),
				      csv_volume_name(vol));
	stats->tmp = talloc_asprintf(stats, "%s.new", stats->path);
	if (stats->dir == NULL || stats->path == NULL || stats->tmp == NULL) {
		TALLOC_FREE(stats);
		return NULL;
	}
	csv_stats_timer(ev, NULL, timeval_zero(), stats);
	return stats;
}
