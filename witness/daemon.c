/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs_witness: one per node; moves this node's witness clients to where
 * their volumes are. See sofs_witness(8).
 */
#include "witness/context.h"
#include <popt.h>
#include <sys/prctl.h>
#include "global_contexts.h"
#include "lib/messages_ctdb.h"
#include "lib/param/param.h"
#include "cluster_support.h"
#include "witness/cluster.h"
#include "witness/moves.h"
#include "witness/registry.h"
#include "witness/tcons.h"

#define DAEMON_TICK_MS 250
#define DAEMON_CONFIG_TICKS 40 /* smb.conf is looked at every 10 s */

struct daemon_options {
	const char *configfile;
	const char *debuglevel;
	const char *logfile;
};

uint64_t witness_now(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void daemon_now(struct tevent_context *ev,
		       struct tevent_immediate *im,
		       void *private_data)
{
	struct witness_context *w = private_data;

	w->soon_pending = false;
	witness_moves_due(w);
}

void witness_soon(struct witness_context *w)
{
	if (w->soon_pending) {
		return;
	}
	w->soon_pending = true;
	tevent_schedule_immediate(w->soon, w->ev, daemon_now, w);
}

static void daemon_config(struct witness_context *w)
{
	int rate = lp_parm_int(
		GLOBAL_SECTION_SNUM, "csv", "witness moves per second", 10);

	if (rate < 1 || rate > 10000) {
		DBG_ERR("csv:witness moves per second = %d is not between 1 "
			"and 10000, using 10\n",
			rate);
		rate = 10;
	}
	w->pace.rate = rate;
}

static void daemon_tick(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct witness_context *w = private_data;

	w->ticks += 1;
	if (w->ticks % DAEMON_CONFIG_TICKS == 0 && lp_file_list_changed()) {
		(void)lp_load_with_shares(get_dyn_CONFIGFILE());
		reopen_logs();
		daemon_config(w);
	}
	witness_cluster_tick(w);
	(void)witness_registry_read(w);
	witness_soon(w);
	te = tevent_add_timer(
		ev,
		w,
		tevent_timeval_current_ofs(0, DAEMON_TICK_MS * 1000),
		daemon_tick,
		w);
	if (te == NULL) {
		smb_panic("no memory");
	}
}

static bool daemon_parse(int argc, const char **argv, struct daemon_options *o)
{
	const struct poptOption table[] = {
		{"configfile", 's', POPT_ARG_STRING, &o->configfile, 0,
		 "use another smb.conf", "FILE"},
		{"debuglevel", 'd', POPT_ARG_STRING, &o->debuglevel, 0,
		 "log level", "LEVEL"},
		{"logfile", 'l', POPT_ARG_STRING, &o->logfile, 0,
		 "log file (default: the standard output)", "FILE"},
		POPT_AUTOHELP POPT_TABLEEND};
	poptContext pc = poptGetContext("sofs_witness", argc, argv, table, 0);
	const char *wrong = NULL;
	int c;

	while ((c = poptGetNextOpt(pc)) > 0) {
		;
	}
	if (c < -1) {
		wrong = poptStrerror(c);
	} else if (poptPeekArg(pc) != NULL) {
		wrong = "too many arguments";
	}
	if (wrong != NULL) {
		fprintf(stderr, "sofs_witness: %s\n", wrong);
	}
	poptFreeContext(pc);
	return wrong == NULL;
}

static void daemon_option(const char *name, const char *value)
{
	struct loadparm_context *lp_ctx =
		loadparm_init_s3(talloc_tos(), loadparm_s3_helpers());

	if (lp_ctx == NULL || !lpcfg_set_cmdline(lp_ctx, name, value)) {
		fprintf(stderr, "sofs_witness: cannot set %s\n", name);
		exit(2);
	}
}

static bool daemon_load(const struct daemon_options *o)
{
	if (o->configfile != NULL) {
		set_dyn_CONFIGFILE(o->configfile);
	}
	setup_logging("sofs_witness",
		      o->logfile != NULL ? DEBUG_FILE : DEBUG_DEFAULT_STDOUT);
	daemon_option("log level", o->debuglevel != NULL ? o->debuglevel : "3");
	if (o->logfile != NULL) {
		daemon_option("log file", o->logfile);
	}
	if (!lp_load_with_shares(get_dyn_CONFIGFILE())) {
		fprintf(stderr,
			"sofs_witness: cannot read %s\n",
			get_dyn_CONFIGFILE());
		return false;
	}
	reopen_logs();
	if (!lp_clustering()) {
		fprintf(stderr,
			"sofs_witness: smb.conf needs clustering = yes\n");
		return false;
	}
	return true;
}

static struct witness_context *daemon_start(TALLOC_CTX *mem_ctx)
{
	struct witness_context *w = talloc_zero(mem_ctx,
						struct witness_context);
	int ret;

	if (w == NULL) {
		return NULL;
	}
	w->ev = global_event_context();
	w->msg = global_messaging_context();
	w->soon = tevent_create_immediate(w);
	if (w->msg == NULL || w->soon == NULL ||
	    messaging_ctdb_connection() == NULL)
	{
		DBG_ERR("no messaging: does ctdbd run?\n");
		return NULL;
	}
	w->node = messaging_server_id(w->msg).vnn;
	daemon_config(w);
	ret = witness_tcons_start(w);
	if (ret == 0) {
		ret = witness_registry_start(w);
	}
	if (ret == 0) {
		ret = witness_cluster_start(w);
	}
	if (ret == 0) {
		ret = witness_moves_start(w);
	}
	if (ret != 0) {
		DBG_ERR("cannot start: %s\n", strerror(ret));
		return NULL;
	}
	daemon_tick(w->ev, NULL, timeval_current(), w);
	DBG_NOTICE("node %" PRIu32 " moves its witness clients\n", w->node);
	return w;
}

int main(int argc, const char **argv)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct daemon_options options = {};
	struct witness_context *w = NULL;

	smb_init_locale();
	if (!daemon_parse(argc, argv, &options) || !daemon_load(&options)) {
		return 2;
	}
	if (geteuid() != 0) {
		fprintf(stderr, "sofs_witness: must be started by root\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	w = daemon_start(frame);
	if (w == NULL) {
		return 1;
	}
	for (;;) {
		TALLOC_CTX *turn = talloc_stackframe();

		if (tevent_loop_once(w->ev) != 0) {
			DBG_ERR("event loop: %s\n", strerror(errno));
			return 1;
		}
		TALLOC_FREE(turn);
	}
}
