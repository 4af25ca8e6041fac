/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An administrator tries a volume's fence agent.
 */
#ifndef _CSVD_FENCE_TEST_H_
#define _CSVD_FENCE_TEST_H_

#include <jansson.h>
#include "csvd/context.h"

/*
 * The request volume_test_fence: "name", "node", "really" begin a test and
 * answer its number as "test"; with that as "test" in the request the answer
 * has "done", then "ok", "ms" and "text". 0 or errno and *message: there is
 * no such test, or none may begin.
 */
int csvd_fence_test(struct csvd_context *csvd,
		    TALLOC_CTX *mem_ctx,
		    const json_t *in,
		    json_t *out,
		    char **message);

/*
 * Why this node may not be fenced for a test; NULL: it may. In memory of
 * mem_ctx.
 */
char *csvd_fence_test_refused(TALLOC_CTX *mem_ctx,
			      struct csvd_context *csvd,
			      uint32_t node);

#endif /* _CSVD_FENCE_TEST_H_ */
