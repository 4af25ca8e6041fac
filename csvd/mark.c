/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An extended attribute of the volume's root, as text: "1 EPOCH SEQUENCE".
 */
#include "replace.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "csvd/mark.h"

#define MARK_SIZE 64

static int mark_read(int fd, struct csvd_mark *mark)
{
	char text[MARK_SIZE + 1] = "";
	int end = 0;
	ssize_t n;

	*mark = (struct csvd_mark){};
	n = fgetxattr(fd, CSVD_MARK_NAME, text, MARK_SIZE);
	if (n == -1) {
		return errno == ENODATA ? 0
		       : errno == ERANGE ? EBADMSG
					 : errno;
	}
	if (sscanf(text,
		   "1 %" SCNu64 " %" SCNu64 "%n",
		   &mark->epoch,
		   &mark->sequence,
		   &end) != 2 ||
	    end != n)
	{
		return EBADMSG;
	}
	return 0;
}

int csvd_mark_note(int rootfd,
		   const struct csvd_mark *now,
		   struct csvd_mark *found)
{
	char text[MARK_SIZE];
	int n, ret;

	ret = mark_read(rootfd, found);
	if (ret != 0) {
		return ret;
	}
	if (now->epoch <= found->epoch || now->sequence <= found->sequence) {
		return EOVERFLOW;
	}
	n = snprintf(text,
		     sizeof(text),
		     "1 %" PRIu64 " %" PRIu64,
		     now->epoch,
		     now->sequence);
	if (fsetxattr(rootfd, CSVD_MARK_NAME, text, n, 0) == -1 ||
	    fsync(rootfd) == -1)
	{
		return errno;
	}
	return 0;
}
