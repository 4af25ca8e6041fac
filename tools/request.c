/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Talking with the csvd of this node: one request, one answer.
 */
#include "replace.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/volume/control.h"
#include "librpc/ndr/libndr.h"
#include "gen_ndr/ndr_csv.h"
#include "tools/sofs.h"

#define REQUEST_TIMEOUT_MS 30000
#define REQUEST_PACKET (128 * 1024)
#define REQUEST_AGAIN_MS 100
#define REQUEST_TRIES 100

static int request_connect(void)
{
	const char *path = getenv("CSVD_SOCKET");
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	if (path == NULL) {
		path = CSV_CONTROL_SOCKET;
	}
	if (strlen(path) >= sizeof(sun.sun_path)) {
		fprintf(stderr, "sofs: %s: name too long\n", path);
		return -1;
	}
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
	{
		fprintf(stderr,
			"sofs: csvd does not answer (%s: %s)\n",
			path,
			strerror(errno));
		if (fd != -1) {
			close(fd);
		}
		return -1;
	}
	return fd;
}

static bool request_send(int fd, TALLOC_CTX *mem_ctx, char *text)
{
	struct csv_control_msg msg = {
		.version = CSV_CONTROL_VERSION,
		.type = CSV_CONTROL_REQUEST,
		.text = {.length = strlen(text), .data = (uint8_t *)text},
	};
	enum ndr_err_code err;
	DATA_BLOB blob = {};

	err = ndr_push_struct_blob(
		&blob,
		mem_ctx,
		&msg,
		(ndr_push_flags_fn_t)ndr_push_csv_control_msg);
	return NDR_ERR_CODE_IS_SUCCESS(err) &&
	       send(fd, blob.data, blob.length, MSG_NOSIGNAL) ==
		       (ssize_t)blob.length;
}

static json_t *request_receive(int fd, TALLOC_CTX *mem_ctx)
{
	uint8_t *buf = talloc_size(mem_ctx, REQUEST_PACKET);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct csv_control_msg msg = {};
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	ssize_t n;

	if (buf == NULL || poll(&pfd, 1, REQUEST_TIMEOUT_MS) != 1) {
		return NULL;
	}
	n = recv(fd, buf, REQUEST_PACKET, 0);
	if (n <= 0) {
		return NULL;
	}
	blob = data_blob_const(buf, n);
	err = ndr_pull_struct_blob(
		&blob,
		mem_ctx,
		&msg,
		(ndr_pull_flags_fn_t)ndr_pull_csv_control_msg);
	if (!NDR_ERR_CODE_IS_SUCCESS(err) || msg.type != CSV_CONTROL_REPLY) {
		return NULL;
	}
	return json_loadb((const char *)msg.text.data,
			  msg.text.length,
			  0,
			  NULL);
}

static json_t *request_ask(int fd, json_t *in)
{
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	char *text = json_dumps(in, JSON_COMPACT);
	json_t *out = NULL;

	if (text != NULL && request_send(fd, mem_ctx, text)) {
		out = request_receive(fd, mem_ctx);
	}
	free(text);
	talloc_free(mem_ctx);
	return out;
}

/* EINPROGRESS: csvd asks the third vote first; again until that has answered. */
static json_t *request_ask_until(int fd, json_t *in)
{
	json_t *reply = request_ask(fd, in);
	unsigned i;

	for (i = 0; i < REQUEST_TRIES && reply != NULL &&
		    json_integer_value(json_object_get(reply, "error")) ==
			    EINPROGRESS;
	     i++)
	{
		json_decref(reply);
		(void)poll(NULL, 0, REQUEST_AGAIN_MS);
		reply = request_ask(fd, in);
	}
	return reply;
}

int sofs_request(json_t *in, json_t **out)
{
	json_t *reply = NULL;
	int fd = request_connect();

	if (fd == -1) {
		json_decref(in);
		return SOFS_NO_CSVD;
	}
	reply = request_ask_until(fd, in);
	json_decref(in);
	close(fd);
	if (reply == NULL) {
		fprintf(stderr, "sofs: csvd gave no answer\n");
		return SOFS_NO_CSVD;
	}
	if (json_integer_value(json_object_get(reply, "error")) != 0) {
		fprintf(stderr,
			"sofs: %s\n",
			json_string_value(json_object_get(reply, "message")));
		json_decref(reply);
		return SOFS_FAILED;
	}
	*out = reply;
	return SOFS_OK;
}

int sofs_command(json_t *in)
{
	json_t *out = NULL;
	int ret = sofs_request(in, &out);

	if (ret == SOFS_OK) {
		json_decref(out);
	}
	return ret;
}
