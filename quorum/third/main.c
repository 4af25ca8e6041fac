/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csv_quorum_third: started by csv_quorum_helper only.
 */
#include "quorum/third/third.h"

int main(int argc, char **argv)
{
	struct third_place *place = NULL;

	if (argc != 7) {
		fprintf(stderr, "csv_quorum_third: see csv_quorum_helper(8)\n");
		return 2;
	}
	place = third_place_parse(NULL, argv[2], argv[6]);
	if (place == NULL) {
		return 2;
	}
	if (strcmp(argv[1], "init") == 0) {
		return third_init(place, argv[2]);
	}
	return third_serve(place,
			   strtoul(argv[3], NULL, 10),
			   strtoul(argv[4], NULL, 10),
			   strtoul(argv[5], NULL, 10));
}
