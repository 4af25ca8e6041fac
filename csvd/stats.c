/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each smbd leaves a file of counters when it ends, so that readers can sum
 * what short connections moved. Kept for an hour, then swept: a busy node has
 * many thousand connections a day.
 */
#include "csvd/stats.h"

#define STATS_INTERVAL_S 600
#define STATS_AGE_S 3600

struct stats_timer {
	char *dir;
};

static bool stats_is_dead(const char *name)
{
	char *end = NULL;
	long pid = strtol(name, &end, 10);

	if (end == name || *end != '.' || pid <= 0 || pid > INT32_MAX) {
		return false;
	}
	return kill((pid_t)pid, 0) == -1 && errno == ESRCH;
}

static bool stats_is_old(int dirfd, const char *name, time_t age_s)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && time(NULL) - st.st_mtime >= age_s;
}

unsigned csvd_stats_sweep(const char *dir, time_t age_s)
{
	struct dirent *entry = NULL;
	unsigned removed = 0;
	DIR *d = opendir(dir);

	if (d == NULL) {
		return 0;
	}
	while ((entry = readdir(d)) != NULL) {
		if (stats_is_dead(entry->d_name) &&
		    stats_is_old(dirfd(d), entry->d_name, age_s) &&
		    unlinkat(dirfd(d), entry->d_name, 0) == 0)
		{
			removed++;
		}
	}
	closedir(d);
	return removed;
}

static void stats_tick(struct tevent_context *ev,
		       struct tevent_timer *te,
		       struct timeval now,
		       void *private_data)
{
	struct stats_timer *t = private_data;

	(void)csvd_stats_sweep(t->dir, STATS_AGE_S);
	te = tevent_add_timer(ev,
			      t,
			      tevent_timeval_current_ofs(STATS_INTERVAL_S, 0),
			      stats_tick,
			      t);
	if (te == NULL) {
		smb_panic("no memory");
	}
}

bool csvd_stats_start(TALLOC_CTX *mem_ctx,
		      struct tevent_context *ev,
		      const char *socket_path)
{
	struct stats_timer *t = talloc_zero(mem_ctx, struct stats_timer);
	const char *slash = strrchr(socket_path, '/');

	if (t == NULL || slash == NULL) {
		return false;
	}
	t->dir = talloc_asprintf(t,
				 "%.*s/stats",
				 (int)(slash - socket_path),
				 socket_path);
	if (t->dir == NULL) {
		return false;
	}
	stats_tick(ev, NULL, timeval_current(), t);
	return true;
}
