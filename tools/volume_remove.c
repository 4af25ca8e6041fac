/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sofs volume remove, confirm-fenced: verbs that take just a name.
 */
#include <stdio.h>
#include <unistd.h>
#include "tools/sofs.h"

static int named(int argc, const char **argv, const char *request)
{
	const struct poptOption table[] = {POPT_AUTOHELP POPT_TABLEEND};
	const char *args[1] = {NULL};
	int ret;

	ret = sofs_options(argc, argv, table, args, 1, 1);
	if (ret != SOFS_OK) {
		return ret;
	}
	return sofs_command(json_pack(
		"{s:s,s:s}", "request", request, "name", args[0]));
}

int sofs_volume_remove(int argc, const char **argv)
{
	return named(argc, argv, "volume_remove");
}

int sofs_volume_confirm_fenced(int argc, const char **argv)
{
	return named(argc, argv, "volume_confirm_fenced");
}
