/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who votes: CTDB's nodes file.
 */
#include "quorum/quorum.h"
#include <ctype.h>
#include <netdb.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

uint64_t quorum_now(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void quorum_realtime(void)
{
	struct sched_param p = {.sched_priority = 1};

	/* best effort: a container may not be allowed to */
	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p) != 0) {
		(void)setpriority(PRIO_PROCESS, 0, -20);
	}
}

void quorum_stay_in_memory(void)
{
	(void)mlockall(MCL_CURRENT | MCL_FUTURE);
}

/* Is it an address of this machine? */
static bool config_is_local(const char *address)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *ai = NULL;
	bool local = false;
	int fd;

	if (getaddrinfo(address, NULL, &hints, &ai) != 0) {
		return false;
	}
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1) {
		local = bind(fd, ai->ai_addr, ai->ai_addrlen) == 0;
		close(fd);
	}
	freeaddrinfo(ai);
	return local;
}

/* One line: an address, or a comment where a node was deleted. */
static int config_line(struct quorum_config *config, char *line)
{
	char *end = NULL;

	while (isspace((unsigned char)*line)) {
		line++;
	}
	end = line + strlen(line);
	while (end > line && isspace((unsigned char)end[-1])) {
		*--end = '\0';
	}
	if (*line == '\0') {
		return 0;
	}
	if (config->num_nodes == QUORUM_MAX_NODES) {
		return E2BIG;
	}
	if (*line != '#') {
		config->address[config->num_nodes] =
			talloc_strdup(NULL, line);
		if (config->address[config->num_nodes] == NULL) {
			return ENOMEM;
		}
		config->num_voters++;
		if (config->node == QUORUM_NO_NODE && config_is_local(line)) {
			config->node = config->num_nodes;
		}
	}
	config->num_nodes++;
	return 0;
}

int quorum_config_load(struct quorum_config *config)
{
	FILE *file = fopen(config->nodes_file, "re");
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	config->node = QUORUM_NO_NODE;
	if (file == NULL) {
		ret = errno;
		fprintf(stderr,
			"csv_quorum_helper: %s: %s\n",
			config->nodes_file,
			strerror(ret));
		return ret;
	}
	while (ret == 0 && getline(&line, &size, file) != -1) {
		ret = config_line(config, line);
	}
	free(line);
	fclose(file);
	if (ret == 0 && config->node == QUORUM_NO_NODE) {
		ret = EADDRNOTAVAIL;
	}
	if (ret != 0) {
		fprintf(stderr,
			"csv_quorum_helper: %s: %s\n",
			config->nodes_file,
			ret == E2BIG ? "too many nodes"
			: ret == EADDRNOTAVAIL
				? "no address in it is one of this machine"
				: strerror(ret));
	}
	return ret;
}
