/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests of the tool: JSON in, JSON out (csvd(8) lists them).
 */
#ifndef _CSVD_REQUEST_H_
#define _CSVD_REQUEST_H_

#include "csvd/context.h"

/*
 * Do it; the answer (child of mem_ctx) is always an object with "error"
 * (0 or an errno value) and, if not 0, "message".
 */
char *csvd_request(struct csvd_context *csvd,
		   TALLOC_CTX *mem_ctx,
		   const char *text,
		   size_t length);

#endif /* _CSVD_REQUEST_H_ */
