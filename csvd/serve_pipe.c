/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pipes that take the answer of a large read from the page cache to a plain
 * connection: the kernel hands pages over, nothing is copied here. A pipe
 * belongs to whoever has the job. They are kept for the next read; there are
 * never more than SERVE_PIPES: what finds none is copied, as on a connection
 * with TLS.
 */
#include "replace.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "lib/util/dlinklist.h"
#include "csvd/serve_private.h"

static int pipe_destructor(struct serve_pipe *p)
{
	close(p->in);
	close(p->out);
	return 0;
}

static struct serve_pipe *pipe_new(struct csv_serve *serve)
{
	struct serve_pipe *p = talloc_zero(serve, struct serve_pipe);
	int fd[2];

	if (p == NULL || pipe2(fd, O_CLOEXEC | O_NONBLOCK) != 0) {
		TALLOC_FREE(p);
		return NULL;
	}
	p->out = fd[0];
	p->in = fd[1];
	talloc_set_destructor(p, pipe_destructor);
	if (fcntl(p->in, F_SETPIPE_SZ, SERVE_PIPE_SIZE) == -1) {
		TALLOC_FREE(p);
		return NULL;
	}
	return p;
}

struct serve_pipe *serve_pipe_get(struct csv_serve *serve)
{
	struct serve_pipe *p = serve->pipes;

	if (p != NULL) {
		DLIST_REMOVE(serve->pipes, p);
		return p;
	}
	if (serve->num_pipes == SERVE_PIPES) {
		return NULL;
	}
	p = pipe_new(serve);
	if (p != NULL) {
		serve->num_pipes += 1;
	}
	return p;
}

void serve_pipe_put(struct csv_serve *serve, struct serve_pipe *p)
{
	if (p == NULL) {
		return;
	}
	if (p->held != 0) {
		talloc_free(p);
		serve->num_pipes -= 1;
		return;
	}
	DLIST_ADD(serve->pipes, p);
}

bool serve_pipe_fill(struct serve_pipe *p, int fd, uint64_t offset, size_t len)
{
	off64_t pos = (off64_t)offset;
	ssize_t n = 1;

	while (n > 0 && p->held < len) {
		n = splice(fd, &pos, p->in, NULL, len - p->held, 0);
		if (n > 0) {
			p->held += (size_t)n;
		}
	}
	return n >= 0;
}
