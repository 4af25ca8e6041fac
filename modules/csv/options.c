/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The csv: options of a share, the parameters of smb.conf that a share on a
 * volume needs, and the arithmetic of its path.
 */
#include "csv.h"
#include <regex.h>

static const char *const csv_share_options[] = {
	"csv:volume",
	"csv:socket",
	"csv:move on connect",
	"csv:site affinity",
	"csv:max cluster dialect",
	"csv:dfs referral",
	"csv:witness",
	NULL,
};

/* csvd's, csvd/config.c, csv:sites, sofs_witness's; in [global] only. */
static const char *const csv_daemon_options[] = {
	"csv:address",
	"csv:port",
	"csv:plain",
	"csv:fence agent dir",
	"csv:ocf functions",
	"csv:ocf root",
	"csv:fence timeout",
	"csv:monitor interval",
	"csv:keepalive",
	"csv:self fence timeout",
	"csv:guard port",
	"csv:guard csvd timeout",
	"csv:guard ctdbd timeout",
	"csv:watchdog",
	"csv:watchdog timeout",
	"csv:take over wait",
	"csv:spread interval",
	"csv:fault",
	"csv:fault file",
	"csv:sites",
	"csv:witness moves per second",
	NULL,
};

/* Samba takes the spaces out of the names of a share's options. */
static bool csv_option_in(const char *option, const char *const *list)
{
	while (*list != NULL && strwicmp(option, *list) != 0) {
		list++;
	}
	return *list != NULL;
}

/* Stops at, and tells of, the first option of a share that nobody knows. */
static bool csv_share_option_seen(const char *string,
				  regmatch_t matches[],
				  void *private_data)
{
	bool *ok = private_data;
	bool daemons = csv_option_in(string, csv_daemon_options);

	if (csv_option_in(string, csv_share_options)) {
		return false;
	}
	DBG_ERR("%s option '%s', refusing the tree connect\n",
		daemons ? "only [global] may have the" : "unknown",
		string);
	*ok = false;
	return true;
}

/* The same for [global]. */
static bool csv_global_option_seen(const char *string,
				   regmatch_t matches[],
				   void *private_data)
{
	if (csv_option_in(string, csv_daemon_options)) {
		return false;
	}
	return csv_share_option_seen(string, matches, private_data);
}

bool csv_options_check(int snum)
{
	bool ok = true;

	if (lp_kernel_change_notify()) {
		/* global, and notifyd's: cannot be set from here */
		DBG_ERR("a share on a volume needs `kernel change notify = no` "
			"in [global], refusing the tree connect\n");
		return false;
	}
	lp_wi_scan_global_parametrics("^csv:",
				      1,
				      csv_global_option_seen,
				      &ok);
	if (ok) {
		lp_wi_scan_share_parametrics(snum,
					     "^csv:",
					     1,
					     csv_share_option_seen,
					     &ok);
	}
	return ok;
}

/*
 * Files of a volume have no kernel descriptor here, so nothing that asks the
 * kernel for locks, leases or events can work; and what makes handles
 * durable must be on.
 */
void csv_options_force(int snum)
{
	static const char *const force[][2] = {
		{ "durable handles", "yes" },
		{ "posix locking", "no" },
		{ "kernel share modes", "no" },
		{ "kernel oplocks", "no" },
		{ "smbd async dosmode", "no" },
		{ "use sendfile", "no" },
		{ "wide links", "no" },
		{ "dmapi support", "no" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(force); i++) {
		lp_do_parameter(snum, force[i][0], force[i][1]);
	}
}

/* "." and empty components go, ".." takes one away, never above "/". */
static char *csv_path_add(char *path, const char *part, size_t len)
{
	char *slash = NULL;

	if (len == 0 || (len == 1 && part[0] == '.')) {
		return path;
	}
	if (len == 2 && part[0] == '.' && part[1] == '.') {
		slash = strrchr(path, '/');
		if (slash != NULL) {
			*slash = '\0';
		}
		return path;
	}
	path = talloc_asprintf_append(path, "/%.*s", (int)len, part);
	return path;
}

char *csv_path_normalise(TALLOC_CTX *mem_ctx, const char *path)
{
	char *result = NULL;

	if (path[0] != '/') {
		return NULL;
	}
	result = talloc_strdup(mem_ctx, "");
	while (result != NULL && path[0] != '\0') {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		result = csv_path_add(result, path, len);
		path += len;
	}
	if (result != NULL && result[0] == '\0') {
		result = talloc_asprintf_append(result, "/");
	}
	return result;
}

char *csv_path_in_volume(TALLOC_CTX *mem_ctx,
			 const char *path,
			 const char *volume)
{
	size_t rootlen = strlen(CSV_MOUNT_ROOT);
	size_t vollen = strlen(volume);

	if (strncmp(path, CSV_MOUNT_ROOT, rootlen) != 0 ||
	    strncmp(path + rootlen, volume, vollen) != 0)
	{
		return NULL;
	}
	path += rootlen + vollen;
	if (path[0] == '\0') {
		return talloc_strdup(mem_ctx, ".");
	}
	if (path[0] != '/') {
		return NULL;
	}
	return talloc_strdup(mem_ctx, path + 1);
}
