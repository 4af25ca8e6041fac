/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A server and keys for tests of the wire.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "wirebed.h"

static bool secret(void *private_data,
		   uint32_t generation,
		   uint8_t out[CSV_SECRET_SIZE])
{
	const struct wirebed *bed = private_data;

	if (generation != bed->generation) {
		return false;
	}
	memcpy(out, bed->secret, CSV_SECRET_SIZE);
	return true;
}

int wirebed_serve(struct wirebed *bed, TALLOC_CTX *mem_ctx, bool plain)
{
	struct csv_serve_params params = {
		.address = "127.0.0.1",
		.node = BED_SERVER,
		.plain = plain,
		.secret_fn = secret,
		.private_data = bed,
	};
	int ret;

	memset(bed->secret, 7, sizeof(bed->secret));
	bed->generation = 3;
	bed->plain = plain;
	bed->control = -1;
	ret = csv_serve_create(mem_ctx, &params, &bed->serve);
	if (ret == 0) {
		bed->port = csv_serve_port(bed->serve);
	}
	return ret;
}

/* The forked server: lives until its parent closes the pipe. */
static void child(struct wirebed *bed, const char *dir, int control, int tell)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	int rootfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char byte;
	int ret;

	ret = wirebed_serve(bed, mem, bed->plain);
	if (ret == 0) {
		ret = csv_serve_start(bed->serve, "vol", rootfd, 1);
	}
	close(rootfd);
	if (ret != 0) {
		fprintf(stderr, "server: %s\n", strerror(ret));
		bed->port = 0;
	}
	if (write(tell, &bed->port, sizeof(bed->port)) == -1) {
		_exit(1);
	}
	while (read(control, &byte, 1) > 0) {
	}
	talloc_free(mem);
	_exit(0);
}

int wirebed_fork(struct wirebed *bed, const char *dir, bool plain)
{
	int control[2];
	int tell[2];

	memset(bed, 0, sizeof(*bed));
	memset(bed->secret, 7, sizeof(bed->secret));
	bed->generation = 3;
	bed->plain = plain;
	if (pipe2(control, O_CLOEXEC) != 0 || pipe2(tell, O_CLOEXEC) != 0) {
		return errno;
	}
	bed->pid = fork();
	if (bed->pid == -1) {
		return errno;
	}
	if (bed->pid == 0) {
		struct rlimit files = { .rlim_cur = 20000, .rlim_max = 20000 };

		setrlimit(RLIMIT_NOFILE, &files);
		close(control[1]);
		child(bed, dir, control[0], tell[1]);
	}
	close(control[0]);
	close(tell[1]);
	bed->control = control[1];
	if (read(tell[0], &bed->port, sizeof(bed->port)) !=
		    sizeof(bed->port) ||
	    bed->port == 0) {
		close(tell[0]);
		return EIO;
	}
	close(tell[0]);
	return 0;
}

void wirebed_end_fork(struct wirebed *bed)
{
	if (bed->pid > 0) {
		close(bed->control);
		kill(bed->pid, SIGCONT);
		waitpid(bed->pid, NULL, 0);
		bed->pid = 0;
	}
}

void wirebed_key(const struct wirebed *bed, uint8_t *psk, char *identity)
{
	if (csv_psk_derive(bed->secret,
			   bed->generation,
			   BED_CLIENT,
			   BED_SERVER,
			   psk) != 0 ||
	    csv_psk_identity_push(bed->generation,
				  BED_CLIENT,
				  BED_SERVER,
				  identity,
				  CSV_PSK_IDENTITY_MAX) != 0) {
		abort();
	}
}

void wirebed_target(const struct wirebed *bed,
		    uint64_t epoch,
		    char identity[CSV_PSK_IDENTITY_MAX],
		    struct csv_target *t)
{
	*t = (struct csv_target){
		.access = CSV_ACCESS_REDIRECTED,
		.epoch = epoch,
		.owner = BED_SERVER,
		.rootfd = -1,
		.address = "127.0.0.1",
		.port = bed->port,
		.local_node = BED_CLIENT,
		.psk_identity = identity,
		.plain = bed->plain,
	};
	wirebed_key(bed, t->psk, identity);
}

int wirebed_remote(struct wirebed *bed,
		   TALLOC_CTX *mem_ctx,
		   struct tevent_context *ev,
		   uint64_t epoch,
		   struct csv_backend **backend)
{
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	struct csv_remote_params params = {
		.ev = ev,
		.volume = "vol",
		.address = "127.0.0.1",
		.port = bed->port,
		.epoch = epoch,
		.local_node = BED_CLIENT,
		.remote_node = BED_SERVER,
		.psk = psk,
		.psk_identity = identity,
		.plain = bed->plain,
		.wake_fd = -1,
	};

	wirebed_key(bed, psk, identity);
	return csv_remote_create(mem_ctx, &params, 5000, backend);
}

int wirebed_conn(struct wirebed *bed,
		 TALLOC_CTX *mem_ctx,
		 struct tevent_context *ev,
		 struct csv_conn **conn)
{
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	struct csv_conn_params params = {
		.ev = ev,
		.address = "127.0.0.1",
		.port = bed->port,
		.local_node = BED_CLIENT,
		.remote_node = BED_SERVER,
		.psk = psk,
		.psk_identity = identity,
		.plain = bed->plain,
		.wake_fd = -1,
	};

	wirebed_key(bed, psk, identity);
	return csv_conn_connect(mem_ctx, &params, 5000, conn);
}
