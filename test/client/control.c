/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Commands for a running mode, one per line, from stdin ("-") or a fifo.
 */
#include "client.h"
#include "system/filesys.h"

struct control {
	int fd;
	struct tevent_fd *fde;
	control_fn fn;
	void *private_data;
	size_t used;
	char line[256];
};

static int control_destructor(struct control *control)
{
	TALLOC_FREE(control->fde);
	if (control->fd > 0) {
		close(control->fd);
	}
	return 0;
}

static void control_lines(struct control *control)
{
	char *newline = NULL;

	while ((newline = memchr(control->line, '\n', control->used))) {
		size_t len = newline - control->line + 1;

		*newline = '\0';
		if (len > 1) {
			control->fn(control->line, control->private_data);
		}
		memmove(control->line, control->line + len,
			control->used - len);
		control->used -= len;
	}
	if (control->used == sizeof(control->line)) {
		fprintf(stderr, "smb3client: command too long, ignored\n");
		control->used = 0;
	}
}

static void control_readable(struct tevent_context *ev,
			     struct tevent_fd *fde,
			     uint16_t flags,
			     void *private_data)
{
	struct control *control = private_data;
	ssize_t n;

	n = read(control->fd,
		 control->line + control->used,
		 sizeof(control->line) - control->used);
	if (n == -1 && (errno == EINTR || errno == EAGAIN)) {
		return;
	}
	if (n <= 0) {
		TALLOC_FREE(control->fde);
		return;
	}
	control->used += n;
	control_lines(control);
}

struct control *control_create(TALLOC_CTX *mem_ctx,
			       struct tevent_context *ev,
			       const char *path,
			       control_fn fn,
			       void *private_data)
{
	struct control *control = talloc_zero(mem_ctx, struct control);

	if (control == NULL) {
		return NULL;
	}
	control->fn = fn;
	control->private_data = private_data;
	if (strcmp(path, "-") != 0) {
		/* O_RDWR: a fifo never sees the end of file */
		control->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (control->fd == -1) {
			fprintf(stderr, "smb3client: cannot open %s: %s\n",
				path, strerror(errno));
			TALLOC_FREE(control);
			return NULL;
		}
	}
	control->fde = tevent_add_fd(ev,
				     control,
				     control->fd,
				     TEVENT_FD_READ,
				     control_readable,
				     control);
	if (control->fde == NULL) {
		TALLOC_FREE(control);
		return NULL;
	}
	talloc_set_destructor(control, control_destructor);
	return control;
}
