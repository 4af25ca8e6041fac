/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a name to a descriptor, never outside the volume.
 *
 * Most names need one openat2(2): below the directory, no symlinks, same
 * mount. Where the kernel refuses (a symlink, or ".." above the directory,
 * which may still be inside the volume) or where a component is called as the
 * hidden directory, the name is walked step by step: every step is one
 * component below a descriptor, so that neither a symlink nor a rename in the
 * middle of it can lead out, and permissions are checked by the kernel.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "local_private.h"

#define MAX_LINKS 40
#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW)

static int open_beneath(int dirfd,
			const char *name,
			int oflags,
			mode_t mode,
			int *fd)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)oflags | O_CLOEXEC,
		.mode = (oflags & O_CREAT) ? (mode & 07777) : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_XDEV,
	};
	int ret;

	do {
		ret = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	} while (ret == -1 && errno == EINTR);
	if (ret == -1) {
		return errno;
	}
	*fd = ret;
	return 0;
}

/* Is one of the components of name this? */
static bool has_component(const char *name, const char *component)
{
	size_t len = strlen(component);
	const char *p = name;

	while ((p = strstr(p, component)) != NULL) {
		if ((p == name || p[-1] == '/') &&
		    (p[len] == '/' || p[len] == '\0'))
		{
			return true;
		}
		p += len;
	}
	return false;
}

static int check_name(const char *name)
{
	if (name[0] == '/') {
		return EINVAL;
	}
	if (name[0] == '\0') {
		return ENOENT;
	}
	if (strnlen(name, CSV_MAX_NAME) >= CSV_MAX_NAME) {
		return ENAMETOOLONG;
	}
	return 0;
}

static int is_root(struct local_backend *lb, int fd, bool *root)
{
	struct stat st;

	if (fstat(fd, &st) == -1) {
		return errno;
	}
	*root = st.st_dev == lb->dev && st.st_ino == lb->root_ino;
	return 0;
}

struct walk {
	struct local_backend *lb;
	int fd;
	bool owned;
	bool nosymlinks;
	unsigned num_links;
	char component[256];
	bool last;  /* no other component follows */
	bool slash; /* but a slash */
	char rest[CSV_MAX_NAME];
};

static void walk_enter(struct walk *w, int fd)
{
	if (w->owned) {
		close(w->fd);
	}
	w->fd = fd;
	w->owned = true;
}

/* Takes the next component off the rest. */
static int walk_next(struct walk *w)
{
	size_t len = strcspn(w->rest, "/");
	size_t skip = len + strspn(w->rest + len, "/");

	if (len >= sizeof(w->component)) {
		return ENAMETOOLONG;
	}
	memcpy(w->component, w->rest, len);
	w->component[len] = '\0';
	w->last = w->rest[skip] == '\0';
	w->slash = skip > len;
	memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
	return 0;
}

/* Puts a symlink's target in front of the rest. */
static int walk_link(struct walk *w)
{
	char target[CSV_MAX_NAME];
	size_t rest_len = strlen(w->rest);
	ssize_t len;

	len = readlinkat(w->fd, w->component, target, sizeof(target));
	if (len == -1) {
		return errno;
	}
	if (w->nosymlinks || ++w->num_links > MAX_LINKS) {
		return ELOOP;
	}
	if (len == 0) {
		return ENOENT;
	}
	if (target[0] == '/') {
		return EXDEV;
	}
	if ((size_t)len + 1 + rest_len >= sizeof(w->rest)) {
		return ENAMETOOLONG;
	}
	memmove(w->rest + len + 1, w->rest, rest_len + 1);
	memcpy(w->rest, target, len);
	w->rest[len] = w->slash ? '/' : '\0';
	return 0;
}

static int walk_up(struct walk *w)
{
	bool root = false;
	int ret, fd;

	ret = is_root(w->lb, w->fd, &root);
	if (ret != 0) {
		return ret;
	}
	if (root) {
		return EXDEV;
	}
	fd = openat(w->fd, "..", DIR_FLAGS | O_CLOEXEC);
	if (fd == -1) {
		return errno;
	}
	walk_enter(w, fd);
	return 0;
}

/* Into the directory, or the symlink, that the component names. */
static int walk_down(struct walk *w)
{
	int ret, fd = -1;

	ret = open_beneath(w->fd, w->component, DIR_FLAGS, 0, &fd);
	if (ret == 0) {
		walk_enter(w, fd);
		return 0;
	}
	if (ret != ENOTDIR) {
		return ret;
	}
	ret = walk_link(w);
	return ret == EINVAL ? ENOTDIR : ret;
}

static int walk_check_hidden(struct walk *w)
{
	bool root = false;
	int ret;

	if (strcmp(w->component, CSV_HIDDEN_DIR) != 0) {
		return 0;
	}
	ret = is_root(w->lb, w->fd, &root);
	if (ret != 0) {
		return ret;
	}
	return root ? ENOENT : 0;
}

/* One component; *done: fd is the answer. */
static int walk_step(struct walk *w,
		     int oflags,
		     mode_t mode,
		     bool *done,
		     int *fd)
{
	bool follow = !(oflags & (O_NOFOLLOW | O_EXCL));
	int ret;

	ret = walk_next(w);
	if (ret == 0) {
		ret = walk_check_hidden(w);
	}
	if (ret != 0) {
		return ret;
	}
	if (strcmp(w->component, ".") == 0) {
		return 0;
	}
	if (strcmp(w->component, "..") == 0) {
		return walk_up(w);
	}
	if (!w->last || w->slash) {
		if (w->last && (oflags & O_CREAT)) {
			return EISDIR;
		}
		return walk_down(w);
	}
	ret = open_beneath(w->fd, w->component, oflags, mode, fd);
	if (ret == ELOOP && follow) {
		return walk_link(w);
	}
	*done = true;
	return ret;
}

static int walk(struct local_backend *lb,
		int dirfd,
		const char *name,
		int oflags,
		mode_t mode,
		bool nosymlinks,
		int *fd)
{
	struct walk w = {
		.lb = lb,
		.fd = dirfd,
		.nosymlinks = nosymlinks,
	};
	bool done = false;
	int ret = 0;

	strcpy(w.rest, name);
	while (ret == 0 && !done && w.rest[0] != '\0') {
		ret = walk_step(&w, oflags, mode, &done, fd);
	}
	if (ret == 0 && !done) {
		/* ended at a directory already entered */
		ret = open_beneath(w.fd, ".", oflags, mode, fd);
	}
	if (w.owned) {
		close(w.fd);
	}
	return ret;
}

int local_resolve(struct local_backend *lb,
		  int dirfd,
		  const char *name,
		  int oflags,
		  mode_t mode,
		  bool nosymlinks,
		  int *fd)
{
	bool single = strchr(name, '/') == NULL;
	int ret;

	ret = check_name(name);
	if (ret != 0) {
		return ret;
	}
	if (has_component(name, CSV_HIDDEN_DIR)) {
		return walk(lb, dirfd, name, oflags, mode, nosymlinks, fd);
	}
	ret = open_beneath(dirfd, name, oflags, mode, fd);
	switch (ret) {
	case ELOOP:
		if (nosymlinks || (single && (oflags & O_NOFOLLOW))) {
			return ELOOP;
		}
		break;
	case EXDEV:
		break;
	case EAGAIN:
		/* a rename made ".." uncertain, or else it is a lease */
		if (!has_component(name, "..")) {
			return EAGAIN;
		}
		break;
	default:
		return ret;
	}
	return walk(lb, dirfd, name, oflags, mode, nosymlinks, fd);
}

/* The length of name without its last component and slashes. */
static size_t split_name(const char *name, size_t *start, size_t *end)
{
	size_t len = strlen(name);

	while (len > 0 && name[len - 1] == '/') {
		len--;
	}
	*end = len;
	while (len > 0 && name[len - 1] != '/') {
		len--;
	}
	*start = len;
	while (len > 0 && name[len - 1] == '/') {
		len--;
	}
	return len;
}

int local_parent_open(struct local_backend *lb,
		      int dirfd,
		      const char *name,
		      struct local_parent *parent)
{
	size_t start = 0, end = 0, len;
	char prefix[CSV_MAX_NAME];
	bool root = false;
	int ret;

	*parent = (struct local_parent){.fd = dirfd};
	ret = check_name(name);
	if (ret != 0) {
		return ret;
	}
	len = split_name(name, &start, &end);
	if (end - start >= sizeof(parent->last)) {
		return ENAMETOOLONG;
	}
	memcpy(parent->last, name + start, end - start);
	parent->slash = name[end] == '/';
	if (len > 0) {
		memcpy(prefix, name, len);
		prefix[len] = '\0';
		ret = local_resolve(lb,
				    dirfd,
				    prefix,
				    O_PATH | O_DIRECTORY,
				    0,
				    false,
				    &parent->fd);
		if (ret != 0) {
			return ret;
		}
		parent->owned = true;
	}
	if (strcmp(parent->last, CSV_HIDDEN_DIR) != 0) {
		return 0;
	}
	ret = is_root(lb, parent->fd, &root);
	return ret != 0 ? ret : (root ? ENOENT : 0);
}

void local_parent_close(struct local_parent *parent)
{
	if (parent->owned) {
		close(parent->fd);
		parent->owned = false;
	}
}

const char *local_procpath(struct local_procpath *p, int fd)
{
	snprintf(p->buf, sizeof(p->buf), "/proc/self/fd/%d", fd);
	return p->buf;
}
