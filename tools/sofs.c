/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs: the admin's tool. A table of verbs; see sofs(8).
 */
#include <stdio.h>
#include <string.h>
#include "tools/sofs.h"

static const struct sofs_verb verbs[] = {
	{"volume", "state", sofs_volume_state, "[VOLUME] [--json]",
	 "state of each volume on each node (the default)"},
	{"volume", "list", sofs_volume_list, "[--json]", "the volumes"},
	{"volume", "add", sofs_volume_add, "NAME --device DEV [...]",
	 "declare a volume"},
	{"volume", "remove", sofs_volume_remove, "NAME",
	 "forget a volume; its data stays"},
	{"volume", "move", sofs_volume_move, "VOLUME [--to NODE] [--wait]",
	 "give a volume to another owner"},
	{"volume", "confirm-fenced", sofs_volume_confirm_fenced, "VOLUME",
	 "vouch that its dead owner has no access any more"},
	{"volume", "test-fence", sofs_volume_test_fence,
	 "VOLUME --node N [--really]", "does its fence agent work?"},
	{"node", "state", sofs_node_state, "[--json]",
	 "the nodes, and csvd of this one"},
	{"node", "drain", sofs_node_drain, "[NODE] [--to NODE] [--wait]",
	 "empty a node: volumes, clients, addresses"},
	{"node", "resume", sofs_node_resume, "[NODE]",
	 "let it own volumes and have clients again"},
	{"open", "list", sofs_open_list, "[--json]",
	 "persistent handles of all nodes"},
	{"secret", "rotate", sofs_secret_rotate, "",
	 "a new secret for the connections between nodes"},
};

#define NUM_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: sofs NOUN VERB [ARGUMENTS]\n\n");
	for (i = 0; i < NUM_VERBS; i++) {
		fprintf(to,
			"  %-6s %-14s %-28s %s\n",
			verbs[i].noun,
			verbs[i].verb,
			verbs[i].arguments,
			verbs[i].what);
	}
	fprintf(to, "\n`sofs NOUN VERB --help` tells the options.\n");
}

static const struct sofs_verb *find(const char *noun, const char *verb)
{
	size_t i;

	for (i = 0; i < NUM_VERBS; i++) {
		if (strcmp(verbs[i].noun, noun) == 0 &&
		    strcmp(verbs[i].verb, verb) == 0)
		{
			return &verbs[i];
		}
	}
	return NULL;
}

int main(int argc, const char **argv)
{
	static const char *state[] = {"state", NULL};
	const struct sofs_verb *verb = NULL;

	if (argc == 1) {
		return sofs_volume_state(1, state);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
	{
		usage(stdout);
		return SOFS_OK;
	}
	if (argc > 2) {
		verb = find(argv[1], argv[2]);
	}
	if (verb == NULL) {
		fprintf(stderr,
			"sofs: no such command: %s%s%s\n",
			argv[1],
			argc > 2 ? " " : "",
			argc > 2 ? argv[2] : "");
		usage(stderr);
		return SOFS_USAGE;
	}
	return verb->run(argc - 2, argv + 2);
}
