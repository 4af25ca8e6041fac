/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to request*.c: one request of the tool.
 */
#ifndef _CSVD_REQUEST_PRIVATE_H_
#define _CSVD_REQUEST_PRIVATE_H_

#include <jansson.h>
#include "csvd/context.h"

struct request {
	struct csvd_context *csvd;
	TALLOC_CTX *mem_ctx;
	const json_t *in;
	json_t *out;
	char *message; /* why it failed */
};

/* Returns err, after the message for people. */
int request_fail(struct request *r, int err, const char *fmt, ...)
	PRINTF_ATTRIBUTE(3, 4);

/* NULL: there is no such string; else the request's. */
const char *request_string(const struct request *r, const char *key);

/*
 * The usable node that "target" names; CSVD_NO_NODE: none is named. 0 or
 * errno, with a message.
 */
int request_target(struct request *r, uint32_t *target);

/* request_node.c: 0 or errno, with a message. */
int request_node_leave(struct request *r);
int request_node_drain(struct request *r);
int request_node_resume(struct request *r);
int request_node_state(struct request *r);

#endif /* _CSVD_REQUEST_PRIVATE_H_ */
