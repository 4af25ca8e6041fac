/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csv_quorum_helper: the cluster lock of CTDB by a majority of votes. See
 * csv_quorum_helper(8).
 */
#include "quorum/quorum.h"
#include <gnutls/gnutls.h>
#include <popt.h>
#include "csv_build.h"

#define MAIN_PORT 4451
#define MAIN_LEASE_MS 2000
#define MAIN_LEASE_MIN_MS 1000
#define MAIN_LEASE_MAX_MS 60000

struct main_options {
	const char *nodes, *key, *run_dir, *third;
	int port, lease_ms;
	int voter, status, genkey, init;
};

static bool main_parse(int argc, const char **argv, struct main_options *o)
{
	const struct poptOption table[] = {
		{"nodes", 0, POPT_ARG_STRING, &o->nodes, 0,
		 "CTDB's nodes file", "FILE"},
		{"key", 0, POPT_ARG_STRING, &o->key, 0,
		 "the key file, the same on every node", "FILE"},
		{"third", 0, POPT_ARG_STRING, &o->third, 0,
		 "one more vote: disk:, file:, smb: or azure:", "WHERE"},
		{"port", 0, POPT_ARG_INT, &o->port, 0,
		 "TCP port of the voters (4451)", "PORT"},
		{"lease", 0, POPT_ARG_INT, &o->lease_ms, 0,
		 "how long a vote lasts (2000)", "MS"},
		{"run-dir", 0, POPT_ARG_STRING, &o->run_dir, 0,
		 "where the voter's socket is (/run/csvd)", "DIR"},
		{"voter", 0, POPT_ARG_NONE, &o->voter, 0,
		 "vote, in the foreground", NULL},
		{"status", 0, POPT_ARG_NONE, &o->status, 0,
		 "print whom each voter votes for", NULL},
		{"genkey", 0, POPT_ARG_NONE, &o->genkey, 0,
		 "make a new key file", NULL},
		{"init", 0, POPT_ARG_NONE, &o->init, 0,
		 "prepare the third vote's place", NULL},
		POPT_AUTOHELP POPT_TABLEEND};
	poptContext pc = poptGetContext("csv_quorum_helper",
					argc,
					argv,
					table,
					0);
	int c = poptGetNextOpt(pc);
	bool ok = true;

	if (c < -1) {
		fprintf(stderr,
			"csv_quorum_helper: %s: %s\n",
			poptBadOption(pc, 0),
			poptStrerror(c));
		ok = false;
	} else if (poptPeekArg(pc) != NULL) {
		fprintf(stderr, "csv_quorum_helper: too many arguments\n");
		ok = false;
	} else if (o->port < 1 || o->port > 65535 ||
		   o->lease_ms < MAIN_LEASE_MIN_MS ||
		   o->lease_ms > MAIN_LEASE_MAX_MS)
	{
		fprintf(stderr,
			"csv_quorum_helper: --port is 1 to 65535, --lease %d "
			"to %d\n",
			MAIN_LEASE_MIN_MS,
			MAIN_LEASE_MAX_MS);
		ok = false;
	}
	poptFreeContext(pc);
	return ok;
}

static const char *main_beside_nodes(const char *nodes, const char *name)
{
	const char *slash = strrchr(nodes, '/');

	return slash == NULL ? name
			     : talloc_asprintf(NULL,
					       "%.*s/%s",
					       (int)(slash - nodes),
					       nodes,
					       name);
}

static int main_genkey(const struct quorum_config *config)
{
	int ret = quorum_key_make(config->key_file);

	if (ret != 0) {
		fprintf(stderr,
			"csv_quorum_helper: %s: %s\n",
			config->key_file,
			strerror(ret));
		return 1;
	}
	printf("%s: made; copy it to the other nodes, mode 0600\n",
	       config->key_file);
	return 0;
}

int main(int argc, const char **argv)
{
	struct main_options o = {.port = MAIN_PORT,
				 .lease_ms = MAIN_LEASE_MS,
				 .run_dir = "/run/csvd"};
	struct quorum_config config = {};
	const char *base = getenv("CTDB_BASE");

	if (!main_parse(argc, argv, &o)) {
		return 2;
	}
	if (o.nodes == NULL) {
		o.nodes = talloc_asprintf(NULL,
					  "%s/nodes",
					  base != NULL ? base
						       : CSV_SAMBA_PREFIX
							 "/etc/ctdb");
	}
	config = (struct quorum_config){
		.nodes_file = o.nodes,
		.key_file = o.key != NULL ? o.key
					  : main_beside_nodes(
						    o.nodes,
						    "csv_quorum.key"),
		.run_dir = o.run_dir,
		.third = o.third,
		.port = o.port,
		.lease_ms = o.lease_ms,
	};
	if (o.genkey) {
		return main_genkey(&config);
	}
	if (o.init) {
		return quorum_third_init(&config);
	}
	if (quorum_config_load(&config) != 0) {
		if (!o.voter && !o.status && write(STDOUT_FILENO, "3", 1) < 0) {
			return 1;
		}
		return 1;
	}
	if (o.voter) {
		return quorum_voter(&config);
	}
	if (o.status) {
		return quorum_status(&config);
	}
	return quorum_hold(&config);
}
