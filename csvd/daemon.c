/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd: one per node; owns volumes, serves them to the other nodes, tells the
 * node's processes where their files are. See csvd(8).
 */
#include "csvd/clock.h"
#include "csvd/context.h"
#include <popt.h>
#include <sys/resource.h>
#include "global_contexts.h"
#include "lib/util/become_daemon.h"
#include "lib/util/pidfile.h"
#include "lib/param/param.h"
#include "cluster_support.h"
#include "csvd/agents.h"
#include "csvd/config.h"
#include "csvd/control.h"
#include "csvd/fault.h"
#include "csvd/guard.h"
#include "csvd/guard_client.h"
#include "csvd/owner.h"
#include "csvd/publish.h"
#include "csvd/stats.h"
#include "csvd/supervisor.h"

#define DAEMON_TERM_S 30 /* SIGTERM: volumes have moved away by then */
#define DAEMON_POLL_MS 50
#define DAEMON_NICE -10 /* of the main thread, and so of the agents */

struct daemon_options {
	int foreground;
	const char *configfile;
	const char *debuglevel;
	const char *logfile;
};

struct daemon_state {
	struct csvd_context *csvd;
	struct timeval term_until;
	bool done;
};

static void daemon_hup(struct tevent_context *ev,
		       struct tevent_signal *se,
		       int signum,
		       int count,
		       void *siginfo,
		       void *private_data)
{
	struct daemon_state *state = private_data;
	struct csvd_config *config = NULL;

	if (!lp_load_global(get_dyn_CONFIGFILE())) {
		DBG_ERR("smb.conf cannot be read again, keeping what was\n");
		return;
	}
	reopen_logs();
	config = csvd_config_load(state->csvd);
	if (config != NULL) {
		TALLOC_FREE(state->csvd->config);
		state->csvd->config = config;
		csvd_fault_arm(config);
	}
	state->csvd->config_changed = true;
	csvd_evaluate_soon(state->csvd);
	DBG_NOTICE("configuration read again\n");
}

static void daemon_usr1(struct tevent_context *ev,
			struct tevent_signal *se,
			int signum,
			int count,
			void *siginfo,
			void *private_data)
{
	struct daemon_state *state = private_data;

	state->csvd->reconfigured = true;
	csvd_evaluate_soon(state->csvd);
}

static void daemon_term(struct tevent_context *ev,
			struct tevent_signal *se,
			int signum,
			int count,
			void *siginfo,
			void *private_data)
{
	struct daemon_state *state = private_data;
	struct timeval clock = csvd_clock();

	if (!timeval_is_zero(&state->term_until)) {
		return;
	}
	DBG_NOTICE("ending: giving the volumes away\n");
	csvd_supervisor_leaving(state->csvd->supervisor_fd, true);
	state->term_until = timeval_add(&clock, DAEMON_TERM_S, 0);
	csvd_owner_leave(state->csvd);
}

/* Is it time to end? */
static void daemon_poll(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct daemon_state *state = private_data;
	struct csvd_context *csvd = state->csvd;
	bool owns = csvd_owner_owns(csvd);
	bool term = !timeval_is_zero(&state->term_until);
	struct timeval clock = csvd_clock();

	if (term && (!owns ||
		     timeval_compare(&clock, &state->term_until) >= 0)) {
		if (owns) {
			DBG_ERR("ending without having released every "
				"volume\n");
		}
		state->done = true;
	}
	if (csvd->exit_when_idle && !owns) {
		/* also when ctdbd goes first, which ends this process */
		csvd_supervisor_leaving(csvd->supervisor_fd, true);
		if (csvd_control_clients(csvd) == 0) {
			DBG_NOTICE("the last client has gone, ending\n");
			state->done = true;
		}
	}
	te = tevent_add_timer(ev,
			      state,
			      tevent_timeval_current_ofs(
				      0, DAEMON_POLL_MS * 1000),
			      daemon_poll,
			      state);
	if (te == NULL) {
		smb_panic("no memory");
	}
}

static bool daemon_signals(struct tevent_context *ev,
			   struct daemon_state *state)
{
	signal(SIGPIPE, SIG_IGN);
	return tevent_add_signal(ev, state, SIGHUP, 0, daemon_hup, state) !=
		       NULL &&
	       tevent_add_signal(ev, state, SIGUSR1, 0, daemon_usr1, state) !=
		       NULL &&
	       tevent_add_signal(ev, state, SIGTERM, 0, daemon_term, state) !=
		       NULL;
}

/* The worker process. */
static int daemon_worker(const struct csvd_lines *lines)
{
	struct tevent_context *ev = global_event_context();
	TALLOC_CTX *frame = talloc_stackframe();
	struct daemon_state *state = talloc_zero(frame, struct daemon_state);
	int ret;

	/* before anything that may wait for ctdbd */
	ret = csvd_guard_start(lines->page);
	if (ret != 0) {
		DBG_ERR("no thread for the guard: %s\n", strerror(ret));
		return 1;
	}
	if (!lp_load_global(get_dyn_CONFIGFILE())) {
		DBG_ERR("cannot read %s\n", get_dyn_CONFIGFILE());
		return 1;
	}
	reopen_logs();
	ret = csvd_context_create(frame, ev, lines, &state->csvd);
	if (ret != 0) {
		return 1;
	}
	if (!daemon_signals(ev, state) ||
	    !csvd_stats_start(state, ev, state->csvd->config->socket_path))
	{
		return 1;
	}
	/* a move is mostly shell scripts; a loaded node must not stretch it */
	(void)setpriority(PRIO_PROCESS, 0, DAEMON_NICE);
	daemon_poll(ev, NULL, timeval_current(), state);
	while (!state->done) {
		TALLOC_CTX *turn = talloc_stackframe();

		if (tevent_loop_once(ev) != 0) {
			DBG_ERR("event loop: %s\n", strerror(errno));
			return 1;
		}
		TALLOC_FREE(turn);
	}
	unlink(state->csvd->config->socket_path);
	return 0;
}

static bool daemon_parse(int argc, const char **argv, struct daemon_options *o)
{
	const struct poptOption table[] = {
		{"foreground", 'F', POPT_ARG_NONE, &o->foreground, 0,
		 "stay in the foreground, log to the standard output", NULL},
		{"configfile", 's', POPT_ARG_STRING, &o->configfile, 0,
		 "use another smb.conf", "FILE"},
		{"debuglevel", 'd', POPT_ARG_STRING, &o->debuglevel, 0,
		 "log level", "LEVEL"},
		{"logfile", 'l', POPT_ARG_STRING, &o->logfile, 0,
		 "log file of the daemon", "FILE"},
		POPT_AUTOHELP POPT_TABLEEND};
	poptContext pc = poptGetContext("csvd", argc, argv, table, 0);
	int c;

	while ((c = poptGetNextOpt(pc)) > 0) {
		;
	}
	if (c < -1) {
		fprintf(stderr,
			"csvd: %s: %s\n",
			poptBadOption(pc, 0),
			poptStrerror(c));
		poptFreeContext(pc);
		return false;
	}
	if (poptPeekArg(pc) != NULL) {
		fprintf(stderr, "csvd: too many arguments\n");
		poptFreeContext(pc);
		return false;
	}
	poptFreeContext(pc);
	return true;
}

/* A parameter that smb.conf cannot change any more. */
static void daemon_option(const char *name, const char *value)
{
	struct loadparm_context *lp_ctx =
		loadparm_init_s3(talloc_tos(), loadparm_s3_helpers());

	if (lp_ctx == NULL || !lpcfg_set_cmdline(lp_ctx, name, value)) {
		fprintf(stderr, "csvd: cannot set %s\n", name);
		exit(2);
	}
}

/*
 * What comes before a worker is ready to listen must not end it: it looks at
 * everything when it starts. The supervisor takes them by signalfd.
 */
static void daemon_ignore_early(void)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
}

static bool daemon_load(const struct daemon_options *o)
{
	if (o->configfile != NULL) {
		set_dyn_CONFIGFILE(o->configfile);
	}
	setup_logging("csvd", DEBUG_DEFAULT_STDOUT);
	daemon_option("log level", o->debuglevel != NULL ? o->debuglevel : "3");
	if (o->logfile != NULL) {
		daemon_option("log file", o->logfile);
	}
	/*
	 * Without the registry, which is a clustered database: the supervisor
	 * must have no connection to ctdbd. The worker loads all of it.
	 */
	if (!lp_load_initial_only(get_dyn_CONFIGFILE())) {
		fprintf(stderr,
			"csvd: cannot read %s\n",
			get_dyn_CONFIGFILE());
		return false;
	}
	if (!lp_clustering()) {
		fprintf(stderr, "csvd: smb.conf needs clustering = yes\n");
		return false;
	}
	return true;
}

static void daemon_log(const struct daemon_options *o)
{
	char *file = NULL;

	if (o->foreground && o->logfile == NULL) {
		return;
	}
	if (o->logfile == NULL) {
		file = talloc_asprintf(NULL,
				       "%s/log.csvd",
				       get_dyn_LOGFILEBASE());
		daemon_option("log file", file);
		talloc_free(file);
	}
	setup_logging("csvd", DEBUG_FILE);
	reopen_logs();
}

/* The directory of the socket also holds csvd.pid, with the supervisor's. */
static bool daemon_pidfile(const char *socket_path)
{
	char *dir = talloc_strdup(NULL, socket_path);
	char *slash = strrchr(dir, '/');

	if (slash == NULL) {
		fprintf(stderr, "csvd: csv:socket must be an absolute path\n");
		talloc_free(dir);
		return false;
	}
	*slash = '\0';
	if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
		fprintf(stderr, "csvd: %s: %s\n", dir, strerror(errno));
		talloc_free(dir);
		return false;
	}
	pidfile_create(dir, "csvd"); /* ends us when another one runs */
	talloc_free(dir);
	return true;
}

/* All that the guard needs to know, before anything can go wrong. */
static struct guard_page *daemon_guard(const struct csvd_config *config)
{
	struct guard_page *page = guard_page_create();

	if (page == NULL) {
		return NULL;
	}
	page->limits = (struct guard_limits){
		.csvd_ms = config->guard_csvd_ms,
		.main_ms = config->self_fence_s * 1000,
		.ctdbd_ms = config->guard_ctdbd_ms,
		.watchdog_ms = config->watchdog != NULL
				       ? config->watchdog_s * 1000
				       : 0,
		.wait_ms = config->wait_s * 1000,
	};
	page->port = config->guard_port;
	strlcpy(page->ctdbd, lp_ctdbd_socket(), sizeof(page->ctdbd));
	strlcpy(page->socket, config->socket_path, sizeof(page->socket));
	if (config->watchdog != NULL) {
		strlcpy(page->watchdog,
			config->watchdog,
			sizeof(page->watchdog));
	}
	return page;
}

/* sofs_witness, beside this program; NULL: it is not installed. */
static char *const *daemon_witness(TALLOC_CTX *mem_ctx,
				   const struct daemon_options *o)
{
	char self[PATH_MAX] = "";
	char **argv = talloc_zero_array(mem_ctx, char *, 6);
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash = n > 0 ? strrchr(self, '/') : NULL;

	if (argv == NULL || slash == NULL) {
		return NULL;
	}
	*slash = '\0';
	argv[0] = talloc_asprintf(argv, "%s/sofs_witness", self);
	argv[1] = talloc_strdup(argv, "-s");
	argv[2] = talloc_strdup(argv, get_dyn_CONFIGFILE());
	if (!o->foreground) {
		argv[3] = talloc_strdup(argv, "-l");
		argv[4] = talloc_asprintf(argv,
					  "%s/log.sofs_witness",
					  get_dyn_LOGFILEBASE());
	}
	if (argv[0] == NULL || access(argv[0], X_OK) == -1) {
		DBG_WARNING("%s: %s, no client is moved by witness\n",
			    argv[0] != NULL ? argv[0] : "sofs_witness",
			    strerror(errno));
		return NULL;
	}
	return argv;
}

int main(int argc, const char **argv)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct daemon_options options = {};
	struct csvd_config *config = NULL;
	struct guard_page *page = NULL;
	char *pidfile = NULL;
	int ret;

	smb_init_locale();
	if (!daemon_parse(argc, argv, &options) || !daemon_load(&options)) {
		return 2;
	}
	if (geteuid() != 0) {
		fprintf(stderr, "csvd: must be started by root\n");
		return 2;
	}
	config = csvd_config_load(frame);
	if (!options.foreground) {
		become_daemon(true, false, false);
	}
	daemon_log(&options);
	if (config == NULL || !daemon_pidfile(config->socket_path)) {
		return 1;
	}
	page = daemon_guard(config);
	if (page == NULL) {
		fprintf(stderr, "csvd: no memory\n");
		return 1;
	}
	daemon_ignore_early();
	csvd_agents_adopt(page, page->socket);
	ret = csvd_supervisor_run(page,
				  daemon_worker,
				  daemon_witness(frame, &options));
	pidfile = talloc_strdup(frame, config->socket_path);
	strrchr(pidfile, '/')[0] = '\0';
	pidfile_unlink(pidfile, "csvd");
	TALLOC_FREE(frame);
	return ret;
}
