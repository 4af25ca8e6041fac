/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * smb3client: the command line. One table of modes, one of options.
 *
 * Exit code: 0 everything held, 1 something was lost, doubled or failed,
 * 2 the run itself could not be done.
 */
#include "client.h"
#include "auth/credentials/credentials.h"
#include <popt.h>

struct mode {
	const char *name;
	int (*function)(struct main_context *ctx);
	const char *help;
};

static const struct mode modes[] = {
	{ "stream", mode_stream, "write numbered blocks, measure gaps, verify" },
	{ "verify", mode_verify, "read back what a stream wrote" },
	{ "locks", mode_locks, "hold byte-range locks, prove that they hold" },
	{ "ops", mode_ops, "rounds of operations with known answers" },
	{ "outstanding", mode_outstanding,
	  "many requests at once, and what goes on beside them" },
	{ "many", mode_many, "many sessions with open handles" },
	{ "storm", mode_storm, "opens and closes without a pause" },
	{ "price", mode_price, "what an open and a close take" },
};

struct cmdline {
	const char *addresses;
	const char *shares;
	const char *user;
	const char *domain;
	const char *password_file;
	const char *configfile;
	int port;
	int sign;
	int encrypt;
	int verbose;
	int move_on_connect;
	int connect_timeout_ms;
	int echo_interval_ms;
	int echo_timeout_ms;
	int give_up_ms;
	int persistent_timeout_ms;
	int max_credits;
	int debug;
};

static void usage(poptContext pc)
{
	size_t i;

	fprintf(stderr, "usage: smb3client MODE //SERVER/SHARE/PATH "
			"[options]\nmodes:\n");
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		fprintf(stderr, "  %-12s %s\n", modes[i].name, modes[i].help);
	}
	poptPrintHelp(pc, stderr, 0);
}

static const struct mode *find_mode(const char *name)
{
	size_t i;

	for (i = 0; name != NULL && i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, name) == 0) {
			return &modes[i];
		}
	}
	return NULL;
}

/* Splits text at commas into list; false when there are more than max. */
static bool split_list(TALLOC_CTX *mem_ctx,
		       const char *text,
		       const char **list,
		       size_t max,
		       size_t *num)
{
	char *copy = talloc_strdup(mem_ctx, text);
	char *save = NULL;
	char *word = NULL;

	if (copy == NULL) {
		return false;
	}
	for (word = strtok_r(copy, ",", &save); word != NULL;
	     word = strtok_r(NULL, ",", &save))
	{
		if (*num == max) {
			return false;
		}
		list[(*num)++] = word;
	}
	return *num > 0;
}

/* //server/share/path with the path in either slash. */
static bool parse_unc(struct main_context *ctx, const char *unc)
{
	char *copy = NULL;
	char *share = NULL;
	char *path = NULL;

	if (unc == NULL || strncmp(unc, "//", 2) != 0) {
		return false;
	}
	copy = talloc_strdup(ctx->ev, unc + 2);
	if (copy == NULL) {
		return false;
	}
	share = strchr(copy, '/');
	if (share == NULL || share == copy) {
		return false;
	}
	*share++ = '\0';
	path = strchr(share, '/');
	if (path != NULL) {
		*path++ = '\0';
	}
	ctx->opts.server = copy;
	ctx->opts.shares[ctx->opts.num_shares++] = share;
	ctx->path = path != NULL ? path : "";
	string_replace(discard_const_p(char, ctx->path), '/', '\\');
	return *share != '\0';
}

static bool set_addresses(struct main_context *ctx, const char *text)
{
	struct smb3_options *opts = &ctx->opts;

	return split_list(ctx->ev,
			  text != NULL ? text : opts->server,
			  opts->addresses,
			  SMB3_MAX_ADDRESSES,
			  &opts->num_addresses);
}

/* The password: first line of --password-file, else SMB3CLIENT_PASSWORD. */
static bool set_password(struct cli_credentials *creds, const char *path)
{
	const char *env = getenv("SMB3CLIENT_PASSWORD");
	char line[256] = {0};
	FILE *f = NULL;

	if (path == NULL) {
		return cli_credentials_set_password(creds,
						    env != NULL ? env : "",
						    CRED_SPECIFIED);
	}
	f = fopen(path, "r");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL) {
		fprintf(stderr, "smb3client: cannot read %s\n", path);
		if (f != NULL) {
			fclose(f);
		}
		return false;
	}
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return cli_credentials_set_password(creds, line, CRED_SPECIFIED);
}

static struct cli_credentials *make_creds(TALLOC_CTX *mem_ctx,
					  const struct cmdline *cl)
{
	struct cli_credentials *creds = cli_credentials_init(mem_ctx);
	bool ok;

	if (creds == NULL) {
		return NULL;
	}
	ok = cli_credentials_set_username(creds, cl->user, CRED_SPECIFIED) &&
	     cli_credentials_set_domain(creds, cl->domain, CRED_SPECIFIED) &&
	     cli_credentials_set_workstation(creds, "SMB3CLIENT",
					     CRED_SPECIFIED) &&
	     cli_credentials_set_kerberos_state(creds,
						CRED_USE_KERBEROS_DISABLED,
						CRED_SPECIFIED) &&
	     set_password(creds, cl->password_file);
	return ok ? creds : NULL;
}

static bool set_options(struct main_context *ctx,
			const struct cmdline *cl,
			const char *unc)
{
	struct smb3_options *opts = &ctx->opts;

	opts->port = cl->port;
	opts->sign = cl->sign || cl->encrypt;
	opts->encrypt = cl->encrypt;
	opts->verbose = cl->verbose;
	opts->connect_timeout_ms = cl->connect_timeout_ms;
	opts->echo_interval_ms = cl->echo_interval_ms;
	opts->echo_timeout_ms = cl->echo_timeout_ms;
	opts->move_on_connect = cl->move_on_connect;
	opts->give_up_ms = cl->give_up_ms;
	opts->persistent_timeout_ms = cl->persistent_timeout_ms;
	opts->max_credits = cl->max_credits;
	if (!parse_unc(ctx, unc) || !set_addresses(ctx, cl->addresses)) {
		return false;
	}
	if (cl->shares != NULL &&
	    !split_list(ctx->ev, cl->shares, opts->shares, SMB3_MAX_SHARES,
			&opts->num_shares))
	{
		return false;
	}
	if (ctx->block_size < BLOCK_MIN_SIZE ||
	    ctx->block_size > 1024 * 1024 || ctx->interval_ms < 0)
	{
		fprintf(stderr, "smb3client: --block or --interval-ms out of "
				"range\n");
		return false;
	}
	opts->creds = make_creds(ctx->ev, cl);
	return opts->creds != NULL;
}

#define INT_OPTION(name, var, text) \
	{ name, 0, POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &(var), 0, text, \
	  "N" }
#define STRING_OPTION(name, var, text, arg) \
	{ name, 0, POPT_ARG_STRING, &(var), 0, text, arg }
#define FLAG_OPTION(name, var, text) \
	{ name, 0, POPT_ARG_NONE, &(var), 0, text, NULL }

static int run(TALLOC_CTX *frame, int argc, const char **argv)
{
	static struct cmdline cl = {
		.user = "",
		.domain = "",
		.configfile = "/dev/null",
		.port = 445,
		.connect_timeout_ms = 500,
		.echo_interval_ms = 500,
		.echo_timeout_ms = 1500,
		.give_up_ms = 60000,
		.max_credits = 512,
	};
	static struct main_context ctx = {
		.interval_ms = 10,
		.block_size = 4096,
	};
	struct poptOption options[] = {
		POPT_AUTOHELP
		STRING_OPTION("addresses", cl.addresses,
			      "addresses of the server, in order of use",
			      "IP[:PORT],..."),
		STRING_OPTION("more-shares", cl.shares,
			      "further shares on the same session", "NAME,..."),
		STRING_OPTION("user", cl.user, "user name", "NAME"),
		STRING_OPTION("domain", cl.domain, "domain", "NAME"),
		STRING_OPTION("password-file", cl.password_file,
			      "file with the password (else "
			      "SMB3CLIENT_PASSWORD)", "FILE"),
		STRING_OPTION("configfile", cl.configfile,
			      "smb.conf of the client", "FILE"),
		INT_OPTION("port", cl.port, "TCP port"),
		FLAG_OPTION("sign", cl.sign, "require signing"),
		FLAG_OPTION("encrypt", cl.encrypt, "encrypt the session"),
		FLAG_OPTION("move-on-connect", cl.move_on_connect,
			    "ask for the owner of an asymmetric share"),
		FLAG_OPTION("verbose", cl.verbose, "trace links on stderr"),
		INT_OPTION("debug", cl.debug, "Samba's debug level"),
		INT_OPTION("connect-timeout-ms", cl.connect_timeout_ms,
			   "one TCP connect"),
		INT_OPTION("echo-interval-ms", cl.echo_interval_ms,
			   "silence before an ECHO"),
		INT_OPTION("echo-timeout-ms", cl.echo_timeout_ms,
			   "unanswered ECHO: server dead"),
		INT_OPTION("give-up-ms", cl.give_up_ms,
			   "retry a lost link for so long"),
		INT_OPTION("persistent-timeout-ms", cl.persistent_timeout_ms,
			   "timeout asked for in DH2Q, 0: server's"),
		INT_OPTION("max-credits", cl.max_credits, "credits asked for"),
		STRING_OPTION("report", ctx.report_path,
			      "JSON report (else stdout)", "FILE"),
		STRING_OPTION("control", ctx.control_path,
			      "commands from this fifo, - for stdin", "FILE"),
		FLAG_OPTION("progress", ctx.progress,
			    "progress line even without a terminal"),
		FLAG_OPTION("keep", ctx.keep, "leave the files"),
		INT_OPTION("interval-ms", ctx.interval_ms, "pace"),
		INT_OPTION("block", ctx.block_size, "block size in bytes"),
		INT_OPTION("count", ctx.count, "end after so many, 0: never"),
		INT_OPTION("sessions", ctx.sessions, "clients of the mode many"),
		INT_OPTION("seconds", ctx.seconds, "end after so long"),
		STRING_OPTION("verify-addresses", ctx.verify_addresses,
			      "read back through this address too", "IP"),
		STRING_OPTION("stream-report", ctx.stream_report,
			      "report of the stream to verify", "FILE"),
		POPT_TABLEEND
	};
	const struct mode *mode = NULL;
	poptContext pc = NULL;
	int rc;

	pc = poptGetContext("smb3client", argc, argv, options, 0);
	rc = poptGetNextOpt(pc);
	mode = find_mode(poptGetArg(pc));
	ctx.ev = samba_tevent_context_init(frame);
	if (rc != -1 || mode == NULL || ctx.ev == NULL) {
		usage(pc);
		return 2;
	}
	setup_logging("smb3client", DEBUG_STDERR);
	debuglevel_set(cl.debug);
	if (!lp_load_client(cl.configfile)) {
		fprintf(stderr, "smb3client: cannot load %s\n", cl.configfile);
		return 2;
	}
	debuglevel_set(cl.debug);
	if (!set_options(&ctx, &cl, poptGetArg(pc))) {
		usage(pc);
		return 2;
	}
	rc = mode->function(&ctx);
	poptFreeContext(pc);
	return rc;
}

int main(int argc, const char **argv)
{
	TALLOC_CTX *frame = talloc_stackframe();
	int rc;

	smb_init_locale();
	signal(SIGPIPE, SIG_IGN);
	rc = run(frame, argc, argv);
	TALLOC_FREE(frame);
	return rc;
}
